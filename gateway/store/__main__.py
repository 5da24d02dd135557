"""Makes or migrates a store file in a process of its own: `python -m gateway.store FILE GATEWAY MAX_SIZE`.

The daemon calls it before it opens a file that is new or older than the code, so that it need not carry
sqlite_utils, 7 MB, for the rest of its life. It may fail: the daemon then does the same, and says why.
"""

import asyncio
import sys
from pathlib import Path

from gateway.config import Store as Settings
from gateway.store import Store


async def _prepare(path: str, gateway: str, max_size: str) -> None:
    store = await Store.open(Settings(path=Path(path), max_size=int(max_size)), gateway)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_prepare(*sys.argv[1:4]))
