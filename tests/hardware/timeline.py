"""Time that the rig keeps: the guest's clock stands still while anybody works, and jumps when nobody does.

User Mode Linux asks a calendar for its turn (time-travel=ext, linux/um_timetravel.h). Here the calendar and
the board share an event loop, whose timers run in the same time: what the world does, it does at exactly the
moment of the guest's clock at which it is due, and a day passes as fast as the work in it is done.
"""

import asyncio
import selectors
import socket
import struct
from collections.abc import Callable
from enum import IntEnum
from math import ceil
from typing import Any

MESSAGE = struct.Struct("=IIQ")


class Said(IntEnum):
    """What the guest and its calendar say to each other (enum um_timetravel_ops)."""

    ACK = 0
    REQUEST = 2
    WAIT = 3
    GET = 4
    UPDATE = 5
    RUN = 6
    FREE_UNTIL = 7
    TIME_OF_DAY = 8


MIDNIGHT = 1_780_272_000 * 10**9
"""Where the guest's wall clock starts: 2026-06-01 00:00:00 UTC."""
FREE = 60 * 10**9  # ns that the guest may run by itself when nothing happens in the world


class Calendar:
    """The calendar of one guest, at the socket *path*. Times are whole nanoseconds since its start."""

    def __init__(self, path: str) -> None:
        self.now = 0
        self.waiting = False
        self._wanted = 0
        self._granted = 0
        self._number = 0
        self._owed: list[Callable[[], None]] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(path)
        self._door.listen(1)
        self.guest: socket.socket | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the guest on *loop*."""
        loop.add_reader(self._door, self._accept, loop)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._door)
        self._door.close()
        self._lose(loop)

    def defer(self, acknowledge: Callable[[], None]) -> None:
        """Call *acknowledge* when the world has done what the guest's message brought about."""
        self._owed.append(acknowledge)

    def rest(self, ahead: int | None) -> bool:
        """Do what is to be done when the loop is idle, its next timer *ahead* ns from now.

        Returns whether the loop may go on at once: time has jumped to that timer. Else the guest runs.
        """
        due = self.now + (FREE if ahead is None else min(ahead, FREE))
        if not self.waiting:
            if self._owed and due < self._granted:
                self._grant(due)
            self.acknowledge()
            return False
        if due < self._wanted:
            self.now = due
            return True
        self.now = max(self.now, self._wanted)
        self._grant(max(due, self.now))
        self.waiting = False
        self._tell(Said.RUN, self.now)
        return False

    def acknowledge(self) -> None:
        """Answer every message that the guest waits to have answered."""
        while self._owed:
            self._owed.pop(0)()

    def settle(self, other: socket.socket) -> None:
        """Serve the guest until *other* can be read: it takes note of an interrupt and asks the time."""
        assert self.guest is not None
        with selectors.DefaultSelector() as either:
            for each in (self.guest, other):
                either.register(each, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in either.select()]
                if self.guest in ready:
                    self._serve()
                elif other in ready:
                    return

    def _grant(self, until: int) -> None:
        self._granted = until
        self._tell(Said.FREE_UNTIL, until)

    def _tell(self, what: int, time: int) -> None:
        """Tell the guest, and wait until it has understood."""
        assert self.guest is not None
        self._number += 1
        self.guest.sendall(MESSAGE.pack(what, self._number, time))
        while self._serve() != Said.ACK:
            pass

    def _serve(self) -> int:
        """Take one message of the guest, answer it, and return what it was."""
        assert self.guest is not None
        raw = self.guest.recv(MESSAGE.size, socket.MSG_WAITALL)
        if len(raw) < MESSAGE.size:
            raise ConnectionResetError("the guest has gone")
        what, number, time = MESSAGE.unpack(raw)
        answer = 0
        match what:
            case Said.ACK:
                return Said.ACK
            case Said.REQUEST:
                self._wanted = time
            case Said.WAIT:
                self.waiting = True
            case Said.GET:
                answer = self.now
            case Said.UPDATE:
                self.now = max(self.now, time)
            case Said.TIME_OF_DAY:
                answer = MIDNIGHT + self.now
        self.guest.sendall(MESSAGE.pack(Said.ACK, number, answer))
        return int(what)

    def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        self.guest, _ = self._door.accept()
        loop.add_reader(self.guest, self._message, loop)

    def _message(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._serve()
        except ConnectionError:
            self._lose(loop)

    def _lose(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.guest is not None:
            loop.remove_reader(self.guest)
            self.guest.close()
        self.guest, self.waiting = None, False
        self._owed.clear()


class _Selector(selectors.DefaultSelector):
    """Where the loop would wait for a timer, the calendar decides who is next."""

    calendar: Calendar

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.calendar.guest is None:
            return super().select(timeout)
        if self.calendar.rest(None if timeout is None else ceil(timeout * 1e9)):
            return []
        return super().select(None)


class TimelineLoop(asyncio.SelectorEventLoop):
    """An event loop in the time of a guest, whose calendar it keeps at the socket *path*."""

    def __init__(self, path: str) -> None:
        self.calendar = Calendar(path)
        selector = _Selector()
        selector.calendar = self.calendar
        super().__init__(selector)
        self._clock_resolution = 1e-9
        self.calendar.open(self)

    def time(self) -> float:
        return self.calendar.now / 1e9

    def close(self) -> None:
        if not self.is_closed():
            self.calendar.close(self)
        super().close()
