"""Which pole this is, and where it stands."""

from typing import Annotated

from pydantic import Field

from gateway.config.section import Section
from gateway.config.values import GATEWAY


class Place(Section):
    """Where the pole stands, for the people and services that read its records."""

    name: str = ""
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    zone: str | None = None


class Gateway(Section):
    """Who this gateway is."""

    id: Annotated[str, Field(pattern=GATEWAY, max_length=60)]
    place: Place = Place()
