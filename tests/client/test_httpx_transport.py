"""The transports: each event of a connection becomes a step result."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import pytest

from aeron_magic.client import aiohttp_transport, httpx_transport
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.httpx_transport import AsyncHttpxTransport, HttpxTransport
from aeron_magic.errors import UsageError
from aeron_magic.protocol.flow import (
    READ,
    Close,
    ConnectionLost,
    OpenStream,
    ReadChunk,
    Request,
    Response,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.protocol.limits import DEFAULT_LIMITS, Limits
from aeron_magic.sandbox import Refusal, Sandbox

Step = Send | OpenStream | ReadChunk | Close | Sleep
Perform = Callable[[Step], StepResult]


@pytest.fixture(params=["sync", "async", "many"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Perform]]:
    """Creates functions that perform a step, for each of the three transports."""
    with asyncio.Runner() as runner:
        transports: list[HttpxTransport | AsyncHttpxTransport] = []
        closing: list[Callable[[], object]] = []

        def new(
            address: str = "http://127.0.0.1",
            timeout: float = 5.0,
            limits: Limits = DEFAULT_LIMITS,
            insecure: bool = False,
        ) -> Perform:
            if request.param == "sync":
                transport = HttpxTransport((address,), timeout, limits, insecure)
                transports.append(transport)
                flow_io = transport.flow_io()
                closing.append(flow_io.close)
                return flow_io.perform
            kind = AsyncHttpxTransport if request.param == "async" else AiohttpTransport
            atransport = kind((address,), timeout, limits, insecure)
            transports.append(atransport)
            aflow_io = atransport.flow_io()
            closing.append(lambda: runner.run(aflow_io.close()))
            return lambda step: runner.run(aflow_io.perform(step))

        yield new
        for close in closing:
            close()
        for one in transports:
            runner.run(one.close()) if isinstance(one, AsyncHttpxTransport) else one.close()


class Scripted:
    """A server that sends one script of bytes for each request; a tuple with pauses of 0.1 s."""

    def __init__(self, *scripts: bytes | tuple[bytes, ...], keep: bool = False) -> None:
        self._scripts = list(scripts)
        self._keep = keep
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._scripts:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                while self._scripts and b"\r\n\r\n" in connection.recv(65536):
                    script = self._scripts.pop(0)
                    for part in script if isinstance(script, tuple) else (script,):
                        connection.sendall(part)
                        time.sleep(0.1 if isinstance(script, tuple) else 0)
                    if not self._keep:
                        break

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        self._scripts.clear()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def get(url: str) -> Request:
    return Request("GET", url)


def test_a_refused_connection_has_sent_nothing(make: Callable[..., Perform]) -> None:
    """So even a paid question may be repeated."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = make()(OpenStream(get(f"http://127.0.0.1:{port}/")))
    assert isinstance(result, ConnectionLost)
    assert not result.sent


def test_an_unknown_host_was_sent_nothing(make: Callable[..., Perform]) -> None:
    """`.invalid` is reserved for this. The reason names the host."""
    result = make("https://no.invalid")(Send(get("https://no.invalid/")))
    assert isinstance(result, ConnectionLost)
    assert not result.sent
    assert result.reason == "the host no.invalid was not found"


def test_a_request_whose_connection_breaks_was_sent(
    make: Callable[..., Perform], sandbox: Sandbox
) -> None:
    """It may have been accepted."""
    sandbox.set_faults(refuse=[Refusal(page="drop", times=1)])
    result = make()(Send(Request("POST", f"{sandbox.aeronpay_url}/fetch-response", json={})))
    assert isinstance(result, ConnectionLost)
    assert result.sent


def test_a_reset_has_a_reason(make: Callable[..., Perform]) -> None:
    """The message of the library's exception may be empty."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        result = make()(Send(Request("POST", address, json={})))
        thread.join()
    assert isinstance(result, ConnectionLost)
    assert result.sent
    assert re.search("connection (broke|reset)|disconnected", result.reason, re.IGNORECASE)
    assert "ReadError" not in result.reason


def test_silence_is_a_loss_whose_reason_has_the_time(
    make: Callable[..., Perform], sandbox: Sandbox
) -> None:
    """The transport's timeout, or a shorter one of the request."""
    sandbox.set_faults(latency=30.0)
    request = get(f"{sandbox.url}/x")
    result = make(timeout=0.1)(Send(request))
    assert isinstance(result, ConnectionLost)
    assert "silent for 0.1 s" in result.reason
    assert 0.1 <= result.elapsed < 1
    hurried = make(timeout=20)(Send(request, timeout=0.2))
    assert isinstance(hurried, ConnectionLost)
    assert "silent for 0.2 s" in hurried.reason


def test_a_request_arrives_unchanged(make: Callable[..., Perform], sandbox: Sandbox) -> None:
    """Headers, query and JSON."""
    make()(
        Send(
            Request(
                "POST",
                f"{sandbox.aeronpay_url}/list-input",
                {"client-id": "me", "client-secret": "x"},
                {"a": "1&2"},
                {"text": "पैसा"},
            )
        )
    )
    seen = sandbox.log[0]
    assert seen.method == "POST"
    assert seen.query == {"a": "1&2"}
    assert seen.body == {"text": "पैसा"}
    assert seen.headers is not None
    assert seen.headers["client-id"] == "me"
    assert seen.headers["content-type"] == "application/json"


def test_redirects_are_not_followed(make: Callable[..., Perform], sandbox: Sandbox) -> None:
    sandbox.set_faults(refuse=[Refusal(status=302, page="redirect")])
    result = make()(OpenStream(Request("POST", f"{sandbox.aeronpay_url}/list-input", json={})))
    assert isinstance(result, Response)
    assert result.status == 302
    assert len(sandbox.log) == 1


@pytest.mark.parametrize("kind", [Send, OpenStream])
def test_an_error_response_whose_body_is_cut_is_a_response(
    make: Callable[..., Perform], kind: type[Send] | type[OpenStream]
) -> None:
    """Its status suffices, and the body may name a token."""
    with Scripted(head("403 Forbidden", "Content-Length: 100") + b"half") as server:
        result = make()(kind(get(server.url)))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.cut) == (403, b"half", True)


def test_a_successful_response_whose_body_is_cut_is_lost(make: Callable[..., Perform]) -> None:
    with Scripted(head("200 OK", "Content-Length: 100") + b"half") as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, ConnectionLost)
    assert result.sent


def read_all(do: Perform) -> tuple[bytes, StepResult]:
    found = b""
    while isinstance(data := do(READ), bytes) and data:
        found += data
    return found, data


def test_a_stream_is_read_to_its_end(make: Callable[..., Perform]) -> None:
    """Reading again gives nothing."""
    with Scripted(head("200 OK", "Content-Length: 5") + b"hello") as server:
        do = make()
        opened = do(OpenStream(get(server.url)))
        assert isinstance(opened, Response)
        assert (opened.status, opened.body) == (200, b"")
        assert read_all(do) == (b"hello", b"")
        assert do(READ) == b""


def test_a_cut_stream_gives_its_bytes_and_then_the_loss(make: Callable[..., Perform]) -> None:
    with Scripted(head("200 OK", "Content-Length: 50") + b"hello") as server:
        do = make()
        do(OpenStream(get(server.url)))
        data, end = read_all(do)
    assert data == b"hello"
    assert isinstance(end, ConnectionLost)


PEER = b"<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "answer",
    [
        PEER + b"\r\n\r\n",
        head(f"200 OK\r\n{PEER.decode()}", "Content-Length: 9"),
        head("200 OK", "Content-Length: " + PEER.decode()),
        head("200 OK", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n" + PEER + b"\r\n",
    ],
    ids=["status", "header", "length", "chunk"],
)
def test_a_reason_does_not_quote_the_peer(make: Callable[..., Perform], answer: bytes) -> None:
    """It is shown, and recorded."""
    with Scripted(answer) as server:
        do = make()
        result = do(OpenStream(get(server.url)))
        if isinstance(result, Response):
            result = read_all(do)[1]
    assert isinstance(result, ConnectionLost)
    assert result.sent
    assert "img" not in result.reason


@pytest.mark.parametrize("begun", [b"zz\r\nabc", b"\r\n", b"\r\n0\r\n\r\n", b"5;\0=\r\nabcde\r\n"])
@pytest.mark.parametrize("step", [OpenStream, Send])
def test_a_malformed_first_chunk_ends_the_wait(
    make: Callable[..., Perform], begun: bytes, step: Callable[[Request], Step]
) -> None:
    """aiohttp closes the connection, and its reader would wait without end."""
    with Scripted((head("200 OK", "Transfer-Encoding: chunked"), begun)) as server:
        do = make(timeout=0.5)
        began = time.monotonic()
        result = do(step(get(server.url)))
        if isinstance(result, Response) and step is OpenStream:
            result = read_all(do)[1]
    assert isinstance(result, ConnectionLost | Response)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("separate", [False, True])
def test_what_came_before_a_malformed_chunk_is_read(
    make: Callable[..., Perform], separate: bool
) -> None:
    """With the header in one segment, too: the token of a paid reply may be in it."""
    lines, body = head("200 OK", "Transfer-Encoding: chunked"), b"5\r\nhello\r\nzz\r\n"
    with Scripted((lines, body) if separate else lines + body) as server:
        do = make(timeout=20)
        began = time.monotonic()
        result = do(OpenStream(get(server.url)))
        assert isinstance(result, Response)
        data, end = read_all(do)
    assert data == b"hello"
    assert isinstance(end, ConnectionLost)
    assert time.monotonic() - began < 10


def test_a_compressed_body_is_decompressed(make: Callable[..., Perform]) -> None:
    compressed = gzip.compress(b'{"a": 1}')
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(compressed)}")
    with Scripted(head("200 OK", *lines) + compressed) as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, Response)
    assert result.body == b'{"a": 1}'


def test_a_body_with_a_wrong_encoding_is_lost(make: Callable[..., Perform]) -> None:
    lines = ("Content-Encoding: gzip", "Content-Length: 5")
    with Scripted(head("200 OK", *lines) + b"hello") as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, ConnectionLost)


def test_a_response_without_a_date_gets_one(make: Callable[..., Perform]) -> None:
    """A date in Retry-After is relative to it. A date that was sent is kept."""
    dated = head("200 OK", "Date: Sun, 22 Nov 2026 10:00:00 GMT", "Content-Length: 0")
    with Scripted(head("200 OK", "Content-Length: 0"), dated, keep=True) as server:
        do = make()
        first, second = do(Send(get(server.url))), do(Send(get(server.url)))
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert parsedate_to_datetime(first.headers["date"]).tzinfo is not None
    assert second.headers["date"] == "Sun, 22 Nov 2026 10:00:00 GMT"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections stay open for longer than a busy machine may need until the next request."""
    for module in (aiohttp_transport, httpx_transport):
        monkeypatch.setattr(module, "KEEP_ALIVE", 60.0)


@pytest.mark.usefixtures("patient")
def test_the_connection_is_reused(make: Callable[..., Perform]) -> None:
    scripts = [head("200 OK", "Content-Length: 2") + b"{}"] * 3
    with Scripted(*scripts, keep=True) as server:
        do = make()
        for _ in scripts:
            assert isinstance(do(Send(get(server.url))), Response)
        assert server.connections == 1


@pytest.mark.usefixtures("patient")
def test_the_connection_of_a_finished_stream_is_reused() -> None:
    """If the end of its body has arrived."""

    async def twice(url: str) -> None:
        transport = AsyncHttpxTransport((url,), 5.0)
        for _ in range(2):
            flow_io = transport.flow_io()
            await flow_io.perform(OpenStream(get(url)))
            assert await flow_io.perform(READ) == b"done"
            await flow_io.perform(Close(finished=True))
        await transport.close()

    body = head("200 OK", "Transfer-Encoding: chunked") + b"4\r\ndone\r\n0\r\n\r\n"
    with Scripted(body, body, keep=True) as server:
        asyncio.run(twice(server.url))
        assert server.connections == 1


def test_a_finished_reply_does_not_wait_for_the_end_of_its_body() -> None:

    async def once(url: str) -> float:
        transport = AsyncHttpxTransport((url,), 20.0)
        flow_io = transport.flow_io()
        await flow_io.perform(OpenStream(get(url)))
        await flow_io.perform(READ)
        began = asyncio.get_running_loop().time()
        await flow_io.perform(Close(finished=True))
        await transport.close()
        return asyncio.get_running_loop().time() - began

    body = head("200 OK", "Transfer-Encoding: chunked") + b"4\r\ndone\r\n"
    with Scripted(body, b"", keep=True) as server:
        assert asyncio.run(once(server.url)) < 1.0


def test_no_proxy_is_used_for_this_machine(
    make: Callable[..., Perform], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the environment names one: it could not reach the sandbox."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    result = make(sandbox.url)(Send(get(f"{sandbox.url}/x")))
    assert isinstance(result, Response)
    assert result.status == 404


def test_a_proxy_is_used_for_other_hosts(
    make: Callable[..., Perform], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(head("407 No", "Content-Length: 0")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        do = make("http://service.invalid", insecure=True)
        result = do(Send(get("http://service.invalid/")))
    assert isinstance(result, Response)
    assert result.status == 407


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_an_unpaired_surrogate_is_a_usage_error(make: Callable[..., Perform], text: str) -> None:
    with pytest.raises(UsageError, match="unpaired surrogate"):
        make()(Send(Request("POST", "http://127.0.0.1:9/", json={"text": text})))


def test_an_address_that_the_library_rejects_is_a_usage_error(make: Callable[..., Perform]) -> None:
    with pytest.raises(UsageError, match="address"):
        make()(Send(get("gopher://127.0.0.1/")))


def test_on_sent_is_called_when_a_request_was_sent() -> None:
    """Before the response, which this server sends only after that."""
    sent = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            if sent.wait(10):
                connection.sendall(head("204 No Content"))

    async def ask() -> StepResult:
        transport = AsyncHttpxTransport(("http://127.0.0.1",), 20.0)
        flow_io = transport.flow_io()
        flow_io.on_sent = sent.set
        result = await flow_io.perform(Send(get(f"http://127.0.0.1:{port}/")))
        await transport.close()
        return result

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = threading.Thread(target=serve)
        server.start()
        result = asyncio.run(ask())
        server.join()
    assert isinstance(result, Response)
    assert result.status == 204


def test_a_sleep_has_no_result(make: Callable[..., Perform]) -> None:
    assert make()(Sleep(0.0)) is None


def test_a_client_that_outlives_the_modules_ends_without_a_traceback() -> None:
    """Kept by another module, as in a notebook; what closing needs is gone by then."""
    code = (
        "import builtins, threading; from aeron_magic import Client\n"
        "client = Client('sandbox'); client.ask('x'); builtins.keep = threading.keep = client"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stderr == b""
