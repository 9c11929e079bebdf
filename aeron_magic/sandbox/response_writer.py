"""Sending an answer down one connection, well or badly.

Whatever is sent goes through `ResponseWriter`: it counts the bytes of the body, breaks off or falls
silent at the byte it was told to, waits without missing that the client has left, and keeps the
record of the request up to date.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from http.client import responses

from .encoding import Answer, Stream, chunked, keep_alive
from .faults import Faults
from .request_log import RequestLog

__all__ = ["ConnectionDropped", "ResponseWriter"]

_LONGEST_DRAIN = 2.0  # seconds; a client that does not read would be waited for in vain


class ConnectionDropped(Exception):
    """The connection is of no more use: cut on purpose, left by the client, or stopped."""


class _BodyEnded(Exception):
    """The body ends here, as if that were all."""


class ResponseWriter:
    """The answer to one request.

    Parameters
    ----------
    connection
        The client's socket.
    faults
        The behaviour that holds for this answer; what is limited to so many times (cut, stall)
        is only set where this answer's turn has come.
    log, number
        Where the request's record stands.
    stopping
        Set when the server stops.
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
        self._poller = select.poll() if hasattr(select, "poll") else None
        if self._poller is not None:
            self._poller.register(connection, select.POLLIN)
        self._sent = 0
        self._stall_at = faults.stall_after
        self._framed: Callable[[bytes], bytes] = bytes
        self._kind = "application/json"

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than the client and the server are there.

        Raises
        ------
        ConnectionDropped
            The client closed the connection, or the server stops.
        """
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if not self._readable(left):
                continue
            if self._stopping.is_set():
                raise ConnectionDropped
            try:
                gone = not self._connection.recv(1, socket.MSG_PEEK)
            except OSError:
                gone = True
            if gone:
                self._log.update(self._number, closed_by_client=not self._stopping.is_set())
                raise ConnectionDropped
            # A next request that came early makes the socket readable for good.
            self._stopping.wait(min(left, 0.02))

    def _readable(self, seconds: float) -> bool:
        if self._poller is not None:
            return bool(self._poller.poll(seconds * 1000))
        return bool(select.select([self._connection], [], [], seconds)[0])

    def answer(self, answer: Answer) -> None:
        """Send an answer whole."""
        self.wait(answer.wait)
        body = answer.encoded()
        self.send(answer.status, "application/json", body, answer.headers)

    def send(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a status, headers and a body of known length."""
        head = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        self._head(status, head)
        if status != HTTPStatus.OK:  # only replies are cut, not refusals
            self._faults = replace(self._faults, cut_after=None)
            self._stall_at = None
        self._body(body)

    def stream(self, stream: Stream) -> None:
        """Send an answer in pieces, each on its way at once."""
        self._kind = stream.content_type
        self._head(
            stream.status,
            {
                "Content-Type": stream.content_type,
                "Cache-Control": "no-cache",
                "Transfer-Encoding": "chunked",
            },
        )
        self._framed = chunked
        with contextlib.suppress(_BodyEnded):
            self._cut_here()
            for part in stream.parts:
                if isinstance(part, bytes):
                    self._body(part)
                else:
                    self.wait(part)
        self._raw(b"0\r\n\r\n")

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._log.update(self._number, status=status)
        self._raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))

    def _body(self, data: bytes) -> None:
        """Send bytes of the body up to where it is to be cut, with the silence where it is due."""
        if self._stall_at is not None and self._sent + len(data) >= self._stall_at:
            before = self._stall_at - self._sent
            self._stall_at = None
            self._body(data[:before])
            self._stall()
            data = data[before:]
        limit = self._faults.cut_after
        kept = data if limit is None else data[: max(limit - self._sent, 0)]
        if kept:
            self._raw(self._framed(kept))
            self._sent += len(kept)
            self._log.update(self._number, bytes_sent=self._sent)
        self._cut_here()

    def _stall(self) -> None:
        seconds = self._faults.stall_seconds
        ends = float("inf") if seconds is None else time.monotonic() + seconds
        comments = self._faults.stall_how == "comments"
        while (left := ends - time.monotonic()) > 0:
            self.wait(min(left, self._faults.comment_every if comments else 3600.0))
            if comments:
                self._raw(self._framed(keep_alive(self._faults, self._kind)))

    def _cut_here(self) -> None:
        if self._sent != self._faults.cut_after:
            return
        if self._faults.cut_how == "end" and self._framed is chunked:
            raise _BodyEnded
        if self._faults.cut_how == "reset":
            self._drain()
            linger = struct.pack("ii", 1, 0)  # closing then sends a reset instead of an end
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise ConnectionDropped

    def _drain(self) -> None:
        """Wait until the client's side has all that was sent, since a reset drops the rest."""
        if sys.platform == "win32":
            return
        import fcntl
        import termios

        ends = time.monotonic() + _LONGEST_DRAIN
        while time.monotonic() < ends:
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
