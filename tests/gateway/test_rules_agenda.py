"""The agenda against a list that is searched from end to end."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.agenda import AT_ONCE, Agenda

COUNT = 4


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, COUNT - 1), st.none() | st.integers(0, 6)),
            st.tuples(st.just(-1), st.integers(0, 6)),
        ),
        max_size=120,
    )
)
def test_what_is_due_comes_once_in_order_and_nothing_is_forgotten(
    steps: list[tuple[int, int | None]],
) -> None:
    agenda, plain = Agenda(COUNT), dict[int, int | None](dict.fromkeys(range(COUNT), AT_ONCE))
    for index, moment in steps:
        if index >= 0:
            agenda.put(index, moment)
            plain[index] = moment
        else:
            assert moment is not None
            due = [i for i, m in plain.items() if m is not None and m <= moment]
            assert agenda.overdue(moment) == due
            plain |= dict.fromkeys(due)
        assert agenda.next() == min((m for m in plain.values() if m is not None), default=None)


def test_what_changes_all_the_time_takes_no_more_and_more_room() -> None:
    agenda = Agenda(COUNT)
    for moment in range(10_000):
        agenda.put(moment % COUNT, moment)
        assert len(agenda) <= 4 * COUNT + 16
    assert agenda.overdue(10_000) == list(range(COUNT))


def test_an_empty_agenda_has_nothing() -> None:
    assert (Agenda(0).next(), Agenda(0).overdue(9)) == (None, [])
