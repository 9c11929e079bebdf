"""The aiohttp transport of batches: many requests side by side at little cost.

httpx, which all else uses, looks at all connections of a client for every request that waits: at
64 side by side a request costs 11 ms of CPU, and 1.3 ms with a client each; with aiohttp it costs
0.4 ms. Steps and results are those of :mod:`aeron_magic.client.httpx_transport`, and the same
tests hold for both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import aiohttp

from aeron_magic.client.httpx_transport import (
    AsyncFlowIO,
    AsyncHttpxTransport,
    describe_error,
    timeout_for,
    unpaired_surrogate,
    with_date,
)
from aeron_magic.client.tls import ConnectionPolicy
from aeron_magic.errors import UsageError
from aeron_magic.protocol.flow import ConnectionLost, OpenStream, Request, Response, Send

__all__ = ["AiohttpTransport"]

CONNECT_ERRORS = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
"""No connection was made. What is lost later may have been heard."""

LIBRARY_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


class AiohttpTransport(AsyncHttpxTransport):
    """Does the steps of many flows side by side, on one event loop.

    Parameters
    ----------
    addresses
        Those that will be asked.
    timeout
        Seconds of silence after which a connection counts as lost.
    """

    def __init__(self, addresses: Iterable[str], timeout: float) -> None:
        self.timeout = timeout
        self._policy = ConnectionPolicy.for_addresses(addresses)
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The library's client; made where a loop runs."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._policy.tls),
                trust_env=self._policy.trust_env,
                headers=self._policy.headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def flow_io(self, timeout: float | None = None) -> AsyncFlowIO:
        return AiohttpFlowIO(self, timeout or self.timeout)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class AiohttpFlowIO(AsyncFlowIO):
    """The steps of one flow."""

    _transport: AiohttpTransport

    def __init__(self, transport: AiohttpTransport, timeout: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._answering: aiohttp.ClientResponse | None = None
        self._open = False
        self._loss: ConnectionLost | None = None

    async def read(self) -> bytes | ConnectionLost:
        began = time.monotonic()
        if self._answering is None or not self._open:
            return b""
        if self._loss is not None:
            return self._loss
        content = self._answering.content
        try:
            return await content.readany()
        except LIBRARY_ERRORS as error:
            loss = _lost(error, began, self._timeout)
        # What came before a loss is kept back by the library. It may hold the reply's token.
        left = b"".join(content._buffer)
        content._buffer.clear()
        if left:
            self._loss = loss
        return left or loss

    async def _request(self, step: Send | OpenStream) -> Response | ConnectionLost:
        await self.close()
        began = time.monotonic()
        timeout = timeout_for(step, self._timeout)
        try:
            response = self._answering = await self._transport.session().request(
                step.request.method,
                step.request.url,
                **_content(step.request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=min(timeout, ConnectionPolicy.connect_timeout),
                    sock_read=timeout,
                ),
            )
            if isinstance(step, OpenStream) and response.ok and response.status < 300:
                self._open = True
                return _answer(response, b"", began)
            body = await response.read()
        except LIBRARY_ERRORS as error:
            heard = self._answering
            if heard is not None and not 200 <= heard.status < 300:
                return _answer(heard, b"", began)  # the status says enough without a body
            return _lost(error, began, timeout)
        finally:
            if not self._open:
                await self.close()
        return _answer(response, body, began)

    async def _drain(self) -> None:
        # Nearly always the end has come with the last chunk, and the connection is given back.
        if self._answering is not None and not self._answering.content.is_eof():
            await super()._drain()

    async def close(self) -> None:
        response, self._answering = self._answering, None
        self._open, self._loss = False, None
        if response is not None:
            response.close()  # one that was read to its end has given its connection back


def _content(request: Request) -> dict[str, Any]:
    headers = dict(request.headers)
    content: dict[str, Any] = {"headers": headers, "params": request.params}
    if request.json is not None:
        headers["content-type"] = "application/json"
        text = json.dumps(request.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        try:
            content["data"] = text.encode()
        except UnicodeEncodeError:
            raise unpaired_surrogate() from None
    return content


def _lost(error: Exception, began: float, timeout: float) -> ConnectionLost:
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        raise UsageError(
            f"This address cannot be used: {error}", hint="Check --base-url and the environment."
        ) from None
    sent = not isinstance(error, CONNECT_ERRORS)
    if isinstance(error, TimeoutError) and sent:
        reason = f"the service was silent for {timeout:g} s"
    else:
        reason = describe_error(error)
    return ConnectionLost(reason, sent=sent, elapsed=time.monotonic() - began)


def _answer(response: aiohttp.ClientResponse, body: bytes, began: float) -> Response:
    headers = with_date({name.lower(): value for name, value in response.headers.items()})
    return Response(response.status, headers, body, time.monotonic() - began)
