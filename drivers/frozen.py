"""The same result again and again: what the noise of a living part forbids."""

from drivers.device import DeviceError


class Frozen:
    """Counts equal results. *patience* of them in a row are no chance any more.

    *results* and *cause* are what the error calls them ("vectors", "the sensing element").
    """

    def __init__(self, patience: int, results: str, cause: str) -> None:
        self._patience = patience
        self._results = results
        self._cause = cause
        self._last: object = None
        self._repeats = 0

    def check(self, result: object, noisy: bool = True) -> None:
        """Take the next *result*. Raises DeviceError for the last of too many equal ones, and all after it.

        A result that is not *noisy*, as one at a rail, may well be like the one before.
        """
        self._repeats = self._repeats + 1 if noisy and result == self._last else 0
        self._last = result
        if self._repeats >= self._patience - 1:
            raise DeviceError(f"{self._repeats + 1} equal {self._results} in a row: {self._cause} is frozen")
