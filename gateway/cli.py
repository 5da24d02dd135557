"""The command `lamppost`. Each subcommand imports what it needs when it runs, so that `run` starts fast."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from gateway import VERSION, public, tools
from gateway.collect import options as collecting
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
        print(f"{_many(len(error.problems), 'problem')}; nothing was started.", file=sys.stderr)
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
    for add in (
        _add_run,
        _add_check,
        _add_watch,
        _add_derive,
        _add_verify,
        _add_explain,
        _add_export,
        _add_probe,
        _add_measure,
        _add_demo,
    ):
        add(commands)
    collecting.add(commands)
    public.add(commands, _moment)
    tools.add(commands, _moment)
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
    command.add_argument("--protocol", choices=["5", "3.1.1"], default="5", help="the MQTT that it speaks")
    command.add_argument("--gateway", metavar="ID", help="only this gateway; else all")
    command.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="stop after so long")
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    command.set_defaults(command=_watch)


def _add_derive(commands: Commands) -> None:
    command = commands.add_parser("derive", help="make a stream anew from the readings of a store")
    command.add_argument(
        "--store", type=Path, required=True, metavar="FILE", help="a gateway's store, or a copy"
    )
    command.add_argument("--stream", required=True, metavar="NAME", help="the stream's id")
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take the streams from this pole's TOML file, not the store",
    )
    command.add_argument("--since", type=_moment, metavar="TIME", help="only what it says from this time on")
    command.add_argument("--until", type=_moment, metavar="TIME", help="only readings up to this time")
    command.add_argument("--rows", type=int, default=20, help="rows of the table; 20 unless given")
    command.add_argument("--json", action="store_true", help="the readings made, one JSON object per line")
    command.set_defaults(command=_derive)


def _add_verify(commands: Commands) -> None:
    command = commands.add_parser("verify", help="say whether the ledger of decisions is whole")
    command.add_argument("file", type=Path, metavar="FILE", help="a gateway's store, a copy, or an export")
    command.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE", help="one that you kept"
    )
    command.add_argument(
        "--key", action="append", default=[], metavar="KEY", help="the gateway's public key: name+id+key"
    )
    command.set_defaults(command=_verify)


def _add_explain(commands: Commands) -> None:
    command = commands.add_parser("explain", help="say in words why a decision was taken")
    command.add_argument("id", metavar="ID", help="the decision's id")
    command.add_argument(
        "--store", type=Path, required=True, metavar="FILE", help="a gateway's store, or a copy"
    )
    command.set_defaults(command=_explain)


def _add_export(commands: Commands) -> None:
    command = commands.add_parser("export", help="print the records of a store, one JSON object per line")
    command.add_argument(
        "--store", type=Path, required=True, metavar="FILE", help="a gateway's store, or a copy"
    )
    command.add_argument(
        "--lane", choices=("events", "telemetry"), default="events", help="which records; events unless given"
    )
    command.add_argument(
        "--as-stored", action="store_true", help="times as they were recorded, also where they are wrong"
    )
    command.set_defaults(command=_export)


def _add_probe(commands: Commands) -> None:
    command = commands.add_parser("probe", help="say which part answers where, behind muxes too")
    command.add_argument("--config", type=Path, metavar="FILE", help="the buses of this pole's TOML file")
    command.add_argument(
        "--bus",
        action="append",
        default=[],
        metavar="PATH",
        help="a bus, such as /dev/i2c-1; also several",
    )
    command.add_argument("--all", action="store_true", help="every bus of this machine, besides those")
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.set_defaults(command=_probe)


def _add_measure(commands: Commands) -> None:
    command = commands.add_parser("measure", help="measure with one part on a bus, and print the values")
    command.add_argument("driver", metavar="DRIVER", help="the part's name, such as bme280")
    command.add_argument("--bus", required=True, metavar="PATH", help="the bus, such as /dev/i2c-1")
    command.add_argument("--address", type=_address, metavar="ADDRESS", help="such as 0x76; or its usual one")
    command.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the driver"
    )
    command.add_argument(
        "--for", type=float, dest="seconds", metavar="SECONDS", help="once a second, so long"
    )
    command.add_argument("--record", type=Path, metavar="FILE", help="write every transfer to a new file")
    command.add_argument("--json", action="store_true", help="one JSON object per line")
    command.set_defaults(command=_measure)


def _address(text: str) -> int:
    """Return an address from `0x76` or `118`."""
    try:
        return int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" is no address; write it as 0x76') from error


def _moment(text: str) -> float:
    """Return a time [s, Unix] from ISO 8601 text; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        said = f'"{text}" is no time; write it as 2026-11-22 or 2026-11-22T18:30+01:00'
        raise argparse.ArgumentTypeError(said) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _add_demo(commands: Commands) -> None:
    command = commands.add_parser(
        "demo", help="a whole emulated street, with a broker, a page and a live view"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="another street than deploy/demo.toml")
    command.add_argument(
        "--scenario", type=Path, metavar="NAME", help="storm, festival-night, failing-pole, or a file"
    )
    command.add_argument("--faults", type=int, metavar="SEED", help="let things go wrong, as this seed says")
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
    print(
        f"{asked.config}: nothing is wrong. {config.gateway.id} has {_many(len(config.device), 'device')} on "
        f"{_many(len(config.bus), 'bus', 'buses')} and the header, "
        f"{_many(len(config.derive), 'derived stream')} and {_many(rules, 'rule')}."
    )
    return 0


def _many(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _watch(asked: argparse.Namespace) -> int:
    from gateway.follow import broker_of, follow

    settings = broker_of(asked.config, asked.host, asked.port, asked.protocol)
    return asyncio.run(follow(settings, asked.gateway, asked.seconds, asked.json))


def _derive(asked: argparse.Namespace) -> int:
    from gateway.app.recompute import recompute
    from gateway.store import StoreError

    rows = None if asked.json else max(0, asked.rows)
    try:
        return recompute(asked.store, asked.stream, asked.config, (asked.since, asked.until), rows)
    except StoreError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT


def _verify(asked: argparse.Namespace) -> int:
    from gateway.app.audit import audit

    return _looked(lambda: audit(asked.file, asked.checkpoint, asked.key))


def _explain(asked: argparse.Namespace) -> int:
    from gateway.app.audit import explain

    return _looked(lambda: explain(asked.store, asked.id))


def _export(asked: argparse.Namespace) -> int:
    from gateway.app.audit import export
    from gateway.reading import Lane

    return _looked(lambda: export(asked.store, Lane(asked.lane), asked.as_stored))


def _looked(look: Callable[[], int]) -> int:
    """Return the status of a look into a file; BAD_INPUT, saying why, where there is nothing to see."""
    from gateway.ledger.note import NoteError
    from gateway.store import StoreError

    try:
        return look()
    except (StoreError, NoteError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT


def _probe(asked: argparse.Namespace) -> int:
    from gateway.app.probe import probe

    return probe(asked.config, asked.bus, asked.all, asked.json)


def _measure(asked: argparse.Namespace) -> int:
    from gateway.app.measure import Asked, measure

    return measure(
        Asked(
            *(asked.driver, asked.bus, asked.address, asked.option),
            *(asked.seconds, asked.record, asked.json),
        )
    )


def _demo(asked: argparse.Namespace) -> int:
    from gateway.demo import demo
    from gateway.scenario import scenario

    scene = scenario(asked.scenario, asked.faults)
    return asyncio.run(demo(asked.config, asked.seconds, asked.json, scene))


def _log(verbose: bool) -> None:
    """Log to standard error; under systemd with the journal's priorities in place of the level's name."""
    shape = "%(levelname)s %(name)s: %(message)s"
    if os.environ.get("JOURNAL_STREAM"):
        for level, priority in ((50, 2), (40, 3), (30, 4), (20, 6), (10, 7)):
            logging.addLevelName(level, f"<{priority}>")
        shape = "%(levelname)s%(name)s: %(message)s"
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format=shape, stream=sys.stderr)
