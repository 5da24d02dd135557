"""Store and forward: what is accepted is on the disk, and stays until it is delivered.

`store` is the door; `pending` and `memory` hold what is not on the disk yet, `log` writes it, `ledger` links
decisions on their way, `reader` reads it, `archive` does so from outside, `tally` counts it, `file` opens the
database and `schema` makes its tables.
"""

from gateway.store.archive import Archive, Books, Leaf
from gateway.store.errors import StoreError
from gateway.store.ledger import Head, Link, Linker
from gateway.store.prepare import prepare, refuse_if_taken
from gateway.store.store import Store, Stored
from gateway.store.tally import Counts

__all__ = [
    "Archive",
    "Books",
    "Counts",
    "Head",
    "Leaf",
    "Link",
    "Linker",
    "Store",
    "StoreError",
    "Stored",
    "prepare",
    "refuse_if_taken",
]
