"""The command: the score of a rule over what a store holds."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.app.history import FOREVER, Span, designs_of
from gateway.app.score.actions import acts_in
from gateway.app.score.acts import COLLECTION, Act, Decisions, emptyings
from gateway.app.score.pairs import Score, paired
from gateway.app.score.shown import show
from gateway.derive import Design
from gateway.problem import ConfigError, Problem
from gateway.reading import Lane
from gateway.store import Archive


def score(store: Path, rule: str, window: float, span: Span, actions: Path | None, rows: int | None) -> int:
    """Print the score of *rule* over a *span* of what *store* holds; as JSON where *rows* is None.

    *actions* is a CSV of what people did, beside what the store knows. Raises ConfigError, StoreError.
    """
    archive = Archive(store)
    designs, zone = designs_of(archive)
    found = scored(archive, designs, rule, window, span, acts_in(actions, zone) if actions else [])
    if rows is None:
        print(json.dumps(found.shape(), ensure_ascii=False, separators=(",", ":")))
    else:
        show(found, zone, rows)
    return 0


def scored(
    archive: Archive,
    designs: Mapping[str, Design],
    rule: str,
    window: float,
    span: Span,
    more: Iterable[Act] = (),
) -> Score:
    """Return the score of *rule*. Raises ConfigError where it never decided anything."""
    decisions = Decisions(rule)
    for entry in archive.records(Lane.EVENTS, 0.0, FOREVER):
        decisions.take(entry.body)
    if not decisions.rules.get(rule):
        known = ", ".join(sorted(decisions.rules)) or "none"
        said = f'no rule "{rule}" decided anything in this store; there are: {known}'
        raise ConfigError([Problem("the store", 1, said)])
    about = {act.target for act in decisions.proposed}
    since, end = span[0], min(span[1] or FOREVER, decisions.last)
    people = [*decisions.people, *more]
    if any(f"announce {COLLECTION}" in act.words for act in decisions.proposed):
        emptied = list(emptyings(archive, designs, about))
        people += emptied
        end = max(end, min(span[1] or FOREVER, max((act.time for act in emptied), default=0.0)))
    people.sort(key=lambda act: act.time)
    inside = [act for act in people if act.target in about and (since or 0.0) <= act.time <= end]
    proposed = [act for act in decisions.proposed if (since or 0.0) <= act.time <= end]
    found = Score(rule, window, since, span[1] or end, decisions.vetoed)
    found.pairs = sorted(paired(proposed, inside, window, end), key=lambda pair: pair.time)
    return found
