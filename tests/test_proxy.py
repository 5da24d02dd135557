"""The proxy that the fault suite trusts: each fault is what it says, and ends when it is told to."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Packets, Proxy


class Echo:
    """A server that says everything back, and closes when its client does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = b""
        self.ends = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._say, args=(taken,), daemon=True))
            self._threads[-1].start()

    def _say(self, taken: socket.socket) -> None:
        with taken:
            try:
                while data := taken.recv(65536):
                    self.heard += data
                    taken.sendall(data)
            except OSError:
                pass
            self.ends += 1


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as made:
        yield made


def client(proxy: Proxy, seconds: float = 2.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds)


def exactly(found: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (some := found.recv(65536)):
        data += some
    return data


def silent(found: socket.socket) -> bool:
    """Whether nothing comes, not even the end."""
    found.settimeout(0.15)
    try:
        found.recv(1)
    except TimeoutError:
        return True
    finally:
        found.settimeout(2.0)
    return False


def test_a_good_proxy_carries_everything_and_the_end(proxy: Proxy, echo: Echo) -> None:
    sent = bytes(range(256)) * 1000
    with client(proxy) as found:
        threading.Thread(target=found.sendall, args=(sent,)).start()
        assert exactly(found, len(sent)) == sent
        found.shutdown(socket.SHUT_WR)
        assert found.recv(1) == b""
    assert echo.heard == sent
    assert len(proxy.connects) == 1


def test_a_delay_holds_up_but_does_not_limit(proxy: Proxy) -> None:
    proxy.delay(0.1)
    with client(proxy) as found:
        began = time.monotonic()
        found.sendall(b"x" * 200_000)
        assert len(exactly(found, 200_000)) == 200_000
    assert 0.2 <= time.monotonic() - began < 2.0, "not once for each of 13 pieces, there and back"


def test_a_slow_line_has_its_rate(proxy: Proxy) -> None:
    proxy.slow(100_000)
    with client(proxy) as found:
        began = time.monotonic()
        found.sendall(b"x" * 40_000)
        assert len(exactly(found, 40_000)) == 40_000
        assert 0.3 <= time.monotonic() - began < 4.0


def test_what_is_swallowed_was_heard_and_the_connection_is_reset_later(proxy: Proxy, echo: Echo) -> None:
    with client(proxy) as found:
        proxy.swallow()
        found.sendall(b"hello")
        assert silent(found)
        assert echo.heard == b"hello"
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            found.recv(1)
    with client(proxy) as found:
        found.sendall(b"again")
        assert exactly(found, 5) == b"again"


def test_a_partition_is_silent_and_what_was_sent_arrives_later(proxy: Proxy, echo: Echo) -> None:
    with client(proxy) as found:
        proxy.partition()
        found.sendall(b"one")
        with client(proxy) as other:
            other.sendall(b"two")
            assert silent(found)
            assert silent(other)
            assert echo.heard == b""
            proxy.heal()
            assert (exactly(found, 3), exactly(other, 3)) == (b"one", b"two")


def test_half_open_connections_take_everything_and_never_answer(proxy: Proxy, echo: Echo) -> None:
    with client(proxy) as old:
        old.sendall(b"a")
        assert old.recv(1) == b"a"
        proxy.half_open()
        old.sendall(b"b" * 300_000)
        with client(proxy) as new:
            new.sendall(b"c")
            assert silent(old)
            assert silent(new)
            proxy.heal()
            assert silent(old), "the dead do not come back"
            assert silent(new)
        with client(proxy) as newest:
            newest.sendall(b"d")
            assert newest.recv(1) == b"d"
    assert echo.heard == b"ad"
    assert echo.ends >= 1, "the server has lost its client"


def test_a_reset_is_an_error_on_both_sides(proxy: Proxy, echo: Echo) -> None:
    with client(proxy) as found:
        found.sendall(b"a")
        assert found.recv(1) == b"a"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            found.recv(1)
    deadline = time.monotonic() + 2
    while not echo.ends:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_where_nobody_listens_connections_are_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Proxy(port) as proxy, pytest.raises(ConnectionResetError), client(proxy) as found:
        found.recv(1)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_packets_are_found_however_they_are_cut(step: int) -> None:
    stream = b"\x10\x02ab" + b"\x32\x81\x01" + b"x" * 129 + b"\xc0\x00" + b"\x30\x01y" + b"\xe0\x00"
    packets = Packets()
    found = [kind for at in range(0, len(stream), step) for kind in packets.feed(stream[at : at + step])]
    assert found == [0x10, 0x32, 0xC0, 0x30, 0xE0]


def test_published_messages_are_counted_by_the_second(proxy: Proxy) -> None:
    with client(proxy) as found:
        found.sendall(b"\x32\x01y" * 5 + b"\x30\x01y" * 3 + b"\xc0\x00")
        exactly(found, 26)
    assert proxy.most_in_a_second(0.0) == 5
    assert proxy.most_in_a_second(time.monotonic()) == 0
