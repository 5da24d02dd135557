"""Blocking work in a thread that nobody has to wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable


async def in_thread(work: Callable[[], None], undo: Callable[[], None]) -> None:
    """Run *work* in a daemon thread: a name server that never answers must not hold up the shutdown.

    When nobody waits any more by the time that *work* is done, *undo* is called, in the loop. Raises the
    OSError that *work* raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if done.done():
            undo()
        elif error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def body() -> None:
        error: OSError | None = OSError("connecting failed")
        try:
            work()
            error = None
        except OSError as problem:
            error = problem
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
                loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=body, name="mqtt-connect", daemon=True).start()
    await done
