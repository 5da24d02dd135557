"""What pydantic finds wrong, as a sentence that helps, at its line."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway import toml
from gateway.config.values import MEANINGS
from gateway.places import Path as KeyPath
from gateway.problem import Problem


def problem(detail: ErrorDetails, document: toml.Document, model: type[Any], path: KeyPath = ()) -> Problem:
    """Turn one of pydantic's errors into a sentence with a line."""
    keys = (*path, *detail["loc"])
    return document.problem(keys, _sentence(detail, keys, _fields(model, detail["loc"][:-1])))


def _sentence(detail: ErrorDetails, keys: KeyPath, siblings: list[str]) -> str:
    name = str(keys[-1])
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return no_such_key(name, keys, siblings)
        case "missing":
            return f'{_dotted(keys[:-1]) or "the file"} needs the key "{name}"'
        case "string_pattern_mismatch":
            return f"{_dotted(keys)} must be {MEANINGS[detail['ctx']['pattern']]}"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{_dotted(keys)}: {said}"


def no_such_key(name: str, keys: KeyPath, siblings: list[str]) -> str:
    """Return that the table of *keys* has no *name*, and which of its *siblings* may have been meant."""
    hint = toml.did_you_mean(name, siblings) or f"; it may have: {', '.join(siblings) or 'none'}"
    return f'{_dotted(keys[:-1]) or "the file"} has no key "{name}"{hint}'


def _dotted(keys: KeyPath) -> str:
    text = ""
    for key in keys:
        text += f"[{key + 1}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def _fields(model: Any, path: KeyPath) -> list[str]:
    """Return the names that the table at *path* of *model* may have."""
    for key in path:
        if isinstance(key, int):
            continue
        if is_dataclass(model) and isinstance(model, type):
            model = _inner(get_type_hints(model).get(str(key)))
            continue
        field = getattr(model, "model_fields", {}).get(key)
        model = _inner(field.annotation) if field is not None else None
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return [field.name for field in fields(model)] if is_dataclass(model) else []


def _inner(annotation: Any) -> Any:
    """Return the model inside `Model | None` or `tuple[Model, ...]`."""
    arguments = [each for each in getattr(annotation, "__args__", ()) if isinstance(each, type)]
    models = [each for each in arguments if issubclass(each, BaseModel) or is_dataclass(each)]
    return models[0] if models else annotation
