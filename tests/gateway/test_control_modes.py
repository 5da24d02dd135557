"""Who decides: shadow, in, on, off; grants that end, channels that are lost, orders that change it."""

import asyncio

import pytest

from gateway.reading import Announce, Grant, Mode, Outcome, SwitchOn
from tests.gateway.control_rig import GRANT, MOTOR, SIREN, START, running

WARN = Announce("lamppost.flood", "river", {})
ASK, VETO = 600.0, 60.0  # as a transition has them


def lone(rig):
    (found,) = rig.control.pending()
    return found


def test_in_asks_and_does_nothing_until_somebody_approves(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("siren"), WARN, mode=Mode.IN)
        await asyncio.sleep(100)
        assert not rig.on(SIREN)
        assert rig.events() == []
        ask = lone(rig)
        assert (ask["rule"], ask["mode"], ask["then"]) == ("flood", "in", "lapses")
        assert ask["commands"] == ["siren on", "announce lamppost.flood of river"]
        assert ask["until"] == pytest.approx(START + ASK)
        answer = await rig.order("approve", ask["id"])
        assert answer.accepted
        assert rig.on(SIREN)
        assert rig.control.pending() == []

    rig = virtual(running(test))
    assert rig.outcomes()[:4] == [Outcome.ASKED, Outcome.APPROVED, Outcome.ACTED, Outcome.ACTED]
    asked, approved, announced, acted = rig.decisions()[:4]
    assert (approved.who, approved.order, approved.rule) == ("ada", "o1", "flood")
    assert {(each.who, each.order, each.mode) for each in (announced, acted)} == {("ada", "o1", "in")}
    assert acted.reasons == ("rule flood fires, ada approved it, and the guard permits it",)
    assert asked.id != approved.id
    assert len(rig.events()) == 1


def test_silence_means_no(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.IN)
        await asyncio.sleep(ASK - 0.1)
        assert rig.control.pending()
        await asyncio.sleep(0.2)
        assert rig.control.pending() == []
        await asyncio.sleep(1000)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ASKED, Outcome.LAPSED]
    assert rig.decisions()[1].reasons == ("nobody answered in time, and silence means no",)
    assert len(rig.moves(SIREN)) == 1


@pytest.mark.parametrize("mode", [Mode.IN, Mode.ON])
def test_a_veto_holds_until_the_rule_fires_anew(virtual, mode):
    async def test(rig):
        await rig.fire(mode=mode)
        assert (await rig.order("veto", lone(rig)["id"])).accepted
        await asyncio.sleep(1000)
        await rig.end(mode=mode)
        assert len(rig.moves(SIREN)) == 1
        await rig.fire(mode=mode)
        assert rig.control.pending()

    assert virtual(running(test)).outcomes() == [Outcome.ASKED, Outcome.VETOED, Outcome.ASKED]


@pytest.mark.parametrize("mode", [Mode.IN, Mode.ON])
def test_what_is_asked_ends_with_its_rule(virtual, mode):
    async def test(rig):
        await rig.fire(mode=mode)
        ask = lone(rig)["id"]
        await rig.end(mode=mode)
        assert not (await rig.order("approve", ask)).accepted
        await asyncio.sleep(1000)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ASKED, Outcome.LAPSED, Outcome.REFUSED]
    assert len(rig.moves(SIREN)) == 1


def test_on_waits_for_a_veto_and_then_acts(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.ON)
        assert lone(rig)["then"] == "acts"
        await asyncio.sleep(VETO - 0.1)
        assert not rig.on(SIREN)
        await asyncio.sleep(0.2)
        assert rig.on(SIREN)

    rig = virtual(running(test))
    reasons = rig.decisions(Outcome.ACTED)[0].reasons
    assert reasons == ("rule flood fires, nobody vetoed it, and the guard permits it",)


def test_on_may_be_approved_before_its_time(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.ON)
        await rig.order("approve", lone(rig)["id"])
        assert rig.on(SIREN)

    virtual(running(test))


def test_a_veto_that_nobody_can_send_is_no_veto(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.ON)
        ask = lone(rig)["id"]
        await asyncio.sleep(VETO - 5)
        rig.reachable = False
        await asyncio.sleep(2)
        assert (lone(rig)["id"], lone(rig)["mode"], lone(rig)["then"]) == (ask, "in", "lapses")
        rig.reachable = True  # it stays a question: nobody announced it anew
        await asyncio.sleep(ASK + 10)

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ASKED, Outcome.ASKED, Outcome.LAPSED]
    assert "nobody could send a veto" in rig.decisions()[1].reasons[1]
    assert len(rig.moves(SIREN)) == 1


def test_a_channel_lost_in_the_last_second_is_noticed(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.ON)
        await asyncio.sleep(VETO - 0.01)
        rig.reachable = False
        await asyncio.sleep(30)
        assert not rig.on(SIREN)

    virtual(running(test))


def test_a_lost_channel_stops_nothing_that_is_off_the_loop_or_was_begun(virtual):
    async def test(rig):
        await rig.fire(mode=Mode.OFF)
        await rig.fire(SwitchOn("motor"), rule="pump", mode=Mode.ON)
        await asyncio.sleep(VETO + 1)
        rig.reachable = False
        await asyncio.sleep(30)
        assert rig.on(SIREN)
        assert rig.on(MOTOR)

    virtual(running(test, max_on=1000.0))


@pytest.mark.parametrize("mode", [Mode.ON, Mode.OFF])
@pytest.mark.parametrize("grant", [None, Grant("bo", "a trial", START - 1)])
def test_without_a_grant_in_force_it_asks(virtual, mode, grant):
    async def test(rig):
        rig.know("flood", mode=mode, grant=grant)
        await rig.control.handle(rig.paper_transition(mode, grant))
        assert lone(rig)["mode"] == "in"
        await asyncio.sleep(100)

    rig = virtual(running(test))
    why = "nobody has granted it" if grant is None else "the grant of bo"
    assert rig.decisions()[0].reasons[1].startswith(why)
    assert len(rig.moves(SIREN)) == 1


def test_a_grant_ends_by_itself_and_says_so(virtual):
    grant = Grant("bo", "a trial", START + 50)

    async def test(rig):
        rig.know("flood", mode=Mode.OFF, grant=grant)
        await rig.control.handle(rig.paper_transition(Mode.OFF, grant))
        assert rig.on(SIREN)
        await asyncio.sleep(60)
        assert rig.on(SIREN)  # what was begun under it goes on
        assert rig.control.modes()["flood"]["mode"] == "in"
        await rig.control.handle(rig.paper_transition(Mode.OFF, grant, firing=False))
        await rig.control.handle(rig.paper_transition(Mode.OFF, grant))
        assert not rig.on(SIREN)
        assert rig.control.pending()

    rig = virtual(running(test, max_on=1000.0))
    (fell,) = rig.decisions(Outcome.LAPSED)
    assert (fell.rule, fell.command) == ("flood", "mode off for flood")
    assert "the grant of bo for mode off ended" in fell.reasons[0]


def test_a_grant_that_ends_while_the_decision_is_recorded_moves_nothing(virtual):
    grant = Grant("bo", "a trial", START + 1.4)

    async def test(rig):
        await asyncio.sleep(1.1)
        rig.journal.delay = 0.6
        await rig.control.handle(rig.paper_transition(Mode.OFF, grant))
        await asyncio.sleep(5)

    rig = virtual(running(test))
    assert len(rig.moves(SIREN)) == 1
    assert "may not act by itself" in rig.decisions(Outcome.REFUSED)[0].reasons[0]


def test_what_a_guard_held_back_is_asked_for_once_the_grant_is_over(virtual):
    grant = Grant("bo", "a trial", START + 50)

    async def test(rig):
        rig.know("flood", mode=Mode.OFF, grant=grant)
        rig.set_lid(False)
        await rig.control.handle(rig.paper_transition(Mode.OFF, grant, SwitchOn("motor")))
        await asyncio.sleep(60)
        rig.set_lid(True)
        await asyncio.sleep(60)
        assert len(rig.moves(MOTOR)) == 1
        assert lone(rig)["commands"] == ["motor on"]

    virtual(running(test))


def test_a_person_grants_a_mode_for_a_time(virtual):
    async def test(rig):
        rig.know("flood", mode=Mode.SHADOW, grant=None)
        answer = await rig.order("mode", "flood", value="off", until=100.0)
        assert answer.accepted, answer.said
        assert rig.control.modes()["flood"]["by"] == "ada"
        await rig.control.handle(rig.paper_transition(Mode.SHADOW, None))
        assert rig.on(SIREN)
        await rig.control.handle(rig.paper_transition(Mode.SHADOW, None, firing=False))
        await asyncio.sleep(120)
        await rig.control.handle(rig.paper_transition(Mode.SHADOW, None))
        assert not rig.on(SIREN)

    rig = virtual(running(test, max_on=1000.0))
    assert rig.outcomes()[-2:] == [Outcome.LAPSED, Outcome.SHADOWED]


def test_shadow_by_order_switches_off_at_once(virtual):
    async def test(rig):
        rig.know("flood")
        await rig.fire()
        assert (await rig.order("mode", "flood", value="shadow")).accepted
        assert not rig.on(SIREN)

    virtual(running(test))


def test_a_grant_does_not_outlive_the_rule_that_it_was_for(virtual):
    async def test(rig):
        rig.know("flood", mode=Mode.SHADOW, grant=None, says="before")
        await rig.order("mode", "flood", value="off", until=1000.0)
        rig.know("flood", mode=Mode.SHADOW, grant=None, says="after")
        await asyncio.sleep(2)
        assert rig.control.modes()["flood"]["mode"] == "shadow"

    rig = virtual(running(test))
    assert rig.decisions(Outcome.LAPSED)[0].reasons[0].endswith("the rule has changed since")


def test_what_is_shelved_switches_and_is_not_announced(virtual):
    async def test(rig):
        rig.know("flood")
        assert (await rig.order("shelve", "flood", until=50.0)).accepted
        await rig.fire(SwitchOn("siren"), WARN)
        assert rig.on(SIREN)
        assert rig.control.shelved("flood")
        await rig.end()
        await asyncio.sleep(60)
        await rig.fire(SwitchOn("siren"), WARN)

    rig = virtual(running(test, max_on=1000.0))
    assert len(rig.events()) == 1
    assert "ada has shelved its announcements" in rig.decisions(Outcome.REFUSED)[0].reasons[1]
    assert rig.decisions(Outcome.LAPSED)[0].command == "shelve flood"


def test_approval_does_not_beat_the_guard(virtual):
    async def test(rig):
        await rig.fire(SwitchOn("motor"), mode=Mode.IN)
        rig.set_lid(False)
        assert (await rig.order("approve", lone(rig)["id"])).accepted
        await asyncio.sleep(5)
        assert len(rig.moves(MOTOR)) == 1

    rig = virtual(running(test))
    assert rig.outcomes() == [Outcome.ASKED, Outcome.APPROVED, Outcome.REFUSED]
    assert GRANT.until > START
