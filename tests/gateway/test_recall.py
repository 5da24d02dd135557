"""What must not be forgotten is written once for many changes, and never later than the decision."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from gateway.app.recall import CONTROL, RULES, SOON, Recall
from gateway.clock import LoopClock, Now
from gateway.control import Control, Limits, Switch
from gateway.reading import Record
from gateway.rules import Engine


class Shelf:
    """The store's memory, and every text that it was ever given."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, Any]] = []

    async def remembered(self) -> dict[str, str]:
        return {}

    def remember(self, name: str, text: str) -> None:
        self.texts.append((name, json.loads(text)))

    async def replay(self, since: float) -> AsyncIterator[list[dict[str, Any]]]:
        for nothing in ():
            yield nothing

    async def record(self, record: Record) -> None:
        """A journal that keeps nothing."""

    def names(self) -> list[str]:
        """Return what was written since the last call."""
        names, self.texts = [name for name, _ in self.texts], []
        return names


class Lamp:
    """Something to switch."""

    async def start(self) -> None: ...
    async def apply(self, value: float) -> None: ...
    async def stop(self) -> None: ...


def made() -> tuple[Recall, Shelf, Control]:
    now, shelf = Now(monotonic=asyncio.get_running_loop().time), Shelf()
    control = Control(
        {"lamp": Switch(Lamp(), Limits(safe=False, max_on=5.0, per_hour=3))}, shelf, now, LoopClock(), {}
    )
    return Recall(Engine([], {}, now), control, shelf), shelf, control


BOTH = [RULES, CONTROL]


def test_many_changes_are_one_text_and_it_is_there_before_the_decision(virtual):
    async def main() -> None:
        recall, shelf, _ = made()
        for _ in range(5):
            recall.keep()
        assert shelf.names() == []
        recall.write()  # as before every decision
        assert shelf.names() == BOTH
        recall.write()
        await asyncio.sleep(2 * SOON)
        assert shelf.names() == []

    virtual(main())


def test_a_change_that_no_decision_follows_is_written_soon(virtual):
    async def main() -> None:
        recall, shelf, control = made()
        recall.keep()
        control._outputs["lamp"].guard.turned_on(asyncio.get_running_loop().time())  # after `keep`
        await asyncio.sleep(SOON + 0.001)
        assert len(shelf.texts[1][1]["starts"]["lamp"]) == 1  # what is so when it is written
        assert shelf.names() == BOTH
        recall.keep()
        recall.keep_up()
        assert shelf.names() == BOTH

    virtual(main())


def test_what_a_stop_undoes_is_kept_as_it_was(virtual):
    async def main() -> None:
        recall, shelf, _ = made()
        recall.keep()
        recall.end()
        assert shelf.names() == BOTH
        recall.keep()
        assert shelf.names() == BOTH
        await asyncio.sleep(2 * SOON)
        assert shelf.names() == []

    virtual(main())
