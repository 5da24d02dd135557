"""An MQTT 5 broker, and the one subscriber behind it: slow, refusing, forgetful or gone, by the seed."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.mqtt.lane import NO_SUBSCRIBER, PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID
from gateway.mqtt.link import MALFORMED
from tests.simulator.link import Link
from tests.simulator.world import World

KEEPALIVE = 45.0
"""Seconds after which a client notices that nobody answers any more."""

QUEUED = 100
"""Orders that the broker keeps for a client that is away."""

REFUSALS = {
    0x80: "unspecified",
    0x83: "implementation specific",
    0x87: "not authorized",
    0x97: "quota exceeded",
}
POISON = b'"poison"'
"""What the broker finds wrong with a payload in which it stands."""


class State(StrEnum):
    """How the broker is."""

    WELL = "well"
    DOWN = "down"  # nobody listens at its port
    SILENT = "silent"  # connections are taken, and nothing is said
    REFUSING = "refusing"  # connections are refused
    DENYING = "denying"  # publishes are refused
    UNHEARD = "unheard"  # nobody has subscribed
    SLOW = "slow"


class Order(NamedTuple):
    """A message for the gateway."""

    topic: str
    payload: bytes
    retained: bool


class Audience(Protocol):
    """The subscriber, and who judges the broker's word."""

    def deliver(self, topic: str, payload: bytes) -> None:
        """The subscriber has it."""

    def taken(self, topic: str, payload: bytes, heard: bool) -> None:
        """The broker will acknowledge it; not *heard*: nobody has subscribed, and it is thrown away."""

    def refused(self, topic: str, payload: bytes) -> None:
        """The broker will refuse it."""

    def forgotten(self, topic: str, payload: bytes) -> None:
        """It was acknowledged, and is lost."""


@dataclass
class Broker:
    """Takes messages in the order in which they were sent. *audience* sees what becomes of each."""

    world: World
    audience: "Audience"
    window: int = 16
    packet: int | None = None  # the largest that it takes, and says so
    longest: int | None = None  # the longest payload that it takes, without having said so
    state: State = State.WELL
    code: int = 0x87
    session: bool = False
    unsent: int = 0
    acknowledged: int = 0
    _client: Link | None = None
    _connection: int = 0
    _parted: int = -1  # the connection that the client closed in good order
    _arrives: float = 0.0
    _returns: float = 0.0
    _unanswered: int = 0
    _queue: list[Order] = field(default_factory=list)
    _forwarding: list[tuple[str, bytes]] = field(default_factory=list)
    _faults: int = 0

    def __post_init__(self) -> None:
        self._random = self.world.random("broker")

    @property
    def busy(self) -> bool:
        """Whether anything is still on its way to it, or from it to the subscriber."""
        return bool(self._forwarding) or max(self._arrives, self._returns) > self.world.now

    # What happens to it

    def fail(self, state: State, seconds: float, code: int = 0x87) -> None:
        """Be *state* for *seconds*."""
        self.state, self.code = state, code
        self.world.note(f"broker {state} for {seconds:.1f} s")
        self.world.count("broker", state)
        if state is State.DOWN:
            self.cut("the connection broke")
        if state is State.SILENT and self._client is not None:
            self._half_open()
        self._faults += 1
        number = self._faults
        self.world.after(seconds, lambda: self.mend() if number == self._faults else None)

    def mend(self) -> None:
        """Be well."""
        if self.state is not State.WELL:
            self.world.note("broker well")
        self.state = State.WELL

    def cut(self, why: str, code: int = 0) -> None:
        """Lose the connection, and all that is on its way in it."""
        client = self._drop()
        if client is not None:
            self.world.note(f"connection lost: {why}")
            self.world.count("broker", "connection lost")
            client.cut(why, code)

    def forget(self) -> None:
        """Crash: acknowledged messages that were not passed on are lost, and so is every session."""
        self.world.note(f"broker forgets {len(self._forwarding)} messages")
        self.world.count("broker", "crashed and forgot")
        for topic, payload in self._forwarding:
            self.audience.forgotten(topic, payload)
        self._forwarding.clear()
        self._queue.clear()
        self.session = False
        self.cut("the connection broke")

    def process_died(self) -> None:
        """The client is gone without a word."""
        self._drop()

    def order(self, order: Order) -> None:
        """Take a message for the gateway; keep it where the gateway is away and has a session."""
        client = self._client
        if order.retained or (client is None and self.session):
            self._queue = [*self._queue, order][-QUEUED:]
        if client is not None:
            self._pass_on(client, order)

    def _half_open(self) -> None:
        client = self._drop()
        if client is not None:
            self.world.after(
                KEEPALIVE, lambda: client.cut("Keep alive timeout") if client.up else None, mortal=True
            )

    # What the client does

    def dial(self, client: Link) -> None:
        """A client connects."""
        self._drop()
        self._connection += 1
        number = self._connection
        self.world.after(self._delay(), lambda: self._greet(client, number), mortal=True)

    def hang_up(self, client: Link) -> None:
        """A client lets go of its connection, or of trying. What it has sent still arrives."""
        if client is self._client:
            self._parted = self._connection
            self._drop()
        self._connection += 1

    def send(self, client: Link, mid: int, topic: str, payload: bytes) -> None:
        """A client publishes; *mid* is 0 where it wants no answer."""
        if not self.world.alive or client is not self._client:
            return
        if mid:
            self._unanswered += 1
            self.world.expect(
                self._unanswered <= self.window, "more messages on their way than the broker allows"
            )
        self.unsent += 1
        number = self._connection
        self._arrives = max(self._arrives, self.world.now + self._delay())
        self.world.after(
            self._arrives - self.world.now, lambda: self._arrive(client, number, mid, topic, payload)
        )

    # How it answers

    def _greet(self, client: Link, number: int) -> None:
        if number != self._connection:
            return
        if self.state is State.DOWN:
            client.fail("Connection refused")
        elif self.state is State.REFUSING:
            client.refuse("Not authorized")
        elif self.state is not State.SILENT:
            self._client, known, self.session = client, self.session, True
            self.unsent = self._unanswered = 0
            self.world.note(f"connected, session {'known' if known else 'new'}")
            client.accept(known, self.window, self.packet)
            waiting, self._queue = self._queue, [each for each in self._queue if each.retained]
            for order in waiting:
                self._pass_on(client, order)

    def _arrive(self, client: Link, number: int, mid: int, topic: str, payload: bytes) -> None:
        if number != self._parted and (number != self._connection or client is not self._client):
            return
        self.unsent -= number != self._parted
        if self.unsent == 7 and self.world.alive:
            client.wake()
        self.world.expect(
            self.packet is None or len(topic) + len(payload) <= self.packet,
            "a packet longer than the broker takes",
        )
        code, text = self._judge(payload) if mid else (0, "Success")
        if code and code != NO_SUBSCRIBER:
            self.audience.refused(topic, payload)
        else:
            self.audience.taken(topic, payload, not code)
        if not code:
            self._take(topic, payload)
        if mid:
            self._answer(client, number, mid, code, text)

    def _judge(self, payload: bytes) -> tuple[int, str]:
        if self.longest is not None and len(payload) > self.longest:
            return PACKET_TOO_LARGE, "Packet too large"
        if self.state is State.DENYING:
            return self.code, REFUSALS[self.code]
        if POISON in payload:
            return PAYLOAD_FORMAT_INVALID, "Payload format invalid"
        if self.state is State.UNHEARD:
            return NO_SUBSCRIBER, "No matching subscribers"
        return 0, "Success"

    def _take(self, topic: str, payload: bytes) -> None:
        """Pass a message on to the subscriber, at once or a little later: until then it can be forgotten."""
        if self._random.random() < 0.7 and not self._forwarding:
            self.audience.deliver(topic, payload)
            return
        self._forwarding.append((topic, payload))
        self.world.after(self._random.uniform(0.01, 5.0), self._forward)

    def _forward(self) -> None:
        if self._forwarding:
            self.audience.deliver(*self._forwarding.pop(0))

    def _answer(self, client: Link, number: int, mid: int, code: int, text: str) -> None:
        self._returns = max(self._returns, self.world.now + self._delay())

        def arrive() -> None:
            if number != self._connection or client is not self._client:
                return
            self._unanswered -= 1
            self.acknowledged += not code
            if (
                code == PACKET_TOO_LARGE and self._random.random() < 0.5
            ):  # as paho takes what it does not know
                self.cut("Protocol error", MALFORMED)
            else:
                client.acknowledge(mid, code, text)

        self.world.after(self._returns - self.world.now, arrive)

    def _pass_on(self, client: Link, order: Order) -> None:
        number = self._connection

        def arrive() -> None:
            if number == self._connection and self.world.alive:
                client.heard(order.topic, order.payload, order.retained)

        times = 2 if self._random.random() < 0.1 else 1  # at least once
        for _ in range(times):
            self.world.after(self._delay(), arrive, mortal=True)

    def _drop(self) -> Link | None:
        client, self._client = self._client, None
        self._connection += 1
        self.unsent = self._unanswered = 0
        self._arrives = self._returns = 0.0
        return client

    def _delay(self) -> float:
        return (
            self._random.uniform(0.5, 4.0)
            if self.state is State.SLOW
            else 0.001 + self._random.random() * 0.03
        )
