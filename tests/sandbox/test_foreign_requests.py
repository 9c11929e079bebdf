"""Requests that do not come from a program on this machine, written to the socket as they are."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from aeron_magic.sandbox import Faults, Sandbox
from aeron_magic.sandbox.http_server import HttpServer


@pytest.fixture(scope="module")
def target() -> Iterator[Sandbox]:
    with Sandbox(faults=Faults(say="Hello."), control=True) as running:
        yield running


def talk(sandbox: Sandbox, request: str) -> bytes:
    """All that the server sends until it closes the connection, or for half a second."""
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        connection.sendall(request.replace("PORT", str(port)).encode("latin-1"))
        received = b""
        try:
            while data := connection.recv(65_536):
                received += data
        except TimeoutError:
            pass
        return received


def paths(sandbox: Sandbox) -> list[str]:
    """One path of every kind."""
    addresses = (
        sandbox.control_url,
        sandbox.log_url,
        f"{sandbox.aeronpay_url}/create-response",
        f"{sandbox.chatzy_url}/init_conversation?chatbot_id=1",
        f"{sandbox.chatzy_stream_url}/get-response?token=x",
        f"{sandbox.url}/elsewhere",
        f"{sandbox.url}/",
    )
    return [address.removeprefix(sandbox.url) for address in addresses]


OWN = "Host: 127.0.0.1:PORT\r\n"
FOREIGN = {
    "no host": "",
    "another name": "Host: evil.example:PORT\r\n",
    "a name that begins with ours": "Host: 127.0.0.1.evil.example:PORT\r\n",
    "no port": "Host: 127.0.0.1\r\n",
    "another port": "Host: 127.0.0.1:1\r\n",
    "a port with a name": "Host: 127.0.0.1:80evil\r\n",
    "our port with a name": "Host: 127.0.0.1:PORTevil\r\n",
    "our port with a zero": "Host: 127.0.0.1:0PORT\r\n",
    "a user": "Host: 127.0.0.1:PORT@evil.example\r\n",
    "two, ours first": OWN + "Host: evil.example\r\n",
    "two, ours last": "Host: evil.example\r\n" + OWN,
    "two in one": "Host: 127.0.0.1:PORT, evil.example\r\n",
    "folded": "Host: 127.0.0.1:PORT\r\n evil.example\r\n",
    "another loopback address": "Host: 127.0.0.2:PORT\r\n",
    "an unspecified address": "Host: 0.0.0.0:PORT\r\n",
    "a decimal address": "Host: 2130706433:PORT\r\n",
    "a trailing dot": "Host: localhost.:PORT\r\n",
    "a page": OWN + "Origin: https://evil.example\r\n",
    "a page without an origin": OWN + "Origin: null\r\n",
    "a page with an empty origin": OWN + "Origin:\r\n",
    "a page on another port": OWN + "Origin: http://127.0.0.1:8888\r\n",
    "a page on our port": OWN + "Origin: http://127.0.0.1:PORT\r\n",
    "an image": OWN + "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n",
    "an image on a page of this machine": OWN + "Sec-Fetch-Site: same-site\r\n",
    "two sites": OWN + "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_request_is_refused_on_every_address(target: Sandbox, name: str) -> None:
    """Neither read nor changed: 403, not logged, and the connection is closed."""
    target.log.clear()
    for path in paths(target):
        for method in ("GET", "POST", "DELETE"):
            answer = talk(
                target,
                f"{method} {path} HTTP/1.1\r\n{FOREIGN[name]}Content-Type: application/json\r\n"
                'Content-Length: 15\r\n\r\n{"say": "evil"}',
            )
            assert answer.startswith(b"HTTP/1.1 403 "), (name, method, path)
            assert answer.count(b"HTTP/1.1") == 1
            assert b"Hello." not in answer
    assert target.faults.say == "Hello."
    assert not len(target.log)


@pytest.mark.parametrize(
    "headers", [OWN, "Host: localhost:PORT\r\n", OWN + "Sec-Fetch-Site: none\r\n"]
)
def test_own_requests_are_served(target: Sandbox, headers: str) -> None:
    """Also those of a reader who types the address into a browser."""
    path = target.log_url.removeprefix(target.url)
    answer = talk(target, f"GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_address_of_another_host_is_refused(target: Sandbox) -> None:
    """As a proxy gets it."""
    path = target.log_url.removeprefix(target.url)
    answer = talk(target, f"GET http://evil.example{path} HTTP/1.1\r\n{OWN}\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "length",
    ["Content-Length: 0\r\nContent-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"]
    + [f"Content-Length: {text}\r\n" for text in ("-1", "x", "²", "1_0", "+5", "9" * 5_000)],
)
def test_a_body_of_unclear_length_is_not_read_as_a_request(target: Sandbox, length: str) -> None:
    """A page cannot hide a second request in the body of the first: the connection is closed."""
    path = target.control_url.removeprefix(target.url)
    hidden = f'POST {path} HTTP/1.1\r\n{OWN}Content-Length: 15\r\n\r\n{{"say": "evil"}}'
    for first in ("/aeronpay/create-response", path):
        answer = talk(target, f"POST {first} HTTP/1.1\r\n{OWN}{length}\r\n{hidden}")
        assert answer.count(b"HTTP/1.1") <= 1
    assert target.faults.say == "Hello."


@pytest.mark.parametrize(
    "request_",
    [
        f"GET /nowhere HTTP/1.1\r\n{OWN}\r\n",
        f"OPTIONS /aeronpay/create-response HTTP/1.1\r\n{OWN}Origin: https://evil.example\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n",
        f"BREW /<script>alert(1)</script> HTTP/1.1\r\n{OWN}\r\n",
        f"GET / HTTP/9.9\r\n{OWN}\r\n",
        f"GET /{'x' * 65_540} HTTP/1.1\r\n\r\n",
    ],
)
def test_every_answer_says_that_it_is_no_page(target: Sandbox, request_: str) -> None:
    """Those of the base class, too; and none lets a page of another origin read it."""
    head = talk(target, request_).partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nx-content-type-options: nosniff" in head
    assert b"access-control" not in head


def test_streams_and_error_pages_say_that_they_are_no_pages(target: Sandbox) -> None:
    body = '{"client_referenceId": "nosniff", "user": {"text": "a"}, "stream": true}'
    request = (
        f"POST /aeronpay/create-response HTTP/1.1\r\n{OWN}client-id: a\r\nclient-secret: b\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    assert b"nosniff" in talk(target, request)


VALUES = [None, True, -1, 1e308, 10**400, "", "x", "\ud800", [], [[]], {}, {"a": {}}]
FIELDS = [
    *["client_referenceId", "user", "context_token", "stream", "offset", "limit", "order"],
    *["chatbot_id", "conversation_id", "messages", "conversation_type"],
]


def test_no_value_makes_a_service_fail(target: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread would print a traceback into the notebook."""
    failed: list[object] = []
    monkeypatch.setattr(HttpServer, "handle_error", lambda *_: failed.append(sys.exc_info()[1]))
    for path in ("//[/", "//[::1", "/\xe9", "/%00", "/#[", "//@:x/", "http://[/"):
        assert talk(target, f"GET {path} HTTP/1.1\r\n{OWN}\r\n").startswith(b"HTTP/1.1 40"), path
    addresses = [f"/{first}/{endpoint}" for first, endpoint in target._routes]
    whole = {
        "client_referenceId": "r",
        "user": {"text": "a"},
        "chatbot_id": "00000000-0000-4000-8000-000000000000",
        "conversation_id": "x",
        "messages": {"role": "user", "content": "a"},
    }
    bodies: list[object] = [*VALUES]
    for number, value in enumerate(VALUES):
        for field in FIELDS:
            bodies.append({**whole, "client_referenceId": f"{number}{field}", field: value})
        bodies.append({**whole, "user": {"text": value, "images": value}})
        bodies.append({**whole, "messages": {"role": value, "content": value}})
    port = int(target.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"client-id": "a", "client-secret": "b", "Content-Type": "application/json"}
    for address in addresses:
        for body in bodies:
            query = "?token=%ff&chatbot_id=%00&conversation_id=%ff"
            connection.request("POST", address + query, json.dumps(body), headers)
            connection.getresponse().read()
        for query in ("", "?token=" + "x" * 9_000, "?chatbot_id=1&chatbot_id=2", "?" + "a&" * 200):
            connection.request("GET", address + query)
            connection.getresponse().read()
    connection.close()
    assert not failed


def test_a_flood_of_connections_leaves_files_to_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel could open none any more. The others wait, and silent ones are closed."""
    monkeypatch.setattr("aeron_magic.sandbox.http_server._MAX_CONNECTIONS", 3)
    monkeypatch.setattr("aeron_magic.sandbox.http_server._IDLE", 0.5)
    with Sandbox() as sandbox, contextlib.ExitStack() as flood:
        port = int(sandbox.url.rpartition(":")[2])
        for _ in range(10):
            one = flood.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.sendall(b"GET / HT")
        with urllib.request.urlopen(sandbox.url, timeout=60) as answer:
            assert answer.status == 200
        assert sandbox._server is not None
        assert len(sandbox._server._open) <= 3


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a request; but not while an answer takes its time."""
    monkeypatch.setattr("aeron_magic.sandbox.http_server._IDLE", 0.2)
    with Sandbox(faults=Faults(latency=0.5)) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.sendall(f"GET /nowhere HTTP/1.1\r\n{OWN}\r\n".replace("PORT", str(port)).encode())
            received = b""
            while data := one.recv(1_000):
                received += data
    assert received.startswith(b"HTTP/1.1 404 ")
