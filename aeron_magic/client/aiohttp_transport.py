"""The aiohttp transport, for the concurrent requests of batches.

httpx checks all connections of a client for every waiting request. With 64 concurrent requests a
request costs 11 ms of CPU (1.3 ms with a client each), with aiohttp 0.4 ms. Steps and results are
those of :mod:`aeron_magic.client.httpx_transport`; the same tests run for both.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler

from aeron_magic.client.compression import Decompressor
from aeron_magic.client.httpx_transport import (
    AsyncFlowIO,
    AsyncHttpxTransport,
    Body,
    ErrorKinds,
    check_wait,
    connection_lost,
    failure,
    timeout_for,
)
from aeron_magic.client.network import PIECE, state
from aeron_magic.client.tls import CONNECT_TIMEOUT, HEADERS
from aeron_magic.errors import UsageError
from aeron_magic.protocol.flow import ConnectionLost, OpenStream, Request, Response, Send

KEEP_ALIVE = 0.1
"""As :data:`aeron_magic.client.tls.KEEP_ALIVE`; a loop with many workers may be busy so long."""

MAX_IDLE = 20
"""Idle connections that may prove closed before a request."""

KINDS = ErrorKinds(
    connect=(
        aiohttp.ClientConnectorError,
        aiohttp.ClientHttpProxyError,
        aiohttp.ConnectionTimeoutError,
    ),
    timeout=(TimeoutError,),
    url=(aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
    proxy=(aiohttp.ClientHttpProxyError,),
)
LIBRARY_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, UnicodeEncodeError, zlib.error)


_socket: ContextVar[Any] = ContextVar("socket")
"""The connection of the present task's request."""


class _Protocol(ResponseHandler):
    """Reads a header before what follows it, and tells the body's reader of an error.

    If a chunk is malformed, aiohttp loses what came with it, and tells the reader nothing (3.14).
    """

    def data_received(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if 4 <= end < len(data):
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        if self._payload is not None and not self._payload.is_eof():  # it would wait for ever
            self._payload.set_exception(aiohttp.ClientPayloadError(str(exc)), exc)


class _Connector(aiohttp.TCPConnector):
    """Looks at an idle connection before it is used again.

    More than the answer may have come: aiohttp would take that for the answer to the next request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=self._loop))
        self._used: WeakSet[Any] = WeakSet()

    async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
        for _ in range(MAX_IDLE):
            connection = await super().connect(*arguments, **options)
            transport, protocol = connection.transport, connection.protocol
            sock = transport.get_extra_info("socket") if transport else None
            used = protocol is not None and protocol in self._used
            more = used and protocol is not None and protocol.should_close
            if not more and state(sock, idle=used) != "closed":
                _socket.set(sock)
                self._used.add(protocol)
                return connection
            connection.close()
        return await super().connect(*arguments, **options)


class AiohttpTransport(AsyncHttpxTransport):
    """Performs the steps of many concurrent flows on one event loop, through HTTP proxies only."""

    def _open(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        if any(proxy and not proxy.startswith("http") for proxy in self._policy.proxies.values()):
            raise UsageError(
                "A batch can use HTTP proxies only, and the environment names another kind.",
                hint="Check HTTPS_PROXY and ALL_PROXY.",
            )

    def session(self) -> aiohttp.ClientSession:
        """The client, created in the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=self._policy.tls, keepalive_timeout=KEEP_ALIVE),
                trust_env=False,  # else .netrc is read
                headers=HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # Decompressor does that, with a limit
                max_line_size=self.limits.header,
                max_field_size=self.limits.header,
            )
            # aiohttp repeats a lost GET: a stream of Chatzy would be opened twice, and have a hole.
            self._session._retry_connection = False
        return self._session

    def proxy(self, url: str) -> str | None:
        """The proxy for ``url``, which begins with one of the addresses."""
        proxies = self._policy.proxies.items()
        return next((proxy for address, proxy in proxies if url.startswith(address)), None)

    def flow_io(self) -> AsyncFlowIO:
        return AiohttpFlowIO(self)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class AiohttpFlowIO(AsyncFlowIO):
    _transport: AiohttpTransport

    def __init__(self, transport: AiohttpTransport) -> None:
        self._transport = transport
        self._timeout = transport.timeout
        self._current: aiohttp.ClientResponse | None = None
        self._open = False
        self._loss: ConnectionLost | None = None
        self._requested = 0.0
        self._pieces: AsyncIterator[bytes] | None = None

    async def read(self) -> bytes | ConnectionLost:
        began = time.monotonic()
        if self._current is None or not self._open:
            return b""
        if self._loss is not None:
            return self._loss
        limits = self._transport.limits
        check_wait(limits, self._requested)
        try:
            seconds = self._requested + limits.wait - began
            if self._pieces is not None:
                async with asyncio.timeout(seconds):
                    return await anext(self._pieces, b"")
            return await _read(self._current.content, min(self._timeout, seconds))
        except LIBRARY_ERRORS as error:
            check_wait(limits, self._requested)
            loss = connection_lost(error, KINDS, began, self._timeout)
        # aiohttp holds back bytes received before the loss. They may contain the reply's token.
        content = self._current.content
        left = b"" if self._pieces is not None else b"".join(content._buffer)
        content._buffer.clear()
        if left:
            self._loss = loss
        return left or loss

    async def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        await self.close()
        began = self._requested = time.monotonic()
        timeout, limits = timeout_for(step, self._timeout), self._transport.limits
        body: Body | None = None
        try:
            async with asyncio.timeout(limits.wait):
                response = self._current = await self._transport.session().request(
                    step.request.method,
                    step.request.url,
                    **_content(step.request, timeout),
                    proxy=self._transport.proxy(step.request.url),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(
                        total=None,
                        sock_connect=min(timeout, CONNECT_TIMEOUT),
                        sock_read=timeout,
                    ),
                )
                body = Body(response.status, response.headers, limits, began)
                encoding = response.headers.get("content-encoding")
                pieces = _pieces(response.content, encoding or "", timeout)
                if isinstance(step, OpenStream) and response.status < 300:
                    self._open = True
                    self._pieces = pieces if encoding else None
                    return body.response()
                async for piece in pieces:
                    if not body.add(piece):
                        break
        except LIBRARY_ERRORS as error:
            return failure(error, KINDS, body, limits, began, timeout)
        finally:
            if not self._open:
                await self.close()
        return body.response()

    async def _drain(self) -> None:
        # Usually the end came with the last chunk, and the connection is in the pool again.
        if self._current is not None and not self._current.content.is_eof():
            await super()._drain()

    async def close(self) -> None:
        response, self._current = self._current, None
        self._open, self._loss, self._pieces = False, None, None
        if response is not None:
            response.close()  # does nothing if the body was read to its end


def _content(request: Request, timeout: float) -> dict[str, Any]:
    headers = dict(request.headers)
    content: dict[str, Any] = {"headers": headers, "params": request.params}
    if request.json is not None:
        headers["content-type"] = "application/json"
        text = json.dumps(request.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        data = text.encode()
        content["data"] = _upload(data, timeout) if len(data) > PIECE else data
        headers["content-length"] = str(len(data))
    return content


async def _upload(data: bytes, timeout: float) -> AsyncIterator[bytes]:
    """A long body. asyncio drops an early answer if a write fails, so no write follows it."""
    for start in range(0, len(data), PIECE):
        async with asyncio.timeout(timeout):
            while state(_socket.get(None)) != "open":
                await asyncio.sleep(0.001)  # aiohttp ends this when an answer or the end has come
        yield data[start : start + PIECE]


async def _pieces(
    content: aiohttp.StreamReader, encoding: str, timeout: float
) -> AsyncIterator[bytes]:
    """The body as it arrives, decompressed."""
    feed = Decompressor(encoding).feed
    while data := await _read(content, timeout):
        for piece in feed(data):
            yield piece


async def _read(content: aiohttp.StreamReader, timeout: float) -> bytes:
    """The next bytes of a body."""
    async with asyncio.timeout(timeout):
        return await content.readany()
