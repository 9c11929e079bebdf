"""The seam to the HTTP library: whatever happens on the line becomes an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import certifi
import pytest

from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.httpx_transport import (
    AsyncHttpxTransport,
    ConnectionPolicy,
    HttpxTransport,
    ssl_context,
)
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

SERVER = Path(__file__).parents[1] / "fixtures" / "tls" / "server.pem"
"""A key and its certificate, self-signed, of ``service.invalid``."""

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
                wire = HttpxTransport((address,), timeout)
                wires.append(wire)
                exchange = wire.flow_io()
                used.append(exchange.close)
                return exchange.perform
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
    outcome = make()(OpenStream(get(f"http://127.0.0.1:{port}/")))
    assert isinstance(outcome, ConnectionLost)
    assert not outcome.sent


def test_a_name_that_is_none_has_seen_nothing(make: Callable[..., Do]) -> None:
    """`.invalid` is reserved for this."""
    outcome = make("https://no.invalid")(Send(get("https://no.invalid/")))
    assert isinstance(outcome, ConnectionLost)
    assert not outcome.sent


def test_a_connection_that_breaks_without_an_answer_may_have_been_heard(
    make: Callable[..., Do], sandbox: Sandbox
) -> None:
    """The request was sent; what became of it is not known."""
    sandbox.set_faults(refuse=[Refusal(page="drop", times=1)])
    outcome = make()(Send(Request("POST", f"{sandbox.aeronpay_url}/fetch-response", json={})))
    assert isinstance(outcome, ConnectionLost)
    assert outcome.sent


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
        outcome = make()(Send(Request("POST", address, json={})))
        thread.join()
    assert isinstance(outcome, ConnectionLost)
    assert outcome.sent
    assert re.search("connection (broke|reset)|disconnected", outcome.reason, re.IGNORECASE)
    assert "ReadError" not in outcome.reason


def test_silence_is_a_loss_and_says_how_long_it_was(
    make: Callable[..., Do], sandbox: Sandbox
) -> None:
    """By the exchange's limit, or a request's own shorter one."""
    sandbox.set_faults(latency=30.0)
    request = get(f"{sandbox.url}/x")
    outcome = make(timeout=0.1)(Send(request))
    assert isinstance(outcome, ConnectionLost)
    assert "silent for 0.1 s" in outcome.reason
    assert 0.1 <= outcome.elapsed < 1
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
    outcome = make()(OpenStream(Request("POST", f"{sandbox.aeronpay_url}/list-input", json={})))
    assert isinstance(outcome, Response)
    assert outcome.status == 302
    assert len(sandbox.log) == 1


@pytest.mark.parametrize("kind", [Send, OpenStream])
def test_a_refusal_whose_body_is_cut_is_still_a_refusal(
    make: Callable[..., Do], kind: type[Send] | type[OpenStream]
) -> None:
    """Its status says enough."""
    with Scripted(head("403 Forbidden", "Content-Length: 100") + b"half") as server:
        outcome = make()(kind(get(server.url)))
    assert isinstance(outcome, Response)
    assert (outcome.status, outcome.body) == (403, b"")


def test_a_good_answer_whose_body_is_cut_is_lost(make: Callable[..., Do]) -> None:
    """Half an object is none."""
    with Scripted(head("200 OK", "Content-Length: 100") + b"half") as server:
        outcome = make()(Send(get(server.url)))
    assert isinstance(outcome, ConnectionLost)
    assert outcome.sent


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
        outcome = make()(Send(get(server.url)))
    assert isinstance(outcome, Response)
    assert outcome.body == b'{"a": 1}'


def test_a_body_that_is_not_what_it_says_is_lost(make: Callable[..., Do]) -> None:
    """Labelled as compressed, and is not."""
    lines = ("Content-Encoding: gzip", "Content-Length: 5")
    with Scripted(head("200 OK", *lines) + b"hello") as server:
        outcome = make()(Send(get(server.url)))
    assert isinstance(outcome, ConnectionLost)


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
        wire = AsyncHttpxTransport((url,), 5.0)
        for _ in range(2):
            exchange = wire.flow_io()
            await exchange.perform(OpenStream(get(url)))
            assert await exchange.perform(READ) == b"done"
            await exchange.perform(Close(finished=True))
        await wire.close()

    body = head("200 OK", "Transfer-Encoding: chunked") + b"4\r\ndone\r\n0\r\n\r\n"
    with Scripted(body, body, keep=True) as server:
        asyncio.run(twice(server.url))
        assert server.connections == 1


def test_a_stream_that_does_not_end_is_given_up_at_once() -> None:
    """A finished reply does not wait for a body that goes on."""

    async def once(url: str) -> float:
        wire = AsyncHttpxTransport((url,), 20.0)
        exchange = wire.flow_io()
        await exchange.perform(OpenStream(get(url)))
        await exchange.perform(READ)
        began = asyncio.get_running_loop().time()
        await exchange.perform(Close(finished=True))
        await wire.close()
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
    outcome = make(sandbox.url)(Send(get(f"{sandbox.url}/x")))
    assert isinstance(outcome, Response)
    assert outcome.status == 404


def test_a_proxy_is_asked_for_others(
    make: Callable[..., Do], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one of the addresses is elsewhere."""
    with Scripted(head("407 No", "Content-Length: 0")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        outcome = make("http://service.invalid")(Send(get("http://service.invalid/")))
    assert isinstance(outcome, Response)
    assert outcome.status == 407


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_half_a_character_cannot_be_sent(make: Callable[..., Do], text: str) -> None:
    """It is told, and not a failure of some encoder."""
    with pytest.raises(UsageError, match="half a character"):
        make()(Send(Request("POST", "http://127.0.0.1:9/", json={"text": text})))


def test_an_address_that_the_library_refuses_is_a_usage_error(make: Callable[..., Do]) -> None:
    """With where it may come from."""
    with pytest.raises(UsageError, match="address"):
        make()(Send(get("gopher://127.0.0.1/")))


def test_one_tls_context_serves_all() -> None:
    """Loading the authorities can take longer than all else that a client does at its beginning."""
    assert (
        ConnectionPolicy.for_addresses(["https://one.invalid"]).tls
        is ConnectionPolicy.for_addresses(["https://two.invalid"]).tls
    )


@pytest.fixture
def authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one authority, and nothing said by the user."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "3426ba42.0").write_bytes(SERVER.read_bytes())  # openssl x509 -subject_hash
    return tmp_path


def shaken_hands(trust: ssl.SSLContext, host: str) -> None:
    """A client that trusts ``trust`` meets the server of the fixture; both in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(down, up, server_hostname=host)
    server = context.wrap_bio(up, down, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.version() is not None


def test_whom_the_system_trusts_is_trusted(authorities: Path) -> None:
    """And is read when it is needed, and not before."""
    trust = ssl_context(authorities)
    assert not trust.get_ca_certs()
    shaken_hands(trust, "service.invalid")


def test_nobody_else_is_trusted(authorities: Path) -> None:
    """Neither under another name, nor without an authority of the folder."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shaken_hands(ssl_context(authorities), "another.invalid")
    (authorities / "3426ba42.0").rename(authorities / "00000000.0")
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shaken_hands(ssl_context(authorities), "service.invalid")


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_without_a_folder_of_the_system_the_librarys_authorities_are_trusted(
    authorities: Path, folder: str
) -> None:
    (authorities / "empty").mkdir()
    assert len(ssl_context(authorities / folder).get_ca_certs()) > 100


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_what_the_user_names_comes_first(
    authorities: Path, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Here it holds nobody whom the server could show."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = certifi.where() if variable == "SSL_CERT_FILE" else str(elsewhere)
    monkeypatch.setenv(variable, named)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shaken_hands(ssl_context(authorities), "service.invalid")


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
        wire = AsyncHttpxTransport(("http://127.0.0.1",), 20.0)
        exchange = wire.flow_io()
        exchange.on_sent = told.set
        outcome = await exchange.perform(Send(get(f"http://127.0.0.1:{port}/")))
        await wire.close()
        return outcome

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = threading.Thread(target=serve)
        server.start()
        outcome = asyncio.run(ask())
        server.join()
    assert isinstance(outcome, Response)
    assert outcome.status == 204


def test_pauses_pass(make: Callable[..., Do]) -> None:
    """Nothing comes of them."""
    assert make()(Sleep(0.0)) is None
