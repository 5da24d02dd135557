"""Uvicorn in the daemon's own loop: no signal handlers, no flag to look at, no client without an end."""

import asyncio
import errno
import socket
from collections import Counter
from typing import Any

import h11
import uvicorn.server
from fastapi import FastAPI
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

CLIENTS = 32
"""Connections at a time. What comes on top is cut off at once, so that the daemon never runs out of files."""

PATIENCE = 20.0
"""Seconds that a client has from one answer (or from connecting) until it has taken the next one whole."""

IDLE = 5
"""Seconds that a connection without a request is kept."""

REQUEST = 16 * 1024
"""Bytes that the head of a request may have while it is incomplete."""

GRACE = 1
"""Seconds that running requests get when the server stops."""


class Unavailable(OSError):
    """The address cannot be served; the text says why and what to do."""


class Server:
    """A server that listens. Stop it with `stop`."""

    def __init__(self, inner: uvicorn.server.Server, listener: socket.socket) -> None:
        self._inner = inner
        self._listener = listener
        self.host: str
        self.port: int
        self.host, self.port = listener.getsockname()[:2]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    async def stop(self) -> None:
        """Take no more requests, let running ones end for GRACE seconds, cut off what is left."""
        await self._inner.shutdown([self._listener])
        for connection in list(self._inner.server_state.connections):
            connection.transport.abort()


async def serve(app: FastAPI, host: str, port: int) -> Server:
    """Serve *app* at *host* and *port* (0 takes a free one) until stopped. Raises Unavailable."""
    listener = await _listen(host, port)
    connection = _connection(app.state.refused)
    inner = uvicorn.server.Server(
        Config(
            app,
            loop="none",
            http=connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning per malformed request would let strangers fill the log
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=REQUEST,
        )
    )
    inner.config.load()
    inner.lifespan = inner.config.lifespan_class(inner.config)
    await inner.startup([listener])
    return Server(inner, listener)


def _connection(refused: Counter[str]) -> type[H11Protocol]:
    """Return the protocol of one client, which counts in *refused* whom it cut off, and why."""

    class Connection(H11Protocol):
        end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > CLIENTS:
                self.cut("crowded")
            else:
                self.wait()

        def connection_lost(self, exc: Exception | None) -> None:
            if self.end:
                self.end.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.wait()

        def send_400_response(self, msg: str) -> None:
            refused["malformed"] += 1
            if self.cycle is not None:
                self.cycle.disconnected = True  # whoever still works on an answer must not send it after this
            try:
                super().send_400_response(msg)
            except h11.LocalProtocolError:  # in the middle of an answer there is no other way to say it
                self.transport.abort()

        def wait(self) -> None:
            if self.end:
                self.end.cancel()
            self.end = self.loop.call_later(PATIENCE, self.cut, "slow")

        def cut(self, reason: str) -> None:
            refused[reason] += 1
            self.transport.abort()

    return Connection


async def _listen(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(_pair(address), family=family, backlog=CLIENTS)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {_advice(error)}") from error


def _pair(address: tuple[Any, ...]) -> tuple[str, int]:
    return str(address[0]), int(address[1])


def _advice(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the name is not known here; set http.host to an address of this machine, such as 127.0.0.1"
    match error.errno:
        case errno.EADDRINUSE:
            return "another program has this port; set http.port to a free one, or stop the other program"
        case errno.EACCES:
            return "this user may not take the port; set http.port to one above 1023"
        case errno.EADDRNOTAVAIL:
            return (
                "this machine does not have the address; set http.host to one that it has, such as 127.0.0.1"
            )
    return error.strerror or str(error)
