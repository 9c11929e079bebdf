"""The httpx transports, which perform the steps of a flow, and what the aiohttp transport shares.

Exceptions of the library become a :class:`~aeron_magic.protocol.flow.ConnectionLost`. Only this
module and :mod:`aeron_magic.client.tls` import httpx.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
import sys
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple, TypeVar, cast

import httpx

from aeron_magic.client.compression import Decompressor, UnknownEncoding
from aeron_magic.client.network import (
    AsyncBackend,
    PlainBackend,
    choose_connections,
    deadline,
)
from aeron_magic.client.tls import (
    CONNECT_TIMEOUT,
    HEADERS,
    KEEP_ALIVE,
    ConnectionPolicy,
    connection_policy,
)
from aeron_magic.errors import UsageError
from aeron_magic.forks import restart_after_fork
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
from aeron_magic.protocol.limits import DEFAULT_LIMITS, Limits, limit_error
from aeron_magic.services.settings import Settings

Errors = tuple[type[Exception], ...]
T = TypeVar("T")

DRAIN_TIMEOUT = 0.01
"""Seconds to wait for the end of a finished body before its connection is closed."""

DRAIN_LIMIT = 64 * 2**10
"""The most bytes to read for that."""

NEW_AUTHORITY = (
    "Where a proxy of your organisation or a server of your own is in between: set SSL_CERT_FILE "
    "to a file with its certificate authority, and connect again."
)


NO_COMPRESSION = (
    "A proxy in between may compress answers that the service did not compress: ask its operator."
)


class ErrorKinds(NamedTuple):
    """Exceptions of an HTTP library: no connection, silence, an unusable address, a proxy's."""

    connect: Errors
    timeout: Errors
    url: Errors
    proxy: Errors


KINDS = ErrorKinds(
    connect=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    timeout=(httpx.TimeoutException,),
    url=(httpx.InvalidURL, httpx.UnsupportedProtocol),
    proxy=(httpx.ProxyError,),
)
SETTINGS_ERRORS = (ImportError, OSError, ValueError, httpx.InvalidURL)
"""Of a transport that cannot be made, because the environment is invalid."""

LIBRARY_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    UnicodeEncodeError,
    zlib.error,
)


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
    error: Exception, kinds: ErrorKinds, began: float, timeout: float, received: bytes = b""
) -> ConnectionLost:
    """The step result for an exception of an HTTP library.

    Its reason is in our words: the library's may quote what the server sent.

    Raises UsageError: the address or the text cannot be sent.
    """
    if isinstance(error, kinds.url):
        raise UsageError(
            "This address cannot be used.",
            hint="Check the address (--base-url, in Python base_url) and the environment.",
        ) from None
    if isinstance(error, UnicodeEncodeError):
        raise unpaired_surrogate() from None
    sent = not isinstance(error, kinds.connect)
    reason, remedy = _reason(error), ""
    if isinstance(error, kinds.timeout):
        limit = timeout if sent else min(timeout, CONNECT_TIMEOUT)
        reason = f"the service was silent for {limit:g} s"
    elif any(isinstance(one, ssl.SSLCertVerificationError) for one in _causes(error)):
        reason, remedy = "its certificate was not issued by a trusted authority", NEW_AUTHORITY
    elif isinstance(error, zlib.error):
        remedy = NO_COMPRESSION
    elif isinstance(error, kinds.proxy):
        found = re.match(r"\d{3}\b", str(getattr(error, "status", error)))
        reason = "the proxy refused to connect" + (f" (HTTP status {found[0]})" if found else "")
    return ConnectionLost(reason, sent, time.monotonic() - began, received, remedy)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from error.exceptions
        error = error.__cause__ or error.__context__


def _reason(error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            hosts = [host for one in _causes(error) if (host := getattr(one, "host", ""))]
            return f"the host {' '.join(hosts[:1])} was not found"
        if isinstance(cause, ssl.SSLError):
            return "the encryption of the connection failed"
        if isinstance(cause, zlib.error):
            if isinstance(cause, UnknownEncoding):
                name = f"with {cause}" if str(cause) else "in an unknown way"
                return f"the answer is compressed {name}, which was not asked for"
            return "the compression of the answer is damaged"
        if isinstance(cause, OSError) and (cause.errno or 0) in errno.errorcode:
            return os.strerror(cause.errno or 0).lower()
    return "the connection broke"


class Body:
    """A body that is not streamed, collected up to the limits.

    * ``began``: when the request began (``time.monotonic``).

    Raises IncompleteReply: the header exceeds its limit.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], limits: Limits, began: float
    ) -> None:
        if sum(len(name) + len(value) + 4 for name, value in headers.items()) > limits.header:
            raise limit_error(limits, "header")
        self.received = bytearray()
        self.is_error = not 200 <= status < 300
        self._status, self._headers, self._limits, self._began = status, headers, limits, began

    def add(self, piece: bytes) -> bool:
        """Add ``piece``; whether to read on.

        Raises IncompleteReply: the body exceeds a limit. The status of an error suffices without
        its end.
        """
        self.received += piece
        if len(self.received) <= self._limits.body:
            check_wait(self._limits, self._began)
            return True
        if not self.is_error:
            raise limit_error(self._limits, "body")
        return False

    def response(self, *, cut: bool = False) -> Response:
        """The response with what was received.

        A missing ``Date`` is set to the present time, as RFC 9110, 6.6.1 requires of a recipient.
        """
        headers = {name.lower(): value for name, value in self._headers.items()}
        headers.setdefault("date", formatdate(usegmt=True))
        cut = cut or len(self.received) > self._limits.body
        elapsed = time.monotonic() - self._began
        return Response(self._status, headers, bytes(self.received), elapsed, cut)


def check_wait(limits: Limits, began: float) -> None:
    """Raise the error of the limit ``wait`` if a request that began then takes too long."""
    if time.monotonic() - began > limits.wait:
        raise limit_error(limits, "wait")


def _unread(response: httpx.Response) -> httpx.Response:
    """``response`` without the headers that httpx reads although nothing follows from them.

    A redirect is not followed and a cookie is not kept, but httpx fails if it cannot read their
    values, after the request was sent.
    """
    for name in ("location", "set-cookie"):
        response.headers.pop(name, None)
    return response


class _HTTPTransport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return _unread(super().handle_request(request))


class _AsyncHTTPTransport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return _unread(await super().handle_async_request(request))


def _client_options(policy: ConnectionPolicy, kind: Callable[..., Any]) -> dict[str, Any]:
    """The options of a client; ``kind`` is its transport's class."""

    def transport(proxy: str | None = None) -> Any:
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=20, keepalive_expiry=KEEP_ALIVE
        )
        made = kind(verify=policy.tls, trust_env=False, limits=limits, proxy=proxy)
        plain = kind is _HTTPTransport
        made._pool._network_backend = PlainBackend() if plain else AsyncBackend()
        choose_connections(made._pool)
        return made

    return {
        "transport": transport(),
        "mounts": {url: transport(proxy) for url, proxy in policy.proxies.items() if proxy},
        "trust_env": False,
        "follow_redirects": False,  # a redirect would receive the headers with the credentials
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


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    """The body as it arrives, decompressed.

    It is read below httpx's decoding layers, which take time and decompress without a limit.
    """
    raw = filter(None, cast("Iterable[bytes]", response.stream))
    if "content-encoding" not in response.headers:
        return raw
    feed = Decompressor(response.headers["content-encoding"]).feed
    return (piece for data in raw for piece in feed(data))


def _async_pieces(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The same for a response of an ``AsyncClient``."""
    raw = aiter(cast("AsyncIterable[bytes]", response.stream))
    if "content-encoding" in response.headers:
        feed = Decompressor(response.headers["content-encoding"]).feed
        return (piece async for data in raw for piece in feed(data))
    return cast("AsyncGenerator[bytes]", raw)


class Transport:
    """What all transports have.

    * ``addresses``: all addresses that requests go to.
    * ``timeout``: seconds of silence after which a connection counts as lost.
    * ``limits``: the most that is accepted.
    * ``insecure``: whether plain HTTP to other machines is allowed.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        timeout: float,
        limits: Limits = DEFAULT_LIMITS,
        insecure: bool = False,
    ) -> None:
        self.timeout = timeout
        self.limits = limits
        self._policy = connection_policy(addresses, insecure=insecure)
        self._open()

    def _open(self) -> None:
        """Create what performs the requests."""


class HttpxTransport(Transport):
    """Performs the steps of flows with blocking calls."""

    def _open(self) -> None:
        self.http = self._client()
        self._left: httpx.Client | None = None
        restart_after_fork(self)

    def _client(self) -> httpx.Client:
        return httpx.Client(**_client_options(self._policy, _HTTPTransport))

    def after_fork(self) -> None:
        """Begin again in a forked process: the connections are those of the other one."""
        self._left, self.http = self.http, self._client()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the end of the interpreter, modules that closing needs are gone; so are the sockets.
        if hasattr(self, "http") and not is_finalizing():
            self.http.close()  # of a client that was not closed

    def flow_io(self) -> FlowIO:
        """The I/O of one flow: at most one open stream at a time."""
        return FlowIO(self)

    def close(self) -> None:
        self.http.close()


class FlowIO:
    """The steps of one flow."""

    def __init__(self, transport: HttpxTransport) -> None:
        self._transport = transport
        self._timeout = transport.timeout
        self._limits = transport.limits
        self._response: httpx.Response | None = None
        self._bytes: Iterator[bytes] | None = None
        self._requested = 0.0

    def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        if isinstance(step, ReadChunk):
            return self.read()
        if isinstance(step, Send | OpenStream):
            return self._request(step)
        if isinstance(step, Sleep):
            time.sleep(step.seconds)
        else:
            if step.finished:
                self._drain()
            self.close()
        return None

    def read(self) -> bytes | ConnectionLost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        if self._bytes is None:
            return b""
        check_wait(self._limits, self._requested)
        try:
            with deadline(self._requested + self._limits.wait):
                return next(self._bytes, b"")
        except LIBRARY_ERRORS as error:
            check_wait(self._limits, self._requested)
            return connection_lost(error, KINDS, began, self._timeout)

    def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        self.close()
        began = self._requested = time.monotonic()
        timeout = timeout_for(step, self._timeout)
        body: Body | None = None
        try:
            request = self._transport.http.build_request(**_arguments(step.request, timeout))
            with deadline(began + self._limits.wait):
                response = self._response = self._transport.http.send(request, stream=True)
                body = Body(response.status_code, response.headers, self._limits, began)
                pieces = _pieces(response)
                if isinstance(step, OpenStream) and response.is_success:
                    self._bytes = pieces
                    return body.response()
                for piece in pieces:
                    if not body.add(piece):
                        break
        except LIBRARY_ERRORS as error:
            return failure(error, KINDS, body, self._limits, began, timeout)
        finally:
            if self._bytes is None:
                self.close()
        return body.response()

    def _drain(self) -> None:
        """Read the end of a finished body, if it has arrived, to keep the connection."""
        left = DRAIN_LIMIT
        with deadline(time.monotonic() + DRAIN_TIMEOUT):
            while left > 0 and isinstance(data := self.read(), bytes) and data:
                left -= len(data)

    def close(self) -> None:
        """Close the open stream, if any. Closing twice is allowed."""
        response, self._response = self._response, None
        self._bytes = None
        if response is not None:
            response.close()


def failure(
    error: Exception,
    kinds: ErrorKinds,
    body: Body | None,
    limits: Limits,
    began: float,
    timeout: float,
) -> Response | ConnectionLost:
    """The step result for ``error``. The status of an error response suffices without its body."""
    check_wait(limits, began)
    if body is not None and body.is_error:
        return body.response(cut=True)
    received = b"" if body is None else bytes(body.received)
    return connection_lost(error, kinds, began, timeout, received)


class AsyncHttpxTransport(Transport):
    """Performs the steps of flows on an event loop; else the same as :class:`HttpxTransport`.

    The loop may change, as with each ``asyncio.run`` of a script. Connections belong to the loop
    that opened them, so another loop gets a new client.
    """

    def _open(self) -> None:
        self._http = self._client()
        self._loop: asyncio.AbstractEventLoop | None = None

    def http(self) -> httpx.AsyncClient:
        """The client of the running loop.

        Raises UsageError: no loop of asyncio is running, as under trio.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "An AsyncClient needs asyncio, which is not running here.",
                hint="Await it in asyncio.run(...). Under trio, use a Client in "
                "trio.to_thread.run_sync(...).",
            ) from None
        if self._loop not in (None, loop):
            self._http = self._client()
        self._loop = loop
        return self._http

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**_client_options(self._policy, _AsyncHTTPTransport))

    def flow_io(self) -> AsyncFlowIO:
        return AsyncFlowIO(self)

    async def close(self) -> None:
        await self.http().aclose()


class AsyncFlowIO:
    """The steps of one flow.

    Attributes:
    * ``on_sent``: called when a request was sent; not by the aiohttp transport.
    * ``on_pause``: called before a pause.
    """

    on_sent: Callable[[], None] | None = None
    on_pause: Callable[[], None] | None = None

    def __init__(self, transport: AsyncHttpxTransport) -> None:
        self._transport = transport
        self._timeout = transport.timeout
        self._response: httpx.Response | None = None
        self._bytes: AsyncGenerator[bytes] | None = None
        self._requested = 0.0

    async def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        if isinstance(step, ReadChunk):
            return await self.read()
        if isinstance(step, Send | OpenStream):
            return await self._request(step)
        if isinstance(step, Sleep):
            if self.on_pause is not None:
                self.on_pause()
            await asyncio.sleep(step.seconds)
        else:
            if step.finished:
                await self._drain()
            await self.close()
        return None

    async def read(self) -> bytes | ConnectionLost:
        began = time.monotonic()
        if self._bytes is None:
            return b""
        limits = self._transport.limits
        check_wait(limits, self._requested)
        try:
            with deadline(self._requested + limits.wait):
                async for data in self._bytes:
                    if data:
                        return data
            return b""
        except LIBRARY_ERRORS as error:
            check_wait(limits, self._requested)
            return connection_lost(error, KINDS, began, self._timeout)

    async def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        await self.close()
        began = self._requested = time.monotonic()
        timeout, limits = timeout_for(step, self._timeout), self._transport.limits
        body: Body | None = None
        try:
            http = self._transport.http()
            request = http.build_request(**_arguments(step.request, timeout))
            if self.on_sent is not None:
                request.extensions["trace"] = self._trace
            async with asyncio.timeout(limits.wait):
                response = self._response = await http.send(request, stream=True)
                body = Body(response.status_code, response.headers, limits, began)
                pieces = _async_pieces(response)
                if isinstance(step, OpenStream) and response.is_success:
                    self._bytes = pieces
                    return body.response()
                async for piece in pieces:
                    if not body.add(piece):
                        break
        except TimeoutError:
            raise limit_error(limits, "wait") from None
        except LIBRARY_ERRORS as error:
            return failure(error, KINDS, body, limits, began, timeout)
        finally:
            if self._bytes is None:
                await self.close()
        return body.response()

    async def _trace(self, event: str, _: object) -> None:
        if self.on_sent is not None and event.endswith("send_request_body.complete"):
            self.on_sent()

    async def _drain(self) -> None:
        left = DRAIN_LIMIT
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while left > 0 and isinstance(data := await self.read(), bytes) and data:
                    left -= len(data)
        except TimeoutError:
            return

    async def close(self) -> None:
        response, self._response = self._response, None
        reading, self._bytes = self._bytes, None
        if reading is not None:
            await reading.aclose()
        if response is not None:
            await response.aclose()


def open_transport(
    kind: Callable[[Iterable[str], float, Limits, bool], T], settings: Settings
) -> T:
    """A transport of this kind to the service of ``settings``.

    Raises
    ------
    UsageError
        The environment is invalid, or an address is not encrypted.
    """
    try:
        return kind(settings.addresses, settings.timeout, settings.limits, settings.insecure)
    except SETTINGS_ERRORS:
        # Their texts quote parts of a proxy's address, and so of its password.
        raise UsageError(
            f"The network settings in the environment are invalid: {_network_variables()}.",
            hint="SSL_CERT_FILE and SSL_CERT_DIR name certificates; a proxy is an address "
            "such as http://proxy.example:8080, and NO_PROXY a list of hosts.",
        ) from None


def _network_variables() -> str:
    """The variables of the environment that are set and concern connections, by name."""
    return ", ".join(
        name
        for name, value in sorted(os.environ.items())
        if value and (name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    )
