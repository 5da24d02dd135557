"""What a rule tells people though it does nothing: that it cannot know its condition, or can again."""

from dataclasses import dataclass

from gateway.clock import Instant
from gateway.reading import Event

BLIND = "lamppost.rule.blind"
SEEING = "lamppost.rule.seeing"
KNOWN, ENDED, GONE = "its condition is known again", "the rule has expired", "there is no such rule any more"


@dataclass(frozen=True, slots=True)
class Notice:
    """A rule that went blind, or whose blindness is over (*seeing*), and why. *owner* is whom it concerns."""

    at: Instant
    rule: str
    owner: str
    seeing: bool
    reason: str
    phase: str

    @property
    def type(self) -> str:
        """The type of its event."""
        return SEEING if self.seeing else BLIND

    def event(self) -> Event:
        """Return it as the event that other services get."""
        data = {"owner": self.owner, "reason": self.reason, "phase": self.phase}
        return Event(self.type, self.rule, self.at, {key: value for key, value in data.items() if value})
