from __future__ import annotations

import concurrent.futures
import http.client
import socket
from collections.abc import Iterator

import httpx
import pytest
from fresh_process import modules_after

from aeron_magic.sandbox import Faults, Refusal, Sandbox, embedded_sandbox


def test_it_imports_nothing_of_the_client():
    """The sandbox implements the protocol independently."""
    found = modules_after("import aeron_magic.sandbox.__main__")
    own = {name for name in found if name.startswith("aeron_magic.")}
    assert all(name.startswith("aeron_magic.sandbox") for name in own)


def test_addresses(sandbox):
    """All are on 127.0.0.1, below the root."""
    assert sandbox.url.startswith("http://127.0.0.1:")
    for url in (sandbox.aeronpay_url, sandbox.chatzy_url, sandbox.chatzy_stream_url):
        assert url.startswith(f"{sandbox.url}/")


def test_no_address_before_the_start():
    """The address of a stopped sandbox is a RuntimeError."""
    with pytest.raises(RuntimeError, match="start"):
        _ = Sandbox().url


def test_stop_closes_the_port_and_open_streams(visit):
    """A current stream ends, and new connections are refused."""
    sandbox = Sandbox(faults=Faults(say="a b c", pause=30)).start()
    visitor = visit(sandbox)
    address = sandbox.url
    with visitor.opened() as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        sandbox.stop()
        with pytest.raises(httpx.TransportError):
            list(pieces)
    with pytest.raises(httpx.ConnectError):
        visitor.http.get(address)
    assert not sandbox.log[0].closed_by_client


def test_starting_and_stopping_twice():
    """The second call has no effect."""
    sandbox = Sandbox()
    sandbox.start()
    url = sandbox.url
    assert sandbox.start().url == url
    sandbox.stop()
    sandbox.stop()


def test_a_port_in_use(sandbox):
    """The second sandbox on a port is an OSError."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="use"):
        Sandbox(port).start()


def test_connections_are_kept_alive(sandbox):
    """Several requests use one connection, including streams."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    headers = {"client-id": "a", "client-secret": "b", "Content-Type": "application/json"}
    sockets = set()
    for number in range(3):
        body = f'{{"client_referenceId": "r{number}", "user": {{"text": "a"}}, "stream": true}}'
        connection.request("POST", "/aeronpay/create-response", body, headers)
        assert b"response_completed" in connection.getresponse().read()
        sockets.add(connection.sock.getsockname())
    connection.close()
    assert len(sockets) == 1


def test_hundreds_of_connections_at_once(sandbox):
    """Each gets its answer."""
    address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))

    def ask(number: int) -> bytes:
        body = b'{"client_referenceId": "n%d", "user": {"text": "a"}}' % number
        head = b"POST /aeronpay/create-response HTTP/1.1\r\nConnection: close\r\n"
        head += (
            b"Host: 127.0.0.1:%d\r\nclient-id: a\r\nclient-secret: b\r\nContent-Length: %d\r\n\r\n"
            % (
                address[1],
                len(body),
            )
        )
        with socket.create_connection(address) as connection:
            connection.sendall(head + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(300)))
    assert all(b"One two three." in answer for answer in answers)
    assert len(sandbox.log) == 300


def test_a_body_that_is_not_json(visitor, sandbox):
    """400 with the service's error object."""
    url = f"{sandbox.aeronpay_url}/create-response"
    answer = visitor.http.post(url, content=b"{no", headers={"client-id": "a"})
    assert answer.status_code == 400
    assert answer.json()["status"] == "FAILED"


def test_a_body_without_a_length(visitor, sandbox):
    """A chunked request body is refused."""
    url = f"{sandbox.aeronpay_url}/create-response"
    answer = visitor.http.post(url, content=iter([b"{}"]))
    assert answer.status_code == 400
    assert "Content-Length" in answer.json()["message"]


def test_the_root_gives_the_addresses(visitor, sandbox):
    """And no secret one; other methods are refused, and web pages."""
    given = visitor.http.get(f"{sandbox.url}/")
    assert given.json() == {
        "aeronpay": sandbox.aeronpay_url,
        "chatzy": sandbox.chatzy_url,
        "chatzy_stream": sandbox.chatzy_stream_url,
    }
    assert visitor.http.post(f"{sandbox.url}/", json={}).status_code == 404
    page = {"Origin": "https://example.org"}
    assert visitor.http.get(f"{sandbox.url}/", headers=page).status_code == 403


def test_unknown_addresses_are_logged(visitor, sandbox):
    """404, and the log contains the path."""
    assert visitor.http.get(f"{sandbox.url}/elsewhere").status_code == 404
    assert sandbox.log[0].service == ""
    assert sandbox.log[0].endpoint == "/elsewhere"


def test_stream_calls_are_served_on_the_stream_host_only(visitor, sandbox):
    """Chatzy's two addresses are separate."""
    assert visitor.http.get(f"{sandbox.chatzy_url}/get-response").status_code == 404
    assert visitor.http.get(f"{sandbox.chatzy_stream_url}/init_conversation").status_code == 404


def test_a_logged_request(visitor, sandbox):
    """With service, endpoint, method, body, status and bytes; without the secret."""
    answer = visitor.create("a", headers={"client-id": "me", "client-secret": "s3cr3t"})
    assert sandbox.log.wait(lambda log: log[0].done)  # logged after the answer arrives
    (seen,) = sandbox.log
    assert (seen.service, seen.endpoint, seen.method) == ("aeronpay", "create-response", "POST")
    assert seen.body["user"] == {"text": "a"}
    assert seen.status == 200
    assert seen.bytes_sent == len(answer.content)
    assert not seen.closed_by_client
    assert "s3cr3t" not in repr(seen)


def test_a_client_that_disconnects_is_logged(visitor, sandbox):
    """A stream closed early is detected during its pause."""
    sandbox.set_faults(pause=30.0)
    with visitor.opened() as answer:
        next(answer.iter_bytes())
    assert sandbox.log.wait(lambda seen: seen[0].closed_by_client and seen[0].done)


# Refusals


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_errors_for_the_next_requests(visitor, sandbox, status):
    """So many requests are refused, later ones are served."""
    sandbox.set_faults(refuse=[{"endpoint": "create-response", "status": status, "times": 2}])
    codes = [visitor.create().status_code for _ in range(3)]
    assert codes == [status, status, 200]


def test_refusals_apply_to_their_endpoint(visitor, sandbox):
    """Others are served."""
    token = visitor.create().json()["context_token"]
    sandbox.faults = Faults(refuse=(Refusal("create-response", 500),))
    assert visitor.fetch(token).status_code == 200
    assert visitor.create().status_code == 500


def test_refusals_are_used_in_order(visitor, sandbox):
    """A 429, then a 503."""
    sandbox.faults = Faults(refuse=(Refusal(status=429), Refusal(status=503)))
    assert [visitor.create().status_code for _ in range(3)] == [429, 503, 200]


@pytest.mark.parametrize("value", ["2", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after(visitor, sandbox, value):
    """Seconds or a date, unchanged."""
    sandbox.faults = Faults(refuse=(Refusal(status=429, retry_after=value),))
    assert visitor.create().headers["retry-after"] == value


def test_failed_under_200(visitor, sandbox):
    """The body's status is FAILED although the HTTP status is 200."""
    sandbox.faults = Faults(refuse=(Refusal(status=200, message="No."),))
    answer = visitor.create()
    assert answer.status_code == 200
    assert answer.json()["status"] == "FAILED"
    assert answer.json()["message"] == "No."


def test_a_web_page_instead_of_an_answer(visitor, sandbox):
    """HTML, as a gateway sends it."""
    sandbox.faults = Faults(refuse=(Refusal(status=502, page="html"),))
    answer = visitor.create()
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!doctype html>")


def test_a_redirect(visitor, sandbox):
    """Its target is an address of the sandbox, so that a client that follows it is logged."""
    sandbox.faults = Faults(refuse=(Refusal(status=302, page="redirect"),))
    answer = visitor.create()
    assert answer.status_code == 302
    assert answer.headers["location"] == "/elsewhere"


def test_no_answer_at_all(visitor, sandbox):
    """The request is read and the connection closed."""
    sandbox.faults = Faults(refuse=(Refusal(page="drop"),))
    with pytest.raises(httpx.RemoteProtocolError):
        visitor.create()
    assert sandbox.log.wait(lambda seen: seen[0].done)
    assert sandbox.log[0].status is None


def test_an_accepted_request_can_be_answered_with_an_error(visitor, sandbox):
    """`accepted` serves the request first: the reference id is used."""
    sandbox.faults = Faults(refuse=(Refusal(status=500, accepted=True),))
    assert visitor.create(client_referenceId="once").status_code == 500
    assert "unique" in visitor.create(client_referenceId="once").json()["message"]


# Control


@pytest.fixture
def controlled() -> Iterator[Sandbox]:
    """A sandbox that other processes can control."""
    with Sandbox(faults=Faults(say="One two three."), control=True) as running:
        yield running


def test_faults_over_http(controlled, http):
    """Another process can set, get and reset them."""
    control = controlled.control_url
    assert http.post(control, json={"say": "Moved.", "chunk_size": 2}).status_code == 200
    assert http.get(control).json()["say"] == "Moved."
    assert controlled.faults.chunk_size == 2
    http.post(control, json={"reset": True, "pause": 0.5})
    assert controlled.faults == Faults(pause=0.5)


@pytest.mark.parametrize(
    "body",
    [
        *[{"says": "x"}, {"pause": "x"}, {"refuse": [{"no": 1}]}, {"refuse": [1]}, {"refuse": 1}],
        *[[1], {"pause": 10**400}, {"cut_after": 10**400}, {"ids": []}, {"expired": [1]}],
    ],
)
def test_invalid_faults_over_http(controlled, http, body):
    """400 with the reason, without a change."""
    before = controlled.faults
    answer = http.post(controlled.control_url, json=body)
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert controlled.faults == before


@pytest.mark.parametrize("body", ['{"pause": NaN}', '{"pause": Infinity}', "[" * 100_000, "\xff"])
def test_a_body_that_is_hardly_json(controlled, http, body):
    """400 as well, also where Python's decoder raises another error or accepts it."""
    answer = http.post(
        controlled.control_url,
        content=body.encode("latin-1"),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert controlled.faults.pause == 0


def test_the_log_over_http(controlled, http, visit):
    """It can be read and cleared; these requests are not logged."""
    visit(controlled).create("hello")
    (seen,) = http.get(controlled.log_url).json()
    assert seen["body"]["user"]["text"] == "hello"
    http.delete(controlled.log_url)
    assert http.get(controlled.log_url).json() == []


def test_control_and_log_are_off_unless_asked_for(visitor, sandbox):
    """They have no address, not even without the secret."""
    for path in ("control", "log", "control/", "log/", "control/x", "log/x"):
        assert visitor.http.get(f"{sandbox.url}/{path}").status_code == 404
        assert visitor.http.post(f"{sandbox.url}/{path}", json={"say": "x"}).status_code == 404
    for one in (sandbox, embedded_sandbox()):
        with pytest.raises(RuntimeError, match="control=True"):
            _ = one.control_url
    assert sandbox.faults.say == "One two three."


def test_the_secret_is_needed_and_new_at_each_start(controlled, http):
    """Another user of this machine, who can find the port, does not have it."""
    secret = controlled.control_url.rpartition("/")[2]
    assert len(secret) >= 32
    for path in ("log", "log/", f"log/{secret[:-1]}", f"log/{secret}x", f"log/{secret}/x", "log/é"):
        assert http.get(f"{controlled.url}/{path}").status_code == 404, path
    assert http.post(f"{controlled.url}/control", json={"say": "x"}).status_code == 404
    assert controlled.faults.say == "One two three."
    controlled.stop()
    assert controlled.start().control_url.rpartition("/")[2] != secret
    assert http.get(f"{controlled.url}/log/{secret}").status_code == 404


@pytest.mark.parametrize(
    "kind",
    [
        *["text/plain", "text/plain; x=application/json", "application/jsonp", ""],
        *["application/json; x=text/plain", "multipart/form-data", "application/json, text/plain"],
    ],
)
def test_control_takes_json_only(controlled, http, kind):
    """A form can send these content types, which contain the word, too."""
    answer = http.post(
        controlled.control_url, content=b'{"say": "x"}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 415
    assert controlled.faults.say == "One two three."
