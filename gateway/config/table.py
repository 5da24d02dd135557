"""A table whose keys a dataclass declares: the options of a driver, of a kind of stream."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway import toml
from gateway.config.sentence import no_such_key, problem
from gateway.places import Path as KeyPath
from gateway.problem import ConfigError


def options(wanted: type[Any], given: Mapping[str, Any], document: toml.Document, path: KeyPath) -> Any:
    """Build a driver's Options dataclass from TOML. Raises ConfigError at the lines under *path*."""
    known = [field.name for field in fields(wanted)]
    if unknown := [name for name in given if name not in known]:
        said = [no_such_key(name, (*path, name), known) for name in unknown]
        raise ConfigError([document.problem((*path, n), each) for n, each in zip(unknown, said, strict=True)])
    try:
        return TypeAdapter(wanted).validate_python(dict(given))
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError([problem(each, document, wanted, path) for each in details]) from error
