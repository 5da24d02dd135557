"""The live view in a terminal, as text."""

from io import StringIO

from rich.console import Console

from gateway.terminal.live import Screen
from tests.gateway.source import status


def shown(screen: Screen) -> str:
    console = Console(file=StringIO(), width=160, height=50)
    console.print(screen)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_press_says_what_it_does() -> None:
    state = status()
    state["switches"][0]["press"] = {"phase": "pressing", "faults": [], "full": False}
    screen = Screen("pole-17", status=state)
    assert "compactor pressing" in shown(screen)
    state["switches"][0]["press"] = {"phase": "idle", "faults": [], "full": True}
    assert "compactor idle full" in shown(screen)
