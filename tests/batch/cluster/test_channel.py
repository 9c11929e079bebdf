"""The connection between board and workers: who is let in, and what passes unchanged."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from aeron_magic.batch.cluster.channel import (
    Channel,
    error_from,
    error_to,
    listen,
    reply_from,
    reply_to,
)
from aeron_magic.batch.cluster.remote_worker import WorkerConfig
from aeron_magic.errors import AeronError, TokenError
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

KEY = b"k" * 32


def served(script: Callable[[int], Coroutine[Any, Any, Any]], key: bytes = KEY) -> Any:
    """Run ``script`` with the port of a server that welcomes who knows ``key``, and echoes."""

    async def serve(channel: Channel) -> None:
        if await channel.welcome(key):
            while (message := await channel.receive()) is not None:
                channel.send(*message)
        await channel.close()

    async def run() -> Any:
        server, port = await listen(serve, "127.0.0.1")
        async with asyncio.timeout(10), server:
            return await script(port)

    return asyncio.run(run())


def test_messages_pass_unchanged() -> None:
    """Any text, and long ones."""
    message = ["task", 1, "naïve \N{GRINNING FACE} \ud83d \u2028 \n" + "x" * 1_000_000, None]

    async def script(port: int) -> None:
        channel = await Channel.open("127.0.0.1", port, KEY)
        assert channel is not None
        channel.send(*message)
        assert await channel.receive() == message
        await channel.close()

    served(script)


def test_who_does_not_know_the_key_is_not_served() -> None:
    """Neither side talks to the other."""

    async def script(port: int) -> Channel | None:
        return await Channel.open("127.0.0.1", port, b"other" * 8)

    assert served(script) is None


def test_a_board_that_does_not_know_the_key_gets_nothing() -> None:
    """Some other server at the same port of another machine is not taken for the board."""

    left = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)  # our own words and proofs, sent back
        writer.close()
        left.set()

    async def run() -> Channel | None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with asyncio.timeout(10), server:
            port = server.sockets[0].getsockname()[1]
            channel = await Channel.open("127.0.0.1", port, KEY)
            await left.wait()
            return channel

    assert asyncio.run(run()) is None


def test_nobody_there_is_no_error() -> None:
    """The next address is tried."""
    assert asyncio.run(Channel.open("127.0.0.1", 1, KEY)) is None


def test_replies_and_errors_pass_whole() -> None:
    """With everything that a row shows of them."""
    reply = Reply("x", "recovered", "t", "p", "m", "aeronpay", 1.5, 0.5)
    assert reply_from(reply_to(reply)) == reply
    error = TokenError("gone", hint="h", status_code=400, service_message="s", context_token="t")
    copy = error_from(error_to(error))
    assert isinstance(copy, TokenError)
    assert error_to(copy) == error_to(error)
    assert error_from({**(error_to(error) or {}), "kind": "SystemExit"}).__class__ is AeronError
    assert (reply_from(None), error_from(None)) == (None, None)


def test_a_ticket_shows_no_secret() -> None:
    """Schedulers log and show the repr of what they hand out."""
    settings = Settings("aeronpay", "http://x", client_id="id-7", client_secret="hush-7")
    config = WorkerConfig(
        ("127.0.0.1",), 1, KEY, settings, Question("", context_token="token-7"), 4, records=False
    )
    for secret in ("id-7", "hush-7", "kkkk", "token-7"):
        assert secret not in repr(config)
    assert asdict(pickle.loads(pickle.dumps(config))) == asdict(config)
