"""What httpx's connections lack: a deadline for reads, a look at the socket before a write.

httpx limits only the silence between two bytes: a server that sends one byte now and then keeps a
read waiting for ever. And a question that is written to a connection which the server has
just closed is lost, and in doubt; before it is written, it is not. Nor is one written to a
connection on which more came than the answer: the next question would take that for its own.
"""

from __future__ import annotations

import asyncio
import math
import select
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import httpcore

PIECE = 16 * 2**10
"""Bytes that are written at once to a connection of an event loop."""

_HANGUP = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
_moment: ContextVar[float] = ContextVar("moment", default=math.inf)


@contextmanager
def deadline(moment: float) -> Iterator[None]:
    """Reads of this thread or task time out at ``moment`` of ``time.monotonic`` at the latest."""
    outer = _moment.get()
    _moment.set(min(moment, outer))
    try:
        yield
    finally:
        _moment.set(outer)


def _time_left(timeout: float | None) -> float | None:
    """The timeout of a read, which ends at the deadline.

    Raises httpcore.ReadTimeout: the deadline is over.
    """
    left = _moment.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None or left < timeout else timeout


def state(sock: Any, *, idle: bool = False) -> Literal["open", "full", "closed"]:
    """The state of a connection. Where the system cannot tell, it is open.

    ``full``: nothing can be written to it at present. ``closed``: by the server, perhaps after an
    answer. It cannot be used either if it is ``idle`` after an answer, and more has come.
    """
    if not _HANGUP or sock is None or sock.fileno() < 0:
        return "open"
    unusable = _HANGUP | (select.POLLIN if idle else 0)
    poll = select.poll()
    poll.register(sock.fileno(), unusable | select.POLLOUT)
    events = next((found for _, found in poll.poll(0)), 0)
    if events & (unusable | select.POLLERR):
        return "closed"
    return "open" if events & select.POLLOUT else "full"


class _Stream:
    """What both kinds of streams share."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._asked = False
        """Whether a part of the present request was written."""
        self._answered = False
        """Whether a request was answered before."""

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _before_write(self) -> bool:
        """Whether there is room for a write now.

        Raises httpcore.ConnectError: the server closed the connection before a byte of the request
        was written, or has sent more than it was asked for. Raises httpcore.WriteError: it closed
        it later. httpcore reads what it answered, if anything.
        """
        idle = self._answered and not self._asked
        tls = self._stream.get_extra_info("ssl_object") if idle else None
        now = state(self._stream.get_extra_info("socket"), idle=idle)
        if now == "closed" or (tls is not None and tls.pending()):
            raise httpcore.WriteError if self._asked else httpcore.ConnectError
        self._asked = True
        return now == "open"


class _PlainStream(_Stream, httpcore.NetworkStream):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._asked, self._answered = False, True
        data: bytes = self._stream.read(max_bytes, _time_left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._before_write()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _PlainStream(self._stream.start_tls(ssl_context, server_hostname, timeout))


class _AsyncStream(_Stream, httpcore.AsyncNetworkStream):
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._asked, self._answered = False, True
        data: bytes = await self._stream.read(max_bytes, _time_left(timeout))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # asyncio drops an early answer if a write fails, so it writes only what there is room for.
        end = time.monotonic() + (timeout or 30.0)
        for start in range(0, len(buffer), PIECE):
            while not self._before_write() and time.monotonic() < end:
                await asyncio.sleep(0.001)
            await self._stream.write(buffer[start : start + PIECE], timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))


@contextmanager
def _naming_host(host: str) -> Iterator[None]:
    """Add the host, perhaps a proxy's, to the error of a connection, as aiohttp does."""
    try:
        yield
    except httpcore.ConnectError as error:
        error.host = host  # type: ignore[attr-defined]
        raise


class PlainBackend(httpcore.SyncBackend):
    """Connections for plain calls."""

    def connect_tcp(self, host: str, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        with _naming_host(host):
            return _PlainStream(super().connect_tcp(host, *arguments, **options))


class AsyncBackend(httpcore.AnyIOBackend):
    """Connections of an event loop."""

    async def connect_tcp(
        self, host: str, *arguments: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        with _naming_host(host):
            return _AsyncStream(await super().connect_tcp(host, *arguments, **options))


def choose_connections(pool: Any) -> None:
    """Make a pool of httpcore keep the idle connections that it has given to a request, and use
    none again on which more came than the answer.

    httpcore gives an idle connection to a request, which begins a moment later. If the connection
    expires in between, the next request closes it, and the first one would seem to be sent.
    """
    assign = pool._assign_requests_to_connections

    def choose() -> list[Any]:
        given = [one.connection for one in pool._requests if one.connection is not None]
        for one in pool._connections:
            if one.is_idle() and one not in given:
                _expire_if_unread(one)
        closing = assign()
        pool._connections += [one for one in closing if one in given]
        return [one for one in closing if one not in given]

    pool._assign_requests_to_connections = choose


def _expire_if_unread(connection: Any) -> None:
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner  # below a proxy's
    protocol = getattr(connection, "_h11_state", None)
    if protocol is not None and protocol.trailing_data[0]:
        connection._expire_at = 0.0
