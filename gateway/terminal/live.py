"""The live view in a terminal: what arrived at a subscriber, what was decided, and how the gateway is."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

OLD = 10.0
"""Seconds after which a reading is shown dim."""

LINES = 12
HISTORY = 48
BARS = "▁▂▃▄▅▆▇█"

STATES = {"running": "green", "starting": "yellow", "lost": "red", "connected": "green", "refused": "red"}


@dataclass
class Screen:
    """Everything that the view shows. *status* is the gateway's own; the rest was heard at the broker."""

    gateway: str
    page: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    records: int = 0
    missing: int = 0
    began: float = field(default_factory=time.monotonic)
    _latest: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    _said: deque[Text] = field(default_factory=lambda: deque(maxlen=LINES))
    _levels: dict[str, deque[float]] = field(default_factory=dict)

    def heard(self, body: Mapping[str, Any]) -> None:
        """Take a reading as it arrived."""
        self._latest[body["device"]] = (time.monotonic(), body)
        for quantity, value in body["values"].items():
            levels = self._levels.setdefault(f"{body['device']}.{quantity}", deque(maxlen=HISTORY))
            levels.append(value)

    def say(self, words: str, style: str = "") -> None:
        """Add one line to what was decided and what happened."""
        clock = time.strftime("%H:%M:%S")
        self._said.append(
            Text.assemble((f"{clock} ", "dim"), (words, style), no_wrap=True, overflow="ellipsis")
        )

    def shown(self, frames: float) -> AbstractContextManager[object]:
        """Show the view on the whole terminal, *frames* times a second, for as long as the context lasts."""
        return Live(self, refresh_per_second=frames, screen=True)

    def __rich__(self) -> RenderableType:
        layout = Layout()
        layout.split_column(
            Layout(self._title(), size=3), Layout(name="middle"), Layout(self._story(), size=LINES + 2)
        )
        layout["middle"].split_row(Layout(self._readings(), ratio=3), Layout(self._pictures(), ratio=2))
        return layout

    def _title(self) -> RenderableType:
        health = self.status.get("health", {})
        well = Text("well", "bold green") if health.get("ok") else Text("not well", "bold red")
        broker = self.status.get("mqtt", {}).get("state", "")
        line = Text.assemble(
            ("Lamppost ", "bold"),
            (self.gateway, "bold cyan"),
            "   health ",
            well,
            "   broker ",
            (broker, STATES.get(broker, "yellow")),
            f"   {time.monotonic() - self.began:.0f} s   ",
            (self.page, "underline"),
        )
        return Panel(line, padding=(0, 1))

    def _readings(self) -> RenderableType:
        table = Table(expand=True, box=None, padding=(0, 1))
        table.add_column("device", style="cyan", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("readings, as they arrived", ratio=1)
        for device in self.status.get("devices", ()):
            state = device["state"]
            table.add_row(device["id"], Text("●", STATES.get(state, "yellow")), self._values(device))
        return Panel(table, title="At the subscriber", title_align="left")

    def _values(self, device: Mapping[str, Any]) -> Text:
        if device["state"] == "lost":
            return Text(f"lost: {device['reason']}", "red")
        at, body = self._latest.get(device["id"], (0.0, {}))
        text = Text(style="dim" if time.monotonic() - at > OLD else "")
        for quantity, value in body.get("values", {}).items():
            unit = device["units"].get(quantity, "")
            text.append(f"{quantity} ", "dim").append(_number(value)).append(f"{_unit(unit)}  ", "dim")
        for quantity, reason in body.get("missing", {}).items():
            text.append(f"{quantity} {reason}  ", "yellow")
        return text

    def _pictures(self) -> RenderableType:
        gauges = Table.grid(padding=(0, 1), expand=True)
        gauges.add_column(no_wrap=True)
        gauges.add_column(ratio=1)
        gauges.add_column(justify="right", no_wrap=True)
        for name, title, top in (("bin.fill", "bin", 100.0), ("river.stage", "river", 3.0)):
            level = (self._levels.get(name) or [0.0])[-1]
            style = "red" if level >= 0.8 * top else "blue"
            gauges.add_row(
                title,
                ProgressBar(top, max(0.0, level), complete_style=style, finished_style=style),
                f"{level:.1f}",
            )
        for name, title in (
            ("noise.sound_level", "noise"),
            ("air.pm2_5", "PM2.5"),
            ("motor.current", "motor"),
        ):
            levels = list(self._levels.get(name, ()))
            gauges.add_row(title, Text(_spark(levels), "magenta"), f"{levels[-1]:.1f}" if levels else "")
        parts: list[RenderableType] = [gauges, Text(), self._switches(), Text(), self._delivery()]
        return Panel(Group(*parts), title="The street", title_align="left")

    def _switches(self) -> Text:
        text = Text()
        for switch in self.status.get("switches", ()):
            on = switch["on"]
            text.append(" ■ " if on else " □ ", "bold red" if on else "dim").append(f"{switch['id']} ")
            if press := switch.get("press"):
                style = {"idle": "dim", "fault": "bold red"}.get(press["phase"], "yellow")
                text.append(f"{press['phase']} ", style)
                text.append("full " if press["full"] else "", "bold red")
        return text

    def _delivery(self) -> RenderableType:
        table = Table(box=None, expand=True, padding=(0, 1))
        for column in ("", "accepted", "delivered", "held", "dropped"):
            table.add_column(column, justify="left" if not column else "right")
        for lane, n in self.status.get("store", {}).get("lanes", {}).items():
            dropped = sum(n["dropped"].values())
            table.add_row(
                str(lane), f"{n['accepted']:,}", f"{n['delivered']:,}", f"{n['held']:,}", f"{dropped:,}"
            )
        style = "green" if not self.missing else "bold red"
        heard = Text(f"subscriber: {self.records:,} records, {self.missing} missing", style)
        return Group(table, heard)

    def _story(self) -> RenderableType:
        return Panel(Group(*self._said), title="Decisions and events", title_align="left")


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"


def _unit(code: str) -> str:
    """Return a UCUM code as people write it."""
    spoken = {"Cel": "°C", "ug/m3": " µg/m³", "[ppm]": " ppm", "m/s2": " m/s²", "deg": "°", "1": "", "%": "%"}
    return spoken.get(code, f" {code}")


def _spark(levels: list[float]) -> str:
    if not levels:
        return ""
    low, high = min(levels), max(levels)
    span = (high - low) or 1.0
    return "".join(BARS[round((level - low) / span * (len(BARS) - 1))] for level in levels)
