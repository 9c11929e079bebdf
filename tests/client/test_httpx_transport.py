"""The seam to the HTTP library: whatever happens on the line becomes an outcome."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import pytest

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
from aeron_magic.sandbox import Refusal, Sandbox

Step = Send | OpenStream | ReadChunk | Close | Sleep
Do = Callable[[Step], StepResult]


@pytest.fixture(params=["sync", "async", "many"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Do]]:
    """Makes exchanges: a function that does a step, whichever of the two loops it belongs to."""
    with asyncio.Runner() as runner:
        wires: list[HttpxTransport | AsyncHttpxTransport] = []
        used: list[Callable[[], object]] = []

        def new(address: str = "http://127.0.0.1", timeout: float = 5.0) -> Do:
            if request.param == "sync":
                transport = HttpxTransport((address,), timeout)
                wires.append(transport)
                flow_io = transport.flow_io()
                used.append(flow_io.close)
                return flow_io.perform
            kind = AsyncHttpxTransport if request.param == "async" else AiohttpTransport
            awire = kind((address,), timeout)
            wires.append(awire)
            aexchange = awire.flow_io()
            used.append(lambda: runner.run(aexchange.close()))
            return lambda step: runner.run(aexchange.perform(step))

        yield new
        for close in used:
            close()
        for one in wires:
            runner.run(one.close()) if isinstance(one, AsyncHttpxTransport) else one.close()


class Scripted:
    """A server that sends bytes as they are: one script for each request, whatever it asks."""

    def __init__(self, *scripts: bytes, keep: bool = False) -> None:
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
                    connection.sendall(self._scripts.pop(0))
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


def test_a_host_where_nobody_listens_has_seen_nothing(make: Callable[..., Do]) -> None:
    """So that even a paid question may be repeated."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = make()(OpenStream(get(f"http://127.0.0.1:{port}/")))
    assert isinstance(result, ConnectionLost)
    assert not result.sent


def test_a_name_that_is_none_has_seen_nothing(make: Callable[..., Do]) -> None:
    """`.invalid` is reserved for this."""
    result = make("https://no.invalid")(Send(get("https://no.invalid/")))
    assert isinstance(result, ConnectionLost)
    assert not result.sent


def test_a_connection_that_breaks_without_an_answer_may_have_been_heard(
    make: Callable[..., Do], sandbox: Sandbox
) -> None:
    """The request was sent; what became of it is not known."""
    sandbox.set_faults(refuse=[Refusal(page="drop", times=1)])
    result = make()(Send(Request("POST", f"{sandbox.aeronpay_url}/fetch-response", json={})))
    assert isinstance(result, ConnectionLost)
    assert result.sent


def test_a_reset_has_a_reason_in_words(make: Callable[..., Do]) -> None:
    """Some libraries have none for it but the name of their exception."""
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


def test_silence_is_a_loss_and_says_how_long_it_was(
    make: Callable[..., Do], sandbox: Sandbox
) -> None:
    """By the exchange's limit, or a request's own shorter one."""
    sandbox.set_faults(latency=30.0)
    request = get(f"{sandbox.url}/x")
    result = make(timeout=0.1)(Send(request))
    assert isinstance(result, ConnectionLost)
    assert "silent for 0.1 s" in result.reason
    assert 0.1 <= result.elapsed < 1
    hurried = make(timeout=20)(Send(request, timeout=0.2))
    assert isinstance(hurried, ConnectionLost)
    assert "silent for 0.2 s" in hurried.reason


def test_a_request_arrives_as_it_was_made(make: Callable[..., Do], sandbox: Sandbox) -> None:
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


def test_redirects_are_answers(make: Callable[..., Do], sandbox: Sandbox) -> None:
    """Nothing is sent to where they point."""
    sandbox.set_faults(refuse=[Refusal(status=302, page="redirect")])
    result = make()(OpenStream(Request("POST", f"{sandbox.aeronpay_url}/list-input", json={})))
    assert isinstance(result, Response)
    assert result.status == 302
    assert len(sandbox.log) == 1


@pytest.mark.parametrize("kind", [Send, OpenStream])
def test_a_refusal_whose_body_is_cut_is_still_a_refusal(
    make: Callable[..., Do], kind: type[Send] | type[OpenStream]
) -> None:
    """Its status says enough."""
    with Scripted(head("403 Forbidden", "Content-Length: 100") + b"half") as server:
        result = make()(kind(get(server.url)))
    assert isinstance(result, Response)
    assert (result.status, result.body) == (403, b"")


def test_a_good_answer_whose_body_is_cut_is_lost(make: Callable[..., Do]) -> None:
    """Half an object is none."""
    with Scripted(head("200 OK", "Content-Length: 100") + b"half") as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, ConnectionLost)
    assert result.sent


def read_all(do: Do) -> tuple[bytes, StepResult]:
    found = b""
    while isinstance(data := do(READ), bytes) and data:
        found += data
    return found, data


def test_a_stream_is_read_to_its_end(make: Callable[..., Do]) -> None:
    """And stays at its end."""
    with Scripted(head("200 OK", "Content-Length: 5") + b"hello") as server:
        do = make()
        opened = do(OpenStream(get(server.url)))
        assert isinstance(opened, Response)
        assert (opened.status, opened.body) == (200, b"")
        assert read_all(do) == (b"hello", b"")
        assert do(READ) == b""


def test_a_cut_stream_gives_what_came_and_then_the_loss(make: Callable[..., Do]) -> None:
    """In this order."""
    with Scripted(head("200 OK", "Content-Length: 50") + b"hello") as server:
        do = make()
        do(OpenStream(get(server.url)))
        data, end = read_all(do)
    assert data == b"hello"
    assert isinstance(end, ConnectionLost)


def test_a_compressed_body_is_unpacked(make: Callable[..., Do]) -> None:
    """Whoever compressed it on the way."""
    packed = gzip.compress(b'{"a": 1}')
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(packed)}")
    with Scripted(head("200 OK", *lines) + packed) as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, Response)
    assert result.body == b'{"a": 1}'


def test_a_body_that_is_not_what_it_says_is_lost(make: Callable[..., Do]) -> None:
    """Labelled as compressed, and is not."""
    lines = ("Content-Encoding: gzip", "Content-Length: 5")
    with Scripted(head("200 OK", *lines) + b"hello") as server:
        result = make()(Send(get(server.url)))
    assert isinstance(result, ConnectionLost)


def test_an_answer_without_a_date_gets_one(make: Callable[..., Do]) -> None:
    """A Retry-After that is a date counts from it; a date that was sent is kept."""
    dated = head("200 OK", "Date: Sun, 22 Nov 2026 10:00:00 GMT", "Content-Length: 0")
    with Scripted(head("200 OK", "Content-Length: 0"), dated, keep=True) as server:
        do = make()
        first, second = do(Send(get(server.url))), do(Send(get(server.url)))
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert parsedate_to_datetime(first.headers["date"]).tzinfo is not None
    assert second.headers["date"] == "Sun, 22 Nov 2026 10:00:00 GMT"


def test_the_connection_is_kept(make: Callable[..., Do]) -> None:
    """Whole answers leave it free for the next request."""
    scripts = [head("200 OK", "Content-Length: 2") + b"{}"] * 3
    with Scripted(*scripts, keep=True) as server:
        do = make()
        for _ in scripts:
            assert isinstance(do(Send(get(server.url))), Response)
        assert server.connections == 1


def test_a_stream_that_is_finished_leaves_its_connection_free() -> None:
    """The end of its body is taken, if it is here."""

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


def test_a_stream_that_does_not_end_is_given_up_at_once() -> None:
    """A finished reply does not wait for a body that goes on."""

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


def test_a_proxy_is_not_asked_for_this_machine(
    make: Callable[..., Do], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says: the sandbox would be out of reach."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    result = make(sandbox.url)(Send(get(f"{sandbox.url}/x")))
    assert isinstance(result, Response)
    assert result.status == 404


def test_a_proxy_is_asked_for_others(
    make: Callable[..., Do], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one of the addresses is elsewhere."""
    with Scripted(head("407 No", "Content-Length: 0")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        result = make("http://service.invalid")(Send(get("http://service.invalid/")))
    assert isinstance(result, Response)
    assert result.status == 407


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_half_a_character_cannot_be_sent(make: Callable[..., Do], text: str) -> None:
    """It is told, and not a failure of some encoder."""
    with pytest.raises(UsageError, match="unpaired surrogate"):
        make()(Send(Request("POST", "http://127.0.0.1:9/", json={"text": text})))


def test_an_address_that_the_library_refuses_is_a_usage_error(make: Callable[..., Do]) -> None:
    """With where it may come from."""
    with pytest.raises(UsageError, match="address"):
        make()(Send(get("gopher://127.0.0.1/")))


def test_it_is_told_when_a_request_has_left() -> None:
    """Before there is an answer: this one comes only when it was told."""
    told = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            if told.wait(10):
                connection.sendall(head("204 No Content"))

    async def ask() -> StepResult:
        transport = AsyncHttpxTransport(("http://127.0.0.1",), 20.0)
        flow_io = transport.flow_io()
        flow_io.on_sent = told.set
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


def test_pauses_pass(make: Callable[..., Do]) -> None:
    """Nothing comes of them."""
    assert make()(Sleep(0.0)) is None
