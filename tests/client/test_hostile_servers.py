"""The transports and servers that break, cheat or never end: limits, keep-alive, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raw_server import Asked, RawServer, chunked, head, reset

from aeron_magic.client.aiohttp_transport import KEEP_ALIVE, AiohttpTransport
from aeron_magic.client.client import Client
from aeron_magic.client.compression import Decompressor
from aeron_magic.client.httpx_transport import AsyncHttpxTransport, HttpxTransport
from aeron_magic.errors import (
    IncompleteReply,
    ServiceError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
)
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

pytestmark = pytest.mark.campaign

PEM = Path(__file__).parents[1] / "fixtures" / "tls" / "server.pem"

Step = Send | OpenStream | ReadChunk | Close | Sleep
Perform = Callable[[Step], StepResult]
Make = Callable[..., Perform]


@pytest.fixture(params=["sync", "async", "many"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Creates functions that perform a step, for each of the three transports."""
    with asyncio.Runner() as runner:
        closing: list[Callable[[], object]] = []

        def new(
            url: str, timeout: float = 5.0, limits: Limits = DEFAULT_LIMITS, insecure: bool = False
        ) -> Perform:
            if request.param == "sync":
                transport = HttpxTransport((url,), timeout, limits, insecure)
                flow_io = transport.flow_io()
                closing.extend((flow_io.close, transport.close))
                return flow_io.perform
            kind = AsyncHttpxTransport if request.param == "async" else AiohttpTransport
            atransport = kind((url,), timeout, limits, insecure)
            aflow_io = atransport.flow_io()
            closing.append(lambda: runner.run(aflow_io.close()))
            closing.append(lambda: runner.run(atransport.close()))
            return lambda step: runner.run(aflow_io.perform(step))

        yield new
        for close in closing:
            close()


def serve(*answers: bytes, keep: bool = True) -> RawServer:
    """A server with one answer for each request; the last one is repeated."""
    left = list(answers)

    def answer(connection: socket.socket, _: Asked) -> bool:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])
        return keep

    return RawServer(answer)


def post(url: str, **body: object) -> Request:
    return Request("POST", f"{url}/create-response", json=body)


def read_all(do: Perform) -> bytes:
    found = b""
    while isinstance(data := do(READ), bytes) and data:
        found += data
    return found


# Limits.


def bomb(size: int, encoding: str) -> bytes:
    pack = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    zeros = bytes(2**20)
    return b"".join([*(pack.compress(zeros) for _ in range(size)), pack.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 503])
def test_a_compressed_bomb_is_read_up_to_the_limit(make: Make, encoding: str, status: int) -> None:
    """1 MB can grow to a gigabyte. Here it is 64 MB; the status of an error suffices."""
    packed = bomb(64, encoding)
    body = head(f"{status} X", f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}")
    limits = Limits(body=2**20)
    with serve(body + packed) as server:
        do = make(server.url, limits=limits)
        if status == 200:
            with pytest.raises(IncompleteReply, match="1,048,576 bytes") as caught:
                do(Send(post(server.url)))
            assert "Limits(body=…)" in caught.value.hint
        else:
            result = do(Send(post(server.url)))
            assert isinstance(result, Response)
            assert result.cut
            assert len(result.body) <= 2**20 + 2**16


@pytest.mark.parametrize("status", [200, 503])
def test_a_body_is_not_read_on_after_its_limit(make: Make, status: int) -> None:
    """The connection is closed: this body is endless."""
    sent = []

    def answer(connection: socket.socket, _: Asked) -> bool:
        connection.sendall(head(f"{status} X"))
        while True:
            connection.sendall(bytes(2**16))
            sent.append(2**16)

    with RawServer(answer) as server:
        do = make(server.url, limits=Limits(body=2**20))
        if status == 200:
            with pytest.raises(IncompleteReply, match="limit"):
                do(Send(post(server.url)))
        else:
            assert isinstance(do(Send(post(server.url))), Response)
        time.sleep(0.05)
        before = len(sent)
        time.sleep(0.05)
        assert len(sent) == before


def test_a_compressed_stream_comes_in_small_pieces(make: Make) -> None:
    packed = bomb(8, "gzip")
    body = head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(packed)}")
    with serve(body + packed) as server:
        do = make(server.url)
        do(OpenStream(post(server.url)))
        total = 0
        while isinstance(data := do(READ), bytes) and data:
            assert len(data) <= 2**16
            total += len(data)
        assert total == 8 * 2**20


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "GZIP"])
def test_compressed_bodies_are_read(make: Make, encoding: str) -> None:
    text = b"a reply " * 1_000
    packed = {"identity": text, "deflate": zlib.compress(text)}.get(encoding, gzip.compress(text))
    body = head("200 OK", f"Content-Encoding: {encoding}", f"Content-Length: {len(packed)}")
    with serve(body + packed) as server:
        do = make(server.url)
        whole = do(Send(post(server.url)))
        assert isinstance(whole, Response)
        assert whole.body == text
        do(OpenStream(post(server.url)))
        assert read_all(do) == text
        assert server.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("rest", [b"", bytes(9), b"\x1f", b"\x1f\x8c junk"])
def test_all_members_of_a_gzip_body_are_read(size: int, rest: bytes) -> None:
    """A server may compress each event by itself. What follows the last member is ignored."""
    text = [b"one ", b"", b"two ", random.Random(1).randbytes(3_000)]
    packed = b"".join(map(gzip.compress, text)) + rest
    feed = Decompressor("gzip").feed
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(part for piece in pieces for part in feed(piece)) == b"".join(text)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "nonsense"])
def test_another_compression_is_a_loss(make: Make, encoding: str) -> None:
    body = head("200 OK", f"Content-Encoding: {encoding}", "Content-Length: 2") + b"{}"
    with serve(body) as server:
        result = make(server.url)(Send(post(server.url)))
    assert isinstance(result, ConnectionLost)
    named = encoding if encoding in ("br", "zstd") else "in an unknown way"
    assert f"{named}, which was not asked for" in result.reason


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_client_names_the_compression(encoding: str) -> None:
    """The question may have been accepted; a stored reply is simply not readable."""
    body = head("200 OK", f"Content-Encoding: {encoding}", "Content-Length: 2") + b"{}"
    with (
        serve(body) as server,
        Client(base_url=server.url, client_id="me", client_secret="mine") as client,
    ):
        for stream in (True, False):
            with pytest.raises(IncompleteReply, match=f"compressed with {encoding}"):
                client.ask("Well?", stream=stream)
        with pytest.raises(UnexpectedAnswer, match=f"compressed with {encoding}"):
            client.fetch("a-token")


def test_a_refusal_in_another_compression_is_not_without_a_reason() -> None:
    body = head("400 Bad Request", "Content-Encoding: br", "Content-Length: 2") + b"{}"
    with (
        serve(body) as server,
        Client(base_url=server.url, client_id="me", client_secret="mine") as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.ask("Well?")
    assert "Its message cannot be read" in caught.value.hint


def test_a_long_header_is_refused(make: Make) -> None:
    """By our limit or by the library's; a paid question is then in doubt, and is not repeated."""
    lines = [f"X-{number}: {'x' * 900}" for number in range(60)]
    with serve(head("200 OK", *lines, "Content-Length: 2") + b"{}") as server:
        with pytest.raises(IncompleteReply, match="header") as caught:
            make(server.url, limits=Limits(header=20_000))(Send(post(server.url)))
        assert "Limits(header=…)" in caught.value.hint
        assert isinstance(make(server.url)(Send(post(server.url))), Response)


def drip(connection: socket.socket, *parts: bytes) -> None:
    for byte in b"".join(parts):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


@pytest.mark.parametrize("where", ["header", "body", "stream", "continue", "chunk", "compressed"])
def test_an_answer_that_drips_ends_at_the_limit(make: Make, where: str) -> None:
    """Each byte comes well within the timeout, and what comes may be nothing of the reply."""

    def answer(connection: socket.socket, _: Asked) -> bool:
        if where == "chunk":
            connection.sendall(head("200 OK", "Transfer-Encoding: chunked") + b"5;")
        if where == "compressed":
            connection.sendall(head("200 OK", "Content-Encoding: gzip"))
            pack = zlib.compressobj(wbits=31)
            connection.sendall(pack.compress(b"") + pack.flush(zlib.Z_SYNC_FLUSH))
            for _ in range(200):
                connection.sendall(bytes.fromhex("000000ffff"))  # an empty block
                time.sleep(0.02)
        if where == "header":
            drip(connection, b"HTTP/1.1 200 OK\r\nX: ", bytes(b"x" * 1_000))
        if where == "continue":
            for _ in range(200):
                connection.sendall(head("100 Continue"))
                time.sleep(0.02)
        if where not in ("chunk", "compressed"):
            connection.sendall(head("200 OK", "Content-Length: 1000"))
        drip(connection, bytes(b"x" * 200))
        return False

    with RawServer(answer) as server:
        do = make(server.url, limits=Limits(wait=0.3))
        began = time.monotonic()
        streamed = where in ("stream", "chunk", "compressed")
        if streamed:
            do(OpenStream(post(server.url)))
        with pytest.raises(IncompleteReply, match=r"longer than 0\.3 s") as caught:
            read_all(do) if streamed else do(Send(post(server.url)))
        assert time.monotonic() - began < 2
        assert "Limits(wait=…)" in caught.value.hint


def test_cookies_are_not_kept(make: Make) -> None:
    cookie = "Set-Cookie: id=7; Path=/; Max-Age=9999"
    with serve(head("200 OK", cookie, "Content-Length: 2") + b"{}") as server:
        do = make(server.url)
        for _ in range(2):
            do(Send(post(server.url)))
        assert len(server.asked) == 2
        assert not any("cookie" in one.headers for one in server.asked)


@pytest.mark.parametrize(
    "line",
    [
        "Location: http://[::1",
        "Location: \xff\x01",
        f"Location: {'x' * 65_400}",
        f"Set-Cookie: a=b; expires=Mon, 01-Jan-{'9' * 60_000}",
        f"Set-Cookie: {'=;' * 30_000}",
    ],
    ids=lambda line: line[:26],
)
@pytest.mark.parametrize("status", [302, 308])
def test_headers_that_mean_nothing_to_us_are_not_read(
    make: Make, line: str, status: int, recwarn: pytest.WarningsRecorder
) -> None:
    """The status and the body count, which may name the token of a question that was accepted."""
    named = b'{"status": "SUCCESS", "context_token": "t-1"}'
    with serve(head(f"{status} X", line, f"Content-Length: {len(named)}") + named) as server:
        result = make(server.url)(Send(post(f"{server.url}/{'long/' * 50}")))
    assert isinstance(result, Response)
    assert result.body == named
    assert not recwarn


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_request_is_made_once(make: Make, how: str) -> None:
    """A stream of Chatzy can be opened once, by a GET, and its flow decides on another attempt."""

    def answer(connection: socket.socket, _: Asked) -> bool:
        if how == "reset":
            reset(connection)
        return False

    with RawServer(answer) as server:
        for kind in (Send, OpenStream):
            lost = make(server.url)(kind(Request("GET", f"{server.url}/get-response")))
            assert isinstance(lost, ConnectionLost)
            assert lost.sent
        assert len(server.asked) == 2


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_named(
    make: Make, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(head(f"{status} <img src=x>", "Content-Length: 0")) as server:
        monkeypatch.setenv("https_proxy", server.url)
        lost = make("https://service.test")(Send(post("https://service.test")))
    assert isinstance(lost, ConnectionLost)
    assert lost.reason == f"the proxy refused to connect (HTTP status {status})"
    assert not lost.sent


def test_a_netrc_file_is_not_read(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither for the service nor for a proxy."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hush\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(head("200 OK", "Content-Length: 2") + b"{}") as server:
        make(server.url)(Send(post(server.url)))
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("http_proxy", server.url)
        make("http://one.invalid", insecure=True)(Send(post("http://one.invalid")))
        assert len(server.asked) == 2
        for one in server.asked:
            assert not {"authorization", "proxy-authorization"} & set(one.headers)


@pytest.mark.parametrize(
    "url",
    ["http://api.test/x", "http://10.0.0.1", "http://127.1", "http://localhost.evil.test",
     "http://127.0.0.1%.evil.test"],
)  # fmt: skip
def test_another_machine_without_encryption_is_refused(make: Make, url: str) -> None:
    with pytest.raises(UsageError, match="not encrypted") as caught:
        make(url)
    assert "insecure" in caught.value.hint
    make(url, insecure=True)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.9.9.9", "http://[::1]:8/x"])
def test_this_machine_needs_no_encryption(make: Make, url: str) -> None:
    make(url)


# Keep-alive.


def test_streamed_questions_share_a_connection(make: Make) -> None:
    """The end of the body comes a moment after the reply was complete."""

    def answer(connection: socket.socket, _: Asked) -> bool:
        body = chunked(b"done")
        connection.sendall(head("200 OK", "Transfer-Encoding: chunked") + body[:-7])
        time.sleep(0.0005)
        connection.sendall(body[-7:])
        return True

    with RawServer(answer) as server:
        do = make(server.url)
        for _ in range(50):
            do(OpenStream(post(server.url)))
            assert do(READ) == b"done"
            do(Close(finished=True))
        assert len(server.asked) == 50
        assert server.accepted <= 15


@pytest.mark.parametrize("rest", [b"", b"5\r\nmo", b"0\r\n", b"400000\r\n" + bytes(200_000)])
def test_a_body_without_an_end_is_not_waited_for(make: Make, rest: bytes) -> None:
    """The connection is closed after a short time, or after so many bytes."""
    start = head("200 OK", "Transfer-Encoding: chunked") + b"4\r\ndone\r\n"
    with serve(start + rest) as server:
        do = make(server.url, timeout=20)
        do(OpenStream(post(server.url)))
        assert bytes(do(READ) or b"")[:4] == b"done"  # type: ignore[arg-type]
        began = time.monotonic()
        do(Close(finished=True))
        assert time.monotonic() - began < 1
        do(OpenStream(post(server.url)))
        assert server.accepted == 2


@pytest.mark.parametrize("gap", [0.0025, 0.03])
def test_a_connection_that_the_server_closes_is_not_used(make: Make, gap: float) -> None:
    """The server closes an idle connection within 1.5 ms of the next question."""
    rng = random.Random(7)
    whole = head("200 OK", "Content-Length: 2") + b"{}"
    with serve(whole) as server:
        server.idle = lambda: gap + rng.uniform(-0.0015, 0.0015)
        do = make(server.url)
        lost = 0
        for number in range(100):
            result = do(Send(post(server.url, user={"text": str(number)})))
            lost += isinstance(result, ConnectionLost)
            time.sleep(gap)
        assert lost <= (20 if gap < KEEP_ALIVE else 0)
        assert set(server.creates().values()) == {1}


@pytest.mark.parametrize("closed", [True, False])
def test_a_connection_closed_after_each_answer_is_not_used(make: Make, closed: bool) -> None:
    """Without ``Connection: close``. A question that is written at the moment of the close is in
    doubt; one that was not sent is certain, so none comes twice."""
    whole = head("200 OK", "Content-Length: 2") + b"{}"
    with serve(whole, keep=False) as server:
        do = make(server.url)
        results = []
        for one in range(100):
            results.append(do(Send(post(server.url, user={"text": str(one)}))))
            if closed:
                assert server.closed.acquire(timeout=10)
        assert not (closed and any(isinstance(one, ConnectionLost) for one in results))
        lost = [(str(n), one) for n, one in enumerate(results) if isinstance(one, ConnectionLost)]
        assert not {n for n, one in lost if not one.sent} & set(server.creates())
        assert set(server.creates().values()) == {1}


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("pause", [0.0, 0.0005, 0.02])
def test_a_second_answer_is_not_taken_for_that_of_the_next_question(
    make: Make, status: int, pause: float
) -> None:
    """As of a proxy that gives up, and passes the answer on all the same. A question that is
    refused in this way would be asked again."""
    sent = threading.Semaphore(0)

    def answer(connection: socket.socket, asked: Asked) -> bool:
        stray = head(f"{status} X", "Retry-After: 0", "Content-Length: 4") + b"else"
        text = asked.question.encode()
        own = head("200 OK", f"Content-Length: {len(text)}") + text
        connection.sendall(own if pause else own + stray)
        if pause:
            time.sleep(pause)
            with contextlib.suppress(OSError):
                connection.sendall(stray)
        sent.release()
        return True

    with RawServer(answer) as server:
        do = make(server.url)
        for question in ("one", "two", "three"):
            result = do(Send(post(server.url, user={"text": question})))
            assert isinstance(result, Response)
            assert (result.status, result.body.decode()) == (200, question)
            sent.acquire(timeout=5)
        assert [one.question for one in server.asked] == ["one", "two", "three"]


# TLS, and refusals before the body.


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    return context


def test_a_certificate_error_has_a_remedy(make: Make) -> None:
    """To try again is useless."""
    with RawServer(lambda *_: False, tls=server_tls()) as server:
        result = make(server.url)(Send(post(server.url)))
    assert isinstance(result, ConnectionLost)
    assert not result.sent
    assert "certificate" in result.reason
    assert "SSL_CERT_FILE" in result.remedy


def test_a_handshake_that_never_answers_times_out(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        result = make(url, timeout=0.4)(Send(post(url)))
    assert isinstance(result, ConnectionLost)
    assert not result.sent
    assert "silent for 0.4 s" in result.reason
    assert time.monotonic() - began < 2


def test_a_question_to_a_server_without_a_handshake_takes_no_longer_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with Client(base_url=url, client_id="me", client_secret="hush", timeout=0.4) as client:
            began = time.monotonic()
            with pytest.raises(Unreachable):
                client.ask("Well?")
    assert time.monotonic() - began < 0.8


def test_a_client_takes_limits() -> None:
    """Also as a mapping from the notebook's configuration."""
    options = {"client_id": "me", "client_secret": "hush"}
    with Client(**options, limits=Limits(body=7)) as client:
        assert client.settings.limits.body == 7
    for wrong in ({"bodies": 7}, {"body": 0}, {"body": "x"}):
        with pytest.raises(UsageError, match="limit"):
            Client(**options, limits=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("size", [10, 300_000, 8_000_000])
def test_a_refusal_before_the_body_is_read_is_shown(make: Make, size: int, reads: bool) -> None:
    """The server lingers before it closes, as servers do: a reset could overtake the answer."""
    shown = threading.Event()

    def answer(connection: socket.socket, _: Asked) -> bool:
        connection.sendall(head("413 Content Too Large", "Content-Length: 2") + b"{}")
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(2)
        with contextlib.suppress(OSError):
            while reads and connection.recv(65_536):
                pass
        shown.wait(2)
        return False

    with RawServer(answer, before_body=True) as server:
        result = make(server.url)(OpenStream(post(server.url, text="x" * size)))
        shown.set()
    assert isinstance(result, Response)
    assert result.status == 413


def test_a_server_that_does_not_read_the_question_times_out(make: Make) -> None:
    def answer(_: socket.socket, __: Asked) -> bool:
        time.sleep(5)
        return False

    with RawServer(answer, before_body=True) as server:
        began = time.monotonic()
        result = make(server.url, timeout=0.4)(OpenStream(post(server.url, text="x" * 8_000_000)))
        assert time.monotonic() - began < 3
    assert isinstance(result, ConnectionLost)
    assert result.sent
