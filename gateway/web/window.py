"""The parameters of the views: read and refused here, with a sentence for each that cannot be used.

Not by FastAPI's own `Query`: for its first parameter it imports all of pydantic's version 1 (1.5 MB).
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

UNUSABLE = 422
"""The status code of a request whose parameters cannot be used."""

_ID = re.compile("[0-9a-f]{32}")
_SEQ = re.compile("[1-9][0-9]{0,14}")


class Window(BaseModel):
    """Which records to return."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="Most records to return, newest first.")
    before: int | None = Field(
        None,
        ge=1,
        lt=2**63,
        description="Only records before this one: the seq of a reading, else the event.",
    )


class ReadingsWindow(Window):
    """Which readings to return."""

    device: str | None = Field(
        None, pattern="^[a-z][a-z0-9_]*$", max_length=40, description="Only this device's."
    )


class Sizes(BaseModel):
    """Of which two sizes of the ledger to show that one begins the other."""

    model_config = ConfigDict(extra="forbid")

    old: int = Field(ge=0, lt=2**53, description="How many records the older one had.")
    new: int = Field(ge=0, lt=2**53, description="How many records the newer one has.")


Asked = TypeVar("Asked", bound=BaseModel)


def asked(request: Request, model: type[Asked]) -> Asked:
    """Return the request's parameters. Raises HTTPException, 422, that names everything unusable in them."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        known = sorted(model.model_fields)
        sentences = [_sentence(problem, known) for problem in error.errors(include_url=False)]
        raise HTTPException(UNUSABLE, "; ".join(sentences[:5])) from None


def asked_id(request: Request) -> str:
    """Return the id in the request's path. Raises HTTPException, 422, where it cannot be one."""
    id = str(request.path_params["id"])
    if not _ID.fullmatch(id):
        raise HTTPException(
            UNUSABLE, f"an id is 32 hexadecimal digits, 0-9 and a-f; {id[:40]!r} is not usable"
        )
    return id


def asked_seq(request: Request) -> int:
    """Return the number in the request's path. Raises HTTPException, 422, where it cannot be one."""
    text = str(request.path_params["seq"])
    if not _SEQ.fullmatch(text):
        raise HTTPException(UNUSABLE, f"a record's number is 1 or more; {text[:40]!r} is not usable")
    return int(text)


def parameters(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of the parameters in *model*."""
    found = model.model_json_schema()["properties"].items()
    return {"parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in found]}


def id_parameter() -> dict[str, Any]:
    """Return what OpenAPI says of an id in the path."""
    schema = {"type": "string", "pattern": f"^{_ID.pattern}$"}
    return {"parameters": [{"name": "id", "in": "path", "required": True, "schema": schema}]}


def seq_parameter() -> dict[str, Any]:
    """Return what OpenAPI says of a record's number in the path."""
    schema = {"type": "integer", "minimum": 1}
    return {"parameters": [{"name": "seq", "in": "path", "required": True, "schema": schema}]}


def _sentence(problem: Mapping[str, Any], known: list[str]) -> str:
    name = str(problem["loc"][-1])[:40]
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        return f"there is no parameter {name!r}; {hint}"
    if problem["type"] == "missing":
        return f"the parameter {name!r} is needed"
    rule = problem["msg"].split(", ")[0].replace("Input should", "must").replace("String should", "must")
    return f"{name} {rule}; {str(problem['input'])[:40]!r} is not usable"
