"""A service that costs its client as little as can be: prepared bytes, in a process of its own.

Started as a script it prints its port. The address says what is sent::

    POST /<kind>/<count>/<how>/create-response     AeronPay's events
    POST /<kind>/<count>/<how>/chat/completions    the same text as OpenAI's events
    POST /<kind>/<count>/<how>/v1/messages         the same text as Anthropic's events
    GET  /times                                    when each chunk of the last reply was sent

``kind`` is the text (`words_of`): ``words`` or ``markdown``. ``how`` is ``one``, each event in an
HTTP chunk of its own, as fast as they are taken; ``hundred``, a hundred events in each; or a number
such as ``500``: one write a piece, at that rate per second; or ``bursts``: twenty at once, then
nothing for 0.8 s. Times are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

__all__ = ["running_server", "text_of", "words_of"]

TOKEN = "apay_68946f93d7d48192a20ca597945780fd03f17a6a593fca89"
MESSAGE = "msg_68946f948cdc8192bec8a22fda97dca403f17a6a593fca89"
BLOCK = 64 * 1024


@lru_cache(maxsize=8)
def words_of(kind: str, count: int) -> list[str]:
    """The chunks of a reply.

    Each holds one numbered word, ``w0``, ``w1``, …, so that what is shown tells how far it has
    come. ``words`` is one paragraph; ``markdown`` has headings, paragraphs, lists and code;
    ``code`` and ``table`` are one block.
    """
    if kind == "words":
        return [f"w{n} " for n in range(count)]
    if kind == "code":
        lines = [f"w{n}" + ("\n" if n % 8 == 7 else " + ") for n in range(count)]
        return ["```python\n" + lines[0], *lines[1:-1], lines[-1].rstrip() + "\n```"]
    if kind == "table":
        cells = [f"| w{n} " + ("|\n" if n % 4 == 3 else "") for n in range(count)]
        return ["|a|b|c|d|\n|---|---|---|---|\n" + cells[0], *cells[1:]]
    return [_before(n) + f"w{n}" + _after(n) for n in range(count)]


def _before(number: int) -> str:
    """What stands before a word of a Markdown text: a section has 120 words."""
    return {0: "## ", 60: "- ", 70: "- ", 80: "- ", 90: "```python\n"}.get(number % 120, "")


def _after(number: int) -> str:
    ends = {5: "\n\n", 35: ".\n\n", 59: ".\n\n", 69: "\n", 79: "\n", 89: "\n\n", 119: "\n```\n\n"}
    place = number % 120
    if place >= 90 and place % 6 == 5:
        return ends.get(place, "\n")
    return ends.get(place, " = " if place >= 90 else " ")


def text_of(kind: str, count: int) -> str:
    """The whole reply."""
    return "".join(words_of(kind, count))


def _event(data: object, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def _aeronpay(words: list[str]) -> list[bytes]:
    tokens = {"context_token": TOKEN, "parent_context_token": None}
    first = {"status": "PENDING", "status_code": "102", "message": "Response generation initiated."}
    first |= {"event": "response_initiated", "response_status": "initiated", **tokens, "system": []}
    last = {"status": "SUCCESS", "status_code": "200", "message": "Response generation successful."}
    last |= {"event": "response_completed", "response_status": "completed", **tokens}
    last |= {"system": {"msg_id": MESSAGE, "text": "".join(words)}}
    chunks = [
        _event(
            {
                "status": "PROCESSING",
                "status_code": "206",
                "event": "response_output",
                "sequence_no": number,
                "system": {"msg_id": MESSAGE, "text_chunk": word},
            }
        )
        for number, word in enumerate(words, 2)
    ]
    return [_event(first), *chunks, _event(last)]


def _openai(words: list[str]) -> list[bytes]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        return _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        chunk({}, "stop") + b"data: [DONE]\n\n",
    ]


def _anthropic(words: list[str]) -> list[bytes]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    message |= {"stop_reason": None, "stop_sequence": None}
    message |= {"usage": {"input_tokens": 1, "output_tokens": 1}}

    def event(kind: str, **more: object) -> bytes:
        return _event({"type": kind, **more}, kind)

    return [
        event("message_start", message=message)
        + event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            for word in words
        ),
        event("content_block_stop", index=0)
        + event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 1},
        )
        + event("message_stop"),
    ]


STYLES: dict[str, Callable[[list[str]], list[bytes]]] = {
    "create-response": _aeronpay,
    "completions": _openai,
    "messages": _anthropic,
}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=16)
def _body(style: str, kind: str, count: int, together: int) -> list[bytes]:
    """The HTTP chunks of a reply: its beginning, its words (``together`` in each), its end."""
    first, *middle, last = STYLES[style](words_of(kind, count))
    parts = [b"".join(middle[at : at + together]) for at in range(0, len(middle), together)]
    return [_chunk(part) for part in (first, *parts, last)]


class _Server:
    def __init__(self) -> None:
        self._times: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (
                        int(line.partition(":")[2])
                        for line in head.split("\r\n")
                        if line.lower().startswith("content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                await self._answer(head.split()[1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/times":
            body = json.dumps(self._times).encode()
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            writer.write(head % len(body) + body)
            return
        _, kind, count, how, *rest = path.split("/")
        together = 100 if how == "hundred" else 1
        first, *middle, last = _body(rest[-1], kind, int(count), together)
        self._times = []
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + first
        )
        if how.isdecimal():
            await self._paced(middle, lambda number: number / int(how), writer)
        elif how == "bursts":
            await self._paced(middle, lambda number: number // 20 * 0.8, writer)
        else:
            await self._at_once(middle, together, writer)
        writer.write(last + b"0\r\n\r\n")
        self._times.append(time.monotonic())
        await writer.drain()

    async def _paced(
        self, parts: list[bytes], due: Callable[[int], float], writer: asyncio.StreamWriter
    ) -> None:
        began = time.monotonic()
        for number, part in enumerate(parts):
            if (wait := began + due(number) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self._times.append(time.monotonic())
            writer.write(part)

    async def _at_once(
        self, parts: list[bytes], together: int, writer: asyncio.StreamWriter
    ) -> None:
        block: list[bytes] = []
        size = 0
        for part in parts:
            block.append(part)
            size += len(part)
            if size >= BLOCK:
                await self._send(block, together, writer)
                block, size = [], 0
        await self._send(block, together, writer)

    async def _send(self, block: list[bytes], together: int, writer: asyncio.StreamWriter) -> None:
        self._times += [time.monotonic()] * (len(block) * together)
        writer.write(b"".join(block))
        await writer.drain()


async def _main() -> None:
    server = await asyncio.start_server(_Server().serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # The parent holds the other end: when it is gone, so is this process.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.close()


@contextmanager
def running_server() -> Iterator[str]:
    """Start the server; its address."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdin.close()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_main())
