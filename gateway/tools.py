"""The commands that look at stores and exports, and need no daemon: what each takes.

They are apart from `gateway.cli` for their number; like there, each imports what it needs when it runs.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Moment: TypeAlias = Callable[[str], float]

BAD_INPUT = 2


def add(commands: Commands, moment: Moment) -> None:
    """Add them; *moment* reads a time [s, Unix]."""
    _add_backtest(commands, moment)
    _add_score(commands, moment)
    _add_returns(commands)
    _add_rounds(commands, moment)
    _add_downgrade(commands)


def _add_backtest(commands: Commands, moment: Moment) -> None:
    command = commands.add_parser("backtest", help="try a rule file on stored readings")
    command.add_argument("--rules", type=Path, required=True, metavar="FILE", help="the rule file to try")
    _add_store(command)
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="the pole's TOML file: its guards, devices and streams"
    )
    command.add_argument(
        "--against", type=Path, metavar="FILE", help="another rule file, tried beside the first"
    )
    _add_span(command, moment)
    command.add_argument("--rows", type=int, default=20, help="firings that are listed; 20 unless given")
    command.add_argument("--json", action="store_true", help="everything, as one JSON object")
    command.set_defaults(command=_backtest)


def _add_score(commands: Commands, moment: Moment) -> None:
    command = commands.add_parser("score", help="compare a rule on trial with what people did")
    _add_store(command)
    command.add_argument("--rule", required=True, metavar="ID", help="the rule's id")
    command.add_argument(
        "--window",
        type=_seconds,
        default=7200.0,
        metavar="TIME",
        help="how far apart they may be; 2h unless given",
    )
    _add_span(command, moment)
    command.add_argument(
        "--actions", type=Path, metavar="FILE", help="a CSV of what people did: time, target, action"
    )
    command.add_argument("--rows", type=int, default=20, help="pairs that are listed; 20 unless given")
    command.add_argument("--json", action="store_true", help="everything, as one JSON object")
    command.set_defaults(command=_score)


def _add_returns(commands: Commands) -> None:
    command = commands.add_parser("returns", help="report what a month was worth, against the time before")
    _add_store(command)
    command.add_argument("--month", type=_month, required=True, metavar="MONTH", help="such as 2026-10")
    command.add_argument(
        "--baseline", type=Path, metavar="FILE", help="what was before switch-on, to compare with"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="write the report as a page (HTML)")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write the figures as CSV")
    command.add_argument(
        "--make-baseline", type=Path, metavar="FILE", help="write the figures of this month as a baseline"
    )
    command.add_argument(
        "--planned", type=int, metavar="COUNT", help="collections that the fixed plan had in this month"
    )
    command.add_argument(
        "--press", default="compactor", metavar="ID", help='the actuator whose strokes count; "compactor"'
    )
    command.add_argument(
        "--verdicts", type=Path, metavar="FILE", help="a CSV of which alarms were true: time, type, verdict"
    )
    command.set_defaults(command=_returns)


def _add_rounds(commands: Commands, moment: Moment) -> None:
    command = commands.add_parser("rounds", help="plan collection rounds from the requests of many gateways")
    command.add_argument(
        "requests",
        type=Path,
        nargs="+",
        metavar="REQUESTS",
        help="events of gateways, one JSON object per line",
    )
    command.add_argument(
        "--fleet",
        type=Path,
        required=True,
        metavar="FILE",
        help="depots, vehicles, bins, fixed round",
    )
    command.add_argument("--at", type=moment, metavar="TIME", help="plan for this day, as known then")
    command.add_argument("--out", type=Path, metavar="FILE", help="write the plan as GeoJSON")
    command.add_argument("--picture", type=Path, metavar="FILE", help="write a picture of it (SVG)")
    command.add_argument(
        "--limit", type=_seconds, default=30.0, metavar="TIME", help="the longest search; 30s unless given"
    )
    command.add_argument(
        "--steps", type=int, default=2000, help="steps of the search after which it ends; 2000 unless given"
    )
    command.add_argument("--seed", type=int, default=1, help="the search's random numbers; 1 unless given")
    command.add_argument("--json", action="store_true", help="the comparison as one JSON object")
    command.set_defaults(command=_rounds)


def _add_downgrade(commands: Commands) -> None:
    command = commands.add_parser(
        "downgrade", help="take a store's file back to an older version of Lamppost"
    )
    command.add_argument(
        "--store", type=Path, required=True, metavar="FILE", help="the store of a gateway that does not run"
    )
    command.add_argument("--to", type=int, required=True, metavar="VERSION", help="the version of the file")
    command.add_argument("--held", action="store_true", help="leave out readings that were delivered")
    command.set_defaults(command=_downgrade)


def _add_store(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store", type=Path, required=True, metavar="FILE", help="a gateway's store, or a copy"
    )


def _add_span(command: argparse.ArgumentParser, moment: Moment) -> None:
    command.add_argument("--since", type=moment, metavar="TIME", help="only what was from this time on")
    command.add_argument("--until", type=moment, metavar="TIME", help="only what was up to this time")


def _seconds(text: str) -> float:
    from gateway.config import duration

    try:
        return float(duration(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _month(text: str) -> str:
    from gateway.app.returns import month

    try:
        month(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _backtest(asked: argparse.Namespace) -> int:
    from gateway.app.backtest import backtest

    span = (asked.since, asked.until)
    return _looked(
        partial(backtest, asked.store, asked.rules, asked.against, asked.config, span, _rows(asked))
    )


def _score(asked: argparse.Namespace) -> int:
    from gateway.app.score.command import score

    span = (asked.since, asked.until)
    return _looked(partial(score, asked.store, asked.rule, asked.window, span, asked.actions, _rows(asked)))


def _returns(asked: argparse.Namespace) -> int:
    from gateway.app.report import returns

    return _looked(
        partial(
            returns,
            asked.store,
            asked.month,
            asked.baseline,
            {"out": asked.out, "csv": asked.csv, "baseline": asked.make_baseline},
            asked.press,
            asked.planned,
            asked.verdicts,
        )
    )


def _rounds(asked: argparse.Namespace) -> int:
    from gateway.rounds.plan import rounds
    from gateway.rounds.solver import Search

    files = {"out": asked.out, "picture": asked.picture}
    search = Search(asked.limit, asked.steps, asked.seed)
    return rounds(asked.requests, asked.fleet, asked.at, files, search, asked.json)


def _downgrade(asked: argparse.Namespace) -> int:
    from gateway.store.downgrade import downgrade

    def back() -> int:
        done = downgrade(asked.store, asked.to, asked.held)
        spoilt = f" {done.spoilt} of them are damaged, and will be dropped." if done.spoilt else ""
        print(
            f"{asked.store} is of version {asked.to} now, with {done.readings:,} readings and "
            f"{done.events:,} events; numbers and epoch are as they were.{spoilt} "
            f"The newer file is {done.aside}."
        )
        return 0

    return _looked(back)


def _rows(asked: argparse.Namespace) -> int | None:
    return None if asked.json else max(0, asked.rows)


def _looked(look: Callable[[], int]) -> int:
    """Return the status of a look into a file; BAD_INPUT, saying why, where there is nothing to see."""
    from gateway.store import StoreError

    try:
        return look()
    except (StoreError, OSError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
