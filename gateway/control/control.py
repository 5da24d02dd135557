"""From the rules' transitions to decisions, and from decisions to switches and events."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from drivers.device import Clock
from gateway.clock import Instant
from gateway.control.ascent import RECORD_ON
from gateway.control.case import Stage
from gateway.control.decisions import By, Scribe
from gateway.control.docket import Docket
from gateway.control.memory import Memory
from gateway.control.modes import Modes, Ruled
from gateway.control.orders import Orders
from gateway.control.output import Output
from gateway.control.recorder import Journal, Recorder
from gateway.control.shelf import Shelf
from gateway.control.station import IDLE, SOON, Links, Switch
from gateway.reading import Input, Order, Outcome, SwitchOn, Transition

if TYPE_CHECKING:
    from gateway.control.compactor import Compactor, Press

HUNG = 10.0  # [s] without a turn of an output's supervision before control no longer counts as alive
FLUSH = 1.0  # [s] for the decisions that are still to be recorded when control stops


class Control:
    """Every switch of the pole, behind its guard.

    `start` puts all of them into their safe state; `run` supervises them and, however it ends, puts them
    there again; `stop` does so too, and may be called at any time. *clock* is the event loop's. *changed* is
    called with a switch's id whenever it has been given an order; *beat* about once a second, for as long as
    the supervision of every switch makes progress. *reachable* says whether a person could send a veto now,
    *lookup* what is known of a name. *keep* is called whenever `save` has something new to say: what it gives
    must be on the disk no later than the next decision that is recorded. *presses* are
    switches each time on of which is one stroke; `compactors` has what runs them.

    Raises ValueError for a switch that excludes one that there is not, or itself.
    """

    def __init__(
        self,
        switches: Mapping[str, Switch],
        journal: Journal,
        now: Callable[[], Instant],
        clock: Clock,
        place: Mapping[str, Any],
        changed: Callable[[str], None] = lambda switch: None,
        beat: Callable[[], None] = lambda: None,
        *,
        reachable: Callable[[], bool] = lambda: True,
        lookup: Callable[[str], Input] | None = None,
        keep: Callable[[], None] = lambda: None,
        presses: "Mapping[str, Press] | None" = None,
    ) -> None:
        self.now = now
        self._clock = clock
        self._beat = beat
        self._keep = keep
        self._closed = False
        self._wake = asyncio.Event()
        self.recorder = Recorder(journal, clock)
        self.scribe = Scribe(self.recorder, now)
        self._modes = Modes(now, reachable)
        self._shelf = Shelf(now)
        links = Links(lambda hold: self._docket.licence(hold), lookup, changed, self._kept)
        self.compactors = _compactors(presses or {}, self.scribe, clock, links)
        self._outputs: dict[str, Output | Compactor] = {
            name: Output(name, switch, self.scribe, clock, links) for name, switch in switches.items()
        }
        self._outputs |= self.compactors
        _exclude(self._outputs)
        self._docket = Docket(self._outputs, self.scribe, self._modes, self._shelf, place)
        self._memory = Memory(self._outputs, self._docket, self._modes, self._shelf)
        self.orders = Orders(self._outputs, self._docket, self._modes, self._shelf, self.compactors, now)

    def know(self, rules: Iterable[Ruled]) -> None:
        """Take these for all the rules that there are; to be called at the start and at every reload."""
        self._modes.know(rules)
        self._wake.set()

    def save(self) -> dict[str, Any]:
        """Return what must not be forgotten over a restart, for JSON."""
        return self._memory.save(self.now())

    def restore(self, saved: object, firing: Iterable[Transition] = ()) -> None:
        """Go on from what `save` gave, with the rules that fire now; before `run`, and after `know`.

        A rule that fires and that *saved* does not know begins now. Raises ValueError for what `save` never
        gave: then everything has begun anew, with every hourly budget used up.
        """
        try:
            self._memory.restore(saved, firing, self.now())
        finally:
            self._kept()

    async def start(self) -> None:
        """Put every switch into its safe state; one that does not answer is tried again by `run`."""
        await _all([output.start() for output in self._outputs.values()])

    async def run(self) -> None:
        """Supervise for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.recorder.run())
                group.create_task(self._pulse())
                group.create_task(self._attend())
                for output in self._outputs.values():
                    group.create_task(output.run())
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Put every switch into its safe state, also when another cannot be; under 4 s."""
        self._closed = True  # what is undone from here on is to be done again after the restart
        await _all([output.stop() for output in self._outputs.values()])
        await self.recorder.flush(FLUSH)

    def look(self) -> None:
        """Note that there are new readings, so that the permissives of what is on are asked again."""
        for output in self._outputs.values():
            output.look()

    def doubt(self, switch: str) -> None:
        """Note that a reading says that *switch* is off, or lost what it was told."""
        if isinstance(output := self._outputs.get(switch), Output):
            output.doubt()

    async def handle(self, transition: Transition) -> None:
        """Decide on a transition, and act on it or not.

        The request itself takes effect at once, before the first wait, so calls may run as tasks. Returns
        when what can be done now is done and recorded, which a slow journal delays by a second or two.
        """
        known = (transition.version, transition.digest, transition.mode, transition.grant)
        self._modes.learn(Ruled(transition.rule, *known))
        if transition.firing:
            self._docket.begin(transition)
            asked = {command.actuator for command in transition.commands if isinstance(command, SwitchOn)}
            outputs = [output for name, output in self._outputs.items() if name in asked]
        else:
            self._docket.end(transition)
            outputs = [*self._outputs.values()]
        self._kept()
        self._wake.set()
        await self._settle(outputs)
        await self.recorder.settled(RECORD_ON)

    async def settle(self) -> None:
        """Do what an order has changed, as far as it can be done now."""
        self.review()
        self._wake.set()
        await self._settle(self._outputs.values())

    def obey(self, order: Order) -> str:
        """Carry out an order that `orders` has no objection to; return what was done, as a sentence."""
        said = self.orders.obey(order)
        self.review()
        self._kept()
        return said

    def review(self) -> None:
        """Let what was given for a time end, and modes fall; follow them."""
        at, changed = self.now(), False
        for fall in self._modes.review():
            changed = True
            source = _about(fall.rule, at)
            told = f"mode {fall.before} for {fall.rule.id}"
            self.scribe.note(source, told, "", Outcome.LAPSED, fall.why, f"its mode is {fall.now} now")
        for rule, shelved in self._shelf.review():
            changed = True
            known = _about(self._modes.rule(rule), at) if rule in self._modes else None
            self.scribe.note(known, f"shelve {rule}", "", Outcome.LAPSED, f"{shelved}: that is over")
        for output in self._outputs.values():
            changed = self._end_lease(output, at) or changed
        if self._docket.review(at) or changed:
            self._kept()

    def shelved(self, rule: str) -> bool:
        """Return whether a person does not want to hear *rule* for now."""
        return self._shelf.get(rule) is not None

    def pending(self) -> list[dict[str, Any]]:
        """Return what waits for a person: id, rule, commands, why, and what happens at its end (*until*)."""
        return [
            {
                "id": case.ask.id,
                "rule": case.rule,
                "mode": str(case.standing.mode),
                "commands": [str(command) for command in case.ask.commands],
                "until": case.ask.until.time,
                "then": "acts" if case.acts_by_itself else "lapses",
                "conditions": [{"text": c.text, "truth": c.truth} for c in case.transition.conditions],
            }
            for case in self._docket.cases
            if case.ask is not None and case.stage is Stage.ASKED
        ]

    def modes(self) -> dict[str, dict[str, Any]]:
        """Return every rule's mode: the one in force, the one granted, by whom, until when [s, Unix]."""
        return {name: self._mode(name) for name in self._modes.names}

    def status(self) -> list[dict[str, Any]]:
        """Return every switch as the status page shows it."""
        return [output.status() for output in self._outputs.values()]

    @property
    def lost(self) -> int:
        """How many decisions could not be recorded, for good."""
        return self.recorder.lost

    def _mode(self, name: str) -> dict[str, Any]:
        standing, shelved = self._modes.of(name), self._shelf.get(name)
        return {
            "mode": str(standing.mode),
            "granted": str(standing.granted),
            "by": standing.by,
            "until": standing.until,
            "why": standing.why,
            "ordered": self._modes.ordered(name) is not None,
            "shelved": str(shelved) if shelved else "",
        }

    def _end_lease(self, output: "Output | Compactor", at: Instant) -> bool:
        lease = output.lease
        if lease is None or lease.until.left(at) > 0:
            return False
        output.give_back()
        command = f"override {output.name} {'on' if lease.on else 'off'}"
        reasons = (f"{lease}: that is over", "its rules control it again")
        self.scribe.note(None, command, output.name, Outcome.LAPSED, *reasons, by=By("", lease.order))
        return True

    def _kept(self) -> None:
        if not self._closed:
            self._keep()

    async def _settle(self, outputs: "Collection[Output | Compactor]") -> None:
        async with asyncio.TaskGroup() as group:
            for output in outputs:
                group.create_task(output.act())

    async def _attend(self) -> None:
        """Review when something becomes due, and once a second besides: the channel may be lost."""
        while True:
            self._wake.clear()
            self.review()
            at = self.now()
            ends = [case.ask.until.left(at) for case in self._docket.cases if case.ask]
            ends += [output.lease.until.left(at) for output in self._outputs.values() if output.lease]
            try:
                async with asyncio.timeout(max(SOON, min([IDLE, *ends]))):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _pulse(self) -> None:
        while True:
            await self._clock.sleep(IDLE)
            now = self._clock.monotonic()
            if all(now - output.turned < HUNG for output in self._outputs.values()):
                self._beat()


def _compactors(
    presses: "Mapping[str, Press]", scribe: Scribe, clock: Clock, links: Links
) -> "dict[str, Compactor]":
    """Return a compactor for each press. A pole that has none does not carry the code of one."""
    if not presses:
        return {}
    from gateway.control.compactor import Compactor

    return {name: Compactor(name, press, scribe, clock, links) for name, press in presses.items()}


def _exclude(outputs: "Mapping[str, Output | Compactor]") -> None:
    """Tell each guard which others may not be on with it. Who excludes one is excluded by it."""
    for name, output in outputs.items():
        for other in output.limits.excludes:
            if other not in outputs or other == name:
                raise ValueError(f"{name} excludes {other}, which is no other switch")
            output.guard.exclude(other, outputs[other].guard)
            outputs[other].guard.exclude(name, output.guard)


def _about(rule: Ruled, at: Instant) -> Transition:
    """Return a transition that only names a rule, for a decision about it."""
    return Transition(at, rule.id, rule.version, rule.digest, rule.mode, False, (), (), ())


async def _all(work: list[Any]) -> None:
    """Do all of it, at the same time and to the end, then raise what went wrong."""
    results = await asyncio.gather(*work, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise BaseExceptionGroup("not every switch could be put into its safe state", errors)
