"""A server on a real socket that answers with any bytes, and counts what it was asked.

Unlike the sandbox, it can break HTTP itself.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Asked", "RawServer", "chunked", "head", "reset"]


@dataclass
class Asked:
    """One request."""

    endpoint: str
    headers: dict[str, str]
    json: dict[str, Any]

    @property
    def question(self) -> str:
        user = self.json.get("user") or self.json.get("messages") or {}
        return str(user.get("text") or user.get("content") or "")


def head(status: str, *lines: str) -> bytes:
    """The header of a response."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, with its end."""
    parts = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join([*parts, b"0\r\n\r\n"])


def reset(connection: socket.socket) -> None:
    """Close ``connection`` with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


Answer = Callable[[socket.socket, Asked], bool]
"""Answers one request; whether the connection is kept."""


@dataclass
class RawServer:
    """Answers each request with ``answer``, on a thread for each connection.

    Attributes
    ----------
    idle
        How long a connection may be idle, in seconds, drawn after each answer; None: for ever.
    before_body
        Answer as soon as the header of a request has come.
    tls
        The server's TLS context; None for plain HTTP.
    asked
        All requests.
    accepted
        The number of connections.
    closed
        Released whenever the server has closed a connection.
    """

    answer: Answer
    idle: Callable[[], float] | None = None
    before_body: bool = False
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    accepted: int = 0

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listening.getsockname()[1]
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self.closed = threading.Semaphore(0)
        self._lock = threading.Lock()

    def creates(self) -> Counter[str]:
        """How often each question came."""
        with self._lock:
            return Counter(
                one.question
                for one in self.asked
                if one.endpoint in ("create-response", "get_inference")
            )

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.ExitStack() as stack:
            stack.callback(self.closed.release)
            stack.enter_context(contextlib.suppress(OSError, ValueError))
            stack.enter_context(contextlib.closing(connection))
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            left = b""
            answered = False
            while True:
                connection.settimeout(self.idle() if self.idle and answered else 20)
                while b"\r\n\r\n" not in left:
                    data = connection.recv(65536)
                    if not data:
                        return
                    connection.settimeout(20)
                    left += data
                start, _, left = left.partition(b"\r\n\r\n")
                first, *lines = start.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                length = int(headers.get("content-length", 0))
                while len(left) < length and not self.before_body:
                    data = connection.recv(65536)
                    if not data:
                        return
                    left += data
                body, left = left[:length], left[length:]
                path = first.split(" ")[1].partition("?")[0]
                asked = Asked(path.rpartition("/")[2], headers, {})
                if body and not self.before_body:
                    asked.json = json.loads(body)
                with self._lock:
                    self.asked.append(asked)
                if not self.answer(connection, asked):
                    return
                answered = True

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
