"""A device: its driver and wires, the tests of what it reads, the guard of what it moves."""

from typing import Annotated, Any

from pydantic import Field

from gateway.config.section import Section
from gateway.config.values import BusAddress, Duration, Name, Pause


class Guard(Section):
    """What an actuator may do, whatever rules and commands ask."""

    max_on: Duration
    min_off: Pause = 0.0
    per_hour: Annotated[int, Field(ge=1, le=600)] | None = None
    permissives: tuple[str, ...] = ()
    max_age: Duration | None = None
    excludes: tuple[str, ...] = ()
    lease: Duration = 3600.0
    act_unrecorded: bool = False


class Quality(Section):
    """The tests of one quantity of a device, in its unit. A test without a limit is not made."""

    range: tuple[float, float] | None = None
    usual: tuple[float, float] | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    suspect: Annotated[int, Field(ge=1, le=100_000)] = 3
    fail: Annotated[int, Field(ge=1, le=100_000)] = 5


class Device(Section):
    """One part: a driver on a bus at an address, on a line of the header or of *pins*, or on a channel."""

    id: Name
    driver: str
    bus: str | None = None
    address: BusAddress | None = None
    line: Annotated[int, Field(ge=0, le=53)] | None = None
    pins: str | None = None
    adc: str | None = None
    channel: Annotated[int, Field(ge=0, le=63)] | None = None
    interval: Duration = 10.0
    deadline: Duration | None = None
    stale: Duration | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Quality] = Field(default_factory=dict)
    guard: Guard | None = None
