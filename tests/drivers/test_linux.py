"""I2C through an unmodified smbus2: the ioctl beneath it is ours and reads the kernel's own structs."""

import asyncio
import ctypes
import errno
import os
import threading
import time
from statistics import median

import pytest
from smbus2 import smbus2

from drivers.bin.ina226 import Driver
from drivers.bin.ina226.chip import Emulated
from drivers.bus import BusError, BusTimeout, NoAcknowledge
from drivers.device import Quantity
from drivers.linux import LinuxI2C

I2C_FUNCS, I2C_RDWR = 0x0705, 0x0707
READ = 0x0001


class Message(ctypes.Structure):
    _fields_ = (
        ("addr", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("len", ctypes.c_uint16),
        ("buf", ctypes.POINTER(ctypes.c_uint8)),
    )


class Batch(ctypes.Structure):
    _fields_ = (("msgs", ctypes.POINTER(Message)), ("nmsgs", ctypes.c_uint32))


class Kernel:
    """What i2c-dev and a controller do: chips by address, and errors as the kernel numbers them."""

    def __init__(self):
        self.chips = {}
        self.fail = []
        self.held = threading.Event()
        self.held.set()
        self.log = []
        self.threads = set()
        self.unplugged = False
        self.opening = 0
        self.hangs = None

    def ioctl(self, fd, request, data, mutate=False):
        os.fstat(fd)  # EBADF unless the device is really open
        if self.unplugged:
            raise OSError(errno.ENODEV, "No such device")
        if request == I2C_FUNCS:
            if self.opening:
                raise OSError(self.opening, "as the kernel says")
            return 0
        assert request == I2C_RDWR
        thread = threading.current_thread().name
        self.threads.add(thread)
        if self.hangs in (None, thread):
            self.held.wait(20)
        if self.fail:
            raise OSError(self.fail.pop(0), "as the kernel says")
        return self.carry(ctypes.cast(ctypes.pointer(data), ctypes.POINTER(Batch)).contents)

    def carry(self, batch):
        messages = [batch.msgs[index] for index in range(batch.nmsgs)]
        write, read = b"", 0
        for message in messages:
            if message.flags & READ:
                read = message.len
            else:
                write = bytes(message.buf[: message.len])
        address = messages[0].addr
        self.log.append((address, write, read))
        if address not in self.chips:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        try:
            answer = self.chips[address].transfer(write, read)
        except NoAcknowledge as error:
            raise OSError(errno.EREMOTEIO, "Remote I/O error") from error
        for message in messages:
            if message.flags & READ:
                ctypes.memmove(message.buf, answer, read)
        return batch.nmsgs


class Echo:
    """A target that answers with what was written, over and over."""

    def transfer(self, write, read):
        return (write * read)[:read] if write else bytes(read)


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(smbus2, "ioctl", kernel.ioctl)
    yield kernel
    kernel.held.set()


@pytest.fixture
def path(tmp_path):
    device = tmp_path / "i2c-1"
    device.write_bytes(b"")
    return str(device)


def on_bus(path, main, **options):
    """Run `main(bus)` and close the bus."""

    async def run():
        bus = LinuxI2C(path, **options)
        try:
            return await main(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def test_a_driver_runs_on_it_unchanged(kernel, path, clock):
    kernel.chips[0x40] = chip = Emulated(clock)
    chip.set(Quantity.CURRENT, -3.0)

    async def main(bus):
        part = Driver(bus, 0x40, clock)
        await part.start()
        return await part.measure()

    assert on_bus(path, main)[Quantity.CURRENT] == pytest.approx(-3.0, abs=0.002)


@pytest.mark.parametrize(
    ("write", "read"), [(b"\x01\x02", 0), (b"", 3), (b"\x0a\x0b", 5), (bytes(8192), 8192)]
)
def test_bytes_go_both_ways_in_one_transaction(kernel, path, write, read):
    kernel.chips[0x29] = Echo()
    answer = on_bus(path, lambda bus: bus.transfer(0x29, write, read))
    assert answer == Echo().transfer(write, read)
    assert kernel.log == [(0x29, write, read)]


@pytest.mark.parametrize(
    ("address", "write", "read"),
    [
        (0x07, b"x", 0),
        (0x78, b"x", 0),
        (0x29, b"", 0),
        (0x29, b"", 8193),
        (0x29, bytes(8193), 0),
        (0x29, b"x", -1),
    ],
)
def test_what_no_bus_can_carry_is_refused(kernel, path, address, write, read):
    with pytest.raises(ValueError, match=r"0x77|8192"):
        on_bus(path, lambda bus: bus.transfer(address, write, read))
    assert kernel.log == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EREMOTEIO, NoAcknowledge),
        (errno.ENXIO, NoAcknowledge),
        (errno.EIO, NoAcknowledge),
        (errno.ENODEV, NoAcknowledge),
        (errno.ETIMEDOUT, BusTimeout),
        (errno.EBUSY, BusTimeout),
        (errno.EAGAIN, BusError),
        (errno.EINVAL, BusError),
        (errno.EOPNOTSUPP, BusError),
        (errno.EPROTO, BusError),
    ],
)
def test_errors_of_the_kernel_are_folded_into_three(kernel, path, number, kind):
    kernel.chips[0x29] = Echo()
    kernel.fail = [number]

    async def main(bus):
        with pytest.raises(BusError) as raised:
            await bus.transfer(0x29, b"\x01", 1)
        return raised.value, await bus.transfer(0x29, b"\x07", 1)

    error, after = on_bus(path, main)
    assert type(error) is kind
    assert error.errno == number
    assert path in str(error)
    assert after == b"\x07"


def test_nobody_at_the_address(kernel, path):
    with pytest.raises(NoAcknowledge, match="no target answers at 0x44"):
        on_bus(path, lambda bus: bus.transfer(0x44, b"\x01", 1))


def test_an_adapter_that_knows_only_smbus_is_told(kernel, path):
    kernel.fail = [errno.EOPNOTSUPP]
    with pytest.raises(BusError, match="only SMBus: use another"):
        on_bus(path, lambda bus: bus.transfer(0x44, b"\x01", 1))


def test_a_missing_bus_says_what_to_do_and_may_come_later(kernel, path):
    kernel.chips[0x29] = Echo()
    os.unlink(path)

    async def main(bus):
        for _ in range(2):
            with pytest.raises(BusError, match=r"cannot be opened: turn I2C on .*dtparam"):
                await bus.transfer(0x29, b"\x01", 1)
        with open(path, "wb"):
            return await bus.transfer(0x29, b"\x05", 1)

    assert on_bus(path, main) == b"\x05"


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EACCES, "group i2c"), (errno.ENOTTY, "not an I2C bus"), (errno.EMFILE, "open files")],
)
def test_a_bus_that_cannot_be_opened_says_what_to_do(kernel, path, number, advice):
    kernel.opening = number
    with pytest.raises(BusError, match=advice):
        on_bus(path, lambda bus: bus.transfer(0x29, b"\x01", 1))


def test_a_controller_that_was_unplugged_is_opened_again(kernel, path):
    """Its old file never works again; the new one has another inode at the same path."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        await bus.transfer(0x29, b"\x01", 1)
        before = bus._worker.bus.fd, os.fstat(bus._worker.bus.fd).st_ino
        kernel.unplugged = True
        for _ in range(2):
            with pytest.raises(BusError):
                await bus.transfer(0x29, b"\x01", 1)
        os.rename(path, path + ".old")
        with open(path, "wb"):
            kernel.unplugged = False
            answer = await bus.transfer(0x29, b"\x03", 1)
        return answer, before[1] != os.fstat(bus._worker.bus.fd).st_ino

    assert on_bus(path, main) == (b"\x03", True)


def open_files(path):
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.exists(link) and os.readlink(link) == path for link in links)


def test_no_file_is_left_open(kernel, path):
    """Neither after a controller that fails while it is opened, nor after close."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.unplugged = True
        with pytest.raises(BusError, match="plug it in again"):
            await bus.transfer(0x29, b"\x01", 1)
        failed = open_files(path)
        kernel.unplugged = False
        await bus.transfer(0x29, b"\x01", 1)
        return failed, open_files(path)

    assert on_bus(path, main) == (0, 1)
    for _ in range(100):
        if not open_files(path):
            break
        time.sleep(0.01)
    assert open_files(path) == 0


def test_transfers_keep_their_order_and_one_thread(kernel, path):
    kernel.chips[0x29] = Echo()

    async def main(bus):
        return await asyncio.gather(*(bus.transfer(0x29, bytes([n]), 1) for n in range(50)))

    assert on_bus(path, main) == [bytes([n]) for n in range(50)]
    assert [write[0] for _, write, _ in kernel.log] == list(range(50))
    assert kernel.threads == {f"i2c {path}"}


def test_a_hang_is_told_once_late_and_then_at_once(kernel, path):
    """One transfer waits out the timeout; all later ones fail at once, and none of them reaches the wires."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        await bus.transfer(0x29, b"\x01", 1)
        kernel.held.clear()
        times = []
        for _ in range(20):
            began = time.monotonic()
            with pytest.raises(BusTimeout, match="hangs for"):
                await bus.transfer(0x29, b"\x02", 1)
            times.append(time.monotonic() - began)
        kernel.held.set()
        await asyncio.sleep(0.1)
        return times, await bus.transfer(0x29, b"\x03", 1)

    times, after = on_bus(path, main, timeout=0.2)
    assert times[0] > 0.15
    assert median(times[1:]) < 0.1, "each fails at once, or as soon as a busy machine lets it"
    assert after == b"\x03"
    assert [write for _, write, _ in kernel.log] == [b"\x01", b"\x02", b"\x03"]


def test_callers_that_give_up_early_do_not_pile_up(kernel, path):
    """Deadlines shorter than the bus's own: the worker still holds one transfer, not one for each of them."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        for number in range(20):
            with pytest.raises((TimeoutError, BusTimeout)):
                async with asyncio.timeout(0.02):
                    await bus.transfer(0x29, bytes([number]), 1)
        kernel.held.set()
        await asyncio.sleep(0.1)
        return await bus.transfer(0x29, b"\x63", 1)

    assert on_bus(path, main, timeout=0.2) == b"\x63"
    assert [write[0] for _, write, _ in kernel.log][1:] == [0x63], "one of the twenty, and not each of them"


def test_a_bus_that_hangs_is_begun_anew(kernel, path):
    """The worker that hangs is left behind, another one carries on with a device of its own."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        await bus.transfer(0x29, b"\x01", 1)
        before = bus._worker.bus.fd
        bus._worker._thread.name = kernel.hangs = "the first"
        kernel.held.clear()
        with pytest.raises(BusTimeout):
            await bus.transfer(0x29, b"\x02", 1)
        await bus.recover()
        answer = await bus.transfer(0x29, b"\x03", 1)
        after = bus._worker.bus.fd
        kernel.held.set()
        await asyncio.sleep(0.1)
        return answer, before != after, [worker.alive for worker in bus._left]

    assert on_bus(path, main, timeout=0.2) == (b"\x03", True, [False])


def test_no_more_than_a_few_workers_are_left_behind(kernel, path):
    async def main(bus):
        kernel.held.clear()
        for _ in range(6):
            with pytest.raises(BusTimeout):
                await bus.transfer(0x29, b"\x01", 1)
            await bus.recover()
        left = len(bus._left)
        kernel.held.set()
        return left

    assert on_bus(path, main, timeout=0.05) == 3


def test_the_bus_goes_on_while_the_loop_is_busy(kernel, path):
    """What waits is carried from the worker's own queue, and nobody's answer is another's."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        waiting = [asyncio.create_task(bus.transfer(0x29, bytes([n]), 1)) for n in range(8)]
        await asyncio.sleep(0)
        for _ in range(200):
            time.sleep(0.01)
            if len(kernel.log) == 8:
                break
        carried = len(kernel.log)
        return carried, await asyncio.gather(*waiting)

    assert on_bus(path, main) == (8, [bytes([n]) for n in range(8)])


def test_a_transfer_has_its_time_from_when_it_is_on_the_wires(kernel, path):
    """Four that wait for each other take longer than the timeout together, and none of them hangs."""

    class Tardy(Echo):
        def transfer(self, write, read):
            time.sleep(0.3)
            return super().transfer(write, read)

    kernel.chips[0x29] = Tardy()

    async def main(bus):
        return await asyncio.gather(*(bus.transfer(0x29, bytes([n]), 1) for n in range(4)))

    assert on_bus(path, main, timeout=1.0) == [bytes([n]) for n in range(4)]


def test_what_waits_is_carried_when_the_bus_is_begun_anew(kernel, path):
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        waiting = [asyncio.create_task(bus.transfer(0x29, bytes([n]), 1)) for n in range(3)]
        await asyncio.sleep(0.05)
        await bus.recover()
        kernel.held.set()
        return await asyncio.gather(*waiting, bus.transfer(0x29, b"\x09", 1))

    assert on_bus(path, main) == [b"\x00", b"\x01", b"\x02", b"\x09"]


def test_what_waits_when_the_bus_is_closed_is_told_so(kernel, path):
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        waiting = [asyncio.create_task(bus.transfer(0x29, bytes([n]), 1)) for n in range(3)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(bus.close())
        await asyncio.sleep(0)
        kernel.held.set()
        await closing
        return [str(each) for each in await asyncio.gather(*waiting, return_exceptions=True)]

    first, *others = on_bus(path, main)
    assert first == str(b"\x00")
    assert others == [f"{path} has been closed"] * 2
    assert [write for _, write, _ in kernel.log] == [b"\x00"]


class Slow(Echo):
    """A target that keeps a transfer until its event comes."""

    def __init__(self):
        self.events = {1: threading.Event(), 2: threading.Event()}

    def transfer(self, write, read):
        self.events[write[0]].wait(20)
        return super().transfer(write, read)


def test_of_many_that_wait_only_one_is_on_the_wires(kernel, path):
    """Twenty wait for a slow transfer, then the next one hangs: the others are told, and never carried."""
    kernel.chips[0x29] = slow = Slow()

    async def main(bus):
        first = asyncio.create_task(bus.transfer(0x29, b"\x01", 1))
        others = [asyncio.create_task(bus.transfer(0x29, b"\x02", 1)) for _ in range(20)]
        await asyncio.sleep(0.05)
        slow.events[1].set()
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        slow.events[2].set()
        await asyncio.sleep(0.1)
        return await first, {type(each) for each in outcomes}

    assert on_bus(path, main, timeout=0.2) == (b"\x01", {BusTimeout})
    assert [write for _, write, _ in kernel.log] == [b"\x01", b"\x02"]


def test_a_caller_waits_for_the_transfer_of_one_that_gave_up(kernel, path):
    """It is not mistaken for a hang, and its answer not for the next one's."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        first = asyncio.create_task(bus.transfer(0x29, b"\x01", 1))
        await asyncio.sleep(0.05)
        first.cancel()
        second = asyncio.create_task(bus.transfer(0x29, b"\x02", 1))
        await asyncio.sleep(0.05)
        kernel.held.set()
        return await second

    assert on_bus(path, main) == b"\x02"


def test_a_hang_holds_up_neither_the_loop_nor_another_bus(kernel, path, tmp_path):
    kernel.chips[0x29] = Echo()
    kernel.hangs = f"i2c {path}"
    other = tmp_path / "i2c-2"
    other.write_bytes(b"")

    async def main(bus):
        kernel.held.clear()
        hanging = asyncio.create_task(bus.transfer(0x29, b"\x01", 1))
        await asyncio.sleep(0.05)
        second = LinuxI2C(str(other))
        answers = [await second.transfer(0x29, bytes([n]), 1) for n in range(10)]
        await second.close()
        waits = not hanging.done()
        kernel.held.set()
        return answers, waits, await hanging

    assert on_bus(path, main) == ([bytes([n]) for n in range(10)], True, b"\x01")


def test_closing_does_not_wait_for_a_hang(kernel, path):
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        with pytest.raises(BusTimeout):
            await bus.transfer(0x29, b"\x01", 1)

    began = time.monotonic()
    on_bus(path, main, timeout=0.1)
    assert time.monotonic() - began < 10.0


def test_a_closed_bus_says_so(kernel, path):
    async def main(bus):
        await bus.close()
        with pytest.raises(BusError, match="has been closed"):
            await bus.transfer(0x29, b"\x01", 1)

    on_bus(path, main)


def test_an_answer_after_the_loop_has_gone_is_dropped(kernel, path):
    """The worker outlives the loop that asked; it must end quietly."""
    kernel.chips[0x29] = Echo()

    async def main(bus):
        kernel.held.clear()
        with pytest.raises(BusTimeout):
            await bus.transfer(0x29, b"\x01", 1)
        # or a transfer that never returns would keep the process from ending
        assert bus._worker._thread.daemon
        return bus._worker._thread

    worker = on_bus(path, main, timeout=0.1)
    kernel.held.set()
    worker.join(5)
    assert not worker.is_alive()
