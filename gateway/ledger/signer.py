"""The gateway's key: Ed25519 (RFC 8032), made on the device, never leaving it.

The file is PKCS #8 in PEM, as `openssl pkey` reads it, and nobody but its owner may read it.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_LARGEST = 4096  # bytes; the file has about 120
_ANEW = (
    "or move it away and start again: a new key is made, and whoever keeps the old public key must be told"
)


class KeyFileError(ValueError):
    """The key file cannot be used; the message says what to do."""


class Key:
    """A private key that signs."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"Key(public={self.public.hex()})"


def verified(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether *signature* over *data* is of the owner of the 32 bytes *public*."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def from_seed(seed: bytes) -> Key:
    """Return the key of 32 secret bytes (RFC 8032, section 5.1.5)."""
    return Key(Ed25519PrivateKey.from_private_bytes(seed))


def load_or_create(path: Path) -> tuple[Key, bool]:
    """Return the key at *path*, and whether it was made just now. Raises KeyFileError.

    A key that is made although a ledger exists is news for everybody who holds the old public key: say so.
    """
    try:
        return load(path), False
    except FileNotFoundError:
        return create(path)


def load(path: Path) -> Key:
    """Return the key at *path*. Raises FileNotFoundError, or KeyFileError for one that must not be used."""
    try:
        # O_NONBLOCK: a pipe in the file's place would never answer
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(
            f"the key {path} cannot be read ({error.strerror}): "
            "make it a plain file that belongs to the user that lamppost runs as"
        ) from error
    try:
        _guard(path, os.fstat(file))
        return _decoded(path, os.read(file, _LARGEST + 1))
    finally:
        os.close(file)


def create(path: Path) -> tuple[Key, bool]:
    """Make a key at *path*, whole or not at all; one that somebody else made there meanwhile wins (False)."""
    made = Ed25519PrivateKey.generate()
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write(beside, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        os.link(beside, path)  # as a rename, but never over another key
        beside.unlink()
        _sync(path.parent)
    except FileExistsError:
        return load(path), False
    except OSError as error:
        raise KeyFileError(
            f"no key can be made at {path} ({error.strerror}): "
            f"give {path.parent} to the user that lamppost runs as, on a disk with space"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return Key(made), True


def _guard(path: Path, found: os.stat_result) -> None:
    """Refuse a file that somebody else could have read or put there."""
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(
            f"the key {path} is not a plain file: move it away, and a key is made in its place"
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"the key {path} belongs to user {found.st_uid}: chown it to the user of lamppost")
    if found.st_mode & 0o077:
        raise KeyFileError(
            f"the key {path} can be read or changed by others (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"chmod 600 it if nobody did, {_ANEW}"
        )


def _decoded(path: Path, data: bytes) -> Key:
    try:
        private = load_pem_private_key(data, None) if len(data) <= _LARGEST else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"the key {path} is damaged or no Ed25519 key: put a copy back, {_ANEW}")
    return Key(private)


def _write(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
