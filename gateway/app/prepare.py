"""Makes a store file in a process of its own: `python -m gateway.app.prepare FILE GATEWAY MAX_SIZE`.

As `gateway.store` does it, but with the ledger: a damaged file's decisions are linked into the new one's.
"""

import asyncio
import sys
from pathlib import Path

from gateway.config import Store as Settings
from gateway.ledger.linker import Linker
from gateway.store import Store


async def _prepare(path: str, gateway: str, max_size: str) -> None:
    settings = Settings(path=Path(path), max_size=int(max_size))
    await (await Store.open(settings, gateway, linker=Linker())).close()


if __name__ == "__main__":
    asyncio.run(_prepare(*sys.argv[1:4]))
