"""No order is carried out twice: which were received outlives a restart, and decisions that had to go."""

import asyncio
from dataclasses import replace

import pytest

from gateway.app.received import NAME, NEWEST, Received
from gateway.reading import Lane
from gateway.store.quarantine import mark_damaged
from tests.gateway.store_rig import NOW, decision, opened, rows


def test_what_a_decision_names_and_what_is_kept_is_known_after_a_restart(tmp_path):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            Received(store).keep(["first"])
            await store.record(replace(decision(), order="second"))
            await store.record(decision())
        async with opened(tmp_path / "s.db") as store:
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == ["first", "second"]


def test_the_newest_orders_are_the_last_also_where_there_are_more_than_are_kept(tmp_path):
    orders = [f"order-{number}" for number in range(NEWEST + 20)]

    async def main():
        async with opened(tmp_path / "s.db") as store:
            for order in orders:
                await store.record(replace(decision(), order=order))
            Received(store).keep(orders)
            await store.record(decision())
        async with opened(tmp_path / "s.db") as store:
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == orders


def test_an_order_whose_decision_had_to_go_is_still_known(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            Received(store).keep(["order-1"])
            number = await store.record(replace(decision(), order="order-1"))
            await store.drop(Lane.EVENTS, number, number, "full")
        async with opened(path) as store:
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == ["order-1"]
    assert rows(path, "SELECT count(*) FROM events WHERE kind = 'decision'") == [(0,)]


def test_an_order_is_still_known_after_the_file_was_damaged(tmp_path):
    path = tmp_path / "s.db"

    async def main():
        async with opened(path) as store:
            Received(store).keep(["order-1"])
            number = await store.record(replace(decision(), order="order-1"))
            await store.delivered(Lane.EVENTS, number)  # what was delivered is not saved
        mark_damaged(path)
        async with opened(path) as store:
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == ["order-1"]
    assert list(tmp_path.glob("*.quarantine-*")), "the file was taken for damaged"


def test_the_longest_orders_fit_and_the_newest_are_kept(tmp_path):
    orders = [chr(0x1F600 + number % 80) * 60 + f"{number:04}" for number in range(NEWEST + 50)]

    async def main():
        async with opened(tmp_path / "s.db") as store:
            Received(store).keep(orders)
            await store.record(decision())
        async with opened(tmp_path / "s.db") as store:
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == orders[-NEWEST:]


@pytest.mark.parametrize("kept", ["", "{", "7", '{"a": 1}', "[" * 100_00, '[1, null, ["x"]]'])
def test_what_cannot_be_read_costs_nothing_but_itself(tmp_path, kept):
    async def main():
        async with opened(tmp_path / "s.db") as store:
            store.remember(NAME, kept)
            await store.record(replace(decision(), order="order-1"))
            return await Received(store).known(NOW().time)

    assert asyncio.run(main()) == ["order-1"]
