"""The command `lamppost`. Each subcommand imports what it needs when it runs, so that `run` starts fast."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from gateway import VERSION
from gateway.problem import ConfigError

BAD_INPUT, FAILED = 2, 1
"""Exit status: the input is wrong and nothing was started; or something that ran has failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0 well, 1 failed, 2 bad input (nothing was started)."""
    asked = parser().parse_args(arguments)
    _log(asked.verbose)
    try:
        return int(asked.command(asked))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"{count} problem{'s' * (count != 1)}; nothing was started.", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `lamppost watch | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; docs/commands.md is checked against it."""
    top = argparse.ArgumentParser(prog="lamppost", description="The edge gateway of a city's sensor network.")
    top.add_argument("--version", action="version", version=f"lamppost {VERSION}")
    top.add_argument("-v", "--verbose", action="store_true", help="log details too")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_run, _add_check, _add_watch, _add_demo):
        add(commands)
    return top


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_run(commands: Commands) -> None:
    command = commands.add_parser("run", help="run the gateway until SIGTERM; SIGHUP reloads")
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the pole's TOML file")
    command.set_defaults(command=_run)


def _add_check(commands: Commands) -> None:
    command = commands.add_parser("check", help="say everything that is wrong with a configuration")
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the pole's TOML file")
    command.set_defaults(command=_check)


def _add_watch(commands: Commands) -> None:
    command = commands.add_parser(
        "watch", help="follow gateways at the broker and prove that nothing is missing"
    )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="take the broker from this pole's TOML file"
    )
    command.add_argument("--host", default="127.0.0.1", help="the broker, where there is no --config")
    command.add_argument("--port", type=int, help="its port: 1883, or 8883 with TLS")
    command.add_argument("--gateway", metavar="ID", help="only this gateway; else all")
    command.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="stop after so long")
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    command.set_defaults(command=_watch)


def _add_demo(commands: Commands) -> None:
    command = commands.add_parser(
        "demo", help="a whole emulated street, with a broker, a page and a live view"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="another street than deploy/demo.toml")
    command.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="stop after so long")
    command.add_argument("--json", action="store_true", help="no live view; a JSON summary at the end")
    command.set_defaults(command=_demo)


def _run(asked: argparse.Namespace) -> int:
    from gateway.app.check import plan
    from gateway.app.daemon import Daemon
    from gateway.store import StoreError

    checked = plan(asked.config, keep_expired=True)

    async def daemon() -> int:
        return await Daemon(checked).run()

    try:
        return asyncio.run(daemon())
    except (StoreError, OSError) as error:
        print(f"lamppost cannot run: {error}", file=sys.stderr)
        return FAILED


def _check(asked: argparse.Namespace) -> int:
    from gateway.app.check import plan

    checked = plan(asked.config)
    config = checked.config
    rules = sum(len(file.rules) for file in checked.rules)
    buses = len(config.bus)
    print(
        f"{asked.config}: nothing is wrong. {config.gateway.id} has {len(config.device)} devices on {buses} "
        f"bus{'es' * (buses != 1)} and the header, {len(config.derive)} derived streams and {rules} rules."
    )
    return 0


def _watch(asked: argparse.Namespace) -> int:
    from gateway.follow import broker_of, follow

    settings = broker_of(asked.config, asked.host, asked.port)
    return asyncio.run(follow(settings, asked.gateway, asked.seconds, asked.json))


def _demo(asked: argparse.Namespace) -> int:
    from gateway.demo import demo

    return asyncio.run(demo(asked.config, asked.seconds, asked.json))


def _log(verbose: bool) -> None:
    """Log to standard error; under systemd with the journal's priorities in place of the level's name."""
    shape = "%(levelname)s %(name)s: %(message)s"
    if os.environ.get("JOURNAL_STREAM"):
        for level, priority in ((50, 2), (40, 3), (30, 4), (20, 6), (10, 7)):
            logging.addLevelName(level, f"<{priority}>")
        shape = "%(levelname)s%(name)s: %(message)s"
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format=shape, stream=sys.stderr)
