"""An emulated TCA9548A, from datasheet SCPS207F: a switch with eight buses behind it."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import Clock, Quantity
from drivers.emulated import Chip, Span


class Emulated:
    """One mux. `behind[n]` are the chips on channel n, by address; another mux may be among them.

    Put it into a `Wired`, through which a bus sees what is behind. Faults: *stuck*, the channels on which a
    part holds a line low; `power_cycle` and `reset`, after which all channels are off. *most_on* is the
    largest number of channels that were ever on at once, *masks* all that was written.
    """

    spans: Mapping[Quantity, Span] = {}

    def __init__(self, clock: Clock) -> None:
        self.behind: list[dict[int, Chip]] = [{} for _ in range(8)]
        self.stuck: set[int] = set()
        self.most_on = 0
        self.masks: list[int] = []
        self.power_cycle()

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: nothing in the world moves a mux."""
        raise ValueError(f"a mux does not know {quantity}")

    def power_cycle(self) -> None:
        """Power off and on, or RESET low and high: no channel is on."""
        self.mask = 0

    reset = power_cycle

    def transfer(self, write: bytes, read: int) -> bytes:
        """Keep the last byte written; what it selects is on from the stop condition on."""
        if write and read:
            raise BusError("the mux wants a stop condition after its mask, not a repeated start")
        if write:
            self.mask = write[-1]
            self.masks.append(self.mask)
            self.most_on = max(self.most_on, len(self.on))
        return bytes([self.mask]) * read

    @property
    def on(self) -> list[int]:
        """The channels that are on."""
        return [channel for channel in range(8) if self.mask >> channel & 1]


@dataclass
class Wired(MutableMapping[int, Chip]):
    """What a bus reaches now: the chips that are on it, and those behind every channel that is on.

    Changing it changes what is on the bus itself. Two targets at one address answer at the same time.
    """

    chips: dict[int, Chip] = field(default_factory=dict)

    def __getitem__(self, address: int) -> Chip:
        found = [chip for at, chip in _reached(self.chips) if at == address]
        if not found:
            raise KeyError(address)
        return found[0] if len(found) == 1 else Collision(found)

    def __setitem__(self, address: int, chip: Chip) -> None:
        self.chips[address] = chip

    def __delitem__(self, address: int) -> None:
        del self.chips[address]

    def __iter__(self) -> Iterator[int]:
        return iter({at for at, _ in _reached(self.chips)})

    def __len__(self) -> int:
        return len({at for at, _ in _reached(self.chips)})


def _reached(chips: Mapping[int, Chip]) -> Iterator[tuple[int, Chip]]:
    """Yield what is connected. Raises BusTimeout where that includes a channel with a line held low."""
    for address, chip in list(chips.items()):
        yield address, chip
        if isinstance(chip, Emulated):
            for channel in chip.on:
                if channel in chip.stuck:
                    raise BusTimeout(f"a part on channel {channel} of the mux {address:#04x} holds SDA low")
                yield from _reached(chip.behind[channel])


@dataclass(frozen=True)
class Collision:
    """Targets at one address: each takes what is written, and a zero of any of them wins on the line."""

    chips: Sequence[Chip]
    spans: Mapping[Quantity, Span] = field(default_factory=dict)

    def transfer(self, write: bytes, read: int) -> bytes:
        """Carry it to all; NACK only where all of them do."""
        answers: list[bytes] = []
        for chip in self.chips:
            try:
                answers.append(chip.transfer(write, read))
            except NoAcknowledge:
                continue
        if not answers:
            raise NoAcknowledge("none of the targets at this address acknowledges")
        line = (1 << 8 * read) - 1
        for answer in answers:
            line &= int.from_bytes(answer)
        return line.to_bytes(read)

    def set(self, quantity: Quantity, value: float) -> None:
        """Refuse: say which of them."""
        raise ValueError("several targets are at this address")

    def power_cycle(self) -> None:
        for chip in self.chips:
            chip.power_cycle()
