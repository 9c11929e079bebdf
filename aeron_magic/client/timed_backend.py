"""A network backend for httpx whose blocking reads obey a deadline.

httpx limits only the silence between two bytes: a server that sends one byte now and then keeps a
plain call blocked for ever. On an event loop, ``asyncio.timeout`` does the same.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

_current = threading.local()


@contextmanager
def deadline(moment: float) -> Iterator[None]:
    """Reads of this thread time out at ``moment`` of ``time.monotonic`` at the latest."""
    _current.moment = moment
    try:
        yield
    finally:
        _current.moment = None


class TimedBackend(httpcore.SyncBackend):
    """Connections that obey :func:`deadline`."""

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        return _TimedStream(super().connect_tcp(*arguments, **options))


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.write = stream.write  # type: ignore[method-assign]
        self.close = stream.close  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        moment: float | None = getattr(_current, "moment", None)
        if moment is not None:
            left = moment - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout
            timeout = left if timeout is None else min(timeout, left)
        return self._stream.read(max_bytes, timeout)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))
