"""What devices hang on: I2C buses, the header, and what lends more lines and channels."""

from typing import Annotated, Any

from pydantic import Field

from gateway.config.section import Section
from gateway.config.values import BusAddress


class Bus(Section):
    """An I2C bus: a device file of the kernel, `emulated:street`, or a channel of a mux on another bus."""

    id: str
    path: str | None = None
    mux: str | None = None
    on: str | None = None
    address: BusAddress | None = None
    channel: Annotated[int, Field(ge=0, le=7)] | None = None


class Header(Section):
    """The 40-pin header: a gpiochip of the kernel, or `emulated:street`."""

    chip: str = "/dev/gpiochip0"


class Lender(Section):
    """A part on an I2C bus that lends something to devices."""

    id: str
    driver: str
    bus: str
    address: BusAddress | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Pins(Lender):
    """Lines beside the header's: those of an expander on an I2C bus."""


class Adc(Lender):
    """A converter on an I2C bus, whose channels other devices use."""
