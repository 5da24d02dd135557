"""`lamppost backtest`: what a rule file would have done over the readings of a store."""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from gateway import terminal
from gateway.app.history import Past, Span, past_of
from gateway.app.trial import LIMITLESS, Trial
from gateway.app.tried import Run, Tried, differences
from gateway.app.tried_shown import shape, show
from gateway.clock import Instant
from gateway.config import Guard
from gateway.control import Limits, Permissive
from gateway.problem import ConfigError
from gateway.rules import Expression, load
from gateway.toml import read

GUARD = Guard.model_fields
"""What a guard in the configuration says: each goes to the limit of its name."""


def backtest(
    store: Path, new: Path, old: Path | None, config: Path | None, span: Span, rows: int | None
) -> int:
    """Print what the rules of *new*, and of *old*, would have done in a *span* of what *store* holds.

    With the last *rows* of what happened or differed; as JSON, all of it, where that is None. Raises
    ConfigError, StoreError.
    """
    tried = run(store, [new, *([old] if old else [])], config, span)
    if rows is None:
        print(json.dumps(shape(tried), ensure_ascii=False, separators=(",", ":")))
    else:
        show(tried, store, rows)
    return 0


def run(store: Path, files: list[Path], config: Path | None, span: Span) -> Tried:
    """Run the rule files over what *store* holds, all in one pass. Raises ConfigError, StoreError."""
    began = time.perf_counter()
    past = past_of(store, config)
    try:
        runs = [_run(path, past) for path in files]
    except ConfigError:
        if config is not None:
            raise
        past = past_of(store, None, whole=True)  # a device may have come later than the first records
        runs = [_run(path, past) for path in files]
    tried = Tried(past, runs)
    with _seldom_collecting():
        _play(tried, span, f"{files[0].name} over {store.name}")
    if len(runs) > 1:
        tried.differences = sorted(differences(runs[0].episodes, runs[1].episodes), key=lambda d: d.began)
    tried.seconds = time.perf_counter() - began
    return tried


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let the collector of cycles rest: millions of readings come and go, and none of them is in a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run(path: Path, past: Past) -> Run:
    switches = _switches(path) if past.guards is None else past.guards
    return Run(path, load(path, past.types(), switches, keep_expired=True))


def _switches(path: Path) -> set[str]:
    """Return the switches that a rule file names: all may be, where nobody says which there are."""
    rules = read(path).data.get("rule", [])
    tables = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    commands = [command for rule in tables if isinstance(rule.get("do"), list) for command in rule["do"]]
    return {
        str(command["switch"]) for command in commands if isinstance(command, dict) and "switch" in command
    }


def _play(tried: Tried, span: Span, label: str) -> None:
    past = tried.past
    for batch in terminal.progress(label, past.play(_devices(past, tried.runs), span)):
        tried.readings += batch.records
        if batch.heard and tried.first is None:
            at = batch.heard[0][0].at
            tried.first = at.time
            for each in tried.runs:
                each.trial = _trial(each, past, at)
        for trial in (each.trial for each in tried.runs if each.trial):
            for readings in batch.heard:
                trial.take(readings)
        if batch.heard:
            tried.last = max(tried.last, batch.heard[-1][0].at.time)


def _trial(each: Run, past: Past, at: Instant) -> Trial:
    return Trial(each.file.rules, past.stale, lambda name, trial: _limits(past, name, trial), at)


def _limits(past: Past, name: str, trial: Trial) -> Limits:
    """Return the limits of a switch as its guard in the configuration has them."""
    if past.guards is None:
        return LIMITLESS
    guard = past.guards[name]
    named = {each.name: getattr(guard, each.name) for each in fields(Limits) if each.name in GUARD}
    permissives = tuple(_permissive(each, trial) for each in past.permissives.get(name, ()))
    return Limits(**{"safe": False, **named, "permissives": permissives})


def _permissive(expression: Expression, trial: Trial) -> Permissive:
    return Permissive(expression.text, lambda: trial.engine.expression_truth(expression))


def _devices(past: Past, runs: list[Run]) -> set[str]:
    """Return every device that a rule, or the guard of a switch, looks at."""
    rules = [rule for each in runs for rule in each.file.rules]
    names = {name for rule in rules for name in rule.names}
    names |= {name for each in past.permissives.values() for expression in each for name in expression.names}
    return {name.partition(".")[0] for name in names}
