"""What was done to a ledger is found, and the first record that it was done to is named."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical import canonical
from gateway.ledger import checkpoint, tree
from gateway.ledger.chain import Head, bare, leaf_of
from gateway.ledger.checkpoint import Checkpoint, origin
from gateway.ledger.note import Verifier
from gateway.ledger.signer import from_seed
from gateway.ledger.verify import MOST, Verdict, verify

Body = dict[str, Any]

KEY = from_seed(bytes(range(32)))
THIEF = from_seed(bytes(32))
ORIGIN = origin("quai-12", "5e0c1f7a")
OURS = [Verifier(ORIGIN, KEY.public)]
COUNT = 20


def decision(number: int) -> Body:
    return {"kind": "decision", "id": f"d{number}", "outcome": "acted", "inputs": [{"value": number / 4}]}


def linked(bodies: Sequence[Body]) -> list[Body]:
    """Link the bodies, whatever numbers and links they had before."""
    head, found = Head(), []
    for body in bodies:
        made, head = head.link({key: value for key, value in body.items() if key not in ("seq", "prev")})
        found.append(made.body)
    return found


def signed(records: Sequence[Body], size: int, key: Any = KEY, name: str = ORIGIN) -> str:
    point = Checkpoint(name, size, tree.root(map(leaf_of, records[:size])))
    return checkpoint.sign(point, key)


LEDGER = linked([decision(number) for number in range(1, COUNT + 1)])
AT_8, AT_15, AT_END = (signed(LEDGER, size) for size in (8, 15, COUNT))


def without_body(records: Sequence[Body], *numbers: int) -> list[Body]:
    return [bare(each["seq"], leaf_of(each)) if each["seq"] in numbers else each for each in records]


def altered(number: int, **change: Any) -> list[Body]:
    return [{**each, **change} if each["seq"] == number else each for each in LEDGER]


def assert_fine(verdict: Verdict, signed: int) -> None:
    assert verdict.ok, verdict.problems
    assert (verdict.first, verdict.signed) == (None, signed)


def test_a_whole_ledger_is_well() -> None:
    verdict = verify(LEDGER, [AT_8, AT_15, AT_END], OURS)
    assert_fine(verdict, COUNT)
    assert (verdict.count, verdict.bare, verdict.notes) == (COUNT, 0, ())
    assert verdict.root == tree.root(map(leaf_of, LEDGER))
    assert str(verdict) == "nothing is wrong\n20 records, 20 of them under a signed checkpoint"


@pytest.mark.parametrize("text", [canonical, json.dumps, lambda body: json.dumps(body, indent=3).encode()])
def test_it_does_not_matter_how_the_json_is_laid_out(text: Callable[[Body], str | bytes]) -> None:
    assert_fine(verify(map(text, LEDGER), [AT_END], OURS), COUNT)


def test_an_empty_ledger_is_well_and_says_so() -> None:
    assert_fine(verify([], [signed([], 0)], OURS), 0)
    assert verify([]).root == tree.EMPTY


def test_without_checkpoints_it_says_what_cannot_be_seen() -> None:
    verdict = verify(LEDGER)
    assert_fine(verdict, 0)
    assert verdict.notes == (
        "no checkpoint was given: a tail cut off and a history written anew cannot be seen",
    )


def test_what_is_not_signed_yet_is_noted() -> None:
    verdict = verify(LEDGER, [AT_8], OURS)
    assert_fine(verdict, 8)
    assert verdict.notes == (
        "records 9 to 20 are under no checkpoint that agrees: only the chain holds them",
    )


@pytest.mark.parametrize("number", range(1, COUNT))
def test_an_altered_record_is_found_by_the_chain_alone(number: int) -> None:
    verdict = verify(altered(number, outcome="refused"))
    assert verdict.first == number
    assert len(verdict.problems) == 1
    assert verdict.problems[0].startswith(
        f"record {number} is not the one that record {number + 1} was written"
    )


def test_the_last_record_altered_is_found_by_a_checkpoint() -> None:
    assert verify(altered(COUNT, outcome="refused"), [AT_15], OURS).ok
    verdict = verify(altered(COUNT, outcome="refused"), [AT_15, AT_END], OURS)
    assert (verdict.first, verdict.signed) == (16, 15)
    assert verdict.problems == (
        "a checkpoint signed 20 other records than these: "
        "one behind record 15 was rewritten, with every hash after it",
    )


@pytest.mark.parametrize("change", [{"note": "new"}, {"inputs": []}, {"outcome": "Acted"}, {"id": "d06"}])
def test_the_smallest_change_is_found(change: Body) -> None:
    assert verify(altered(6, **change), [AT_END], OURS).first == 6


def test_an_altered_link_is_told_from_an_altered_record_by_a_checkpoint() -> None:
    verdict = verify(altered(9, prev="0" * 64), [AT_8, AT_END], OURS)
    assert verdict.first == 9
    assert "record 9 was altered: it does not name record 8 as signed" in verdict.problems


@pytest.mark.parametrize("number", range(1, COUNT))
def test_a_removed_record_is_found(number: int) -> None:
    verdict = verify([each for each in LEDGER if each["seq"] != number])
    assert verdict.first == number
    assert verdict.problems == (f"record {number} is missing: removed",)


def test_several_removed_are_one_problem() -> None:
    verdict = verify([each for each in LEDGER if not 4 <= each["seq"] <= 9], [AT_8, AT_END], OURS)
    assert verdict.problems == ("records 4 to 9 are missing: removed",)
    assert (verdict.first, verdict.signed) == (4, 0)
    assert verdict.notes[0] == "nothing shows whether record 3 is as it was: what named it is missing"


def test_a_ledger_that_does_not_begin_at_its_beginning_is_found() -> None:
    verdict = verify([{**LEDGER[8], "seq": 1}])
    assert verdict.problems == (
        "record 1 names one before it: it was altered, or the first ones were removed",
    )


def test_a_removed_record_is_found_though_the_others_were_numbered_anew() -> None:
    left = [
        each if each["seq"] < 7 else {**each, "seq": each["seq"] - 1} for each in LEDGER if each["seq"] != 7
    ]
    verdict = verify(left)
    assert verdict.first == 6
    assert "one between them was removed" in verdict.problems[0]
    assert verify(left, [AT_8], OURS).first == 6


def forged(seq: int) -> Body:
    """A record as somebody who knows the format would put it in."""
    return {**decision(99), "seq": seq, "prev": leaf_of(LEDGER[seq - 2]).hex() if seq > 1 else "0" * 64}


@pytest.mark.parametrize("number", range(1, COUNT))
@pytest.mark.parametrize("before", [True, False])
def test_a_record_put_in_is_found_and_told_from_the_true_one(number: int, before: bool) -> None:
    place = number - 1 if before else number
    verdict = verify([*LEDGER[:place], forged(number), *LEDGER[place:]])
    assert verdict.first == number
    assert verdict.problems == (f"record {number} is there twice: in place {place + 1} it was put in",)


def test_a_record_put_in_is_found_though_the_others_were_numbered_anew() -> None:
    rest = [{**each, "seq": each["seq"] + 1} for each in LEDGER[6:]]
    verdict = verify([*LEDGER[:6], forged(7), *rest])
    assert verdict.first == 7
    assert verdict.problems[0] == "record 7 was put in: record 8 names the one before it"


def test_a_record_added_at_the_end_is_not_signed() -> None:
    verdict = verify([*LEDGER, forged(COUNT + 1)], [AT_END], OURS)
    assert_fine(verdict, COUNT)
    assert verdict.notes[0].startswith("record 21 is under no checkpoint")


def test_a_record_that_is_there_twice_is_found() -> None:
    verdict = verify([*LEDGER[:5], *LEDGER[4:]], [AT_END], OURS)
    assert verdict.problems == ("record 5 is there twice: in place 6 it was put in again",)


@pytest.mark.parametrize("number", range(1, COUNT))
def test_two_records_that_changed_places_are_found(number: int) -> None:
    swapped = [*LEDGER]
    swapped[number - 1], swapped[number] = swapped[number], swapped[number - 1]
    verdict = verify(swapped, [AT_END], OURS)
    assert verdict.problems == (f"record {number} stands behind record {number + 1}: the order was changed",)


def test_a_tail_cut_off_is_found_by_a_checkpoint_alone() -> None:
    assert verify(LEDGER[:17], [AT_8, AT_15], OURS).ok
    verdict = verify(LEDGER[:17], [AT_8, AT_15, AT_END], OURS)
    assert (verdict.first, verdict.signed) == (18, 15)
    assert verdict.problems == ("records 18 to 20 are missing at the end: a checkpoint signed 20 records",)


def test_a_ledger_emptied_is_found_by_a_checkpoint() -> None:
    assert verify([], [AT_8], OURS).problems == (
        "records 1 to 8 are missing at the end: a checkpoint signed 8 records",
    )


def rewritten(number: int) -> list[Body]:
    """The ledger with one record changed and every hash after it made anew, as the key's owner could."""
    return linked([{**each, "outcome": "refused"} if each["seq"] == number else each for each in LEDGER])


@pytest.mark.parametrize(("number", "first"), [(1, 1), (8, 1), (9, 9), (15, 9)])
def test_a_history_written_anew_is_found_by_an_old_checkpoint_alone(number: int, first: int) -> None:
    anew = rewritten(number)
    signed_anew = signed(anew, COUNT)
    assert verify(anew).ok
    assert verify(anew, [signed_anew], OURS).ok
    verdict = verify(anew, [signed_anew, AT_15, AT_8], OURS)
    assert (verdict.first, verdict.signed, verdict.count) == (first, first - 1, COUNT)
    assert len(verdict.problems) == 1
    assert "other records than these" in verdict.problems[0]


def test_an_open_break_does_not_hide_what_was_rewritten_before_it() -> None:
    anew = rewritten(3)
    anew[17] = {**anew[17], "outcome": "refused"}
    verdict = verify(anew, [AT_8], OURS)
    assert verdict.first == 1
    assert len(verdict.problems) == 2


def test_two_histories_signed_by_one_key_are_found_without_any_record() -> None:
    verdict = verify(LEDGER, [AT_END, signed(rewritten(3), COUNT)], OURS)
    assert verdict.problems == ("one key signed two histories of 20 records: do not trust it",)


def test_a_wrong_key_counts_for_nothing() -> None:
    for trusted in ([], [Verifier(ORIGIN, THIEF.public)]):
        verdict = verify(LEDGER, [AT_END], trusted)
        assert (verdict.ok, verdict.signed, verdict.first) == (False, 0, None)
        assert verdict.problems[0].startswith("checkpoint 1 does not count: signed by no key that is trusted")


def test_a_thief_without_the_key_cannot_sign_what_he_rewrote() -> None:
    anew = rewritten(3)
    verdict = verify(anew, [signed(anew, COUNT, THIEF), AT_8], OURS)
    assert verdict.first == 1
    assert "does not count" in verdict.problems[0]


def test_a_key_may_be_followed_by_another() -> None:
    both = [*OURS, Verifier(ORIGIN, THIEF.public)]
    assert_fine(verify(LEDGER, [AT_8, signed(LEDGER, COUNT, THIEF)], both), COUNT)


def test_checkpoints_of_another_ledger_are_told() -> None:
    elsewhere = origin("other", "1")
    trusted = [*OURS, Verifier(elsewhere, KEY.public)]
    verdict = verify(LEDGER, [AT_8, signed(LEDGER, COUNT, KEY, elsewhere)], trusted)
    assert "different ledgers" in verdict.problems[0]


def test_bodies_that_retention_removed_leave_a_ledger_that_can_be_checked() -> None:
    left = without_body(LEDGER, *range(1, 12))
    verdict = verify(map(json.dumps, left), [AT_8, AT_END], OURS)
    assert_fine(verdict, COUNT)
    assert verdict.bare == 11
    assert verdict.notes == ("of 11 records only the hash is left: what they said cannot be read here",)


def test_a_hash_exchanged_where_the_body_is_gone_is_found() -> None:
    left = without_body(LEDGER, *range(1, 12))
    left[4] = bare(5, bytes(32))
    assert verify(left, [AT_8, AT_END], OURS).first == 1  # of the eight under the first checkpoint, one
    left = without_body(LEDGER, *range(1, 12))
    left[10] = bare(11, bytes(32))
    assert verify(left).first == 11  # record 12 names another


def test_what_an_exchanged_hash_no_longer_holds_is_noted() -> None:
    """Record 1 was altered, and record 2, which named it, exchanged for a hash: only 2 is seen."""
    left = [altered(1, outcome="")[0], bare(2, bytes(32)), *LEDGER[2:]]
    verdict = verify(left, [AT_8], OURS)
    assert (verdict.first, verdict.loose) == (2, 1)
    assert "nothing shows whether record 1 is as it was: what named it is missing" in verdict.notes


def test_unsigned_hashes_without_their_bodies_are_held_by_nothing() -> None:
    verdict = verify(without_body(LEDGER, *range(1, 6)))
    assert (verdict.ok, verdict.loose) == (True, 1)
    assert (
        "nothing shows whether record 1 is as it was, nor 3 more: what named it is missing" in verdict.notes
    )


def test_a_body_that_went_out_of_turn_is_noted() -> None:
    verdict = verify(without_body(LEDGER, 1, 2, 9), [AT_END], OURS)
    assert_fine(verdict, COUNT)
    assert verdict.notes[1] == "record 9 has lost its body although an older one kept it: ask who removed it"


@pytest.mark.parametrize(
    "junk",
    [
        *(
            "",
            "{",
            "[]",
            "null",
            "[" * 100_000,
            '{"seq":1,"seq":2}',
            b"\xff",
            "{}",
            '{"seq":7}',
            '{"seq":true}',
        ),
        *(
            '{"seq":7,"prev":"x"}',
            '{"seq":0,"leaf":"' + "0" * 64 + '"}',
            '{"seq":7,"leaf":"' + "A" * 64 + '"}',
        ),
        *(
            [],
            {},
            {"seq": 7, "prev": 7},
            {"seq": 7, "leaf": None},
            {"seq": 7, "prev": "0" * 64, "a": float("nan")},
        ),
        {"seq": 7, "prev": "0" * 64, 5: 6},
    ],
)
def test_what_is_no_record_is_told_with_its_place(junk: Any) -> None:
    verdict = verify([*LEDGER[:6], junk, *LEDGER[7:]], [AT_8, AT_END], OURS)
    assert verdict.first == 7
    assert any(text.startswith("what stands in place 7 is no record") for text in verdict.problems)


def test_of_very_many_problems_the_first_are_told() -> None:
    verdict = verify([LEDGER[0]] * (MOST + 50))
    assert len(verdict.problems) == MOST + 1
    assert verdict.problems[-1] == "and 49 problems more"


@given(st.data())
def test_whatever_is_done_behind_a_kept_checkpoint_is_found_at_or_before_where_it_was_done(
    data: st.DataObject,
) -> None:
    """Change, remove, repeat or move any records: the verdict is never good, nor names a later record."""
    records: list[Body] = [*LEDGER]
    touched = COUNT + 1
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(records) - 1))
        match data.draw(st.sampled_from(["alter", "remove", "repeat", "move", "bare"])):
            case "alter":
                records[place] = {**records[place], "outcome": data.draw(st.text(max_size=2))}
            case "remove":
                del records[place]
            case "repeat":
                records.insert(place, records[place])
            case "move":
                records.insert(data.draw(st.integers(0, len(records) - 1)), records.pop(place))
            case "bare":
                records[place] = bare(records[place]["seq"], data.draw(st.binary(min_size=32, max_size=32)))
        touched = next(
            (n for n, (a, b) in enumerate(zip(records, LEDGER, strict=False), 1) if a != b), len(records) + 1
        )
    if records == LEDGER:
        return
    again = data.draw(st.booleans())
    if again and all("prev" in each for each in records):
        records = linked(records)
        if records == LEDGER:
            return
    verdict = verify(records, [AT_8, AT_15, AT_END], OURS)
    assert not verdict.ok or (len(records) > COUNT and records[:COUNT] == LEDGER)
    if not verdict.ok:
        assert verdict.first is not None
        doubtful = min(verdict.first, verdict.loose or verdict.first)
        cut = again and len(records) < COUNT  # then the last checkpoint has nothing to be compared with
        assert doubtful <= touched or (cut and verdict.signed < touched)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["seq", "prev", "leaf"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.lists(JSON | st.text(max_size=9) | st.binary(max_size=9), max_size=4),
    st.lists(st.text(max_size=30), max_size=2),
)
def test_anything_gets_a_verdict(records: list[Any], checkpoints: list[str]) -> None:
    verdict = verify(records, checkpoints, OURS)
    assert isinstance(str(verdict), str)
    assert verdict.ok == (not records and not checkpoints)
