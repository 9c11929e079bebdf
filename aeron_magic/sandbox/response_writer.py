"""Sending an answer over one connection, with the configured cuts and stalls."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from http.client import responses

from .encoding import Answer, Stream, keep_alive
from .faults import Faults
from .request_log import RequestLog

_MAX_DRAIN = 2.0  # seconds; a client may have stopped reading


class ConnectionDropped(Exception):
    """The connection is closed: cut as configured, by the client, or by the server's end."""


class _BodyEnded(Exception):
    """The body ends here, as if it were complete."""


class ResponseWriter:
    """The answer to one request.

    * ``faults``: the behaviour for this answer; cuts and stalls are only set if they apply to it.
    * ``log``, ``number``: where the request is logged.
    * ``stopping``: set when the server stops.
    """

    def __init__(
        self,
        connection: socket.socket,
        faults: Faults,
        log: RequestLog,
        number: int,
        stopping: threading.Event,
    ) -> None:
        self._connection = connection
        self._faults = faults
        self._log = log
        self._number = number
        self._stopping = stopping
        self._sent = 0
        self._chunked = False

    def wait(self, seconds: float) -> None:
        """Wait while the client is connected and the server runs.

        Raises ConnectionDropped: the client closed the connection, or the server stops.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._connection.settimeout(left)
            try:
                closed = not self._connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                break
            except OSError:
                closed = True
            if closed or self._stopping.is_set():
                self._log.update(self._number, closed_by_client=not self._stopping.is_set())
                raise ConnectionDropped
            # The next request has already arrived: the socket stays readable.
            self._stopping.wait(min(left, 0.02))
        self._connection.settimeout(None)

    def answer(self, answer: Answer) -> None:
        self.wait(answer.wait)
        self.send(answer.status, "application/json", answer.encoded(), answer.headers)

    def send(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a status, headers and a body of known length."""
        if status != HTTPStatus.OK:  # only replies are cut, not refusals
            self._faults = replace(self._faults, cut_after=None, stall_after=None)
        self._head(
            status, {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        )
        self._body(body)

    def stream(self, stream: Stream) -> None:
        """Send an answer in parts, each immediately."""
        self._head(
            HTTPStatus.OK,
            {
                "Content-Type": stream.content_type,
                "Cache-Control": "no-cache",
                "Transfer-Encoding": "chunked",
            },
        )
        self._chunked = True
        with contextlib.suppress(_BodyEnded):
            self._cut_if_due()
            for part in stream.parts:
                if isinstance(part, bytes):
                    self._body(part, stream.content_type)
                else:
                    self.wait(part)
        self._raw(b"0\r\n\r\n")

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {int(status)} {responses.get(status, 'Unknown')}"]
        lines.append("X-Content-Type-Options: nosniff")  # JSON is never a page
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._log.update(self._number, status=int(status))
        self._raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))

    def _body(self, data: bytes, kind: str = "") -> None:
        """Send bytes of the body, with the stall and up to the cut that are due in them."""
        stall_at = self._faults.stall_after
        if stall_at is not None and self._sent + len(data) >= stall_at:
            self._faults = replace(self._faults, stall_after=None)
            before = stall_at - self._sent
            self._body(data[:before])
            self._stall(kind)
            data = data[before:]
        if self._faults.cut_after is not None:
            data = data[: max(self._faults.cut_after - self._sent, 0)]
        if data:
            self._raw(self._framed(data))
            self._sent += len(data)
            self._log.update(self._number, bytes_sent=self._sent)
        self._cut_if_due()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def _stall(self, kind: str) -> None:
        seconds = self._faults.stall_seconds
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        comments = self._faults.stall_how == "comments"
        while (left := deadline - time.monotonic()) > 0:
            self.wait(min(left, self._faults.comment_every if comments else 3600.0))
            if comments:
                self._raw(self._framed(keep_alive(self._faults, kind)))

    def _cut_if_due(self) -> None:
        if self._sent != self._faults.cut_after:
            return
        if self._faults.cut_how == "end" and self._chunked:
            raise _BodyEnded
        if self._faults.cut_how == "reset":
            self._drain()
            linger = struct.pack("ii", 1, 0)  # close() then sends a reset
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise ConnectionDropped

    def _drain(self) -> None:
        """Wait until the client has received all data, since a reset discards the rest."""
        if sys.platform == "win32":
            return
        import fcntl
        import termios

        deadline = time.monotonic() + _MAX_DRAIN
        while time.monotonic() < deadline:
            queued = fcntl.ioctl(self._connection, termios.TIOCOUTQ, bytes(4))
            if not int.from_bytes(queued, sys.byteorder):
                return
            time.sleep(0.001)

    def _raw(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            self._log.update(self._number, closed_by_client=not self._stopping.is_set())
            raise ConnectionDropped from error
