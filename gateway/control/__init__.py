"""From a rule that fires to an actuator that moves, or does not: modes, guards, decisions.

Nothing reaches an actuator but through its guard, and no decision to move goes unrecorded.
"""

from gateway.control.control import Control
from gateway.control.guard import Limits, Permissive, Truth, Verdict
from gateway.control.output import Switch
from gateway.control.recorder import Journal

__all__ = ["Control", "Journal", "Limits", "Permissive", "Switch", "Truth", "Verdict"]
