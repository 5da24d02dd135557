"""I2C on the kernel's /dev/i2c-N. The only importer of smbus2.

Each bus has one worker thread, so that a transfer that hangs in the kernel holds up neither the event loop
nor another bus. At most one transfer is in the worker at any time.
"""

import asyncio
import errno
import os
import queue
import threading
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


@dataclass
class _Job:
    """One transfer on its way through the worker."""

    address: int
    write: bytes
    read: int
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[bytes | BusError]"

    def finish(self, outcome: bytes | BusError) -> None:
        """Hand *outcome* to the loop, from the worker's thread."""
        try:
            self.loop.call_soon_threadsafe(self._settle, outcome)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            return

    def _settle(self, outcome: bytes | BusError) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class _Worker:
    """A thread that carries transfers over the bus at *path*, one after the other, until it is told None.

    It is a daemon thread: one that hangs in the kernel does not keep the process from ending.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bus: SMBus | None = None
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"i2c {path}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            job.finish(self._carry(job))
        self._shut()

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
    longest that a transfer may take; the kernel's own is 1 s.
    """

    def __init__(self, path: str, timeout: float = 2.0) -> None:
        self.path = path
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._current: _Job | None = None
        self._since = 0.0
        self._closed = False
        self._worker = _Worker(path)
        self._left: list[_Worker] = []

    async def transfer(self, address: int, write: bytes = b"", read: int = 0) -> bytes:
        """Carry one transfer; see drivers.bus.I2C.

        While an earlier transfer hangs in the kernel for longer than the timeout, raises BusTimeout at once.
        Raises ValueError for what no bus can carry.
        """
        _check(address, write, read)
        async with self._turn:
            if self._closed:
                raise BusError(f"{self.path} has been closed")
            await self._free()
            loop = asyncio.get_running_loop()
            self._current = _Job(address, bytes(write), read, loop, loop.create_future())
            self._since = loop.time()
            self._worker.jobs.put(self._current)
            outcome = await self._outcome(self._current)
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
        async with self._turn:
            self._left = [worker for worker in self._left if worker.alive]
            if self._closed or len(self._left) >= LEFT_BEHIND:
                return
            self._worker.jobs.put(None)
            self._left.append(self._worker)
            self._worker, self._current = _Worker(self.path), None

    async def close(self) -> None:
        """Let the worker finish and close the device; a hanging transfer is left behind."""
        self._closed = True
        self._worker.jobs.put(None)
        if self._current is not None and not self._current.done.done():
            await asyncio.wait({self._current.done}, timeout=0.1)

    async def _free(self) -> None:
        """Wait until the worker has returned from a transfer whose caller has given up."""
        if self._current is not None:
            await self._outcome(self._current)

    async def _outcome(self, job: _Job) -> bytes | BusError:
        """Return what became of *job*. Raises BusTimeout when it is late; it stays in the worker then."""
        loop = asyncio.get_running_loop()
        left = self._since + self._timeout - loop.time()
        if not job.done.done() and left > 0:
            # wait() leaves the future alone when this task is cancelled: the worker still owns it.
            await asyncio.wait({job.done}, timeout=left)
        if not job.done.done():
            stuck = loop.time() - self._since
            raise BusTimeout(f"{self.path} hangs for {stuck:.1f} s in a transfer to {job.address:#04x}")
        return job.done.result()


def _coded(error: BusError, cause: OSError) -> BusError:
    error.errno = cause.errno
    return error


def _check(address: int, write: bytes, read: int) -> None:
    if not 0x08 <= address <= 0x77:
        raise ValueError(f"address {address:#04x} is outside 0x08 to 0x77")
    if not (write or read) or read < 0 or max(len(write), read) > LONGEST:
        raise ValueError(f"a transfer carries 1 to {LONGEST} bytes each way")
