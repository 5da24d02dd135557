"""Store and forward: what is accepted is on the disk, and stays until it is delivered.

`store` is the door, which `opening` opens. In the event loop `intake` holds what is not on the disk yet,
`keeper` has it written, `upkeep` has the file kept in order, and `condition` says how that goes. In a
thread `log` commits, `retention` says what may go, `thinning` makes less of it, `room` says what gives way;
`tables` writes, and `ledger` links decisions on their way. `reader` reads, `outlet` for the delivery,
`archive` does so from outside, `tally` counts, `file` opens the database, and `schema` makes its tables.
"""

from gateway.store.archive import Archive, Books, Leaf
from gateway.store.errors import StoreError
from gateway.store.ledger import Head, Link, Linker
from gateway.store.outlet import Stored
from gateway.store.prepare import prepare, refuse_if_taken
from gateway.store.store import Store
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
