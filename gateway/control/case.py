"""A rule that fires, and how far that has come."""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.control.modes import Standing
from gateway.control.until import Until
from gateway.reading import Command, Mode, Transition


class Stage(StrEnum):
    """What becomes of a rule while it fires."""

    SHADOWED = "shadowed"  # nothing: its would-be decisions are recorded
    ASKED = "asked"  # it waits for a person's yes (in), or for the end of the veto window (on)
    ACTING = "acting"  # it has asked the switches
    OVER = "over"  # it was vetoed, or nobody answered: nothing until it fires anew


@dataclass(frozen=True, slots=True)
class Ask:
    """What waits for a person: its id (that of the decision which says so), the commands, and until when."""

    id: str
    commands: tuple[Command, ...]
    until: Until


@dataclass(slots=True)
class Case:
    """One rule that fires. *standing* is who decided at its last turn."""

    transition: Transition
    standing: Standing
    stage: Stage
    ask: Ask | None = None

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.transition.rule

    @property
    def decided(self) -> Transition:
        """The transition with the mode that it is decided in."""
        return replace(self.transition, mode=self.standing.mode)

    @property
    def commands(self) -> str:
        """What it asks for, in words."""
        return words(self.ask.commands if self.ask else self.transition.commands)

    @property
    def acts_by_itself(self) -> bool:
        """Whether it goes ahead when its time is over, rather than lapses."""
        return self.standing.mode is Mode.ON


def words(commands: tuple[Command, ...]) -> str:
    """Return commands as one text."""
    return ", ".join(map(str, commands))
