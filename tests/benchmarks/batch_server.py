"""A service that answers each question after 50 ms, as lean as can be, in a process of its own.

Started as a script with these seconds, it prints its port. It answers
``create-response``, streamed or not, and OpenAI's ``chat/completions``; ``GET /times`` says when
each question began and ended.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LATENCY", "SAID", "running_batch_server"]

LATENCY = 0.05
SAID = "positive"

TOKENS = {"context_token": "apay_0123456789abcdef", "parent_context_token": None}
SYSTEM = {"msg_id": "msg_1"}
EVENTS = (
    {"event": "response_initiated", "status": "PENDING", "response_status": "initiated", **TOKENS},
    {"event": "response_output", "sequence_no": 2, "system": {**SYSTEM, "text_chunk": SAID}},
    {
        "event": "response_completed",
        "status": "SUCCESS",
        "status_code": "200",
        "response_status": "completed",
        "system": {**SYSTEM, "text": SAID},
        **TOKENS,
    },
)
STREAM = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS)
WHOLE = json.dumps({name: value for name, value in EVENTS[2].items() if name != "event"}).encode()
OPENAI = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": SAID},
            }
        ],
    }
).encode()


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


STREAMED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(STREAM), STREAM)
)


TIMES: list[tuple[float, float]] = []


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if head.startswith(b"get /times"):
                writer.write(_json(json.dumps(TIMES).encode()))
                continue
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
            began = time.monotonic()
            await asyncio.sleep(float(sys.argv[1]))
            TIMES.append((began, time.monotonic()))
            if b"chat/completions" in head:
                writer.write(_json(OPENAI))
            else:
                streamed = bool(json.loads(body).get("stream"))
                writer.write(STREAMED if streamed else _json(WHOLE))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running_batch_server(latency: float = LATENCY) -> Iterator[str]:
    """Its address while it runs."""
    command = [sys.executable, __file__, str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_main())
