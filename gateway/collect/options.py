"""What `lamppost collect` takes. It imports the rest only when it runs."""

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("collect", help="keep what gateways publish, and prove that it is complete")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=Path, metavar="FILE", help="collect into this SQLite file")
    what.add_argument(
        "--report", type=Path, metavar="FILE", help="say what this file has, and what is missing"
    )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="take the broker from this pole's TOML file"
    )
    command.add_argument("--host", default="127.0.0.1", help="the broker, where there is no --config")
    command.add_argument("--port", type=int, help="its port: 1883, or 8883 with TLS")
    command.add_argument("--protocol", choices=["5", "3.1.1"], default="5", help="the MQTT that it speaks")
    command.add_argument("--gateway", metavar="ID", help="only this gateway; else all")
    command.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="stop after so long")
    command.add_argument(
        "--acknowledge", metavar="NAME", help="tell gateways, as this consumer, what is safe here"
    )
    command.add_argument("--json", action="store_true", help="the report as one JSON object")
    command.set_defaults(command=_collect)


def _collect(asked: argparse.Namespace) -> int:
    from gateway.collect.command import collect, show

    if asked.report is not None:
        return show(asked.report, asked.json)
    from gateway.follow import broker_of

    settings = broker_of(asked.config, asked.host, asked.port, asked.protocol)
    return collect(settings, asked.gateway, asked.to, asked.seconds, asked.json, asked.acknowledge)
