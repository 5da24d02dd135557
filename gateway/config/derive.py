"""A stream of readings that are made from readings."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from gateway.config.section import Section
from gateway.config.values import Name


class Derive(Section):
    """A stream that turns other devices' readings into readings of its own.

    What only its kind knows is in *options*: that is for gateway.derive to check.
    """

    model_config = ConfigDict(extra="allow")

    id: Name
    kind: str
    source: Annotated[str | tuple[str, ...], Field(alias="from")]

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys of the table that are its kind's own."""
        return self.model_extra or {}
