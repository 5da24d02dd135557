"""Who may order what: people, known by the hash of a token that only they have.

A token is 192 random bits, so nobody can guess it and nothing slow is needed to guard its hash: SHA-256 takes
microseconds and no memory. scrypt is for passwords, which can be guessed. At its usual strength it takes 16
MiB and 50 ms to 1 s of a Pi with 512 MiB for each try, also of a stranger: a way to stop the gateway.
"""

import hmac
import logging
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from gateway import config, toml
from gateway.orders import ISSUER
from gateway.problem import ConfigError, Problem
from gateway.reading import OrderKind

log = logging.getLogger("lamppost")

BYTES = 24
"""Random bytes of a token."""

PREFIX = "lp_"
"""What every token begins with, so that one that was published by mistake can be found."""

NAMES = "letters, digits and . _ @ -, at most 64, such as ada.byrne"
"""What a name is made of, which records and topics carry."""

LARGEST = 64 * 1024
"""Bytes of a file of people: some hundreds of them."""

_HASH = re.compile("sha256:[0-9a-f]{64}")
_STRANGERS_WRITE = 0o002


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may order something: *token* is `sha256:` and the hash, *expires* the last day of it all.

    Without a token it is somebody who orders over MQTT alone, where the broker says who it is.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    name: str
    may: tuple[OrderKind, ...]
    token: str = ""
    expires: date | None = None

    def __post_init__(self) -> None:
        if not ISSUER.fullmatch(self.name):
            raise ValueError(f"nobody can be called {self.name}: {NAMES}")
        if self.token and not _HASH.fullmatch(self.token):
            raise ValueError(
                f'the token of {self.name} must be "sha256:" and 64 hexadecimal digits, as lamppost token '
                "prints it; the token itself never stands in a file"
            )

    def allowed(self, kind: OrderKind) -> bool:
        """Return whether this person may give orders of *kind*."""
        return kind in self.may


@dataclass(frozen=True, slots=True)
class _File:
    person: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """Everybody whom the gateway obeys."""

    everybody: tuple[Person, ...] = ()
    _today: Any = field(default=date.today, compare=False)

    def who(self, token: str) -> Person | None:
        """Return whose *token* it is, if it is still good. Takes the same time for every wrong one."""
        given = hashed(token).encode()
        found = [person for person in self.everybody if hmac.compare_digest(given, person.token.encode())]
        return next(filter(self._stands, found), None)

    def may(self, name: str, kind: OrderKind) -> bool:
        """Return whether who is called *name* may order *kind*: for a channel that knows who it is."""
        return any(each.name == name and each.allowed(kind) and self._stands(each) for each in self.everybody)

    def _stands(self, person: Person) -> bool:
        return person.expires is None or self._today() <= person.expires


def hashed(token: str) -> str:
    """Return what stands for *token* in a file."""
    return f"sha256:{sha256(token.encode(errors='surrogateescape')).hexdigest()}"


def new_token() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(BYTES)


def line(name: str, token: str, may: Iterable[OrderKind]) -> str:
    """Return the lines of TOML that make *name* known by *token*. Raises ValueError for what is no name."""
    if not ISSUER.fullmatch(name):
        raise ValueError(f"nobody can be called {name!a}: {NAMES}")
    kinds = ", ".join(f'"{kind}"' for kind in may)
    return f'[[person]]\nname = "{name}"\ntoken = "{hashed(token)}"\nmay = [{kinds}]\n'


def load(settings: config.Access) -> People:
    """Return the people of the file or credential that *settings* names. Raises ConfigError.

    A credential that is not there means nobody: systemd starts the unit without it, and a check outside of
    the unit cannot see it.
    """
    path = settings.people
    if settings.people_credential is not None:
        path = _credential(settings.people_credential)
        if path is None:
            return People()
    if path is None:
        return People()
    document = toml.read(path, LARGEST)
    problems = _exposed(path)
    found: _File = config.options(_File, document.data, document, ())
    problems += _twice(found.person, document)
    if problems:
        raise ConfigError(problems)
    return People(found.person)


def _credential(name: str) -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / Path(name).name if folder else None
    if path is None or not path.exists():
        log.warning("the credential %s is not here: nobody may order anything over HTTP", name)
        return None
    return path


def _exposed(path: Path) -> list[Problem]:
    if path.stat().st_mode & _STRANGERS_WRITE:
        said = "everybody on this machine may write it, and so give themselves a token: chmod o-w"
        return [Problem(str(path), 1, said)]
    return []


def _twice(people: Iterable[Person], document: toml.Document) -> list[Problem]:
    """Two people of one name, or with one token, could not be told apart in the records."""
    problems: list[Problem] = []
    seen: Mapping[str, set[str]] = {"name": set(), "token": set()}
    for index, person in enumerate(people):
        for key, known in seen.items():
            value = getattr(person, key).casefold()
            if value and value in known:
                said = f"{person.name}: another person above has the same {key}; each needs an own one"
                problems.append(document.problem(("person", index, key), said))
            known.add(value)
    return problems
