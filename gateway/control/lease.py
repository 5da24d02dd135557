"""An actuator that a person has taken by hand."""

from dataclasses import dataclass

from gateway.control.until import Until


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has taken an actuator by hand, into which state, why, until when, and by which order."""

    who: str
    reason: str
    order: str
    on: bool
    until: Until

    def __str__(self) -> str:
        state = "on" if self.on else "off"
        return f"{self.who} has taken it by hand: {state} until {self.until}, because {self.reason}"
