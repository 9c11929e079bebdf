"""Those who ask many questions at once, each in a process of its own.

    python batchers.py NAME URL COUNT CONCURRENCY

asks once to warm up and prints the seconds of the clock and of the CPU that the second time took.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from batch_server import SAID

__all__ = ["BATCHERS"]

Ask = Callable[[int], Awaitable[str]]

BODY = {"client_referenceId": "r-1", "user": {"text": "Good or bad?"}, "stream": False}


async def lanes(ask: Ask, count: int, concurrency: int) -> None:
    """Ask so often, with so many under way; ``ask`` is told its lane."""
    numbers = iter(range(count))

    async def lane(which: int) -> None:
        for _ in numbers:
            if await ask(which) != SAID:
                raise SystemExit("another text")

    await asyncio.gather(*(lane(which) for which in range(concurrency)))


def measured(run: Callable[[int], Any], count: int, concurrency: int) -> dict[str, float]:
    run(concurrency)
    wall, cpu = time.monotonic(), time.process_time()
    run(count)
    return {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}


def with_loop(
    make: Callable[[asyncio.Runner, str, int], tuple[Ask, Callable[[], Any]]],
) -> Callable[[str, int, int], dict[str, float]]:
    """A contender that asks on a loop; ``make`` gives its question and its farewell."""

    def run(url: str, count: int, concurrency: int) -> dict[str, float]:
        with asyncio.Runner() as runner:
            ask, close = make(runner, url, concurrency)
            found = measured(
                lambda count: runner.run(lanes(ask, count, concurrency)), count, concurrency
            )
            close()
        return found

    return run


def _raw(runner: asyncio.Runner, url: str, concurrency: int) -> tuple[Ask, Callable[[], Any]]:
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(BODY).encode()
    request = b"POST /create-response HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    ends: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(lane: int) -> str:
        if lane not in ends:
            ends[lane] = await asyncio.open_connection(host, int(port))
        reader, writer = ends[lane]
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        text: str = json.loads(await reader.readexactly(length))["system"]["text"]
        return text

    def close() -> None:
        for _, writer in ends.values():
            writer.close()

    return ask, close


def _aiohttp(runner: asyncio.Runner, url: str, concurrency: int) -> tuple[Ask, Callable[[], Any]]:
    import aiohttp

    async def begin() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    session = runner.run(begin())

    async def ask(lane: int) -> str:
        async with session.post(f"{url}/create-response", json=BODY) as response:
            text: str = (await response.json())["system"]["text"]
            return text

    return ask, lambda: runner.run(session.close())


def _aiohttp_afresh(url: str, count: int, concurrency: int) -> dict[str, float]:
    """The same with a session for each batch, as ours has: with each, all connections are made."""

    def ask(count: int) -> None:
        with asyncio.Runner() as runner:
            one, close = _aiohttp(runner, url, concurrency)
            runner.run(lanes(one, count, concurrency))
            close()

    return measured(ask, count, concurrency)


def _httpx(many: bool) -> Callable[[str, int, int], dict[str, float]]:
    def make(runner: asyncio.Runner, url: str, concurrency: int) -> tuple[Ask, Callable[[], Any]]:
        import httpx

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        clients = [
            httpx.AsyncClient(verify=context, limits=limits, timeout=None)
            for _ in range(concurrency if many else 1)
        ]

        async def ask(lane: int) -> str:
            client = clients[lane % len(clients)]
            text: str = (await client.post(f"{url}/create-response", json=BODY)).json()["system"][
                "text"
            ]
            return text

        async def close() -> None:
            for client in clients:
                await client.aclose()

        return ask, lambda: runner.run(close())

    return with_loop(make)


def _openai(runner: asyncio.Runner, url: str, concurrency: int) -> tuple[Ask, Callable[[], Any]]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="k", base_url=url, max_retries=0)

    async def ask(lane: int) -> str:
        messages: Any = [{"role": "user", "content": "Good or bad?"}]
        reply = await client.chat.completions.create(model="m", messages=messages)
        return reply.choices[0].message.content or ""

    return ask, lambda: runner.run(client.close())


def _ours(stream: bool) -> Callable[[str, int, int], dict[str, float]]:
    def run(url: str, count: int, concurrency: int) -> dict[str, float]:
        from aeron_magic import ask_many
        from aeron_magic.services.settings import Settings

        settings = Settings("aeronpay", url, client_id="me", client_secret="hush-4f1c-hush")

        def ask(count: int) -> None:
            rows = [f"Good or bad? {number}" for number in range(count)]
            result = ask_many(rows, settings=settings, concurrency=concurrency, stream=stream)
            if {*result.reply} != {SAID}:
                raise SystemExit("another text")

        return measured(ask, count, concurrency)

    return run


BATCHERS: dict[str, Callable[[str, int, int], dict[str, float]]] = {
    "raw asyncio streams": with_loop(_raw),
    "aiohttp alone": with_loop(_aiohttp),
    "aiohttp, connecting anew": _aiohttp_afresh,
    "ask_many": _ours(True),
    "ask_many, not streamed": _ours(False),
    "an httpx.AsyncClient for each lane": _httpx(True),
    "one httpx.AsyncClient": _httpx(False),
    "openai SDK": with_loop(_openai),
}


if __name__ == "__main__":
    name, url, count, concurrency = sys.argv[1:]
    try:
        print(json.dumps(BATCHERS[name](url, int(count), int(concurrency))))
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": str(error.name)}))
