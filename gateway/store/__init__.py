"""Store and forward: what is accepted is on the disk, and stays until it is delivered.

`store` is the door; `pending` holds what is not on the disk yet, `log` writes it, `reader` reads it,
`tally` counts it, `file` opens the database and `schema` makes its tables.
"""

from gateway.store.errors import StoreError
from gateway.store.log import Stored
from gateway.store.prepare import prepare
from gateway.store.store import Store
from gateway.store.tally import Counts

__all__ = ["Counts", "Store", "StoreError", "Stored", "prepare"]
