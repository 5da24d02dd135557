"""I2C on the kernel's /dev/i2c-N. The only importer of smbus2.

Each bus has one worker thread, so that a transfer that hangs in the kernel holds up neither the event loop
nor another bus. Transfers wait in the worker's own queue: it goes from one to the next without the loop, and
the bus does not stand still while the loop thinks about the last answer.
"""

import asyncio
import errno
import os
import queue
import threading
from collections import deque
from dataclasses import dataclass

from smbus2 import SMBus, i2c_msg

from drivers.bus import BusError, BusTimeout, NoAcknowledge

LONGEST = 8192  # bytes in one message (I2C_RDWR, i2c-dev.c)
LEFT_BEHIND = 3  # workers that may hang in the kernel at a time

FAULTS: dict[int, type[BusError]] = {
    # Kernel documentation, "I2C/SMBUS Fault Codes", and what controllers really give for an absent target.
    errno.EREMOTEIO: NoAcknowledge,  # i2c-bcm2835 and most others
    errno.ENXIO: NoAcknowledge,  # what the documentation asks for
    errno.EIO: NoAcknowledge,  # controllers that do not tell an address from a data NACK
    errno.ENODEV: NoAcknowledge,  # i2c-stub; also a controller that was unplugged
    errno.ETIMEDOUT: BusTimeout,
    errno.EBUSY: BusTimeout,  # SDA or SCL held low
}
ADVICE = {
    errno.ENOENT: "turn I2C on (raspi-config, or dtparam=i2c_arm=on in config.txt) or correct the path",
    errno.ENODEV: "its controller is gone: plug it in again",
    errno.ENXIO: "its controller is gone: plug it in again",
    errno.EACCES: "let the user of the daemon into the group i2c",
    errno.EPERM: "let the user of the daemon into the group i2c",
    errno.ENOTTY: "this is not an I2C bus: correct the path",
    errno.EOPNOTSUPP: "this controller cannot carry plain I2C transfers, only SMBus: use another",
}


@dataclass(slots=True)
class _Job:
    """One transfer on its way through the worker, which leaves out those that nobody waits for any more."""

    address: int
    write: bytes
    read: int
    done: "asyncio.Future[bytes | BusError]"


class _Worker:
    """A thread that carries transfers over the bus at *path*, one after the other, until it is told None.

    It is a daemon thread: one that hangs in the kernel does not keep the process from ending. *timeout* [s]
    is the longest that a transfer may take; then all that wait are told, and none of them is carried.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self.path = path
        self.bus: SMBus | None = None
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._given: deque[_Job] = deque()  # the first is on the wires, or was skipped just now
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._outcomes: deque[bytes | BusError] = deque()
        self._woken = False
        self._thread = threading.Thread(target=self._work, name=f"i2c {path}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    @property
    def current(self) -> "asyncio.Future[bytes | BusError] | None":
        """What waits for the transfer on the wires."""
        return self._given[0].done if self._given else None

    def hang(self) -> BusTimeout | None:
        """Return how long the transfer on the wires has taken, if that is too long."""
        if not self._given or (stuck := self._loop.time() - self._since) < self._timeout:
            return None
        where = f"a transfer to {self._given[0].address:#04x}"
        return BusTimeout(f"{self.path} hangs for {stuck:.1f} s in {where}")

    def put(self, job: _Job) -> None:
        """Have *job* carried after those before it."""
        if not self._given:
            self._since = self._loop.time()
        self._given.append(job)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)
        self._jobs.put(job)

    def end(self, error: BusError | None = None) -> None:
        """End after what waits; or, with *error*, give that to all but the transfer on the wires."""
        if error:
            self._tell(error, 1)
        self._jobs.put(None)

    def _look(self) -> None:
        """Look whether the transfer on the wires hangs; one timer does for many transfers."""
        self._timer = None
        if error := self.hang():
            self._tell(error, 0)
        elif self._given:
            self._timer = self._loop.call_at(self._since + self._timeout, self._look)

    def _tell(self, error: BusError, first: int) -> None:
        for job in list(self._given)[first:]:
            if not job.done.done():
                job.done.set_result(error)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome = b"" if job.done.done() else self._carry(job)
            self._outcomes.append(outcome)
            if self._woken:
                continue  # the loop is busy, and will find this outcome with the one before
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:  # the loop has been closed: nobody waits any more
                break
        self._shut()

    def _settle(self) -> None:
        self._woken = False  # before looking: an outcome that comes now wakes the loop again
        while self._outcomes:
            outcome, job = self._outcomes.popleft(), self._given.popleft()
            if not job.done.done():
                job.done.set_result(outcome)
        self._since = self._loop.time()

    def _carry(self, job: _Job) -> bytes | BusError:
        try:
            bus = self._opened()
        except OSError as error:
            return self._error(error, f"{self.path} cannot be opened")
        messages = [i2c_msg.write(job.address, job.write)] if job.write else []
        if job.read:
            messages.append(i2c_msg.read(job.address, job.read))
        try:
            bus.i2c_rdwr(*messages)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EBADF):
                self._shut()
            return self._fault(error, job.address)
        return bytes(messages[-1]) if job.read else b""

    def _opened(self) -> SMBus:
        if self.bus is None:
            bus = SMBus()
            try:
                bus.open(self.path)
            except OSError:
                bus.close()
                raise
            self.bus = bus
        return self.bus

    def _shut(self) -> None:
        if self.bus is not None:
            self.bus.close()
            self.bus = None

    def _fault(self, error: OSError, address: int) -> BusError:
        kind = FAULTS.get(error.errno or 0, BusError)
        if kind is NoAcknowledge:
            return _coded(NoAcknowledge(f"no target answers at {address:#04x} on {self.path}"), error)
        if kind is BusTimeout:
            return _coded(BusTimeout(f"{self.path} is stuck: a line is held, or a target stretches"), error)
        return self._error(error, f"{self.path} did not carry a transfer to {address:#04x}")

    def _error(self, error: OSError, what: str) -> BusError:
        advice = ADVICE.get(error.errno or 0)
        reason = advice or os.strerror(error.errno or 0).lower()
        return _coded(BusError(f"{what}: {reason}"), error)


class LinuxI2C:
    """The bus at *path*, such as "/dev/i2c-1": opened at its first transfer, and again when it had vanished.

    A missing bus is told by each transfer, as a BusError, so that it may appear later. *timeout* [s] is the
    longest that a transfer may take; the kernel's own is 1 s. It belongs to the loop of its first transfer.
    """

    def __init__(self, path: str, timeout: float = 2.0) -> None:
        self.path = path
        self._timeout = timeout
        self._closed = False
        self._hired: _Worker | None = None
        self._left: list[_Worker] = []

    @property
    def _worker(self) -> _Worker:
        if self._hired is None:
            self._hired = _Worker(self.path, self._timeout)
        return self._hired

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer; see drivers.bus.I2C.

        While an earlier transfer hangs in the kernel for longer than the timeout, raises BusTimeout at once.
        Raises ValueError for what no bus can carry.
        """
        _check(address, write, read)
        if self._closed:
            raise BusError(f"{self.path} has been closed")
        worker = self._worker
        if hang := worker.hang():
            raise hang
        job = _Job(address, bytes(write), read, asyncio.get_running_loop().create_future())
        worker.put(job)
        outcome = await job.done
        if isinstance(outcome, BusError):
            raise outcome
        return outcome

    async def recover(self) -> None:
        """Begin anew with a bus that hangs: another worker, which opens the device at its first transfer.

        The nine clocks that make a target let go of SDA are the kernel's to give: its driver for the
        controller does so at a timeout, where the controller can, and there is no other way to ask for them.
        A worker that hangs in the kernel is left behind, and ends when it comes back; more than LEFT_BEHIND
        of them are not risked.
        """
        self._left = [worker for worker in self._left if worker.alive]
        if self._closed or self._hired is None or len(self._left) >= LEFT_BEHIND:
            return
        self._hired.end()
        self._left.append(self._hired)
        self._hired = None

    async def close(self) -> None:
        """Let the worker finish and close the device; a hanging transfer is left behind."""
        self._closed = True
        if self._hired is None:
            return
        self._hired.end(BusError(f"{self.path} has been closed"))
        if (current := self._hired.current) and not current.done():
            await asyncio.wait({current}, timeout=0.1)


def _coded(error: BusError, cause: OSError) -> BusError:
    error.errno = cause.errno
    return error


def _check(address: int, write: bytes, read: int) -> None:
    if not 0x08 <= address <= 0x77:
        raise ValueError(f"address {address:#04x} is outside 0x08 to 0x77")
    if not (write or read) or read < 0 or max(len(write), read) > LONGEST:
        raise ValueError(f"a transfer carries 1 to {LONGEST} bytes each way")
