"""From a rule that fires to an actuator that moves, or does not: modes, guards, orders, decisions.

Nothing reaches an actuator but through its guard, and no decision to move goes unrecorded.
"""

from gateway.control.control import Control
from gateway.control.desk import Desk
from gateway.control.guard import Limits, Permissive, Truth, Verdict
from gateway.control.modes import Ruled
from gateway.control.orders import Machine
from gateway.control.recorder import Journal
from gateway.control.station import Switch

__all__ = [
    "Control",
    "Desk",
    "Journal",
    "Limits",
    "Machine",
    "Permissive",
    "Ruled",
    "Switch",
    "Truth",
    "Verdict",
]
