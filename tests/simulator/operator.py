"""The people: orders over the broker, of every kind, late, again, malformed, and by those who may not."""

import json
from typing import Any

from gateway.reading import Lane
from tests.simulator.broker import Broker, Order
from tests.simulator.record import Books
from tests.simulator.setting import GATEWAY
from tests.simulator.subscriber import Subscriber
from tests.simulator.world import World

_DONE = ("approved", "vetoed", "overridden", "commanded")


class Operator:
    """Sends orders by the seed; *approved* knows which of them were accepted, by the ledger's word."""

    def __init__(self, world: World, broker: Broker, subscriber: Subscriber, books: Books) -> None:
        self._world, self._broker, self._subscriber, self._books = world, broker, subscriber, books
        self._random = world.random("operator")
        self._sent: list[bytes] = []
        self._unrecorded: set[str] = set()

    def act(self) -> None:
        """Send one order."""
        chance = self._random
        issuer = "ada" if chance.random() < 0.95 else "mallory"
        if self._sent and chance.random() < 0.2:
            payload = chance.choice(self._sent)
        elif chance.random() < 0.1:
            payload = chance.choice(
                (b"", b"{", b"[]", b'{"id": 1}', b"\xff\xfe", b'{"order": "dance"}', b"9" * 5000)
            )
        else:
            payload = json.dumps(self._order()).encode()
            self._sent.append(payload)
            self._note_caution(json.loads(payload))
        retained = chance.random() < 0.03
        self._world.count("people", "orders")
        self._world.note(f"order {payload[:200].decode('ascii', 'replace')} by {issuer}")
        self._broker.order(Order(f"lamppost/{GATEWAY}/command/{issuer}", payload, retained))

    def _order(self) -> dict[str, Any]:
        chance, wall = self._random, self._world.true_wall()
        order: dict[str, Any] = {
            "id": f"order-{len(self._sent):04}-{chance.randrange(1 << 20):05x}",
            "reason": "it is a test",
            "not_after": wall + chance.choice((30.0, 60.0, 300.0, 3600.0, -5.0)),
        }
        kind = chance.choice(
            ("override", "override", "release", "approve", "approve", "veto", "mode", "reset")
        )
        order["order"] = kind
        match kind:
            case "override":
                order |= {
                    "target": chance.choice(("siren", "pump")),
                    "value": chance.choice(("on", "on", "off")),
                }
                order["until"] = wall + chance.choice((5.0, 30.0, 80.0, 4000.0))
            case "release" | "reset":
                order["target"] = chance.choice(("siren", "pump"))
            case "approve" | "veto":
                order["target"] = self._ask()
            case _:
                order |= {"target": chance.choice(("hot", "damp", "cold"))}
                order["value"] = chance.choice(("shadow", "in", "on", "off"))
                order["until"] = wall + chance.choice((20.0, 100.0, 1000.0))
        return order

    def _note_caution(self, order: dict[str, Any]) -> None:
        """What leads to safety is carried out even where no disk takes its record."""
        cautious = order["order"] == "veto" or order.get("value") in ("off", "shadow", "in")
        if cautious and "disk" in self._world.kinds:
            self._unrecorded.add(order["id"])

    def _ask(self) -> str:
        """Return what waits for an answer, as far as the operator has heard."""
        have = self._subscriber.have[Lane.EVENTS]
        asked = [each["id"] for each in have.values() if each.get("outcome") == "asked"]
        return str(self._random.choice(asked[-2:])) if asked else "nothing-waits-here"

    def approved(self, order: str) -> bool:
        """Tell whether it is on record that *order* was accepted."""
        done = self._carried_out(order)
        return bool(done)

    def finished(self) -> None:
        """Every order was carried out at most once, and what was answered so is on record."""
        orders = {answer["order"] for answer in self._subscriber.answers if answer["accepted"]}
        for order in orders - self._unrecorded:
            self._world.expect(self._carried_out(order), f"order {order} was accepted, and no record says so")
        for payload in self._sent:
            order = json.loads(payload)["id"]
            self._world.expect(len(self._carried_out(order)) < 2, f"order {order} was carried out twice")

    def _carried_out(self, order: str) -> set[str]:
        """Return the ids of the decisions that say that *order* was carried out."""
        return {
            record["id"]
            for record in self._books.events().values()
            if record.get("order") == order and record.get("outcome") in _DONE
        }
