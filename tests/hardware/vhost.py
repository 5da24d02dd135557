"""Virtio devices of a User Mode Linux, answered from Python over vhost-user.

What the kernel asks for comes as messages on a socket; the requests themselves lie in the guest's memory, in
queues of descriptors (Virtual I/O Device 1.2, section 2.7). Both directions of notification are messages as
well (VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS), so that nothing happens behind the back of a rig that
keeps the guest's time.
"""

import array
import asyncio
import mmap
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import NamedTuple, Protocol

from tests.hardware.timeline import Calendar

VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
REPLY_ACK, BACKEND_REQUESTS, CONFIG, INBAND = 1 << 3, 1 << 5, 1 << 9, 1 << 14


class Ask(IntEnum):
    """What the kernel asks of a backend (vhost-user protocol, "Front-end message types")."""

    GET_FEATURES = 1
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    GET_PROTOCOL_FEATURES = 15
    GET_QUEUE_NUM = 17
    SET_BACKEND_REQ_FD = 21
    GET_CONFIG = 24
    VRING_KICK = 35


CALL = 4  # what a backend tells the kernel: an interrupt
VERSION, REPLY, NEED_REPLY = 1, 1 << 2, 1 << 3

HEADER, REGION, STATE = struct.Struct("=III"), struct.Struct("=QQQQ"), struct.Struct("=II")
ADDRESS, SOUGHT = struct.Struct("=IIQQQQ"), struct.Struct("=III")
DESCRIPTOR, USED = struct.Struct("=QIHH"), struct.Struct("=II")
NEXT, WRITE, INDIRECT = 1, 2, 4


class Request(NamedTuple):
    """One request of the guest: what it says, and where it waits for the answer."""

    head: int
    out: bytes
    room: list[memoryview]


class Face(Protocol):
    """What a kind of device makes of requests. It answers with `Backend.answer`, now or later."""

    features: int
    queues: int
    config: bytes

    def asked(self, backend: "Backend", queue: int, requests: list[Request]) -> None: ...

    def lost(self) -> None:
        """The guest is gone."""
        ...


@dataclass
class _Queue:
    size: int = 0
    descriptors: int = 0
    available: int = 0
    used: int = 0
    next: int = 0


class _Region:
    """A part of the guest's memory, by the guest's physical addresses and by its own process's."""

    def __init__(self, region: tuple[int, int, int, int], descriptor: int) -> None:
        self.guest, self.size, self.user, self.offset = region
        self.bytes = memoryview(mmap.mmap(descriptor, self.size + self.offset))
        os.close(descriptor)


class Backend:
    """One device at the socket *path*, on the running loop. One guest at a time.

    With a *calendar* the guest lives in the rig's time: it is given its answers only when the world has done
    what its requests brought about, and it takes note of an interrupt before anything else happens.
    """

    def __init__(self, path: str, face: Face, calendar: Calendar | None = None) -> None:
        self._face = face
        self._calendar = calendar
        self._loop = asyncio.get_running_loop()
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(path)
        self._door.listen(1)
        self._loop.add_reader(self._door, self._accept)
        self._peer: socket.socket | None = None
        self._back: socket.socket | None = None
        self._forget()

    def close(self) -> None:
        self._leave()
        self._loop.remove_reader(self._door)
        self._door.close()

    def answer(self, queue: int, head: int, length: int) -> None:
        """Give a request back, with *length* bytes written to its room, and tell the guest."""
        if self._back is None:
            return
        there = self._queues[queue]
        ring = self._user(there.used, 4 + 8 * there.size)
        (index,) = struct.unpack_from("=H", ring, 2)
        USED.pack_into(ring, 4 + 8 * (index % there.size), head, length)
        struct.pack_into("=H", ring, 2, (index + 1) & 0xFFFF)
        self._call(queue)

    def _call(self, queue: int) -> None:
        assert self._back is not None
        flags = VERSION | (NEED_REPLY if self._calendar else 0)
        self._back.sendall(HEADER.pack(CALL, flags, STATE.size) + STATE.pack(queue, 0))
        if self._calendar:
            self._calendar.settle(self._back)
            self._back.recv(HEADER.size + 8, socket.MSG_WAITALL)

    def _forget(self) -> None:
        self._queues = [_Queue() for _ in range(self._face.queues)]
        self._regions: list[_Region] = []

    def _leave(self) -> None:
        for each in (self._peer, self._back):
            if each is not None:
                self._loop.remove_reader(each)
                each.close()
        self._peer = self._back = None
        self._face.lost()
        self._forget()

    def _accept(self) -> None:
        peer, _ = self._door.accept()
        if self._peer is not None:
            peer.close()
            return
        self._peer = peer
        self._loop.add_reader(peer, self._message, peer)

    # -- memory

    def _user(self, address: int, size: int) -> memoryview:
        return self._memory(address, size, lambda region: region.user)

    def _guest(self, address: int, size: int) -> memoryview:
        return self._memory(address, size, lambda region: region.guest)

    def _memory(self, address: int, size: int, base: Callable[[_Region], int]) -> memoryview:
        for region in self._regions:
            at = address - base(region)
            if at >= 0 and at + size <= region.size:
                return region.bytes[at + region.offset : at + region.offset + size]
        raise ValueError(f"the guest has no memory at {address:#x}")

    # -- queues

    def _taken(self, number: int) -> list[Request]:
        """Take everything that waits in a queue."""
        queue, requests = self._queues[number], list[Request]()
        while True:
            (index,) = struct.unpack_from("=H", self._user(queue.available, 4), 2)
            if queue.next == index:
                return requests
            (head,) = struct.unpack("=H", self._user(queue.available + 4 + 2 * (queue.next % queue.size), 2))
            queue.next = (queue.next + 1) & 0xFFFF
            requests.append(self._request(queue, head))

    def _request(self, queue: _Queue, head: int) -> Request:
        table, at = self._user(queue.descriptors, 16 * queue.size), head
        address, size, flags, _ = DESCRIPTOR.unpack_from(table, 16 * at)
        if flags & INDIRECT:
            table, at = self._guest(address, size), 0
        out, room = b"", list[memoryview]()
        while True:
            address, size, flags, following = DESCRIPTOR.unpack_from(table, 16 * at)
            if flags & WRITE:
                room.append(self._guest(address, size))
            else:
                out += bytes(self._guest(address, size))
            if not flags & NEXT:
                return Request(head, out, room)
            at = following

    # -- messages

    def _message(self, peer: socket.socket) -> None:
        room = socket.CMSG_SPACE(8 * 4)
        try:
            raw, control, _, _ = peer.recvmsg(HEADER.size, room)
        except ConnectionResetError:
            raw, control = b"", []
        if len(raw) < HEADER.size:
            self._leave()
            return
        given = array.array("i")
        for _, kind, data in control:
            if kind == socket.SCM_RIGHTS:
                given.frombytes(data)
        request, flags, size = HEADER.unpack(raw)
        body = peer.recv(size, socket.MSG_WAITALL) if size else b""
        reply = self._handle(request, body, given.tolist())
        if reply is None and flags & NEED_REPLY:
            reply = bytes(8)
        if reply is None:
            return
        answer = partial(peer.sendall, HEADER.pack(request, VERSION | REPLY, len(reply)) + reply)
        if self._calendar and request == Ask.VRING_KICK:
            self._calendar.defer(answer)
        else:
            with suppress(BrokenPipeError, ConnectionResetError):  # the guest has halted meanwhile
                answer()

    def _handle(self, request: int, body: bytes, given: list[int]) -> bytes | None:
        """Do what a message says and return its reply, where it has one of its own."""
        match request:
            case Ask.GET_FEATURES:
                return struct.pack("=Q", VERSION_1 | PROTOCOL_FEATURES | self._face.features)
            case Ask.GET_PROTOCOL_FEATURES:
                return struct.pack("=Q", REPLY_ACK | BACKEND_REQUESTS | CONFIG | INBAND)
            case Ask.GET_QUEUE_NUM:
                return struct.pack("=Q", self._face.queues)
            case Ask.GET_CONFIG:
                at, size, _ = SOUGHT.unpack_from(body)
                return body[: SOUGHT.size] + self._face.config[at : at + size].ljust(size, b"\0")
            case Ask.GET_VRING_BASE:
                (number,) = struct.unpack_from("=I", body)
                return STATE.pack(number, self._queues[number].next)
            case _:
                self._settled(request, body, given)
                return None

    def _settled(self, request: int, body: bytes, given: list[int]) -> None:
        match request:
            case Ask.SET_MEM_TABLE:
                regions = enumerate(given)
                self._regions = [_Region(REGION.unpack_from(body, 8 + 32 * at), fd) for at, fd in regions]
            case Ask.SET_VRING_NUM:
                number, self._queues[number].size = STATE.unpack(body)
            case Ask.SET_VRING_ADDR:
                number, _, descriptors, used, available, _ = ADDRESS.unpack(body)
                queue = self._queues[number]
                queue.descriptors, queue.used, queue.available = descriptors, used, available
            case Ask.SET_VRING_BASE:
                number, self._queues[number].next = STATE.unpack(body)
            case Ask.SET_BACKEND_REQ_FD:
                self._back = socket.socket(fileno=given[0])
            case Ask.VRING_KICK:
                number, _ = STATE.unpack(body)
                self._face.asked(self, number, self._taken(number))
