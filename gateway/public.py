"""The commands by which people answer for a gateway: orders, tokens and the register; what each takes.

They are apart from `gateway.cli` for their number; like there, each imports what it needs when it runs.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from gateway.reading import Lane, Mode, OrderKind

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Moment: TypeAlias = Callable[[str], float]

URL = "http://127.0.0.1:8080"
BAD_INPUT = 2

_ORDERS = {
    OrderKind.APPROVE: ("ASK", "allow what a rule asks for; lamppost pending lists it"),
    OrderKind.VETO: ("ASK", "forbid what a rule asks for, or is about to do"),
    OrderKind.OVERRIDE: ("ACTUATOR", "put an actuator by hand into a state, for a time"),
    OrderKind.RELEASE: ("ACTUATOR", "give an actuator back to its rules"),
    OrderKind.RESET: ("ACTUATOR", "reset a latched fault"),
    OrderKind.MODE: ("RULE", "say who decides on a rule, for a time"),
    OrderKind.SHELVE: ("RULE", "hear nothing of a rule's announcements for a time"),
    OrderKind.UNSHELVE: ("RULE", "hear a rule's announcements again"),
    OrderKind.COMPACT: ("COMPACTOR", "make one stroke"),
}
_VALUES = {OrderKind.OVERRIDE: ("on", "off"), OrderKind.MODE: tuple(map(str, Mode))}
_FOR_A_TIME = (OrderKind.OVERRIDE, OrderKind.MODE, OrderKind.SHELVE)


def add(commands: Commands, moment: Moment) -> None:
    """Add them; *moment* reads a time [s, Unix]."""
    _add_pending(commands)
    for kind in _ORDERS:
        _add_order(commands, kind, moment)
    _add_replay(commands, moment)
    _add_token(commands)
    _add_register(commands)


def _add_pending(commands: Commands) -> None:
    command = commands.add_parser("pending", help="list what waits for a person")
    _add_url(command)
    command.add_argument("--json", action="store_true", help="the same as JSON")
    command.set_defaults(command=_pending)


def _add_order(commands: Commands, kind: OrderKind, moment: Moment) -> None:
    target, what = _ORDERS[kind]
    command = commands.add_parser(str(kind), help=what)
    command.add_argument("target", metavar=target, help=f"the id of the {target.lower()}")
    if kind in _VALUES:
        command.add_argument(
            "value", choices=_VALUES[kind], help="the state" if target != "RULE" else "the mode"
        )
    command.add_argument("--reason", required=True, metavar="TEXT", help="why; it goes into the record")
    if kind in _FOR_A_TIME:
        end = command.add_mutually_exclusive_group(required=True)
        end.add_argument("--for", type=_seconds, dest="seconds", metavar="TIME", help="how long: 10m, 2h, 7d")
        end.add_argument("--until", type=moment, metavar="TIME", help="until when")
    _add_url(command)
    _add_token_file(command)
    command.set_defaults(command=partial(_order, kind), value=None, seconds=None, until=None)


def _add_replay(commands: Commands, moment: Moment) -> None:
    command = commands.add_parser("replay", help="have a range of a gateway's log sent again")
    lanes, end = tuple(map(str, Lane)), partial(_end, moment=moment)
    command.add_argument("--lane", choices=lanes, required=True, dest="target", help="which log")
    command.add_argument(
        "--from", type=end, required=True, dest="first", metavar="SEQ|TIME", help="its first number, or time"
    )
    command.add_argument(
        "--to", type=end, required=True, dest="last", metavar="SEQ|TIME", help="its last number, or time"
    )
    command.add_argument("--reason", required=True, metavar="TEXT", help="why; it goes into the record")
    _add_url(command)
    _add_token_file(command)
    command.set_defaults(command=_replay)


def _end(text: str, moment: Moment) -> str:
    """Return one end of a range as an order has it: a number, or a time behind an @."""
    return text if text.isascii() and text.isdigit() else f"@{moment(text):.6f}"


def _add_token_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="your token; else it is in LAMPPOST_TOKEN"
    )


def _add_url(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default=URL, metavar="URL", help=f"the gateway; {URL} unless given")


def _add_token(commands: Commands) -> None:
    command = commands.add_parser("token", help="make a token for a person who gives orders")
    command.add_argument("name", metavar="NAME", help="who it is for, such as ada.byrne")
    command.add_argument(
        "--may",
        type=_kinds,
        default=(OrderKind.APPROVE, OrderKind.VETO),
        metavar="ORDERS",
        help="what this person may order; approve,veto unless given",
    )
    command.set_defaults(command=_token)


def _add_register(commands: Commands) -> None:
    command = commands.add_parser("register", help="print what a pole's register makes")
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the pole's TOML file")
    what = command.add_mutually_exclusive_group()
    formats = ("notice", "dtpr", "atrs", "nl", "sensors")
    what.add_argument("--format", choices=formats, default="notice", help="which output; notice unless given")
    what.add_argument("--qr", metavar="URL", help="a QR code of the page's public address, as SVG")
    what.add_argument("--sign", metavar="URL", help="a sign for the pole with that QR code, to print (HTML)")
    command.add_argument("--out", type=Path, metavar="FILE", help="write it there")
    command.set_defaults(command=_register)


def _seconds(text: str) -> float:
    from gateway.ordering import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _kinds(text: str) -> tuple[OrderKind, ...]:
    from gateway.toml import did_you_mean

    found = []
    for name in text.split(","):
        if name not in list(OrderKind):
            hint = did_you_mean(name, OrderKind) or f"; there are: {', '.join(OrderKind)}"
            raise argparse.ArgumentTypeError(f'there is no order "{name}"{hint}')
        found.append(OrderKind(name))
    return tuple(dict.fromkeys(found))


def _pending(asked: argparse.Namespace) -> int:
    from gateway.ordering import pending

    return pending(asked.url, asked.json)


def _order(kind: OrderKind, asked: argparse.Namespace) -> int:
    from gateway.ordering import order, wish

    wanted = wish(kind, asked.target, asked.reason, asked.value, asked.seconds, asked.until)
    return order(asked.url, asked.token_file, wanted)


def _replay(asked: argparse.Namespace) -> int:
    from gateway.ordering import order, wish

    span = f"{asked.first}..{asked.last}"
    wanted = wish(OrderKind.REPLAY, asked.target, asked.reason, span, None, None)
    return order(asked.url, asked.token_file, wanted)


def _token(asked: argparse.Namespace) -> int:
    from gateway.people import line, new_token

    token = new_token()
    try:
        entry = line(asked.name, token, asked.may)
    except ValueError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(
        f"The token of {asked.name}. Hand it over where nobody else can read it; it is kept nowhere:\n\n"
        f"    {token}\n\n"
        "Add this to the file that [access] people names, then: systemctl reload lamppost\n\n"
        f"{entry}",
        end="",
    )
    return 0


def _register(asked: argparse.Namespace) -> int:
    from gateway.app.register.command import printed

    try:
        text = printed(
            asked.config, asked.format, asked.qr, asked.sign, datetime.now(UTC).astimezone().date()
        )
        if asked.out is None:
            print(text, end="")
        else:
            asked.out.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"{asked.out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    return 0
