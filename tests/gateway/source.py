"""A pole's whole state as the web shows it, and a source that serves it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.reading import Answer, Order

NOW = 1_780_000_000.0
ASK = "a5c" + "0" * 29
COMPACT, WATER = "c0ffee" + "0" * 26, "f100d0" + "1" * 26
STAMP = {"mono": 5000.0, "boot": "6f1d", "clock": "synchronized"}


def device(id: str, driver: str, bus: str | None, address: int | None, **values: float) -> dict[str, Any]:
    units = {
        "pm2_5": "ug/m3",
        "pm10": "ug/m3",
        "no2": "[ppb]",
        "co2": "[ppm]",
        "humidity": "%",
        "temperature": "Cel",
        "voc_index": "1",
        "sound_level": "dB",
        "stage": "m",
        "pressure": "hPa",
        "tilt": "deg",
        "fill": "%",
        "distance": "m",
        "current": "A",
        "voltage": "V",
        "closed": "1",
        "on": "1",
    }
    latest = {
        "kind": "reading",
        "time": NOW - 0.8,
        **STAMP,
        "device": id,
        "values": values,
    }
    return {
        "id": id,
        "driver": driver,
        "bus": bus,
        "address": address,
        "state": "running",
        "since": 93_600.0,
        "interval": 1.0,
        "measures": 93_598,
        "failures": 0,
        "missed": 0,
        "reason": "",
        "latest": latest,
        "units": {quantity: units[quantity] for quantity in values},
    }


def devices() -> list[dict[str, Any]]:
    air = device(
        "air", "sen66", "street", 0x6B, co2=431.0, humidity=61.52, pm10=19.4, pm2_5=11.3, temperature=17.28
    )
    air["latest"]["missing"] = {"voc_index": "warming-up"}
    river = device("river", "mb7040", "street", 0x70, distance=2.417)
    river |= {
        "state": "lost",
        "since": 252.0,
        "failures": 9,
        "reason": "0x70 does not acknowledge",
        "missed": 3,
    }
    river["latest"]["time"] = NOW - 255.0
    land = device("land", "adxl355", "street", 0x1D)
    land |= {"state": "starting", "since": 1.5, "latest": None, "measures": 0, "units": {"tilt": "deg"}}
    return [
        air,
        device("noise", "dbm", "street", 0x48, sound_level=58.3),
        river,
        device("sky", "bme280", "street", 0x76, humidity=63.0, pressure=1013.25, temperature=-0.04),
        device("bin", "vl53l1x", "bin", 0x29, fill=86.2, distance=0.214),
        device("motor", "ina226", "bin", 0x40, current=0.0412, voltage=12.031),
        device("lid", "contact", None, None, closed=1.0) | {"line": 17},
        land,
    ]


def compaction() -> dict[str, Any]:
    return {
        "kind": "decision",
        "time": NOW - 41.0,
        **STAMP,
        "id": COMPACT,
        "rule": "compact",
        "version": 3,
        "digest": "9f" * 32,
        "mode": "off",
        "command": "compactor on for 4s",
        "actuator": "compactor",
        "outcome": "refused",
        "reasons": ["lid.closed is not known: last seen 14 s ago, limit 5 s"],
        "inputs": [
            {"name": "bin.fill", "value": 86.2, "age": 0.4},
            {"name": "lid.closed", "value": None, "age": 14.0, "reason": "last seen 14 s ago, limit 5 s"},
        ],
        "conditions": [{"text": "bin.fill >= 80.0 && lid.closed", "truth": None}],
        "event": 812,
        "seq": 12,
    }


def warning() -> dict[str, Any]:
    return compaction() | {
        "time": NOW - 3_600.0,
        "id": WATER,
        "rule": "river_siren",
        "version": 1,
        "mode": "shadow",
        "command": "siren on",
        "actuator": "siren",
        "outcome": "shadowed",
        "reasons": ["the rule is a pilot"],
        "inputs": [{"name": "river.stage", "value": 2.31, "age": 0.2}],
        "conditions": [{"text": "river.stage > 2.2", "truth": True}],
        "event": 790,
        "seq": 10,
    }


def status() -> dict[str, Any]:
    """Return the state of a pole in a street, some of it in trouble."""
    return {
        "gateway": "harbour-12",
        "place": {"name": "Harbour Street 12", "latitude": 52.3702, "longitude": 4.8952},
        "version": "0.1.0",
        "epoch": "1a2b3c4d",
        "boot": "6f1d",
        "uptime": 93_601.0,
        "time": NOW,
        "clock": "synchronized",
        "health": {
            "ok": True,
            "loops": [
                {"name": "sampler", "age": 0.3, "limit": 10.0, "ok": True},
                {"name": "store", "age": 0.6, "limit": 5.0, "ok": True},
                {"name": "control", "age": 0.1, "limit": 2.0, "ok": True},
            ],
            "problems": [],
        },
        "ledger": {
            "origin": "lamppost/x/y",
            "size": 3,
            "root": "cd" * 32,
            "signed": 2,
            "time": NOW - 1500.0,
            "problem": "",
        },
        "store": {
            "writable": True,
            "problem": "",
            "path": "/var/lib/lamppost/store.db",
            "bytes": 18_454_937,
            "committed_age": 0.6,
            "waiting": 7,
            "lanes": {
                "telemetry": {
                    "accepted": 654_321,
                    "delivered": 654_200,
                    "held": 100,
                    "dropped": {"full": 21},
                },
                "events": {"accepted": 812, "delivered": 812, "held": 0, "dropped": {}},
            },
        },
        "mqtt": {
            "state": "connected",
            "since": NOW - 7_500.0,
            "reason": "",
            "in_flight": 2,
            "refused": 0,
            "protocol": "5",
            "refusals": "seen",
            "replaying": 0,
            "acknowledge": {"by": "broker"},
        },
        "devices": devices(),
        "switches": [
            {
                "id": "compactor",
                "on": False,
                "safe": False,
                "since": 1_204.0,
                "max_on": 5.0,
                "min_off": 60.0,
                "held_by": ["compact"],
                "blocked": ["lid.closed is not known: last seen 14 s ago, limit 5 s"],
                "cycles": 11,
            },
            {
                "id": "siren",
                "on": True,
                "safe": False,
                "since": 12.0,
                "max_on": 180.0,
                "min_off": 0.0,
                "held_by": ["quay_wet"],
                "blocked": [],
                "cycles": 1,
            },
        ],
        "rules": [
            {
                "id": "compact",
                "says": "When the bin is at least 80 % full and its lid is closed, press it down once.",
                "owner": "Waste services",
                "version": 3,
                "mode": "off",
                "phase": "firing",
                "since": 41.0,
                "expires": "2027-03-31",
                "blind": "",
            },
            {
                "id": "river_siren",
                "says": "When the river stands above 2.2 m for a minute, sound the siren.",
                "owner": "Water authority",
                "version": 1,
                "mode": "shadow",
                "phase": "inactive",
                "since": 5_400.0,
                "expires": "2026-12-31",
                "blind": "river.stage is not known: last seen 255 s ago, limit 3 s",
            },
        ],
        "pending": [pending()],
        "decisions": [compaction(), warning()],
    }


def pending() -> dict[str, Any]:
    """Return an ask, as the control shows it."""
    return {
        "id": ASK,
        "rule": "compact",
        "mode": "in",
        "commands": ["compactor on for 4s"],
        "until": NOW + 540.0,
        "then": "lapses",
        "conditions": [{"text": "bin.fill >= 80.0", "truth": True}],
    }


def register() -> dict[str, Any]:
    """Return the notice of a register."""
    return {
        "name": "Air, flood and bin pole at Harbour Street 12",
        "summary": "This pole measures the air, the river and the bin. It can sound a siren.",
        "why": "To warn the people on the quay of a flood in time, and to empty bins when they are full.",
        "begins": "2026-03-01",
        "ends": "2028-02-29",
        "language": "en",
        "url": "https://poles.city.example/harbour-12",
        "owner": {
            "organisation": "City of Example",
            "team": "Public realm",
            "role": "Head of the public realm",
            "email": "poles@city.example",
            "phone": "+353 1 000 0000",
            "website": "https://city.example/sensing",
        },
        "objection": {
            "how": "Write to poles@city.example, or call.",
            "answer": "You get an answer within six weeks.",
            "link": None,
        },
        "legal": {
            "basis": "Flood and water management act, section 9",
            "personal_data": False,
            "link": None,
            "privacy": "https://city.example/privacy",
            "assessments": [],
        },
        "data": {
            "kept": "readings 13 months, decisions 7 years",
            "where": "on the pole, then in the city's own data centre",
            "shared": "open data",
            "stored": "locally",
            "public": True,
        },
        "oversight": "The duty officer of the water authority answers for the siren.",
        "risks": ["A false alarm: a person can silence it at once."],
        "purpose": ["safety_security"],
        "themes": [],
        "measure": [
            {"devices": ["air"], "what": "Gases and dust", "why": "to know what people breathe"},
            {"devices": ["noise"], "what": "How loud it is: levels only", "why": "to know the noise"},
        ],
        "act": [{"device": "siren", "what": "A siren", "why": "to warn of a flood"}],
        "supplier": [{"name": "Example Ltd", "role": "built it", "number": "", "access": "sees no data"}],
        "gateway": "harbour-12",
        "place": {"name": "Harbour Street 12", "latitude": 52.3702, "longitude": 4.8952},
        "phase": "during",
    }


def calm() -> dict[str, Any]:
    """Return the state of a pole in which all is well."""
    state = status()
    state["devices"] = [d for d in state["devices"] if d["state"] == "running"]
    state["switches"] = state["switches"][1:]
    state["rules"] = state["rules"][:1]
    return state


ADA, BO = "lp_" + "a" * 32, "lp_" + "b" * 32


@dataclass
class Person:
    """Somebody with a token, who may give some orders."""

    name: str
    token: str
    may: tuple[str, ...]

    def allowed(self, kind: str) -> bool:
        return kind in self.may


class Recorded:
    """A source whose every answer is data."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state or status()
        self.problems: list[str] = []
        self.asked: list[tuple[Any, ...]] = []
        self.kept: dict[str, Any] | None = register()
        self.people = [Person("ada.byrne", ADA, ("approve", "veto")), Person("bo", BO, ())]
        self.orders: list[Order] = []
        self.accepts = True
        self.announced: list[tuple[str, dict[str, Any]]] = []

    def status(self) -> dict[str, Any]:
        return copy.deepcopy(self.state)

    async def readings(self, device: str | None, limit: int, before: int | None) -> list[dict[str, Any]]:
        self.asked.append((device, limit, before))
        return [d["latest"] for d in devices() if d["latest"] and device in (None, d["id"])][:limit]

    async def decisions(self, limit: int, before: int | None) -> list[dict[str, Any]]:
        self.asked.append((limit, before))
        return [body for body in self.state["decisions"] if before is None or body["event"] < before][:limit]

    async def decision(self, id: str) -> dict[str, Any] | None:
        return next((body for body in self.state["decisions"] if body["id"] == id), None)

    async def place(self, body: dict[str, Any]) -> dict[str, Any] | None:
        return {"seq": body["seq"], "leaf": "ab" * 32, "holds": True, "text": "{}", "ledger": "lamppost/x/y"}

    def ledger(self) -> dict[str, Any]:
        return dict(self.state["ledger"])

    async def proof(self, seq: int) -> dict[str, Any] | None:
        if seq == 2:
            raise ValueError("a hash is gone")
        return {"seq": seq, "proof": []} if seq < 3 else None

    async def consistency(self, old: int, new: int) -> dict[str, Any] | None:
        return {"old": old, "new": new, "proof": []} if old <= new <= 3 else None

    def register(self, output: str) -> dict[str, Any] | None:
        if self.kept is None:
            return None
        return copy.deepcopy(self.kept) if output == "notice" else {"output": output}

    def pending(self) -> list[dict[str, Any]]:
        return [ask | {"who": "somebody"} for ask in self.state["pending"]]

    def who(self, token: str) -> Person | None:
        return next((each for each in self.people if each.token == token), None)

    async def submit(self, order: Order) -> Answer:
        self.orders.append(order)
        return Answer(order.id, self.accepts, "as you say" if self.accepts else "it came too late", NOW)

    def announce(self, type: str, data: Mapping[str, Any]) -> None:
        self.announced.append((type, dict(data)))

    def ready(self) -> tuple[bool, list[str]]:
        return not self.problems, self.problems

    def explain(self, body: dict[str, Any]) -> str:
        did = "Would have switched" if body["outcome"] == "shadowed" else "Did not switch"
        return f"{did} {body['command']}: {'; '.join(body['reasons'])}. That was then."
