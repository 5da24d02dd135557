"""The board as virtio devices: an I2C controller and a GPIO chip (Virtual I/O Device 1.2, 5.17 and 5.18)."""

import asyncio
import struct
from collections.abc import Callable
from functools import partial

from drivers.bus import Edge
from tests.hardware.board import LINES, Board, Message
from tests.hardware.vhost import Backend, Request

I2C_ID, GPIO_ID = 34, 41

# 5.17
READ, FAIL_NEXT = 1 << 1, 1 << 0
I2C_HEAD = struct.Struct("<HHI")

# 5.18
NAMES, GET_DIRECTION, SET_DIRECTION, GET_VALUE, SET_VALUE, IRQ_TYPE = range(1, 7)
OUT, IN = 1, 2
RISING, FALLING, BOTH = 1, 2, 3
VALID, INVALID = 1, 0
GPIO_HEAD = struct.Struct("<HHI")


class I2C:
    """The board's bus. Requests that belong together come in one kick, all but the last marked so."""

    features = 1 << 0  # zero-length requests, which Linux insists on
    queues = 1
    config = b""

    def __init__(self, board: Board) -> None:
        self._board = board

    def lost(self) -> None:
        """Nothing: the bus remembers nothing."""

    def asked(self, backend: Backend, queue: int, requests: list[Request]) -> None:
        batch: list[Request] = []
        for request in requests:
            batch.append(request)
            if not I2C_HEAD.unpack_from(request.out)[2] & FAIL_NEXT:
                self._carry(backend, queue, batch)
                batch = []

    def _carry(self, backend: Backend, queue: int, batch: list[Request]) -> None:
        delay = self._board.stall.pop(0) if self._board.stall else 0.0
        try:
            answers, failed = self._board.carry([_message(each) for each in batch]), False
        except OSError:
            answers, failed = [], True

        def settle() -> None:
            for request in batch:
                reads = len(request.room) > 1
                if reads and not failed:
                    request.room[0][:] = answers.pop(0)
                request.room[-1][:1] = bytes([failed])
                backend.answer(queue, request.head, 1 + (len(request.room[0]) if reads else 0))

        if delay:
            asyncio.get_running_loop().call_later(delay, settle)
        else:
            settle()


def _message(request: Request) -> Message:
    address, _, flags = I2C_HEAD.unpack_from(request.out)
    reads = len(request.room[0]) if flags & READ and len(request.room) > 1 else 0
    return Message(address >> 1, request.out[I2C_HEAD.size :], reads)


class Gpio:
    """The board's header. An edge is told when the guest has a buffer ready; until then one is kept."""

    features = 1 << 0  # interrupts
    queues = 2

    def __init__(self, board: Board) -> None:
        self._board = board
        self._names = b"".join(b"GPIO%d\0" % line for line in range(LINES))
        self.config = struct.pack("<HHI", LINES, 0, len(self._names))
        self.lost()

    def lost(self) -> None:
        """Let go of every line."""
        self._types = [0] * LINES
        self._buffers: dict[int, Request] = {}
        self._kept: set[int] = set()
        for line in range(LINES):
            self._board.ignore(line)
            self._board.direct(line, False)

    def asked(self, backend: Backend, queue: int, requests: list[Request]) -> None:
        for request in requests:
            if queue:
                self._offered(backend, request)
            else:
                self._act(backend, request)

    def _act(self, backend: Backend, request: Request) -> None:
        kind, line, value = GPIO_HEAD.unpack_from(request.out)
        answer = partial(self._answer, backend, request)
        if kind == NAMES:
            return answer(self._names)
        if line >= LINES:
            return answer(b"\0", failed=True)
        if kind == IRQ_TYPE:
            return self._watch(backend, line, value, answer)
        return answer(self._settle(kind, line, value))

    def _settle(self, kind: int, line: int, value: int) -> bytes:
        if kind == GET_DIRECTION:
            return bytes([OUT if line in self._board.pins.outputs else IN])
        if kind == GET_VALUE:
            return bytes([self._board.level(line)])
        if kind == SET_VALUE:
            self._board.drive(line, bool(value))
        elif kind == SET_DIRECTION:
            self._board.direct(line, value == OUT)
        return b"\0"

    def _answer(self, backend: Backend, request: Request, body: bytes, failed: bool = False) -> None:
        request.room[0][: 1 + len(body)] = bytes([failed]) + body
        backend.answer(0, request.head, 1 + len(body))

    def _watch(self, backend: Backend, line: int, kind: int, answer: Callable[[bytes], None]) -> None:
        self._types[line] = kind
        self._kept.discard(line)
        if not kind:
            self._board.ignore(line)
            answer(b"\0")
            if line in self._buffers:
                self._told(backend, line, INVALID)
            return

        async def listen() -> None:
            await self._board.listen(line, partial(self._edge, backend))
            answer(b"\0")

        self._task = asyncio.create_task(listen(), name=f"interrupt of line {line}")

    def _offered(self, backend: Backend, request: Request) -> None:
        (line,) = struct.unpack_from("<H", request.out)
        self._buffers[line] = request
        if line in self._kept:
            self._kept.discard(line)
            self._told(backend, line, VALID)

    def _edge(self, backend: Backend, line: int, edge: Edge) -> None:
        if not self._types[line] & (RISING if edge.high else FALLING):
            return
        if line in self._buffers:
            self._told(backend, line, VALID)
        else:
            self._kept.add(line)

    def _told(self, backend: Backend, line: int, status: int) -> None:
        request = self._buffers.pop(line)
        request.room[0][:1] = bytes([status])
        backend.answer(1, request.head, 1)
