"""Imports FastAPI and uvicorn without what a daemon never uses, which saves 3 MB of memory and 60 ms."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pydantic import BaseModel, ConfigDict

_COMMAND_LINE = "uvicorn.main"


@contextmanager
def lean() -> Iterator[None]:
    """Import inside: pydantic models are built at their first use, and uvicorn leaves out its command line.

    FastAPI defines 30 models for OpenAPI alone, needed only for /openapi.json (1.2 MB). The
    package uvicorn imports its command line, and with it click and multiprocessing (1.6 MB), for the name
    `uvicorn.run`. Afterwards everything is as before, and the command line can be imported as ever.
    """
    config, BaseModel.model_config = BaseModel.model_config, ConfigDict(defer_build=True)
    stand_in = "uvicorn" not in sys.modules
    if stand_in:
        sys.modules[_COMMAND_LINE] = _names("Server", "main", "run")
    try:
        yield
    finally:
        BaseModel.model_config = config
        if stand_in:
            del sys.modules[_COMMAND_LINE]


def _names(*names: str) -> ModuleType:
    """Return a module that has *names* and nothing behind them."""
    module = ModuleType(_COMMAND_LINE)
    vars(module).update(dict.fromkeys(names))
    return module
