"""Signed notes (c2sp.org/signed-note): a text, a blank line, and who signed it.

Only Ed25519 (signature type 0x01). A key is told by its name and by the first four bytes of
SHA-256(name || 0x0A || 0x01 || public key); a signature line is an em dash, the name, and base64 of those
four bytes and the signature over the text with its last newline.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from gateway.ledger.signer import verified

LARGEST = 256 * 1024
"""Bytes that a note may have: room for dozens of the largest signatures there are."""

SIGNATURES = 100
"""Signatures that a note may have."""

_TYPE = b"\x01"  # Ed25519
_NAME = re.compile(r"[^\s+]+")
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(ValueError):
    """Not a note, or not one to be believed."""


class Signer(Protocol):
    """What signs: a private key."""

    public: bytes

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under. Its text is what people hand on: name+id+key."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or _CONTROL.search(self.name):
            raise NoteError(f"{self.name!r} cannot be a key's name: no spaces, no +, not empty")
        if len(self.public) != 32:
            raise NoteError("a public key of Ed25519 has 32 bytes")

    @property
    def id(self) -> bytes:
        """The four bytes that stand for the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_TYPE + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of its text. Raises NoteError, also where the id is not that of name and key."""
        name, _, rest = text.partition("+")
        key_id, _, data = rest.partition("+")
        key = _unbase64(data)
        if key[:1] != _TYPE:
            raise NoteError("not an Ed25519 key: name+id+key, as the gateway tells it")
        found = cls(name, key[1:])
        if found.id.hex() != key_id:
            raise NoteError("the key's id does not belong to its name and key: a letter was lost or changed")
        return found


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note: who, by name and key id, and the bytes."""

    name: str
    id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {_base64(self.id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and its signatures, believed or not."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, data: str | bytes) -> Self:
        """Return the note of its text, to the letter; `opened` says who signed it. Raises NoteError."""
        whole = _decoded(data)
        split = whole.rfind("\n\n")
        if split < 1 or not whole.endswith("\n"):
            raise NoteError("not a signed note: a text, a blank line, signatures, each line ended")
        return cls(whole[: split + 1], tuple(_signatures(whole[split + 2 :])))


def sign(text: str, name: str, signer: Signer) -> str:
    """Return the note of *text*, which ends in a newline, signed under *name*. Raises NoteError."""
    _decoded(text)
    if not text.endswith("\n"):
        raise NoteError("a note's text ends in a newline")
    by = Verifier(name, signer.public)
    return str(Note(text, (Signature(name, by.id, signer.sign(text.encode())),)))


def opened(data: str | bytes, trusted: Collection[Verifier]) -> tuple[str, tuple[Verifier, ...]]:
    """Return a note's text and which of the *trusted* signed it: at least one.

    Raises NoteError when none did, and when a signature under the name and id of a trusted key is false.
    Signatures of others are passed over.
    """
    note = Note.parse(data)
    found = []
    for signature in note.signatures:
        for key in trusted:
            if (key.name, key.id) == (signature.name, signature.id):
                if not verified(key.public, signature.value, note.text.encode()):
                    raise NoteError(f"the signature of {key.name} is false: the note was altered")
                found.append(key)
    if not found:
        names = ", ".join(dict.fromkeys(signature.name for signature in note.signatures))
        raise NoteError(f"signed by no key that is trusted here, but by {names}")
    return note.text, tuple(dict.fromkeys(found))


def _decoded(data: str | bytes) -> str:
    try:
        raw = data.encode() if isinstance(data, str) else data
        text = raw.decode()
    except UnicodeError as error:
        raise NoteError("not a signed note: not UTF-8") from error
    if len(raw) > LARGEST:
        raise NoteError(f"not a signed note: larger than {LARGEST} bytes")
    if _CONTROL.search(text):
        raise NoteError("not a signed note: it has control characters")
    return text


def _signatures(text: str) -> Iterator[Signature]:
    lines = text.split("\n")[:-1]
    if not 0 < len(lines) <= SIGNATURES:
        raise NoteError(f"not a signed note: it has {len(lines)} signatures, not 1 to {SIGNATURES}")
    for line in lines:
        match = _LINE.fullmatch(line)
        data = _unbase64(match[2]) if match else b""
        if not match or len(data) < 5:
            raise NoteError("not a signed note: a line under the text is no signature")
        yield Signature(match[1], data[:4], data[4:])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    """Return what *text* is the one spelling of. Raises NoteError."""
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except ValueError as error:
        raise NoteError("not base64") from error
    if _base64(data) != text:
        raise NoteError("base64 that nobody writes: bits are set that mean nothing")
    return data
