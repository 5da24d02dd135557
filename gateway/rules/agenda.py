"""What is due when, for many things of which few change at a time."""

from heapq import heapify, heappop, heappush

AT_ONCE = -1
"""A moment before every other."""


class Agenda:
    """The next moment [ns] of each of *count* things; all are due at once to begin with."""

    def __init__(self, count: int) -> None:
        self._moments: list[int | None] = [AT_ONCE] * count
        self._heap = [(AT_ONCE, index) for index in range(count)]  # with entries that no longer hold

    def __len__(self) -> int:
        """How much is written down, also of what no longer holds: a few times *count* at the most."""
        return len(self._heap)

    def put(self, index: int, moment: int | None) -> None:
        """Make *moment* the next of the thing *index*; None for none."""
        if moment == self._moments[index]:
            return
        self._moments[index] = moment
        if moment is not None:
            heappush(self._heap, (moment, index))
        if len(self._heap) > 4 * len(self._moments) + 16:
            self._heap = [(moment, i) for i, moment in enumerate(self._moments) if moment is not None]
            heapify(self._heap)

    def next(self) -> int | None:
        """Return the earliest moment."""
        heap, moments = self._heap, self._moments
        while heap:
            moment, index = heap[0]
            if moments[index] == moment:
                return moment
            heappop(heap)
        return None

    def overdue(self, now: int) -> list[int]:
        """Take out everything that is due at *now*, and return it in its order; it has no moment then."""
        found = []
        while (moment := self.next()) is not None and moment <= now:
            _, index = heappop(self._heap)
            self._moments[index] = None
            found.append(index)
        return sorted(found)
