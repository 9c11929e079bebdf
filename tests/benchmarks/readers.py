"""The contenders that read a stream: each is a process, which reads as often as it is told to.

Started with a contender's name, it reads addresses from its input, a line for each; it reads the
stream there and prints a line of JSON: the CPU time of this process, and what the text was. What
is needed once (imports, a client, a loop) is made before the first.
"""

import asyncio
import gc
import hashlib
import json
import socket
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

__all__ = ["CONTENDERS"]

Read = Callable[[str], str]
BODY = {
    "client_referenceId": "AI5687654362456",
    "user": {"text": "Tell me."},
    "stream": True,
}
HEADERS = {"client-id": "bench", "client-secret": "none"}


def raw() -> Read:
    """A socket, cuts at the blank lines and typed decoding: the limit."""
    import msgspec

    class System(msgspec.Struct):
        text_chunk: str = ""

    class Event(msgspec.Struct):
        event: str
        system: System | list[int]

    decode = msgspec.json.Decoder(Event).decode

    def read(url: str) -> str:
        parts = urlsplit(url)
        body = json.dumps(BODY).encode()
        pieces: list[str] = []
        held = b""
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
            connection.sendall(
                b"POST %b/create-response HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b"
                % (parts.path.encode(), len(body), body)
            )
            while data := connection.recv(65536):
                *events, held = (held + data).split(b"\n\n")
                for event in events:
                    decoded = decode(event[event.index(b"data: ") + 6 :])
                    if decoded.event == "response_completed":
                        return "".join(pieces)
                    if decoded.event == "response_output":
                        assert isinstance(decoded.system, System)
                        pieces.append(decoded.system.text_chunk)
        raise AssertionError("the stream was cut")

    return read


def httpx_alone() -> Read:
    """httpx, and nothing made of the bytes: what is left when parsing costs nothing."""
    import httpx

    client = httpx.Client()

    def read(url: str) -> str:
        found = []
        with client.stream("POST", f"{url}/create-response", json=BODY) as response:
            for data in response.iter_bytes():
                found.append(data)
        # Its text is checked like everyone's, but after the clock has been read.
        return b"".join(found).decode()

    return read


def recipe() -> Read:
    """What one writes by hand: httpx, httpx-sse and json."""
    import httpx
    from httpx_sse import connect_sse

    client = httpx.Client(timeout=30)

    def read(url: str) -> str:
        pieces: list[str] = []
        with connect_sse(
            client, "POST", f"{url}/create-response", json=BODY, headers=HEADERS
        ) as source:
            for sse in source.iter_sse():
                event = json.loads(sse.data)
                if event["event"] == "response_output":
                    pieces.append(event["system"]["text_chunk"])
                elif event["event"] == "response_completed":
                    break
        return "".join(pieces)

    return read


def recipe_async() -> Read:
    """The same with an ``AsyncClient``."""
    import httpx
    from httpx_sse import aconnect_sse

    client = httpx.AsyncClient(timeout=30)

    async def read(url: str) -> str:
        pieces: list[str] = []
        async with aconnect_sse(
            client, "POST", f"{url}/create-response", json=BODY, headers=HEADERS
        ) as source:
            async for sse in source.aiter_sse():
                event = json.loads(sse.data)
                if event["event"] == "response_output":
                    pieces.append(event["system"]["text_chunk"])
                elif event["event"] == "response_completed":
                    break
        return "".join(pieces)

    runner = asyncio.Runner()
    return lambda url: runner.run(read(url))


def _clients(url: str, kept: dict[str, object], make: Callable[[str], object]) -> object:
    """The client for an address; each address is a service of its own."""
    if url not in kept:
        kept[url] = make(url)
    return kept[url]


def ours() -> Read:
    """``Client.stream``, with everything that it does besides."""
    from aeron_magic import Client

    kept: dict[str, object] = {}

    def read(url: str) -> str:
        client = _clients(
            url, kept, lambda at: Client(base_url=at, client_id="bench", client_secret="none")
        )
        assert isinstance(client, Client)
        pieces: list[str] = []
        with client.stream("Tell me.") as stream:
            for piece in stream:
                pieces.append(piece)
        assert stream.reply.status == "complete"
        return "".join(pieces)

    return read


def ours_async() -> Read:
    """``AsyncClient.stream``."""
    from aeron_magic import AsyncClient

    kept: dict[str, object] = {}

    async def read(url: str) -> str:
        client = _clients(
            url, kept, lambda at: AsyncClient(base_url=at, client_id="bench", client_secret="none")
        )
        assert isinstance(client, AsyncClient)
        pieces: list[str] = []
        async with client.stream("Tell me.") as stream:
            async for piece in stream:
                pieces.append(piece)
        assert stream.reply.status == "complete"
        return "".join(pieces)

    runner = asyncio.Runner()
    return lambda url: runner.run(read(url))


def openai_sdk() -> Read:
    """The openai SDK's ``chat.completions.create(stream=True)``."""
    import openai

    kept: dict[str, object] = {}

    def read(url: str) -> str:
        client = _clients(url, kept, lambda at: openai.OpenAI(base_url=at, api_key="none"))
        assert isinstance(client, openai.OpenAI)
        pieces: list[str] = []
        for chunk in client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Tell me."}], stream=True
        ):
            if text := chunk.choices[0].delta.content:
                pieces.append(text)
        return "".join(pieces)

    return read


def openai_sdk_async() -> Read:
    """The same with ``AsyncOpenAI``."""
    import openai

    kept: dict[str, object] = {}

    async def read(url: str) -> str:
        client = _clients(url, kept, lambda at: openai.AsyncOpenAI(base_url=at, api_key="none"))
        assert isinstance(client, openai.AsyncOpenAI)
        pieces: list[str] = []
        async for chunk in await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Tell me."}], stream=True
        ):
            if text := chunk.choices[0].delta.content:
                pieces.append(text)
        return "".join(pieces)

    runner = asyncio.Runner()
    return lambda url: runner.run(read(url))


def anthropic_sdk() -> Read:
    """The anthropic SDK's ``messages.create(stream=True)``, its cheaper way."""
    import anthropic

    kept: dict[str, object] = {}

    def read(url: str) -> str:
        client = _clients(url, kept, lambda at: anthropic.Anthropic(base_url=at, api_key="none"))
        assert isinstance(client, anthropic.Anthropic)
        pieces: list[str] = []
        for event in client.messages.create(
            model="m",
            max_tokens=1000,
            messages=[{"role": "user", "content": "Tell me."}],
            stream=True,
        ):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                pieces.append(event.delta.text)
        return "".join(pieces)

    return read


CONTENDERS: dict[str, Callable[[], Read]] = {
    "raw socket + msgspec": raw,
    "httpx alone": httpx_alone,
    "recipe": recipe,
    "recipe, async": recipe_async,
    "ours": ours,
    "ours, async": ours_async,
    "anthropic SDK": anthropic_sdk,
    "openai SDK": openai_sdk,
    "openai SDK, async": openai_sdk_async,
}
"""Each makes what it needs, and returns the function that reads a stream into a text."""


def main() -> None:
    """Obey the addresses on the input."""
    try:
        read = CONTENDERS[sys.argv[1]]()
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        gc.collect()
        began = time.process_time()
        text = read(line.strip())
        seconds = time.process_time() - began
        sha = hashlib.sha256(text.encode()).hexdigest()
        print(json.dumps({"seconds": seconds, "sha": sha}), flush=True)


if __name__ == "__main__":
    main()
