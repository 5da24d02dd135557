"""Waiting longer after each failure, and never in step with the other gateways of the street."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Backoff:
    """Gives pauses from *low* seconds up to a ceiling that doubles at each failure, at most *high*."""

    low: float = 1.0
    high: float = 30.0
    chance: Callable[[], float] = random.random  # 0 to 1
    failures: int = 0

    def pause(self, high: float | None = None) -> float:
        """Return how long to wait now [s], anywhere between *low* and the ceiling."""
        self.failures = min(self.failures + 1, 16)  # 2**16 s is beyond any ceiling
        ceiling = min(high or self.high, self.low * 2.0**self.failures)
        return self.low + self.chance() * (ceiling - self.low)

    def reset(self) -> None:
        """Begin again: something went well."""
        self.failures = 0
