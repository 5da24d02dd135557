"""What must hold of the drivers on real devices, whichever kernel or shim is behind them.

Each case runs beside the devices: in a process with the shim, or inside the real kernel. It moves the world
by cues to the board, checks with `assert`, and returns figures for the report.
"""

from tests.hardware.bus_cases import a_controller_that_gives_up
from tests.hardware.case import CASES, Case
from tests.hardware.header_cases import a_pulse_by_its_edges

__all__ = ["CASES", "COSTS", "EXACT", "SHIM_ONLY", "Case"]

COSTS = ("transfers_per_second", "cpu_us_per_transfer")
"""The figures of `many_in_a_row`."""
EXACT: dict[str, Case] = {"a_pulse_by_its_edges": a_pulse_by_its_edges}
"""For where edges get their times at the source: the shim, and a guest in the rig's time."""
SHIM_ONLY: dict[str, Case] = {"a_controller_that_gives_up": a_controller_that_gives_up}
"""Virtio has no such answer."""
