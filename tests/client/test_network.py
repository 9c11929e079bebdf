"""Streams of bytes to a server, below httpcore."""

from __future__ import annotations

import asyncio

import httpcore
import pytest
from raw_server import RawServer

from aeron_magic.client.network import AsyncBackend


@pytest.mark.parametrize(("begun", "error"), [(False, "ConnectError"), (True, "WriteError")])
def test_a_connection_that_was_closed_here_is_not_written_to(begun: bool, error: str) -> None:
    """httpcore closes an expired connection that it has just given to another request. asyncio
    drops what is written then, so the request would seem to be sent."""

    async def write() -> None:
        stream = await AsyncBackend().connect_tcp("127.0.0.1", server.port)
        if begun:
            await stream.write(b"POST / HTTP/1.1\r\n")
        await stream.aclose()
        await stream.write(b"Host: x\r\n\r\n")

    with RawServer(lambda *_: False) as server, pytest.raises(getattr(httpcore, error)):
        asyncio.run(write())
    assert server.asked == []
