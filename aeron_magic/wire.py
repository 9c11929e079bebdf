"""The seam to the HTTP library: the only module that imports it.

A :class:`Wire` does what a flow asks for, one step at a time, and turns whatever the library raises
into :class:`~aeron_magic.flow.Lost`. A successor of httpx would be put in here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any, assert_never
from urllib.parse import urlsplit

import httpx

from aeron_magic.errors import UsageError
from aeron_magic.flow import Answer, Close, Lost, Open, Outcome, Pause, Read, Request, Send

__all__ = ["AsyncWire", "Wire"]

CONNECT_TIMEOUT = 10.0
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
END_OF_BODY = 0.01
"""Seconds that the end of a finished body may take, before its connection is given up."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@cache
def _tls(local: bool) -> ssl.SSLContext:
    """One TLS context for all clients: loading the authorities takes some 40 ms.

    For servers on this machine it is left empty, and trusts nobody.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local else httpx.create_ssl_context()


def _options(base_url: str, timeout: float) -> dict[str, Any]:
    parts = urlsplit(base_url)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    return {
        "verify": _tls(local),
        "trust_env": not local,  # a proxy has no business between us and this machine
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None),
        "follow_redirects": False,  # the credentials travel in headers of their own
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
        "headers": {"user-agent": "aeron-magic", "accept": "text/event-stream, application/json"},
    }


def _arguments(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "params": request.params,
        "json": request.json,
    }


def _lost(error: Exception, began: float, timeout: float) -> Lost:
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        raise UsageError(
            f"This address cannot be used: {error}", hint="Check --base-url and the environment."
        ) from None
    seconds = time.monotonic() - began
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, NOT_SENT):
        reason = f"the service was silent for {timeout:g} s"
    else:
        reason = str(error).strip() or type(error).__name__
    return Lost(reason, sent=not isinstance(error, NOT_SENT), seconds=seconds)


def _answer(response: httpx.Response, body: bytes, began: float) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body, time.monotonic() - began)


LIBRARY_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


class Wire:
    """Does the steps of flows with blocking calls.

    ``timeout`` is the longest silence in seconds before a connection counts as lost.
    """

    def __init__(self, base_url: str, timeout: float) -> None:
        self.timeout = timeout
        self._http = httpx.Client(**_options(base_url, timeout))

    def exchange(self, timeout: float | None = None) -> Exchange:
        """A new exchange: at most one open stream at a time."""
        return Exchange(self._http, timeout or self.timeout)

    def close(self) -> None:
        self._http.close()


class Exchange:
    """The steps of one flow."""

    def __init__(self, http: httpx.Client, timeout: float) -> None:
        self._http = http
        self._timeout = timeout
        self._response: httpx.Response | None = None
        self._bytes: Iterator[bytes] = iter(())

    def do(self, step: Send | Open | Read | Close | Pause) -> Outcome:
        """Do ``step``; its outcome."""
        match step:
            case Read():
                return self.read()
            case Send() | Open():
                return self._request(step)
            case Pause():
                time.sleep(step.seconds)
                return None
            case Close():
                self.close()
                return None
            case _:
                assert_never(step)

    def read(self) -> bytes | Lost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        try:
            return next(self._bytes, b"")
        except LIBRARY_ERRORS as error:
            return _lost(error, began, self._timeout)

    def _request(self, step: Send | Open) -> Answer | Lost:
        self.close()
        began = time.monotonic()
        limits = httpx.Timeout(self._timeout, connect=min(self._timeout, CONNECT_TIMEOUT))
        try:
            request = self._http.build_request(**_arguments(step.request), timeout=limits)
            response = self._response = self._http.send(request, stream=True)
            if isinstance(step, Open) and response.is_success:
                self._bytes = response.iter_bytes()
                return _answer(response, b"", began)
            body = response.read()
        except LIBRARY_ERRORS as error:
            self.close()
            return _lost(error, began, self._timeout)
        self.close()
        return _answer(response, body, began)

    def close(self) -> None:
        """Close the open stream, if there is one; closing twice is fine."""
        response, self._response = self._response, None
        self._bytes = iter(())
        if response is not None:
            response.close()


class AsyncWire:
    """Does the steps of flows on an event loop; the same as :class:`Wire` with ``await``."""

    def __init__(self, base_url: str, timeout: float) -> None:
        self.timeout = timeout
        self._http = httpx.AsyncClient(**_options(base_url, timeout))

    def exchange(self, timeout: float | None = None) -> AsyncExchange:
        """A new exchange: at most one open stream at a time."""
        return AsyncExchange(self._http, timeout or self.timeout)

    async def close(self) -> None:
        await self._http.aclose()


class AsyncExchange:
    """The steps of one flow."""

    def __init__(self, http: httpx.AsyncClient, timeout: float) -> None:
        self._http = http
        self._timeout = timeout
        self._response: httpx.Response | None = None
        self._bytes: AsyncIterator[bytes] | None = None

    async def do(self, step: Send | Open | Read | Close | Pause) -> Outcome:
        """Do ``step``; its outcome."""
        match step:
            case Read():
                return await self.read()
            case Send() | Open():
                return await self._request(step)
            case Pause():
                await asyncio.sleep(step.seconds)
                return None
            case Close():
                if step.finished:
                    await self._drain()
                await self.close()
                return None
            case _:
                assert_never(step)

    async def read(self) -> bytes | Lost:
        """The next bytes of the open stream; ``b""`` at its end."""
        began = time.monotonic()
        if self._bytes is None:
            return b""
        try:
            return await anext(self._bytes, b"")
        except LIBRARY_ERRORS as error:
            return _lost(error, began, self._timeout)

    async def _request(self, step: Send | Open) -> Answer | Lost:
        await self.close()
        began = time.monotonic()
        limits = httpx.Timeout(self._timeout, connect=min(self._timeout, CONNECT_TIMEOUT))
        try:
            request = self._http.build_request(**_arguments(step.request), timeout=limits)
            response = self._response = await self._http.send(request, stream=True)
            if isinstance(step, Open) and response.is_success:
                self._bytes = response.aiter_bytes()
                return _answer(response, b"", began)
            body = await response.aread()
        except LIBRARY_ERRORS as error:
            await self.close()
            return _lost(error, began, self._timeout)
        await self.close()
        return _answer(response, body, began)

    async def _drain(self) -> None:
        """Take the end of a finished body if it is here, so that the connection can be kept."""
        try:
            async with asyncio.timeout(END_OF_BODY):
                while await self.read() not in (b"", None):
                    pass
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close the open stream, if there is one; closing twice is fine."""
        response, self._response = self._response, None
        self._bytes = None
        if response is not None:
            await response.aclose()
