"""Line-delimited JSON protocol between coordinator and remote workers.

One JSON array a line. Both ends first prove that they know the batch's key, without sending it
(HMAC-SHA256 of the other's random bytes); nothing is unpickled. The connection is not encrypted:
rows and replies travel on it, credentials never do.

============================================  ==============================================
from a worker                                 from the queue
============================================  ==============================================
``["take"]``                                  ``["task", number, text, token, tries]``
                                              or ``["over"]``
``["turn"]``                                  ``["go"]``
``["known", number, token]``
``["done", number, reply, error, record]``
``["hold", seconds]``
============================================  ==============================================
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import socket
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from aeron_magic import errors
from aeron_magic.errors import AeronError
from aeron_magic.recording.record import Record
from aeron_magic.replies.reply import Reply

MAX_LINE = 64 * 2**20
"""Bytes of the longest line: a row's question, or its reply."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for both ends to prove themselves."""


class Channel:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        _keep_alive(writer.get_extra_info("socket"))

    @classmethod
    async def open(cls, address: str, port: int, key: bytes) -> Channel | None:
        """Connect as a worker; None if no coordinator with this key answers."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                reader, writer = await asyncio.open_connection(address, port, limit=MAX_LINE)
        except OSError:  # among them TimeoutError
            return None
        channel = cls(reader, writer)
        if await channel._proved(key, b"worker", b"board"):
            return channel
        await channel.close()
        return None

    async def welcome(self, key: bytes) -> bool:
        """The coordinator's end: whether the other knows the key."""
        return await self._proved(key, b"board", b"worker")

    async def _proved(self, key: bytes, own: bytes, other: bytes) -> bool:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                return await self._prove(key, own, other)
        except (OSError, ValueError):
            return False

    async def _prove(self, key: bytes, own: bytes, other: bytes) -> bool:
        mine = secrets.token_bytes(32)
        self.send(mine.hex())
        theirs = bytes.fromhex(await self._text())
        self.send(_sign(key, own, theirs).hex())
        return hmac.compare_digest(bytes.fromhex(await self._text()), _sign(key, other, mine))

    async def _text(self) -> str:
        (text,) = await self.receive() or ("",)
        return str(text)

    def send(self, *message: Any) -> None:
        """Send a message; what the socket takes at once is under way when this returns."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> list[Any] | None:
        """The next message; None at the end and for an invalid line."""
        try:
            line = await self._reader.readline()
            message = json.loads(line) if line.endswith(b"\n") else None
        except (ConnectionError, ValueError):
            return None
        return message if isinstance(message, list) else None

    async def close(self) -> None:
        """Close the connection, if it is not closed."""
        self._writer.close()
        with contextlib.suppress(OSError):  # what was still on its way is of no use any more
            await self._writer.wait_closed()


async def listen(
    serve: Callable[[Channel], Coroutine[Any, Any, None]], interface: str | None
) -> tuple[asyncio.Server, int]:
    """A server whose connections ``serve`` takes care of, and its port; None: all interfaces."""
    server = await asyncio.start_server(
        lambda reader, writer: serve(Channel(reader, writer)),
        interface,
        0,
        family=socket.AF_INET,
        limit=MAX_LINE,
    )
    return server, server.sockets[0].getsockname()[1]


def _sign(key: bytes, role: bytes, text: bytes) -> bytes:
    return hmac.digest(key, role + b":" + text, "sha256")


def _keep_alive(connection: socket.socket) -> None:
    """Have a machine that is gone noticed within a minute; a process that is gone is at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reply_from(fields: dict[str, Any] | None) -> Reply | None:
    """The reply that ``dataclasses.asdict`` made ``fields`` of."""
    return None if fields is None else Reply(**fields)


def error_to(error: AeronError | None) -> dict[str, Any] | None:
    """``error`` as values that JSON can carry."""
    if error is None:
        return None
    return {"kind": type(error).__name__, **{name: getattr(error, name) for name in FACTS}}


FACTS = ("message", "hint", "status_code", "service_message", "context_token", "partial")


def error_from(fields: dict[str, Any] | None) -> AeronError | None:
    """The error that :func:`error_to` made ``fields`` of."""
    if fields is None:
        return None
    kind = fields["kind"] if fields["kind"] in errors.__all__ else "AeronError"
    error: AeronError = getattr(errors, kind)(
        fields["message"], **{name: fields[name] for name in FACTS[1:]}
    )
    return error


def record_from(line: str | None) -> Record | None:
    """The record on ``line``."""
    return None if line is None else Record.from_line(line)


def reply_to(reply: Reply | None) -> dict[str, Any] | None:
    """``reply`` as values that JSON can carry."""
    return None if reply is None else asdict(reply)
