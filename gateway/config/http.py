"""The page and the health checks."""

from typing import Annotated

from pydantic import Field

from gateway.config.section import Section
from gateway.config.values import loopback


class Http(Section):
    """The status page and the health checks."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080

    @property
    def seen(self) -> bool:
        """Whether other machines can reach it."""
        return not loopback(self.host)
