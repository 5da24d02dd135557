"""Where records are kept, for how long, and the key that signs the decisions among them."""

from pathlib import Path

from gateway.config.section import Section
from gateway.config.values import Duration, Pause, Size


class Store(Section):
    """Where records wait until they are delivered."""

    path: Path
    commit: Duration = 1.0
    keep: Pause = 86400.0
    keep_events: Pause = 90 * 86400.0
    thin_after: Duration | None = None
    drop_after: Duration | None = None
    max_size: Size = 1 << 30
    endurance: Size | None = None


class Ledger(Section):
    """The key that signs the ledger of decisions, and how often it does."""

    key: Path | None = None
    every: Duration = 3600.0
