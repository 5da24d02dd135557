"""The subscriber, who trusts nobody: every number in order, nothing invented, nothing missing unannounced."""

import json
from collections.abc import Iterable
from typing import Any

from gateway.reading import Lane
from tests.simulator.disk import Disk
from tests.simulator.setting import EPOCH, GATEWAY
from tests.simulator.world import World

_LOG = f"lamppost/{GATEWAY}/log/"


class Subscriber:
    """See tests.simulator.broker.Audience. All sets are of sequence numbers, by lane.

    *have*: what arrived; *took*: what the broker acknowledged, or is about to; *excused*: what it forgot
    after that, or threw away because nobody had subscribed.
    """

    def __init__(self, world: World, disk: Disk, unheard_counts: bool) -> None:
        self._world, self._disk = world, disk
        self._unheard_counts = unheard_counts
        self.have: dict[Lane, dict[int, Any]] = {lane: {} for lane in Lane}
        self.took: dict[Lane, set[int]] = {lane: set() for lane in Lane}
        self.excused: dict[Lane, set[int]] = {lane: set() for lane in Lane}
        self.highs: dict[Lane, int] = dict.fromkeys(Lane, 0)
        """The last number of each lane that has been durable."""
        self.answers: list[dict[str, Any]] = []
        self.duplicates = 0
        self._refused: dict[Lane, set[int]] = {lane: set() for lane in Lane}
        self._highest: dict[Lane, int] = dict.fromkeys(Lane, 0)  # of what arrived
        self._last: tuple[object, tuple[Lane, int, list[Any]]] = None, (Lane.EVENTS, 0, [])

    def deliver(self, topic: str, payload: bytes) -> None:
        """Look at what arrives."""
        if topic.startswith(f"lamppost/{GATEWAY}/answer/"):
            self.answers.append(json.loads(payload))
        if not topic.startswith(_LOG):
            return
        lane, first, records = self._opened(topic, payload)
        self._world.note(f"subscriber has {lane} {first} to {first + len(records) - 1}")
        have = self.have[lane]
        highest = self._highest[lane]
        for number, record in enumerate(records, first):
            if number in have:
                self.duplicates += 1
                self._expect(have[number] == record, f"{lane} {number} arrives as another record than before")
                continue
            self._expect(number <= self.highs[lane], f"{lane} {number} arrives and is not durable")
            ordered = number > highest or number in self._refused[lane]
            self._expect(ordered, f"{lane} {number} arrives behind {highest}")
            have[number] = record
            highest = max(highest, number)
        self._highest[lane] = highest

    def taken(self, topic: str, payload: bytes, heard: bool) -> None:
        """The broker acknowledges it. Not *heard*: nobody has subscribed; it may be held, and come later."""
        if topic.startswith(_LOG) and not heard and not self._unheard_counts:
            lane, numbers = self._numbers(topic, payload)
            self._refused[lane].update(numbers)
        elif topic.startswith(_LOG):
            lane, numbers = self._numbers(topic, payload)
            self.took[lane].update(numbers)
            if not heard:
                self.excused[lane].update(numbers)

    def refused(self, topic: str, payload: bytes) -> None:
        """The broker refuses it."""
        if topic.startswith(_LOG):
            lane, numbers = self._numbers(topic, payload)
            self._world.note(f"broker refuses {lane} {numbers[0]} to {numbers[-1]}")
            self._refused[lane].update(numbers)

    def forgotten(self, topic: str, payload: bytes) -> None:
        """The broker has lost what it acknowledged."""
        if topic.startswith(_LOG):
            lane, numbers = self._numbers(topic, payload)
            self.excused[lane].update(numbers)

    def missing(self, lane: Lane, upto: int) -> set[int]:
        """Return what of the first *upto* has not arrived, by no fault of the broker's."""
        return {*range(1, upto + 1)} - self.have[lane].keys() - self.excused[lane]

    def _numbers(self, topic: str, payload: bytes) -> tuple[Lane, range]:
        lane, first, records = self._opened(topic, payload)
        return lane, range(first, first + len(records))

    def _opened(self, topic: str, payload: bytes) -> tuple[Lane, int, list[Any]]:
        if self._last[0] != (topic, payload):  # it is looked at when taken and when delivered
            batch = json.loads(payload)
            lane = Lane(topic.removeprefix(_LOG))
            self._expect(batch["epoch"] == EPOCH and batch["lane"] == lane, f"a batch of {batch['epoch']}")
            self._last = (topic, payload), (lane, batch["first"], batch["records"])
        return self._last[1]

    def _expect(self, holds: bool, what: str) -> None:
        self._world.expect(holds, what)


def spans(ranges: Iterable[tuple[int, int]]) -> set[int]:
    """Return every number of *ranges*."""
    return {number for first, last in ranges for number in range(first, last + 1)}
