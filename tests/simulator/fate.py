"""What happens in a life, and when: drawn once, before it begins."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.device import Quantity
from drivers.faults import Plan
from tests.simulator import broker, disk
from tests.simulator.broker import REFUSALS
from tests.simulator.chips import NOISE

if TYPE_CHECKING:
    from tests.simulator.life import Life

KINDS = (
    "clock", "disk", "broker", "refusals", "chips", "operator", "kills", "power", "restarts", "poison",
    "sizes",
)  # fmt: skip
"""What can go wrong, and people. A life has a few of these."""

LENGTH = (10.0, 120.0)
"""Seconds that the faults of a life may last. Half of the lives take less than 12 s, an eighth more than
60 s: most of what goes wrong shows soon, and what only goes wrong in time is looked for as well."""

YEAR = 365.25 * 86400.0


class Fate:
    """Draws a life's events."""

    def __init__(self, life: "Life") -> None:
        self._life, self._world = life, life.world
        self._chance = life.world.random("fate")
        self._length = LENGTH[0] + (LENGTH[1] - LENGTH[0]) * self._chance.random() ** 6

    def plan(self) -> None:
        """Arrange for everything that will happen."""
        self._weather()
        for kind in self._world.kinds:
            getattr(self, f"_{kind}")()
        self._world.after(self._length, self._calm)

    def _weather(self) -> None:
        """Warm and damp air, and a lid that is opened: what the rules and guards look at."""
        parts, chance = self._life.parts, self._chance
        warm, damp = (2.0, 20.0, 29.0, 31.0, 35.0), (50.0, 75.0, 85.0, 95.0)

        def heat() -> None:
            parts.set(Quantity.TEMPERATURE, chance.choice(warm) + chance.random())

        def moisten() -> None:
            parts.set(Quantity.HUMIDITY, chance.choice(damp) + chance.random())

        for change, mean in ((heat, 11.0), (moisten, 13.0)):
            change()
            self._often(mean, change)
        self._often(20.0, lambda: parts.set_lid(not parts.lid))

    def _clock(self) -> None:
        """Perhaps a boot without the time, and hands that set the clock."""
        if self._chance.random() < 0.5:
            self._unsure(self._chance.choice((-25 * YEAR, -3600.0, 86400.0, 0.5)))
        for _ in range(self._chance.randint(1, 4)):
            wrong = self._chance.choice((-3600.0, 86400.0, -40.0, 3600.0))
            self._sometime(lambda wrong=wrong: self._unsure(wrong))  # type: ignore[misc]

    def _disk(self) -> None:
        store, chance = self._life.disk, self._chance
        kinds = [each for each in disk.State if each is not disk.State.WELL]
        for _ in range(chance.randint(1, 3)):
            state, seconds = chance.choice(kinds), chance.uniform(0.5, 60.0)
            self._sometime(lambda state=state, seconds=seconds: store.fail(state, seconds))  # type: ignore[misc]

    def _broker(self) -> None:
        there, chance = self._life.broker, self._chance
        there.window = chance.choice((1, 3, 20, 65535))
        kinds = [broker.State.DOWN, broker.State.SILENT, broker.State.REFUSING, broker.State.SLOW]
        for _ in range(chance.randint(1, 3)):
            state, seconds = chance.choice(kinds), chance.uniform(1.0, 120.0)
            self._sometime(lambda state=state, seconds=seconds: there.fail(state, seconds))  # type: ignore[misc]
        for _ in range(chance.randint(0, 4)):
            self._sometime(lambda: there.cut("the connection broke", chance.choice((0, 0, 0x8B))))
        if chance.random() < 0.3:
            self._sometime(there.forget)

    def _refusals(self) -> None:
        there, chance = self._life.broker, self._chance
        for _ in range(chance.randint(1, 3)):
            state = chance.choice((broker.State.DENYING, broker.State.DENYING, broker.State.UNHEARD))
            code, seconds = chance.choice([*REFUSALS]), chance.uniform(0.1, 60.0)
            self._sometime(lambda a=state, b=seconds, c=code: there.fail(a, b, c))  # type: ignore[misc]

    def _chips(self) -> None:
        parts = self._life.parts
        parts.plan = NOISE
        for _ in range(self._chance.randint(0, 2)):
            self._sometime(self._cut_the_lid)

    def _cut_the_lid(self) -> None:
        parts = self._life.parts
        parts.lid_cut = True
        self._world.note("the lid's wire is cut")
        self._world.count("chips", "cut wire")

        def mend() -> None:
            parts.lid_cut = False

        self._world.after(self._chance.uniform(5.0, 150.0), mend)

    def _operator(self) -> None:
        self._often(4.0, self._life.operator.act)

    def _kills(self) -> None:
        for _ in range(self._chance.randint(1, 2)):
            self._sometime(lambda: self._life.kill(self._chance.uniform(1.0, 20.0), power=False))

    def _power(self) -> None:
        self._sometime(self._cut_power)

    def _restarts(self) -> None:
        self._sometime(self._life.restart)

    def _poison(self) -> None:
        """A record that the broker finds fault with, whatever else it takes."""

        def announce() -> None:
            process, world = self._life.process, self._world
            if process is not None and world.alive:
                process.announce("lamppost.test", {"poison": True})
                world.count("broker", "record it finds fault with")

        for _ in range(self._chance.randint(1, 2)):
            self._sometime(announce)

    def _sizes(self) -> None:
        if self._chance.random() < 0.5:
            self._life.broker.packet = self._chance.choice((4000, 8000))
        else:
            self._life.broker.longest = self._chance.choice((4000, 8000))

    def _cut_power(self) -> None:
        """The machine goes down, and comes up with a clock that may not know the time."""
        world, away = self._world, self._chance.uniform(5.0, 60.0)
        if not world.alive:
            return
        try:
            self._life.kill(away, power=True)
        finally:
            world.boots += 1
            world.booted = world.now + away - 10.0
            if "clock" in world.kinds:
                self._unsure(self._chance.choice((-away, -3600.0, -25 * YEAR, 86400.0)))

    def _unsure(self, wrong: float) -> None:
        """The wall clock is *wrong* [s], and does not claim otherwise; later it is synchronised."""
        world = self._world
        world.note(f"clock wrong by {wrong:.1f} s")
        world.count("clock", "wrong")
        world.wall_error, world.synchronized, world.stepped = wrong, False, world.now
        world.after(self._chance.uniform(3.0, 40.0), self._synchronize)

    def _synchronize(self) -> None:
        world = self._world
        if not world.synchronized:
            world.note("clock synchronized")
            world.count("clock", "synchronized")
            world.wall_error, world.synchronized, world.stepped = 0.0, True, world.now

    def _calm(self) -> None:
        """Everything that was wrong is over, and the weather is fine."""
        life = self._life
        life.calm()
        life.disk.mend()
        life.broker.mend()
        life.parts.plan = life.wiring.faults.plan = Plan()
        self._synchronize()
        life.parts.set(Quantity.TEMPERATURE, 20.0)
        life.parts.set(Quantity.HUMIDITY, 50.0)
        life.parts.lid_cut = False
        life.parts.set_lid(True)

    def _sometime(self, what: Callable[[], None]) -> None:
        self._world.after(self._chance.uniform(0.0, self._length), what)

    def _often(self, mean: float, what: Callable[[], None]) -> None:
        time = self._chance.expovariate(1 / mean)
        while time < self._length:
            self._world.after(time, what)
            time += self._chance.expovariate(1 / mean)
