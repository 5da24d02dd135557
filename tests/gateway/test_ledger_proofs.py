"""Proofs over blocks are those over the leaves."""

import asyncio

import pytest

from gateway.ledger import proofs, tree
from gateway.ledger.proofs import Proofs

LEAVES = [tree.leaf(bytes([number])) for number in range(41)]


def made(leaves=LEAVES):
    asked = []

    async def fetch(begin, end):
        asked.append((begin, end))
        await asyncio.sleep(0)  # another one may be quicker
        return leaves[begin:end]

    return Proofs(fetch), asked


@pytest.mark.parametrize("block", [1, 4, 8, 64])
def test_every_proof_is_that_of_the_whole_tree(monkeypatch, block):
    monkeypatch.setattr(proofs, "BLOCK", block)

    async def main():
        ledger, _ = made()
        for size in range(len(LEAVES) + 1):
            assert await ledger.root(size) == tree.root(LEAVES[:size])
            for number in range(size):
                proof = await ledger.inclusion(number + 1, size)
                assert proof == tree.inclusion(LEAVES, number, size)
            for old in range(size + 1):
                assert await ledger.consistency(old, size) == tree.consistency(LEAVES, old, size)

    asyncio.run(main())


def test_a_second_proof_asks_for_two_blocks_at_most(monkeypatch):
    monkeypatch.setattr(proofs, "BLOCK", 4)

    async def main():
        ledger, asked = made()
        await ledger.inclusion(3, 41)
        asked.clear()
        await ledger.inclusion(10, 41)
        assert sorted(asked) == [(8, 12), (40, 41)]

    asyncio.run(main())


def test_proofs_that_are_asked_for_at_once_agree(monkeypatch):
    monkeypatch.setattr(proofs, "BLOCK", 4)

    async def main():
        ledger, _ = made()
        found = await asyncio.gather(*(ledger.inclusion(number, 41) for number in range(1, 42)))
        assert found == [tree.inclusion(LEAVES, number, 41) for number in range(41)]

    asyncio.run(main())


@pytest.mark.parametrize(("seq", "size"), [(0, 5), (6, 5), (-1, 5), (1, 0)])
def test_a_record_that_is_not_there_is_refused(seq, size):
    with pytest.raises(ValueError, match="there is no record"):
        asyncio.run(made()[0].inclusion(seq, size))


def test_hashes_that_are_gone_are_said():
    with pytest.raises(ValueError, match="of the records 1 to 41 only 40 hashes are there"):
        asyncio.run(made(LEAVES[:40])[0].root(41))
    with pytest.raises(ValueError, match="do not begin with 3"):
        asyncio.run(made()[0].consistency(3, 2))
