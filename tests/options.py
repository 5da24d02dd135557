"""Every key that a configuration may have, as the models know them: for the tests that keep texts in step."""

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config import Config


def every_option(model: type[BaseModel] = Config, section: str = "") -> dict[str, FieldInfo]:
    """Return every key below *model* that holds a value, by its dotted name: `mqtt.tls.ca`, `device.id`."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        dotted = f"{section}.{field.alias or name}" if section else (field.alias or name)
        inner = _model(field.annotation)
        found |= {dotted: field} if inner is None else every_option(inner, dotted)
    return found


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that *annotation* is, or holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model(each))), None)
