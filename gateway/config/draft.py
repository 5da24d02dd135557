"""A configuration file, read as far as it can be: what is right, and every problem with the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway import toml
from gateway.config.pole import Config, anchored
from gateway.config.sentence import problem
from gateway.places import Path as KeyPath
from gateway.problem import Problem

_NAMELESS: Mapping[str, dict[str, Any]] = {"gateway": {"id": "nameless"}, "store": {"path": "nameless.db"}}


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration file as far as it could be read.

    *config* holds what has the right shape; *kept* says which entries of a list it holds, by their place in
    the file (`{"device": [0, 2]}` when the second is broken); *problems* says what is wrong with the rest.
    """

    config: Config
    document: toml.Document
    kept: Mapping[str, list[int]]
    problems: tuple[Problem, ...]


def load(path: Path) -> Draft:
    """Read the configuration at *path*. Relative paths in it count from its own folder.

    Raises ConfigError where there is nothing to go on with: no such file, not TOML. Problems of shape are in
    the draft; what the parts mean to each other is for gateway.app.check.
    """
    document = toml.read(path)
    data = dict(document.data)
    kept = {name: list(range(len(v))) for name, v in data.items() if isinstance(v, list)}
    problems: list[Problem] = []
    while True:
        try:
            config = Config.model_validate(data)
        except ValidationError as error:
            shaped = [_placed(detail, kept) for detail in error.errors(include_url=False)]
            problems += [problem(detail, document, Config) for detail in shaped]
            _prune(data, kept, [detail["loc"] for detail in shaped])
        else:
            return Draft(anchored(config, path.absolute().parent), document, kept, tuple(problems))


def _placed(detail: ErrorDetails, kept: Mapping[str, list[int]]) -> ErrorDetails:
    """Give an error in a pruned list its place in the file back."""
    head, *rest = detail["loc"]
    if rest and isinstance(rest[0], int) and head in kept:
        rest[0] = kept[str(head)][rest[0]]
    return {**detail, "loc": (head, *rest)}


def _prune(data: dict[str, Any], kept: dict[str, list[int]], broken: list[KeyPath]) -> None:
    """Take the broken entries out of *data*, so that the rest can still be checked."""
    for name in {str(loc[0]) for loc in broken}:
        places = {loc[1] for loc in broken if loc[0] == name and len(loc) > 1 and isinstance(loc[1], int)}
        if places and name in kept:
            pairs = [(at, each) for at, each in zip(kept[name], data[name], strict=True) if at not in places]
            kept[name], data[name] = [at for at, _ in pairs], [each for _, each in pairs]
        elif name in _NAMELESS:
            data[name] = _NAMELESS[name]
        else:
            data.pop(name, None)
            kept.pop(name, None)
