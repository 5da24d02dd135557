"""The topics of a gateway, and the way back from a topic to what it carries."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.reading import Lane

FLEET = "fleet"
"""What stands where other topics have a gateway's id. A gateway of that name publishes no `limits`."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Where one gateway publishes: everything is below `<prefix>/<gateway>/`."""

    prefix: str
    gateway: str

    def log(self, lane: Lane) -> str:
        """Return the topic of a lane's batches: QoS 1, not retained, complete and in order."""
        return f"{self.prefix}/{self.gateway}/log/{lane}"

    def state(self, device: str) -> str:
        """Return the topic of a device's latest reading: QoS 0, retained."""
        return f"{self.prefix}/{self.gateway}/state/{device}"

    @property
    def commands(self) -> str:
        """The filter of the topics that people order on: the last level is who orders."""
        return f"{self.prefix}/{self.gateway}/command/+"

    def answer(self, issuer: str) -> str:
        """Return the topic of the answers to *issuer*'s orders: QoS 1, not retained."""
        return f"{self.prefix}/{self.gateway}/answer/{issuer}"

    @property
    def limits(self) -> str:
        """What the fleet's operator asks of all gateways: retained."""
        return f"{self.prefix}/{FLEET}/limits"

    @property
    def receipts(self) -> str:
        """The filter of the topics on which a consumer confirms what it has: the last level is the lane."""
        return f"{self.prefix}/{self.gateway}/ack/+"

    @property
    def status(self) -> str:
        """Whether the gateway is there and well: QoS 1, retained, and the Will."""
        return f"{self.prefix}/{self.gateway}/status"

    @property
    def meta(self) -> str:
        """What the gateway has: devices, quantities, units, place. QoS 1, retained."""
        return f"{self.prefix}/{self.gateway}/meta"

    @property
    def checkpoint(self) -> str:
        """The ledger's last signed checkpoint: QoS 1, retained."""
        return f"{self.prefix}/{self.gateway}/checkpoint"


class Address(NamedTuple):
    """What a topic says: gateway, face (log, state, status, meta, checkpoint), and the lane or device."""

    gateway: str
    face: str
    name: str


def receipts(prefix: str, gateway: str, lane: str) -> str:
    """Return the topic on which a consumer confirms what it has of *lane*."""
    return f"{prefix}/{gateway}/ack/{lane}"


def filters(prefix: str, gateway: str | None) -> tuple[str, ...]:
    """Return the topic filters that together cover all faces of one gateway, or of all (None)."""
    root = f"{prefix}/{gateway or '+'}"
    return (f"{root}/log/+", f"{root}/state/+", f"{root}/status", f"{root}/meta", f"{root}/checkpoint")


def collected(prefix: str, gateway: str | None) -> tuple[str, ...]:
    """Return the topic filters of what a collector keeps: the logs, and what gateways say of themselves."""
    root = f"{prefix}/{gateway or '+'}"
    return (f"{root}/log/+", f"{root}/status", f"{root}/meta")


def parse(prefix: str, topic: str) -> Address | None:
    """Return what *topic* says, or None when no gateway publishes there."""
    head, _, rest = topic.partition(f"{prefix}/")
    levels = rest.split("/")
    if head or not levels[0]:
        return None
    match levels:
        case [gateway, "status" | "meta" | "checkpoint" as face]:
            return Address(gateway, face, "")
        case [gateway, "log" | "state" as face, name] if name:
            return Address(gateway, face, name)
    return None
