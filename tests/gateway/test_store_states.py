"""The status says in each state what docs/store.md says; thinning, dropping, reserve: in room and age."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.reading import Lane
from gateway.store import Store, StoreError
from tests.gateway.store_rig import NOW, Ahead, event, failing_disk, reading, settings

TABLE = (Path(__file__).parent.parent.parent / "docs" / "store.md").read_text()
DOCUMENTED = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \| (?:ok|failed) \|$", TABLE, re.M))


async def writing(path: Path) -> Store:
    store = await Store.open(settings(path), "pole-1", Ahead(), NOW)
    for number in range(500):
        store.add(reading(float(number)))
    await store.record(event())
    return store


async def in_memory(path: Path) -> Store:
    store = await writing(path)
    with failing_disk(), pytest.raises(StoreError):
        await store.record(event())
    return store


async def damaged(path: Path) -> Store:
    store = await writing(path)
    await store.close()
    store = await writing(path)
    store._keeper.condition.spoilt("a page is not what it was")
    return store


async def closed(path: Path) -> Store:
    store = await writing(path)
    await store.close()
    return store


@pytest.mark.parametrize(
    ("state", "reach"),
    [("writing", writing), ("memory", in_memory), ("damaged", damaged), ("closed", closed)],
)
def test_the_status_says_what_the_page_says(tmp_path, state, reach):
    async def main():
        store = await reach(tmp_path / "s.db")
        status = store.status()
        assert status["state"] == state
        assert status["writable"] is (DOCUMENTED[state] == "yes")
        assert bool(status["problem"]) is (DOCUMENTED[state] == "no"), "it says what to do"
        assert store.counts()[Lane.TELEMETRY].accepted == 500 * (1 + (state == "damaged"))
        await store.close()

    asyncio.run(main())


def test_the_page_has_every_state():
    assert set(DOCUMENTED) == {"writing", "thinning", "dropping", "reserve", "memory", "damaged", "closed"}
