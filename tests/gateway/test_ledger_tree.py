"""The Merkle tree against the vectors of Certificate Transparency, the definition, and every small size."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import tree
from gateway.ledger.tree import (
    Frontier,
    consistency,
    inclusion,
    root,
    unhex,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    tree.leaf(bytes.fromhex(data))
    for data in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        bytes(range(0x60, 0x70)).hex(),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
MANY = [tree.leaf(bytes([number])) for number in range(40)]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = by_definition(leaves[:split]) + by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + both).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size]
    assert frontier(LEAVES[:size]).root.hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 1, []),
        (0, 2, [A]),
        (1, 2, [ROOTS[1]]),
        (2, 3, [ROOTS[2]]),
        (1, 5, [ROOTS[1], B, D]),
        (0, 8, [A, B, C]),
        (5, 8, [D, E, ROOTS[4]]),
    ],
)
def test_the_published_inclusion_proofs(index: int, size: int, proof: list[str]) -> None:
    assert [each.hex() for each in inclusion(LEAVES, index, size)] == proof


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [A, B, C]), (2, 5, [B, D]), (6, 8, [F, E, ROOTS[4]])],
)
def test_the_published_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    assert [each.hex() for each in consistency(LEAVES, old, new)] == proof


def frontier(leaves: list[bytes]) -> Frontier:
    found = Frontier()
    for each in leaves:
        found = found.append(each)
    return found


def test_every_size_has_the_root_of_the_definition_and_survives_being_saved() -> None:
    for size in range(41):
        found = frontier(MANY[:size])
        assert found.root == root(MANY[:size]) == by_definition(MANY[:size])
        assert Frontier.restore(json.loads(json.dumps(found.state()))) == found


def test_every_leaf_of_every_size_is_shown_to_be_there_and_nowhere_else() -> None:
    for size in range(1, 41):
        whole = root(MANY[:size])
        for index in range(size):
            proof = inclusion(MANY, index, size)
            assert verify_inclusion(MANY[index], index, size, proof, whole)
            for other in {0, index - 1, index + 1, size - 1, size, size + 1} - {index}:
                assert not verify_inclusion(MANY[index], other, size, proof, whole)
            assert not verify_inclusion(MANY[index - 1], index, size, proof, whole) or size == 1


def test_every_size_is_shown_to_begin_every_longer_one_and_no_other() -> None:
    for new in range(41):
        for old in range(new + 1):
            proof = consistency(MANY, old, new)
            first, second = root(MANY[:old]), root(MANY[:new])
            assert verify_consistency(old, new, proof, first, second)
            assert len(proof) <= 2 * new.bit_length()
            if 0 < old < new:
                assert not verify_consistency(old, new, proof, root(MANY[1 : old + 1]), second)
                assert not verify_consistency(old, new, proof, first, root([*MANY[: new - 1], MANY[0]]))
                assert not verify_consistency(old, new, (), first, second)


@st.composite
def proofs(draw: st.DrawFn) -> tuple[int, int, list[bytes]]:
    new = draw(st.integers(2, 40))
    return draw(st.integers(1, new - 1)), new, MANY[:new]


@given(proofs(), st.data())
def test_a_proof_with_one_bit_changed_one_step_more_or_less_is_refused(
    case: tuple[int, int, list[bytes]], data: st.DataObject
) -> None:
    old, new, leaves = case
    for proof, check in (
        (inclusion(leaves, old), lambda p: verify_inclusion(leaves[old], old, new, p, root(leaves))),
        (
            consistency(leaves, old),
            lambda p: verify_consistency(old, new, p, root(leaves[:old]), root(leaves)),
        ),
    ):
        at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[at]) ^ 1 << bit).to_bytes(32)
        assert check(proof)
        assert not check((*proof[:at], flipped, *proof[at + 1 :]))
        assert not check((*proof[:at], *proof[at + 1 :]))
        assert not check((*proof, proof[at]))
        assert not check((*proof[:at], proof[at][:-1], *proof[at + 1 :]))


@given(st.lists(st.binary(max_size=3), max_size=200), st.data())
def test_any_tree_agrees_with_the_definition(datas: list[bytes], data: st.DataObject) -> None:
    leaves = [tree.leaf(each) for each in datas]
    old = data.draw(st.integers(0, len(leaves)))
    assert frontier(leaves).root == root(leaves) == by_definition(leaves)
    assert verify_consistency(old, len(leaves), consistency(leaves, old), root(leaves[:old]), root(leaves))


@given(
    st.integers(-2, 70),
    st.integers(-2, 70),
    st.lists(st.binary(max_size=33), max_size=8),
    st.binary(min_size=31, max_size=33),
)
def test_a_made_up_proof_shows_nothing_and_breaks_nothing(
    old: int, new: int, proof: list[bytes], other: bytes
) -> None:
    assert not verify_inclusion(other, old, new, proof, MANY[0])
    assert not verify_consistency(old, new, proof, other, MANY[0])


def test_a_proof_of_another_size_is_refused_though_its_hashes_lead_to_the_root() -> None:
    one, two, three = MANY[:3]
    pair = tree.node(one, two)
    assert not verify_inclusion(one, 0, 1, (two,), tree.node(two, one))
    assert not verify_inclusion(one, 0, 2, (two, three), tree.node(three, pair))
    assert not verify_inclusion(one, 0, 8, (two,), pair)
    assert not verify_consistency(1, 8, (two,), one, pair)
    assert not verify_consistency(1, 2, (two, three), one, tree.node(pair, three))


def test_a_hash_cut_elsewhere_is_refused_though_the_bytes_are_the_same() -> None:
    one, two = MANY[:2]
    assert not verify_inclusion(one + two[:1], 0, 2, (two[1:],), tree.node(one, two))


def test_nothing_begins_everything_and_only_the_same_is_as_long() -> None:
    assert verify_consistency(0, 3, (), tree.EMPTY, root(MANY[:3]))
    assert not verify_consistency(0, 3, (), MANY[0], root(MANY[:3]))
    assert not verify_consistency(0, 0, (), tree.EMPTY, MANY[0])
    assert not verify_consistency(3, 3, (), MANY[0], MANY[1])
    assert not verify_consistency(3, 3, (MANY[0],), MANY[0], MANY[0])
    assert not verify_consistency(4, 3, (), MANY[0], MANY[0])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 41)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion(MANY, index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (0, 41)])
def test_a_size_that_is_not_there_has_no_proof(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        consistency(MANY, old, new)


@pytest.mark.parametrize(
    "state",
    [
        *({}, [], None, 7, {"size": 1, "nodes": []}, {"size": 2, "nodes": [ROOTS[0]] * 2}),
        *({"size": True, "nodes": [ROOTS[0]]}, {"size": -1, "nodes": [ROOTS[0]]}, {"size": 1, "nodes": None}),
        *({"size": 1, "nodes": [7]}, {"size": 1, "nodes": ["ab"]}, {"size": 1.0, "nodes": [ROOTS[0]]}),
    ],
)
def test_a_damaged_state_is_refused(state: object) -> None:
    with pytest.raises(ValueError):
        Frontier.restore(state)


@pytest.mark.parametrize(
    "text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, " " + "0" * 63, "０" * 64, b"0" * 64]
)
def test_a_hash_has_one_spelling(text: object) -> None:
    with pytest.raises(ValueError, match="64 lowercase"):
        unhex(text)
