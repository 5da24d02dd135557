"""What a case is, and all that there are: see tests.hardware.cases."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.hardware.wires import Wires

Case = Callable[[Wires], Awaitable[dict[str, Any] | None]]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Have *function* run behind every door."""
    CASES[function.__name__] = function
    return function
