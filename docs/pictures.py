"""Takes the pictures of the README from a running demo: `python docs/pictures.py` (needs chromium).

The page is a screenshot of the page that the demo's daemon serves; the terminal is the live view of the same
moment, exported by the library that draws it.
"""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from gateway import demo
from gateway.app.check import plan
from gateway.app.daemon import Daemon
from gateway.mqtt.watch import Follower
from gateway.terminal import Screen

PICTURES = Path(__file__).parent / "pictures"
MOMENT = 34.5
"""Seconds into the demo: the siren has sounded, the noise meter is back, the plate goes down again."""

CHROMIUM = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,1500",
)  # fmt: skip


async def main() -> None:
    """Run the demo to its MOMENT and take both pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, demo.broker(Path(name)) as port:
        street = demo.placed(plan(demo.default()), Path(name), port)
        screen = Screen(street.config.gateway.id)
        subscriber = demo.Subscriber(screen, Follower("lamppost"), quiet=False)
        listening = asyncio.create_task(subscriber.run(street.config.mqtt, street.config.gateway.id))
        daemon = Daemon(street)
        running = asyncio.create_task(daemon.run(signals=False))
        await asyncio.sleep(MOMENT)
        screen.page, screen.status = daemon.page, daemon.status()
        console = Console(record=True, width=150, height=46, file=(Path(name) / "void").open("w"))
        console.print(screen)
        console.save_svg(str(PICTURES / "terminal.svg"), title="lamppost demo")
        shot = await asyncio.create_subprocess_exec(
            *CHROMIUM, f"--user-data-dir={name}/browser", f"--screenshot={PICTURES / 'page.png'}", daemon.page
        )
        await shot.wait()
        daemon.stopping.set()
        await running
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
