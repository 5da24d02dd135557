"""When checkpoints of the ledger are signed, and where they go; signing itself is another process's."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.device import Clock
from gateway.clock import Now
from gateway.ledger.chain import origin
from gateway.ledger.proofs import Proofs
from gateway.reading import Event
from gateway.store import Head, Store, StoreError

log = logging.getLogger("lamppost")

MEMORY = "checkpoint"
"""The name under which the store remembers the last checkpoint."""

CHUNK = 2000
"""Hashes that are read and handed to the signer at once."""

PATIENCE = 60.0
"""Seconds that the signer may take."""

AGAIN = 60.0
"""Seconds before a signer that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint (a signed note) over *size* records, the public key that signed it, and when [s, Unix].

    Which checkpoint it is does not depend on when it was signed.
    """

    size: int
    text: str
    key: str
    time: float | None = field(default=None, compare=False)


@dataclass
class Notary:
    """Has checkpoints signed: at the start, every so often while the ledger grows, and at the end.

    Each goes into the store as an event, and so to everybody who collects the log: what counts are the copies
    in other hands. *published* is called when there is a new one.
    """

    store: Store
    gateway: str
    key: Path
    every: float
    clock: Clock
    now: Now
    announce: Callable[[Event], None]
    published: Callable[[], None]
    latest: Signed | None = None
    problem: str = ""
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.origin = origin(self.gateway, self.store.epoch)
        self.proofs = Proofs(self.store.leaves)

    @property
    def head(self) -> Head:
        """Where the ledger ends."""
        found = self.store.head
        assert found is not None
        return found

    async def run(self) -> None:
        """Sign whenever it is time, until cancelled."""
        if self.store.doubt:
            self._say("lamppost.ledger.doubted", {"reason": self.store.doubt})
            log.error("ledger: %s: keep a copy of the store, and look with lamppost verify", self.store.doubt)
        await self.sign(anew=True)
        while True:
            await self.clock.sleep(min(AGAIN, self.every) if self.problem else self.every)
            await self.sign()

    async def recall(self) -> None:
        """Fetch the last checkpoint of earlier runs, if it is of this ledger."""
        with contextlib.suppress(StoreError, ValueError, KeyError, TypeError):
            shape = json.loads((await self.store.remembered())[MEMORY])
            if shape["origin"] == self.origin:
                time = float(shape["time"]) if "time" in shape else None
                self.latest = Signed(int(shape["size"]), str(shape["checkpoint"]), str(shape["key"]), time)

    async def sign(self, *, anew: bool = False) -> None:
        """Have a checkpoint signed if the ledger has grown, or in any case (*anew*)."""
        async with self._busy:
            head = self.head
            if anew or self.latest is None or head.size > self.latest.size:
                try:
                    self._take(head, await self._answer(head))
                except TimeoutError:
                    self._complain(f"no checkpoint could be signed within {PATIENCE:g} s")
                except (OSError, StoreError, ValueError) as error:
                    self._complain(f"no checkpoint could be signed: {error}")

    def describe(self) -> dict[str, Any]:
        """Return what there is to say of the ledger, from memory."""
        return {
            "origin": self.origin,
            "size": self.head.size,
            "root": self.head.root.hex(),
            "signed": self.latest.size if self.latest else None,
            "time": self.latest.time if self.latest else None,
            "problem": self.problem,
        }

    def shape(self) -> dict[str, Any]:
        """Return the last checkpoint as it is published; {} while there is none."""
        found = self.latest
        return {"origin": self.origin, **_shape(found)} if found else {}

    def _take(self, head: Head, answer: dict[str, str]) -> None:
        """Take the signer's answer. Raises KeyError, a defect, for one that is none."""
        if "refused" in answer:
            self._complain(answer["refused"])
            return
        self.problem = ""
        if answer["news"]:
            log.warning("ledger: the key is %s: %s", answer["news"], answer["key"])
            self._say("lamppost.ledger.key", {"key": answer["key"], "reason": answer["news"]})
        signed = Signed(head.size, answer["checkpoint"], answer["key"], self.now().time)
        if signed != self.latest:
            self.latest = signed
            self._say("lamppost.ledger.checkpoint", _shape(signed))
            self.store.remember(MEMORY, json.dumps({**self.shape(), "time": signed.time}))
            self.published()

    def _complain(self, problem: str) -> None:
        """Say once what is wrong."""
        if problem != self.problem:
            log.error("ledger: %s", problem)
            self._say("lamppost.ledger.unsigned", {"reason": problem})
        self.problem = problem

    def _say(self, type: str, data: dict[str, Any]) -> None:
        with contextlib.suppress(StoreError):  # at the very end
            self.announce(Event(type, self.gateway, self.now(), data))

    async def _answer(self, head: Head) -> dict[str, str]:
        """Ask the signer. Raises ValueError for an answer that is none."""
        last = self.latest.text if self.latest else ""
        wish = {"origin": self.origin, "size": head.size, "root": head.root.hex(), "last": last}
        async with asyncio.timeout(PATIENCE):
            signer = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.ledger", str(self.key)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                return await _asked(signer, json.dumps(wish).encode(), self._leaves(head.size))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    signer.kill()
                await signer.wait()

    async def _leaves(self, size: int) -> AsyncIterator[bytes]:
        for begin in range(0, size, CHUNK):
            yield b"".join(await self.store.leaves(begin, min(size, begin + CHUNK)))


async def _asked(
    signer: asyncio.subprocess.Process, wish: bytes, leaves: AsyncIterator[bytes]
) -> dict[str, str]:
    assert signer.stdin is not None
    assert signer.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it says why, or nothing
        signer.stdin.write(wish + b"\n")
        async for chunk in leaves:
            signer.stdin.write(chunk)
            await signer.stdin.drain()
        signer.stdin.close()
    line = await signer.stdout.readline()
    if not line:
        raise ValueError("the signer ended without a word: is the package cryptography installed?")
    answer: dict[str, str] = json.loads(line)
    return answer


def _shape(signed: Signed) -> dict[str, Any]:
    return {"size": signed.size, "checkpoint": signed.text, "key": signed.key}
