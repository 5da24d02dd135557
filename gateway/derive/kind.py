"""What a kind of stream is: its inputs, its settings, what it gives, and the state that makes it.

A kind is described, not programmed around: `gateway.derive.stream` brings it readings and makes readings of
what it says, so that age, quality, time and restarts are the same for all kinds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from drivers.device import UNITS, Missing, Quantity
from gateway.reading import Flag

Value = float | Missing


class Source(NamedTuple):
    """A quantity of a device, or of another stream."""

    device: str
    quantity: Quantity

    def __str__(self) -> str:
        return f"{self.device}.{self.quantity}"


class Unfit(ValueError):
    """Settings that can never work: *key* is the one to change."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a kind: the *name* that its state knows it by, and what it may be.

    It stands under *key*: `from`, which may also be a list, or a device alone, all of whose fitting
    quantities are meant; or a key of its own, whose text is a `device.quantity`, "" for none.
    """

    name: str
    takes: frozenset[Quantity]
    key: str = "from"
    needed: bool = True


@dataclass(slots=True)  # not frozen: that would cost a microsecond each time
class Taken:
    """What a state is told at one time. *values* has every input that is configured, by its name.

    *fresh* are the names that this very reading brings; the others are the latest that are not too old, or
    INPUT_MISSING. A value that failed its quality test is INPUT_MISSING too.
    """

    values: Mapping[str, Value]
    fresh: frozenset[str]

    def __getitem__(self, name: str) -> Value:
        """Return an input's value: INPUT_MISSING also when it is not configured."""
        return self.values.get(name, Missing.INPUT_MISSING)


NOTHING: Mapping[Quantity, str] = MappingProxyType({})


class Proof(Enum):
    """Whether what an alarm says follows from the samples that it looks at, or only from those of before."""

    NEW = auto()  # it has just become so
    AGAIN = auto()  # it was so before, and these samples alone would make it so
    NONE = auto()  # it stands, as nothing has ended it


class Result(NamedTuple):
    """What a state says: values of the *time* [s, Unix], with words for some (a band's name).

    *since* [s, Unix] is the oldest time that they depend on; None: on this sample alone. A *closed* period
    does not hold the sample at its end. *flag* is of tests of the values' own, beside what they inherit. An
    alarm that became so by a suspect sample is suspect until samples that are not give *proof* of it.
    """

    time: float
    values: Mapping[Quantity, Value]
    since: float | None = None
    closed: bool = False
    labels: Mapping[Quantity, str] = NOTHING
    flag: Flag = Flag.NOT_EVALUATED
    proof: Proof = Proof.NEW


class State(Protocol):
    """What a stream remembers, and what follows from it. Time is in seconds (Unix)."""

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        """Take one sample of the inputs; yield what it leads to."""
        ...

    def advance(self, time: float) -> Iterable[Result]:
        """Let it be *time*, without a sample; yield what that leads to (a period that ends)."""
        ...

    def save(self) -> Any:
        """Return what `restore` needs, as JSON takes it; None when stored readings bring it all back."""
        ...

    def restore(self, saved: Any) -> None:
        """Take over, in a new state, what `save` gave. Raises ValueError, KeyError, TypeError."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Where a stream stands: its inputs by name, each with the seconds between two readings; the zone."""

    sources: Mapping[str, Source]
    intervals: Mapping[str, float]
    zone: str = ""

    @property
    def source(self) -> Source:
        """The first input of all."""
        return next(iter(self.sources.values()))

    @property
    def interval(self) -> float:
        """The seconds between two readings of the first input."""
        return next(iter(self.intervals.values()))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stream.

    *options* is a frozen dataclass: a table's keys besides id, kind and from, durations in seconds. *gives*
    says what comes out, *make* builds a new state and raises Unfit (or ValueError) when that could never
    give anything, *interval* is how many seconds are between two results, *reach* how many seconds of stored
    readings bring a state back that saves nothing. A *lasting* state (an alarm) goes on when the clock is
    set back; others begin anew, since readings of two clocks are not to be mixed.
    """

    options: type[Any]
    inputs: tuple[Input, ...]
    gives: Callable[[Any, Context], tuple[Quantity, ...]]
    make: Callable[[Any, Context], State]
    interval: Callable[[Any, Context], float] = lambda options, context: context.interval
    reach: Callable[[Any, Context], float] = lambda options, context: 0.0
    lasting: bool = False


def always(*quantities: Quantity) -> Callable[[Any, Context], tuple[Quantity, ...]]:
    """Return a `gives` that does not depend on anything."""
    return lambda options, context: quantities


def only(*quantities: Quantity) -> frozenset[Quantity]:
    """Return what an input takes."""
    return frozenset(quantities)


def named(quantities: Iterable[Quantity]) -> str:
    """Return quantities with their units, for a sentence: "distance [m] or depth [m]"."""
    *most, last = [f"{each} [{UNITS[each]}]" for each in sorted(quantities)]
    return f"{', '.join(most)} or {last}" if most else last


@dataclass(slots=True)
class Conversion:
    """A state that remembers nothing: each sample is converted by itself."""

    convert: Callable[[Taken], Mapping[Quantity, Value]]

    def take(self, time: float, taken: Taken) -> Iterable[Result]:
        """Give the sample's own conversion."""
        return (Result(time, self.convert(taken)),)

    def advance(self, time: float) -> Iterable[Result]:
        """Time alone changes nothing."""
        return ()

    def save(self) -> Any:
        """Nothing is remembered."""
        return None

    def restore(self, saved: Any) -> None:
        """Nothing is remembered."""
