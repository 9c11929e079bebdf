"""The httpx transports, which perform the steps of a flow, and what the aiohttp transport shares.

Exceptions of the library become a :class:`~aeron_magic.protocol.flow.ConnectionLost`. Only this
module and :mod:`aeron_magic.client.tls` import httpx.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple, cast

import httpx

from aeron_magic.client.tls import CONNECT_TIMEOUT, HEADERS, connection_policy
from aeron_magic.errors import UsageError
from aeron_magic.protocol.flow import (
    Close,
    ConnectionLost,
    OpenStream,
    ReadChunk,
    Request,
    Response,
    Send,
    Sleep,
    StepResult,
)

Errors = tuple[type[Exception], ...]

DRAIN_TIMEOUT = 0.01
"""Seconds to wait for the end of a finished body before its connection is closed."""


class ErrorKinds(NamedTuple):
    """Exceptions of an HTTP library: not connected, silent for too long, an unusable address."""

    connect: Errors
    timeout: Errors
    url: Errors


KINDS = ErrorKinds(
    connect=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    timeout=(httpx.TimeoutException,),
    url=(httpx.InvalidURL, httpx.UnsupportedProtocol),
)
LIBRARY_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeEncodeError)


def timeout_for(step: Send | OpenStream, default: float) -> float:
    """The longest silence during ``step``, in seconds."""
    shorter = step.timeout if isinstance(step, Send) else None
    return default if shorter is None else min(default, shorter)


def unpaired_surrogate() -> UsageError:
    """The error for a text with an unpaired surrogate."""
    return UsageError(
        "The question or its token contains an unpaired surrogate and cannot be encoded as UTF-8.",
        hint="Look for a surrogate such as \\ud83d, left over where a text was cut.",
    )


def connection_lost(
    error: Exception, kinds: ErrorKinds, began: float, timeout: float
) -> ConnectionLost:
    """The step result for an exception of an HTTP library.

    Raises
    ------
    UsageError
        The address or the text cannot be sent.
    """
    if isinstance(error, kinds.url):
        raise UsageError(
            f"This address cannot be used: {error}", hint="Check --base-url and the environment."
        ) from None
    if isinstance(error, UnicodeEncodeError):
        raise unpaired_surrogate() from None
    sent = not isinstance(error, kinds.connect)
    # A library's message about a response quotes its bytes, which are not for the user to read.
    reason = "the connection broke"
    if not sent:
        reason = str(error).strip() or reason
    elif isinstance(error, kinds.timeout):
        reason = f"the service was silent for {timeout:g} s"
    elif re.search("peer closed|incomplete|not completed|disconnected", str(error)[:200]):
        reason = "the connection was closed too early"
    elif re.search("Protocol|Payload|Http|Decod|Encoding", type(error).__name__):
        reason = "its response is not valid HTTP"
    return ConnectionLost(reason, sent=sent, elapsed=time.monotonic() - began)


def make_response(status: int, headers: Mapping[str, str], body: bytes, began: float) -> Response:
    """A response to a request that began at ``began``.

    A missing ``Date`` is set to the present time, as RFC 9110, 6.6.1 requires of a recipient.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    lower.setdefault("date", formatdate(usegmt=True))
    return Response(status, lower, body, time.monotonic() - began)


def _options(addresses: Iterable[str]) -> dict[str, Any]:
    policy = connection_policy(addresses)
    return {
        "verify": policy.tls,
        "trust_env": policy.trust_env,
        "follow_redirects": False,  # a redirect would receive the headers with the credentials
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
        "headers": HEADERS,
    }


def _arguments(request: Request, timeout: float) -> dict[str, Any]:
    return {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None),
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "params": request.params,
        "json": request.json,
    }


def _response(response: httpx.Response, body: bytes, began: float) -> Response:
    return make_response(response.status_code, response.headers, body, began)


def _failure(
    error: Exception, response: httpx.Response | None, began: float, timeout: float
) -> Response | ConnectionLost:
    """The step result for ``error``. The status of an error response suffices without its body."""
    if response is not None and not response.is_success:
        return _response(response, b"", began)
    return connection_lost(error, KINDS, began, timeout)


def _body(response: httpx.Response) -> Iterator[bytes]:
    """The body as it arrives.

    If it is not compressed, it is read below httpx's decoding layers, each of which takes 3 % of
    the time to read a chunk.
    """
    if "content-encoding" in response.headers:
        return response.iter_bytes()
    return filter(None, cast("Iterable[bytes]", response.stream))


def _async_body(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The same for a response of an ``AsyncClient``."""
    if "content-encoding" in response.headers:
        body = response.aiter_bytes()
    else:
        body = aiter(cast("AsyncIterable[bytes]", response.stream))
    return cast("AsyncGenerator[bytes]", body)


class HttpxTransport:
    """Performs the steps of flows with blocking calls.

    Parameters
    ----------
    addresses
        All addresses that requests go to. If all are on this machine, no proxy is used.
    timeout
        Seconds of silence after which a connection counts as lost.
    """

    def __init__(self, addresses: Iterable[str], timeout: float) -> None:
        self.timeout = timeout
        self._http = httpx.Client(**_options(addresses))

    def flow_io(self, timeout: float | None = None) -> FlowIO:
        """The I/O of one flow: at most one open stream at a time."""
        return FlowIO(self._http, timeout or self.timeout)

    def close(self) -> None:
        self._http.close()


class FlowIO:
    """The steps of one flow."""

    def __init__(self, http: httpx.Client, timeout: float) -> None:
        self._http = http
        self._timeout = timeout
        self._response: httpx.Response | None = None
        self._bytes: Iterator[bytes] | None = None

    def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        """Perform ``step``; return its result."""
        if isinstance(step, ReadChunk):
            return self.read()
        if isinstance(step, Send | OpenStream):
            return self._request(step)
        if isinstance(step, Sleep):
            time.sleep(step.seconds)
        else:
            # Without reading the end of the body: a blocking read may never return.
            self.close()
        return None

    def read(self) -> bytes | ConnectionLost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        if self._bytes is None:
            return b""
        try:
            return next(self._bytes, b"")
        except LIBRARY_ERRORS as error:
            return connection_lost(error, KINDS, began, self._timeout)

    def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        self.close()
        began = time.monotonic()
        timeout = timeout_for(step, self._timeout)
        try:
            request = self._http.build_request(**_arguments(step.request, timeout))
            response = self._response = self._http.send(request, stream=True)
            if isinstance(step, OpenStream) and response.is_success:
                self._bytes = _body(response)
                return _response(response, b"", began)
            body = response.read()
        except LIBRARY_ERRORS as error:
            return _failure(error, self._response, began, timeout)
        finally:
            if self._bytes is None:
                self.close()
        return _response(response, body, began)

    def close(self) -> None:
        """Close the open stream, if any. Closing twice is allowed."""
        response, self._response = self._response, None
        self._bytes = None
        if response is not None:
            response.close()


class AsyncHttpxTransport:
    """Performs the steps of flows on an event loop; else the same as :class:`HttpxTransport`.

    The loop may change, as with each ``asyncio.run`` of a script. Connections belong to the loop
    that opened them, so another loop gets a new client.
    """

    def __init__(self, addresses: Iterable[str], timeout: float) -> None:
        self.timeout = timeout
        self._options = _options(addresses)
        self._http = httpx.AsyncClient(**self._options)
        self._loop: asyncio.AbstractEventLoop | None = None

    def http(self) -> httpx.AsyncClient:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            self._http = httpx.AsyncClient(**self._options)
        self._loop = loop
        return self._http

    def flow_io(self, timeout: float | None = None) -> AsyncFlowIO:
        """The I/O of one flow: at most one open stream at a time."""
        return AsyncFlowIO(self, timeout or self.timeout)

    async def close(self) -> None:
        await self.http().aclose()


class AsyncFlowIO:
    """The steps of one flow.

    Attributes
    ----------
    on_sent
        Called when a request was sent; not by the aiohttp transport.
    """

    on_sent: Callable[[], None] | None = None

    def __init__(self, transport: AsyncHttpxTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._response: httpx.Response | None = None
        self._bytes: AsyncGenerator[bytes] | None = None

    async def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        """Perform ``step``; return its result."""
        if isinstance(step, ReadChunk):
            return await self.read()
        if isinstance(step, Send | OpenStream):
            return await self._request(step)
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
        else:
            if step.finished:
                await self._drain()
            await self.close()
        return None

    async def read(self) -> bytes | ConnectionLost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        if self._bytes is None:
            return b""
        try:
            async for data in self._bytes:
                if data:
                    return data
            return b""
        except LIBRARY_ERRORS as error:
            return connection_lost(error, KINDS, began, self._timeout)

    async def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        await self.close()
        began = time.monotonic()
        timeout = timeout_for(step, self._timeout)
        try:
            http = self._transport.http()
            request = http.build_request(**_arguments(step.request, timeout))
            if self.on_sent is not None:
                request.extensions["trace"] = self._trace
            response = self._response = await http.send(request, stream=True)
            if isinstance(step, OpenStream) and response.is_success:
                self._bytes = _async_body(response)
                return _response(response, b"", began)
            body = await response.aread()
        except LIBRARY_ERRORS as error:
            return _failure(error, self._response, began, timeout)
        finally:
            if self._bytes is None:
                await self.close()
        return _response(response, body, began)

    async def _trace(self, event: str, _: object) -> None:
        if self.on_sent is not None and event.endswith("send_request_body.complete"):
            self.on_sent()

    async def _drain(self) -> None:
        """Read the end of a finished body, if it has arrived, to keep the connection."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while isinstance(data := await self.read(), bytes) and data:
                    pass
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close the open stream, if any. Closing twice is allowed."""
        response, self._response = self._response, None
        reading, self._bytes = self._bytes, None
        if reading is not None:
            await reading.aclose()
        if response is not None:
            await response.aclose()
