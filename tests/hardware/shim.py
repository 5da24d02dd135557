"""The board's end of the preload shim: it answers as i2c-dev and gpiolib would what shim.c sends."""

import array
import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from drivers.bus import Edge
from tests.hardware.board import LINES, Board, Message

ASKED, ANSWER, MESSAGE = struct.Struct("=II"), struct.Struct("=ii"), struct.Struct("=HHH")
PAYLOAD = 1 << 17

# linux/i2c-dev.h, linux/i2c.h
I2C_RETRIES, I2C_TIMEOUT, I2C_FUNCS, I2C_RDWR = 0x0701, 0x0702, 0x0705, 0x0707
FUNC_I2C = 0x0001
READ = 0x0001

# linux/gpio.h: the number of each ioctl, the second ABI only
CHIP_INFO, LINE_INFO, GET_LINE, SET_CONFIG, GET_VALUES, SET_VALUES = 0x01, 0x05, 0x07, 0x0D, 0x0E, 0x0F
USED, INPUT, OUTPUT, RISING, FALLING = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 5
PULLS = 1 << 8 | 1 << 9 | 1 << 10
ATTRIBUTE_OUTPUTS = 2
CONFIG = struct.Struct("=QI20x")  # struct gpio_v2_line_config without its attributes
ATTRIBUTE = struct.Struct("=IIQQ")
REQUEST = struct.Struct("=64I32s")
COUNT_AT, REQUEST_SIZE, CONFIG_AT = 560, 592, 288
INFO = struct.Struct("=32s32sIIQ")
INFO_SIZE = 256
VALUES = struct.Struct("=QQ")
EVENT = struct.Struct("=QIIII24x")
ROOM = 16  # events that the kernel keeps for each line; more are lost


class _Lines:
    """Lines that somebody has requested, as one request."""

    def __init__(self, offsets: tuple[int, ...], consumer: bytes, events: socket.socket) -> None:
        self.offsets = offsets
        self.consumer = consumer
        self.events = events
        self.flags = 0
        self.numbers: dict[int, int] = dict.fromkeys(offsets, 0)
        self.number = 0
        self.lost = 0


class Server:
    """The board at the socket *path*: answers the shims of any number of processes, on the running loop.

    It has one bus, /dev/i2c-1, and one header, /dev/gpiochip0. *count* is told how many clocks each transfer
    takes on the wires.
    """

    def __init__(self, board: Board, path: str, count: Callable[[int], object] | None = None) -> None:
        self.board = board
        self.path = path
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._used: dict[int, _Lines] = {}
        self._open: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(path)
        self._door.listen(64)
        self._loop.add_reader(self._door, self._accept)

    def close(self) -> None:
        """Hang up on everybody: their devices are gone (ENODEV)."""
        for each in (*self._open, self._door):
            self._loop.remove_reader(each)
            each.close()
        self._open.clear()

    def _accept(self) -> None:
        peer, _ = self._door.accept()
        self._open.add(peer)
        self._loop.add_reader(peer, self._opened, peer)

    def _opened(self, peer: socket.socket) -> None:
        """Take the first message of a connection: which device it opens."""
        raw = self._receive(peer, lambda: None)
        if raw is None:
            return
        kind = {b"/dev/i2c-1": self._i2c, b"/dev/gpiochip0": self._chip}.get(raw[ASKED.size :])
        if kind is None:
            self._answer(peer, error=errno.ENOENT)
            return
        self._loop.remove_reader(peer)
        self._loop.add_reader(peer, kind, peer)
        self._answer(peer)

    def _receive(self, peer: socket.socket, left: Callable[[], None]) -> bytes | None:
        """Return the next message, or None when the peer is gone: then *left* is called."""
        try:
            raw = peer.recv(PAYLOAD)
        except ConnectionResetError:
            raw = b""
        if raw:
            return raw
        self._loop.remove_reader(peer)
        self._open.discard(peer)
        peer.close()
        left()
        return None

    def _answer(self, peer: socket.socket, result: int = 0, error: int = 0, body: bytes = b"") -> None:
        with suppress(OSError):  # who asked may have been killed meanwhile
            peer.send(ANSWER.pack(-1 if error else result, error) + body)

    # -- i2c-dev

    def _i2c(self, peer: socket.socket) -> None:
        raw = self._receive(peer, lambda: None)
        if raw is None:
            return None
        request, _ = ASKED.unpack_from(raw)
        if request == I2C_FUNCS:
            return self._answer(peer, body=struct.pack("=Q", FUNC_I2C))
        if request in (I2C_RETRIES, I2C_TIMEOUT):
            return self._answer(peer)
        if request != I2C_RDWR:
            return self._answer(peer, error=errno.ENOTTY)
        messages = unpack(raw[ASKED.size :])
        delay = self.board.stall.pop(0) if self.board.stall else 0.0
        try:
            answers = self.board.carry(messages)
        except OSError as fault:
            self._later(delay, peer, error=fault.errno or errno.EIO)
        else:
            if self._count is not None:
                self._count(wire_bits(messages))
            self._later(delay, peer, len(messages), body=b"".join(answers))
        return None

    def _later(
        self, delay: float, peer: socket.socket, result: int = 0, error: int = 0, body: bytes = b""
    ) -> None:
        if delay:
            self._loop.call_later(delay, self._answer, peer, result, error, body)
        else:
            self._answer(peer, result, error, body)

    # -- gpiolib

    def _chip(self, peer: socket.socket) -> None:
        raw = self._receive(peer, lambda: None)
        if raw is None:
            return None
        request, body = ASKED.unpack_from(raw)[0] & 0xFF, raw[ASKED.size :]
        if request == CHIP_INFO:
            return self._answer(peer, body=struct.pack("=32s32sI", b"gpiochip0", b"lamppost", LINES))
        if request == LINE_INFO:
            return self._info(peer, body)
        if request == GET_LINE:
            task = asyncio.create_task(self._request(peer, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        return self._answer(peer, error=errno.ENOTTY)

    def _info(self, peer: socket.socket, body: bytes) -> None:
        line = struct.unpack_from("=I", body, 64)[0]
        if line >= LINES:
            return self._answer(peer, error=errno.EINVAL)
        holder = self._used.get(line)
        flags = holder.flags | USED if holder else INPUT
        info = INFO.pack(b"GPIO%d" % line, holder.consumer if holder else b"", line, 0, flags)
        return self._answer(peer, body=info.ljust(INFO_SIZE, b"\0"))

    async def _request(self, peer: socket.socket, body: bytes) -> None:
        """Give lines to who asks for them: a descriptor for their events, and one for their ioctls."""
        count = struct.unpack_from("=I", body, COUNT_AT)[0]
        *offsets, consumer = REQUEST.unpack_from(body)
        wanted = tuple(offsets[:count])
        if not 1 <= count <= 64 or any(line >= LINES for line in wanted):
            return self._answer(peer, error=errno.EINVAL)
        if any(line in self._used for line in wanted):
            return self._answer(peer, error=errno.EBUSY)
        events, shown = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        events.setblocking(False)
        lines = _Lines(wanted, consumer, events)
        with shown, theirs:
            refused = await self._configure(lines, body[CONFIG_AT:])
            if refused:
                events.close()
                wire.close()
                return self._answer(peer, error=refused)
            self._used.update(dict.fromkeys(wanted, lines))
            self._open.add(wire)
            self._loop.add_reader(wire, self._line, wire, lines)
            passed = array.array("i", [shown.fileno(), theirs.fileno()])
            with suppress(OSError):
                peer.sendmsg(
                    [ANSWER.pack(0, 0), body[:REQUEST_SIZE]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
                )
        return None

    async def _configure(self, lines: _Lines, config: bytes) -> int:
        """Set flags and levels: each level before its direction. Return an errno where it cannot be."""
        flags, attributes = CONFIG.unpack_from(config)
        edges, output = flags & (RISING | FALLING), bool(flags & OUTPUT)
        if output and (flags & INPUT or edges):
            return errno.EINVAL
        levels, given = 0, 0
        for number in range(attributes):
            kind, _, value, mask = ATTRIBUTE.unpack_from(config, CONFIG.size + number * ATTRIBUTE.size)
            if kind != ATTRIBUTE_OUTPUTS:
                return (
                    errno.EOPNOTSUPP
                )  # flags of single lines, and the kernel's debounce: nobody asks for them
            levels, given = value, mask
        lines.flags = flags
        for number, line in enumerate(lines.offsets):
            if output:
                self.board.drive(line, bool(levels >> number & given >> number & 1))
            self.board.direct(line, output)
            if edges:
                await self.board.listen(line, lambda line, edge: self._event(lines, line, edge))
            else:
                self.board.ignore(line)
        return 0

    def _event(self, lines: _Lines, line: int, edge: Edge) -> None:
        if not lines.flags & (RISING if edge.high else FALLING):
            return
        lines.number += 1
        lines.numbers[line] += 1
        moment = round(edge.time * 1e9)
        try:
            lines.events.send(
                EVENT.pack(moment, 1 if edge.high else 2, line, lines.number, lines.numbers[line])
            )
        except OSError:
            lines.lost += 1

    def _line(self, wire: socket.socket, lines: _Lines) -> None:
        raw = self._receive(wire, lambda: self._release(lines))
        if raw is None:
            return None
        request, body = ASKED.unpack_from(raw)[0] & 0xFF, raw[ASKED.size :]
        if request == GET_VALUES:
            _, mask = VALUES.unpack(body)
            return self._answer(wire, body=VALUES.pack(self._levels(lines, mask), mask))
        if request == SET_VALUES:
            return self._set(wire, lines, *VALUES.unpack(body))
        if request == SET_CONFIG:
            task = asyncio.create_task(self._reconfigure(wire, lines, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        return self._answer(wire, error=errno.ENOTTY)

    async def _reconfigure(self, wire: socket.socket, lines: _Lines, body: bytes) -> None:
        self._answer(wire, error=await self._configure(lines, body), body=body)

    def _levels(self, lines: _Lines, mask: int) -> int:
        return sum(
            self.board.level(line) << number
            for number, line in enumerate(lines.offsets)
            if mask >> number & 1
        )

    def _set(self, wire: socket.socket, lines: _Lines, levels: int, mask: int) -> None:
        if not lines.flags & OUTPUT:
            return self._answer(wire, error=errno.EPERM)
        for number, line in enumerate(lines.offsets):
            if mask >> number & 1:
                self.board.drive(line, bool(levels >> number & 1))
        return self._answer(wire, body=VALUES.pack(levels, mask))

    def _release(self, lines: _Lines) -> None:
        """Take lines back: each becomes an input, as on a Pi."""
        for line in lines.offsets:
            self._used.pop(line, None)
            self.board.ignore(line)
            self.board.direct(line, False)
        lines.events.close()


def unpack(raw: bytes) -> list[Message]:
    """Read the messages of a transfer as the shim sends them."""
    messages, at = list[Message](), 0
    while at < len(raw):
        address, flags, length = MESSAGE.unpack_from(raw, at)
        at += MESSAGE.size
        if flags & READ:
            messages.append(Message(address, b"", length))
        else:
            messages.append(Message(address, raw[at : at + length], 0))
            at += length
    return messages


def wire_bits(messages: list[Message]) -> int:
    """Return how many clocks these messages take: nine for each address and byte, one for start and stop."""
    return sum(1 + 9 * (1 + len(each.write) + each.read) for each in messages) + 1
