"""A rule as it is carried out, checked."""

from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

from gateway.canonical import digest
from gateway.reading import Announce, Command, Grant, Mode, SwitchOn
from gateway.rules.evaluate import Expression

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a file. Two are equal when they say the same, whatever else their files hold.

    Fires when *when* has held for *wait* seconds; ends when *clear* holds, or without one when *when* does
    not, but not before it has fired for *hold* seconds. *expires* is the last day (UTC) on which it acts;
    *grant* who lets it act by itself; *ask* and *veto* [s] how long a person has to say yes, or no; *blind*
    [s] how long its condition may be unknown before that is an alarm; *digest* the SHA-256 of its file.
    """

    id: str
    version: int
    says: str
    owner: str
    expires: date
    when: Expression
    commands: tuple[Command, ...]
    clear: Expression | None = None
    wait: float = 0.0
    hold: float = 0.0
    mode: Mode = Mode.SHADOW
    ask: float = 600.0
    veto: float = 60.0
    blind: float = 60.0
    grant: Grant | None = field(default=None, compare=False)  # to renew it must not disturb what fires
    digest: str = field(default="", compare=False)

    @property
    def conditions(self) -> tuple[Expression, ...]:
        """`when`, and `clear` if there is one."""
        return (self.when,) if self.clear is None else (self.when, self.clear)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the conditions look at, in order of appearance."""
        return tuple(dict.fromkeys(name for part in self.conditions for name in part.names))

    @property
    def over(self) -> float:
        """When its last day is over [s, Unix]."""
        return midnight_after(self.expires)


def midnight_after(day: date) -> float:
    """Return the end of *day* (UTC) [s, Unix]."""
    return (day.toordinal() + 1 - _EPOCH) * 86400.0


def fingerprint(rule: Rule) -> str:
    """Return a SHA-256 (hexadecimal) that two rules share where they are equal, also across restarts."""
    return digest({each.name: _plain(getattr(rule, each.name)) for each in fields(rule) if each.compare})


def _plain(value: Any) -> Any:
    match value:
        case Expression():
            return [value.text, value.type]
        case SwitchOn() | Announce():
            return [type(value).__name__, asdict(value)]
        case tuple():
            return [_plain(each) for each in value]
    return value
