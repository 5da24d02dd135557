"""Doing something that may fail in any way, or hang: nothing that is asked to stop a motor may do either."""

import asyncio
from collections.abc import Coroutine
from typing import Any

Pending = set["asyncio.Task[object]"]
"""What has been given up but has not returned."""


async def attempt(work: Coroutine[Any, Any, object], limit: float, pending: Pending) -> BaseException | None:
    """Run *work* for at most *limit* seconds; return what went wrong, or None.

    Work that takes longer is cancelled, not waited for, and stays in *pending* until it has returned.
    """
    task: asyncio.Task[object] = asyncio.ensure_future(work)
    pending.add(task)
    task.add_done_callback(pending.discard)
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait({task}, timeout=limit)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        return TimeoutError(f"no answer within {limit:g} s")
    return asyncio.CancelledError("cancelled") if task.cancelled() else task.exception()


def words(error: BaseException) -> str:
    """Return an error as a part of a sentence."""
    return str(error) or type(error).__name__


def _retrieve(task: "asyncio.Task[object]") -> None:
    if not task.cancelled():
        task.exception()  # else asyncio reports it as forgotten when the task is collected
