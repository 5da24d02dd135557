"""From the rules' transitions to decisions, and from decisions to switches and events."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from drivers.device import Clock
from gateway.clock import Instant
from gateway.control.decisions import announcement, decide
from gateway.control.guard import Verdict
from gateway.control.output import IDLE, RECORD_ON, Output, Switch
from gateway.control.recorder import Journal, Recorder
from gateway.reading import Announce, Mode, Outcome, SwitchOn, Transition

HUNG = 10.0  # [s] without a turn of an output's supervision before control no longer counts as alive
FLUSH = 1.0  # [s] for the decisions that are still to be recorded when control stops


class Control:
    """Every switch of the pole, behind its guard.

    `start` puts all of them into their safe state; `run` supervises them and, however it ends, puts them
    there again; `stop` does so too, and may be called at any time. *clock* is the event loop's. *changed* is
    called with a switch's id whenever it has been given an order; *beat* about once a second, for as long as
    the supervision of every switch makes progress.
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
    ) -> None:
        self._now = now
        self._clock = clock
        self._place = place
        self._beat = beat
        self._recorder = Recorder(journal, clock)
        self._outputs = {
            name: Output(name, switch, self._recorder, now, clock, changed)
            for name, switch in switches.items()
        }

    async def start(self) -> None:
        """Put every switch into its safe state; one that does not answer is tried again by `run`."""
        await _all([output.start() for output in self._outputs.values()])

    async def run(self) -> None:
        """Supervise for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._recorder.run())
                group.create_task(self._pulse())
                for output in self._outputs.values():
                    group.create_task(output.run())
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Put every switch into its safe state, also when another cannot be; under 4 s."""
        await _all([output.stop() for output in self._outputs.values()])
        await self._recorder.flush(FLUSH)

    def look(self) -> None:
        """Note that there are new readings, so that the permissives of what is on are asked again."""
        for output in self._outputs.values():
            output.look()

    async def handle(self, transition: Transition) -> None:
        """Decide on a transition, and act on it or not.

        The request itself takes effect at once, before the first wait, so calls may run as tasks. Returns
        when what can be done now is done and recorded, which a slow journal delays by a second or two.
        """
        if not transition.firing:
            await self._end(transition)
        elif transition.mode is Mode.OFF:
            await self._begin(transition)
        else:
            self._shadow(transition, on=True)
        await self._recorder.settled(RECORD_ON)

    def status(self) -> list[dict[str, Any]]:
        """Return every switch as the status page shows it."""
        return [output.status() for output in self._outputs.values()]

    @property
    def lost(self) -> int:
        """How many decisions could not be recorded, for good."""
        return self._recorder.lost

    async def _begin(self, transition: Transition) -> None:
        asked = []
        for command in transition.commands:
            if isinstance(command, Announce):
                self._announce(transition, command)
            elif command.actuator in self._outputs:
                self._outputs[command.actuator].ask(transition, command)
                asked.append(self._outputs[command.actuator])
            else:
                reason = f"there is no switch called {command.actuator}"
                self._record(transition, str(command), command.actuator, Outcome.REFUSED, reason)
        await self._settle(asked)

    async def _end(self, transition: Transition) -> None:
        for output in self._outputs.values():
            output.end(transition.rule)
        await self._settle(self._outputs.values())
        if transition.mode is not Mode.OFF:
            self._shadow(transition, on=False)

    async def _settle(self, outputs: Collection[Output]) -> None:
        async with asyncio.TaskGroup() as group:
            for output in outputs:
                group.create_task(output.act())

    def _announce(self, transition: Transition, command: Announce) -> None:
        """Record the decision, and after it the event."""
        at = self._now()
        reason = f"rule {transition.rule} fires"
        self._record(transition, str(command), "", Outcome.ACTED, reason)
        self._recorder.later(announcement(command, transition.inputs, self._place, at))

    def _shadow(self, transition: Transition, on: bool) -> None:
        """Record what would have been done, and what the guard would have said."""
        reason = f"rule {transition.rule} " + ("fires" if on else "ended")
        for command in transition.commands:
            if isinstance(command, SwitchOn):
                self._shadow_switch(transition, command, on, reason)
            elif on:
                self._record(transition, str(command), "", Outcome.SHADOWED, reason)

    def _shadow_switch(self, transition: Transition, command: SwitchOn, on: bool, reason: str) -> None:
        if on:
            output = self._outputs.get(command.actuator)
            seen = output.judge() if output else Verdict((f"there is no switch {command.actuator}",))
            reasons = (reason, *(f"the guard would have refused: {against}" for against in seen.reasons))
            self._record(transition, str(command), command.actuator, Outcome.SHADOWED, *reasons, seen=seen)
        elif command.during is None:
            name = command.actuator
            self._record(transition, f"{name} off", name, Outcome.SHADOWED, reason)

    def _record(
        self,
        transition: Transition,
        command: str,
        actuator: str,
        outcome: Outcome,
        *reasons: str,
        seen: Verdict | None = None,
    ) -> None:
        verdict = seen or Verdict()
        self._recorder.later(decide(self._now(), transition, command, actuator, outcome, reasons, verdict))

    async def _pulse(self) -> None:
        while True:
            await self._clock.sleep(IDLE)
            now = self._clock.monotonic()
            if all(now - output.turned < HUNG for output in self._outputs.values()):
                self._beat()


async def _all(work: list[Any]) -> None:
    """Do all of it, at the same time and to the end, then raise what went wrong."""
    results = await asyncio.gather(*work, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise BaseExceptionGroup("not every switch could be put into its safe state", errors)
