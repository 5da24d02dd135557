"""Where the rig keeps what it built: outside the repository, by what it was built from."""

import hashlib
import os
import shutil
from pathlib import Path


def home() -> Path:
    """Return $LAMPPOST_CACHE, or lamppost's folder among the user's caches."""
    told = os.environ.get("LAMPPOST_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(told) if told else base / "lamppost"


def key(*parts: str | bytes) -> str:
    """Return a name for what is made of *parts*: it changes when one of them does."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def compiler() -> str | None:
    """Return the C compiler ($CC, cc or gcc), or None."""
    named = (os.environ.get("CC"), "cc", "gcc")
    return next((found for name in named if name and (found := shutil.which(name))), None)
