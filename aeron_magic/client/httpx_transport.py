"""The httpx transports: perform the steps of a flow, one at a time.

Whatever the library raises becomes a :class:`~aeron_magic.protocol.flow.ConnectionLost`. Together
with :mod:`aeron_magic.client.tls` this is the only code that imports httpx.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from email.utils import formatdate
from typing import Any, assert_never, cast

import httpx

from aeron_magic.client.tls import CONNECT_TIMEOUT, ConnectionPolicy
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

__all__ = [
    "AsyncFlowIO",
    "AsyncHttpxTransport",
    "HttpxTransport",
    "describe_error",
    "timeout_for",
    "unpaired_surrogate",
    "with_date",
]

CONNECT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
DRAIN_TIMEOUT = 0.01
"""Seconds that the end of a finished body may take, before its connection is given up."""


def _options(addresses: Iterable[str]) -> dict[str, Any]:
    terms = ConnectionPolicy.for_addresses(addresses)
    return {
        "verify": terms.tls,
        "trust_env": terms.trust_env,
        "follow_redirects": False,  # the credentials travel in headers of their own
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
        "headers": terms.headers,
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


def timeout_for(step: Send | OpenStream, usual: float) -> float:
    """Seconds of silence that ``step`` is given."""
    shorter = step.timeout if isinstance(step, Send) else None
    return usual if shorter is None else min(usual, shorter)


def _refused(response: httpx.Response | None, began: float) -> Response | None:
    """The answer whose body was lost, if its status says enough without one."""
    if response is None or response.is_success:
        return None
    return _answer(response, b"", began)


def unpaired_surrogate() -> UsageError:
    """The error for a text that UTF-8 cannot write."""
    return UsageError(
        "The question or its token holds half a character, which no encoding can write.",
        hint="Look for a surrogate such as \\ud83d, left over where a text was cut.",
    )


def with_date(headers: dict[str, str]) -> dict[str, str]:
    """``headers``, with the present time as their date where they have none.

    Whoever receives an answer without its date is to write down when it came (RFC 9110, 6.6.1).
    """
    headers.setdefault("date", formatdate(usegmt=True))
    return headers


def describe_error(error: Exception) -> str:
    """What ``error`` says; some, as those of a reset connection, say nothing."""
    return str(error).strip() or "the connection broke"


def _lost(error: Exception, began: float, timeout: float) -> ConnectionLost:
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        raise UsageError(
            f"This address cannot be used: {error}", hint="Check --base-url and the environment."
        ) from None
    if isinstance(error, UnicodeEncodeError):
        raise unpaired_surrogate() from None
    seconds = time.monotonic() - began
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, CONNECT_ERRORS):
        reason = f"the service was silent for {timeout:g} s"
    else:
        reason = describe_error(error)
    return ConnectionLost(reason, sent=not isinstance(error, CONNECT_ERRORS), elapsed=seconds)


def _answer(response: httpx.Response, body: bytes, began: float) -> Response:
    headers = with_date({name.lower(): value for name, value in response.headers.items()})
    return Response(response.status_code, headers, body, time.monotonic() - began)


def _body(response: httpx.Response) -> Iterator[bytes]:
    """The body of ``response`` as it arrives.

    What is not compressed is taken from beneath the layers that would decode it: of all that
    reading a chunk costs, each layer is some 3 %.
    """
    if "content-encoding" in response.headers:
        return response.iter_bytes()
    return filter(None, cast("Iterable[bytes]", response.stream))


def _async_body(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The same for an answer that an ``AsyncClient`` got."""
    compressed = "content-encoding" in response.headers
    body = (
        response.aiter_bytes()
        if compressed
        else aiter(cast("AsyncIterable[bytes]", response.stream))
    )
    return cast("AsyncGenerator[bytes]", body)


LIBRARY_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeEncodeError)


class HttpxTransport:
    """Does the steps of flows with blocking calls.

    Parameters
    ----------
    addresses
        All the addresses that requests will go to. If each is on this machine, no proxy is asked.
    timeout
        The longest silence in seconds before a connection counts as lost.
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
        match step:
            case ReadChunk():
                return self.read()
            case Send() | OpenStream():
                return self._request(step)
            case Sleep():
                time.sleep(step.seconds)
                return None
            case Close():
                # Without looking for the body's end: a blocking read might wait for it in vain.
                self.close()
                return None
            case _:
                assert_never(step)

    def read(self) -> bytes | ConnectionLost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        if self._bytes is None:
            return b""
        try:
            return next(self._bytes, b"")
        except LIBRARY_ERRORS as error:
            return _lost(error, began, self._timeout)

    def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        self.close()
        began = time.monotonic()
        timeout = timeout_for(step, self._timeout)
        try:
            request = self._http.build_request(**_arguments(step.request, timeout))
            response = self._response = self._http.send(request, stream=True)
            if isinstance(step, OpenStream) and response.is_success:
                self._bytes = _body(response)
                return _answer(response, b"", began)
            body = response.read()
        except LIBRARY_ERRORS as error:
            return _refused(self._response, began) or _lost(error, began, timeout)
        finally:
            if self._bytes is None:
                self.close()
        return _answer(response, body, began)

    def close(self) -> None:
        """Close the open stream, if there is one; closing twice is fine."""
        response, self._response = self._response, None
        self._bytes = None
        if response is not None:
            response.close()


class AsyncHttpxTransport:
    """Does the steps of flows on an event loop; the same as :class:`HttpxTransport` with ``await``.

    The loop may be another one later, as with each ``asyncio.run`` of a script. Connections belong
    to the loop that made them, so none is taken along.
    """

    def __init__(self, addresses: Iterable[str], timeout: float) -> None:
        self.timeout = timeout
        self._options = _options(addresses)
        self._http = httpx.AsyncClient(**self._options)
        self._loop: asyncio.AbstractEventLoop | None = None

    def http(self) -> httpx.AsyncClient:
        """The library's client, for the loop that runs."""
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
        Called when a request has left this machine; batches do without.
    """

    on_sent: Callable[[], None] | None = None

    def __init__(self, transport: AsyncHttpxTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._response: httpx.Response | None = None
        self._bytes: AsyncGenerator[bytes] | None = None

    async def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        """Perform ``step``; return its result."""
        match step:
            case ReadChunk():
                return await self.read()
            case Send() | OpenStream():
                return await self._request(step)
            case Sleep():
                await asyncio.sleep(step.seconds)
                return None
            case Close():
                if step.finished:
                    await self._drain()
                await self.close()
                return None
            case _:
                assert_never(step)

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
            return _lost(error, began, self._timeout)

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
                return _answer(response, b"", began)
            body = await response.aread()
        except LIBRARY_ERRORS as error:
            return _refused(self._response, began) or _lost(error, began, timeout)
        finally:
            if self._bytes is None:
                await self.close()
        return _answer(response, body, began)

    async def _trace(self, event: str, _: object) -> None:
        if self.on_sent is not None and event.endswith("send_request_body.complete"):
            self.on_sent()

    async def _drain(self) -> None:
        """Take the end of a finished body if it is here, so that the connection can be kept."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while isinstance(data := await self.read(), bytes) and data:
                    pass
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close the open stream, if there is one; closing twice is fine."""
        response, self._response = self._response, None
        reading, self._bytes = self._bytes, None
        if reading is not None:
            await reading.aclose()
        if response is not None:
            await response.aclose()
