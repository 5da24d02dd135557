"""The press of a bin: whoever wants a stroke, what is against it, the stroke, and how full it leaves the bin.

For the control a `compactor` is one more switch; `beginning` is how it comes to a stroke. `machine` is the
press as a machine, pure: `state` are its phases, `permit` is what is against a stroke, `ways` what ends the
plate's ways, `watch` what cannot be, `fullness` what strokes teach of the bin, and `seen` what is known of it
all. `stand` is what these share; `wires` tell the motor, `pen` writes down, `memory` outlives a restart.
"""

from gateway.control.compactor.compactor import Compactor, limits_of
from gateway.control.compactor.seen import Seen, Settings
from gateway.control.compactor.stand import Press

__all__ = ["Compactor", "Press", "Seen", "Settings", "limits_of"]
