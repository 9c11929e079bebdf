"""The sandbox as an HTTP/1.1 server on 127.0.0.1, with one thread per connection.

With ``control=True`` it has two more addresses for other processes, which contain a secret:
``POST`` to `Sandbox.control_url` changes faults, ``GET`` returns them; ``GET`` and ``DELETE`` of
`Sandbox.log_url` return and clear the log.

A web page can send requests to 127.0.0.1, too. Browsers mark them (``Origin``, ``Sec-Fetch-Site``),
and a DNS name that leads to this machine is visible in ``Host``: such requests are refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from .aeronpay import AeronPay, TokenRule
from .answers.answer import Turns, answer
from .answers.faq import Faq
from .chatzy import Chatzy
from .encoding import Answer, Request, Stream
from .faults import Faults, Refusal
from .request_log import LoggedRequest, RequestLog
from .response_writer import ConnectionDropped, ResponseWriter

Answers = str | os.PathLike[str] | Mapping[str, str]

EMBEDDED_PAUSE = 0.012
"""Seconds between the chunks of `embedded_sandbox`: slow enough to see the streaming."""

_IDLE = 30.0
"""Seconds of silence after which a connection is closed; clients close theirs earlier."""

_MAX_CONNECTIONS = 1_000
"""At the same time, unless half of the files that the process may open are fewer: the embedded
sandbox runs in a kernel, which needs the others. More connections wait."""

_MAX_BODY = 20_000_000
_SECRET_HEADERS = {"client-secret", "authorization", "cookie"}
_JSON = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")
_HTML_PAGE = b"<!doctype html><title>Gateway</title><h1>Bad gateway</h1>\n"


class Sandbox:
    """Both services on a local port, for demonstrations and tests.

    Parameters
    ----------
    port
        The port on 127.0.0.1; 0 chooses a free one.
    faults
        The initial behaviour; by default without faults and pauses.
    token_rule
        AeronPay: ``new`` returns a new token for each reply, ``same`` one for a conversation.
    clock
        Seconds since the epoch, for the expiry of tokens.
    token_life
        Seconds until an AeronPay token expires, by default a day.
    require_credentials
        Whether AeronPay refuses requests without ``client-id`` and ``client-secret``.
    control
        Whether other processes can change faults and read the log; by default they cannot.
    answers
        A file of questions and answers, or a mapping from question to answer, to answer from
        instead of the handbook; see :mod:`aeron_magic.sandbox.answers.faq`. A file is read again
        when it has changed.

    Raises
    ------
    OSError, ValueError
        The file of answers cannot be read, or has none. From `start`, OSError: the port is in use.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        faults: Faults | None = None,
        token_rule: TokenRule = "new",  # noqa: S107 - not a password
        clock: Callable[[], float] = time.time,
        token_life: float = 86_400.0,
        require_credentials: bool = True,
        control: bool = False,
        answers: Answers | None = None,
    ) -> None:
        self._wanted_port = port
        self._with_control = control
        self._key = ""
        self._faults = (faults or Faults()).checked()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.answer_from(answers)
        self.log = RequestLog()
        services: tuple[AeronPay | Chatzy, ...] = (
            AeronPay(
                self._answer,
                clock=clock,
                token_rule=token_rule,
                token_life=token_life,
                require_credentials=require_credentials,
            ),
            Chatzy(self._answer, clock=clock),
        )
        self._routes = {route: service for service in services for route in service.routes}

    def answer_from(self, answers: Answers | None) -> None:
        """Answer from a file or a mapping from now on, as ``answers``; None: the handbook."""
        self._find_answer = answer if answers is None else Faq(answers).answer

    def _answer(self, question: str, turns: Turns = ()) -> str:
        return self._find_answer(question, turns)

    def start(self) -> Sandbox:
        """Listen and serve in daemon threads. Without effect if it runs already."""
        with self._lock:
            if self._server is None:
                self._key = secrets.token_urlsafe(24) if self._with_control else ""
                self._server = _Server(self._wanted_port, self)
        return self

    def stop(self) -> None:
        """Close all connections and the port. Without effect if it does not run."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The root address.

        Raises
        ------
        RuntimeError
            The sandbox is not started.
        """
        if self._server is None:
            raise RuntimeError("the sandbox has no address before start()")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def aeronpay_url(self) -> str:
        """Base address of create-response, fetch-response and list-input."""
        return f"{self.url}/aeronpay"

    @property
    def chatzy_url(self) -> str:
        """Base address of Chatzy's API."""
        return f"{self.url}/chatzy"

    @property
    def chatzy_stream_url(self) -> str:
        """Base address of Chatzy's stream host."""
        return f"{self.url}/chatzy-stream"

    @property
    def control_url(self) -> str:
        """Address of the faults, with a secret that is new at each start.

        Raises
        ------
        RuntimeError
            The sandbox is not started, or was created without ``control``.
        """
        return self._secret_url("control")

    @property
    def log_url(self) -> str:
        """Address of the log; as `control_url`."""
        return self._secret_url("log")

    def _secret_url(self, name: str) -> str:
        if not self._with_control:
            raise RuntimeError("the sandbox was created without control=True")
        return f"{self.url}/{name}/{self._key}"

    @property
    def faults(self) -> Faults:
        """The current behaviour; can be assigned at any time. A wrong value is a ValueError."""
        with self._lock:
            return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        checked = faults.checked()
        with self._lock:
            self._faults = checked

    def set_faults(self, **changes: Any) -> None:
        """Change some fields of `faults`."""
        with self._lock:
            self._faults = Faults.from_json(changes, self._faults)

    def serve(self, handler: _Handler) -> None:
        """Answer one request whose headers have been read."""
        path, _, query = handler.path.partition("?")
        first, _, endpoint = path.lstrip("/").partition("/")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        raw, problem = _read_body(handler, headers)
        if _is_foreign(handler):
            handler.close_connection = True
            handler.answer_plainly(Answer(403, {"message": "Only for programs on this machine."}))
            return
        body = None
        if raw:
            try:
                body = json.loads(raw)
            except (ValueError, RecursionError):
                problem = "The body is not JSON."
        if (handler.command, path) == ("GET", "/"):
            names = ("aeronpay", "chatzy", "chatzy_stream")
            handler.answer_plainly(
                Answer(200, {name: getattr(self, f"{name}_url") for name in names})
            )
            return
        request = Request(
            endpoint=endpoint,
            method=handler.command,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            body=body,
        )
        if first in ("control", "log") and self._is_key(endpoint):
            handler.answer_plainly(self._control(first, request))
            return
        service = self._routes.get((first, endpoint))
        number = self.log.add(
            LoggedRequest(
                service=service.name if service else "",
                endpoint=endpoint if service else path,
                method=request.method,
                body=body,
                query=request.query,
                headers={k: v for k, v in headers.items() if k not in _SECRET_HEADERS},
            )
        )
        with self._lock:
            faults, self._faults, refusal = self._faults.for_request(endpoint if service else "")
        writer = ResponseWriter(
            handler.connection, faults, self.log, number, handler.server.stopping
        )
        try:
            writer.wait(faults.latency)
            if service is None:
                writer.answer(Answer(404, {"message": "Unknown address."}))
            elif problem is not None:
                writer.answer(service.refusal(400, problem, faults))
            elif refusal is not None:
                self._refuse(writer, refusal, service, request, faults)
            else:
                given = service.handle(request, faults)
                if isinstance(given, Stream):
                    writer.stream(given)
                else:
                    writer.answer(given)
        finally:
            self.log.update(number, done=True)

    def _refuse(
        self,
        writer: ResponseWriter,
        refusal: Refusal,
        service: AeronPay | Chatzy,
        request: Request,
        faults: Faults,
    ) -> None:
        if refusal.accepted:
            service.handle(request, faults)
        headers = {} if refusal.retry_after is None else {"Retry-After": refusal.retry_after}
        match refusal.page:
            case "drop":
                raise ConnectionDropped
            case "json":
                given = service.refusal(refusal.status, refusal.message, faults)
                writer.answer(replace(given, headers=headers))
            case "html":
                writer.send(refusal.status, "text/html; charset=utf-8", _HTML_PAGE, headers)
            case "empty":
                writer.send(refusal.status, "text/plain", b"", headers)
            case "redirect":
                headers["Location"] = refusal.location
                writer.send(refusal.status, "text/plain", b"", headers)

    def _is_key(self, text: str) -> bool:
        return bool(self._key) and secrets.compare_digest(text.encode(), self._key.encode())

    def _control(self, first: str, request: Request) -> Answer:
        match first, request.method:
            case "log", "GET":
                return Answer(200, self.log.as_json())
            case "log", "DELETE":
                self.log.clear()
                return Answer(200, [])
            case "control", "GET":
                return Answer(200, self.faults.as_json())
            case "control", "POST":
                if request.headers.get("content-type", "").lower() not in _JSON:
                    return Answer(415, {"message": "Send application/json."})
                if not isinstance(request.body, dict):
                    return Answer(400, {"message": "The body must be a JSON object of faults."})
                base = Faults() if request.body.pop("reset", False) else self.faults
                try:
                    self.faults = Faults.from_json(request.body, base)
                except ValueError as error:
                    return Answer(400, {"message": str(error)})
                return Answer(200, self.faults.as_json())
        return Answer(405, {"message": "Control: GET and POST. Log: GET and DELETE."})


_embedded = Sandbox(faults=Faults(pause=EMBEDDED_PAUSE))


def embedded_sandbox() -> Sandbox:
    """The sandbox that ``%aeron connect sandbox`` uses; it is started if it does not run.

    It ends with the process, so a reload of the extension finds its conversations. Change its
    faults to see what a notebook does when something goes wrong.

    Raises
    ------
    OSError
        The system allows no local server.
    """
    return _embedded.start()


class _Server(socketserver.ThreadingTCPServer):
    """The listening socket and its threads."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_changed = threading.Condition()
        self._most = _most_connections()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self._accept, name="aeron-sandbox", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            with self._open_changed:
                self._open_changed.wait_for(self._can_accept)
            self.handle_request()

    def _can_accept(self) -> bool:
        return self.stopping.is_set() or len(self._open) < self._most

    def get_request(self) -> Any:
        try:
            return super().get_request()
        except OSError:
            self.stopping.wait(0.1)  # no file can be opened: the next attempt would fail at once
            raise

    def stop(self) -> None:
        self.stopping.set()
        with self._open_changed:
            self._open_changed.notify_all()
        with socket.create_connection(("127.0.0.1", self.server_address[1])):
            self._thread.join()  # this connection ended its wait
        self.server_close()
        with self._open_changed:
            for connection in self._open:
                # Wakes the connection's thread, which then closes it.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_changed:
            self._open.discard(request)
            self._open_changed.notify_all()
        # Without shutdown(), which would turn a reset into an ordinary end.
        request.close()


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return _MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return _MAX_CONNECTIONS if unlimited else min(_MAX_CONNECTIONS, files // 2)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection until it is closed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionDropped, ConnectionError):
            self.close_connection = True

    def handle_one_request(self) -> None:
        self.connection.settimeout(_IDLE)  # until the request has been read
        super().handle_one_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is not HTTP, or an unknown method; the base class would send a page."""
        self.close_connection = True
        self.answer_plainly(Answer(code, {"message": message or responses.get(code, "")}))

    def answer_plainly(self, answer: Answer) -> None:
        """Send an answer without faults and log."""
        writer = ResponseWriter(self.connection, Faults(), RequestLog(), 0, self.server.stopping)
        writer.answer(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Write nothing to stderr; the sandbox has its own log."""

    def _serve(self) -> None:
        self.server.sandbox.serve(self)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = _serve  # noqa: N815 - the base's names


def _is_foreign(handler: _Handler) -> bool:
    """Whether a request comes from a web page, or through a name that is not this machine's."""
    port = handler.server.server_address[1]
    names = ("127.0.0.1", "localhost")
    own = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
    hosts = handler.headers.get_all("Host", [])
    return (
        len(hosts) != 1
        or hosts[0].lower() not in own
        or "Origin" in handler.headers
        # "none": the reader has typed the address.
        or any(site != "none" for site in handler.headers.get_all("Sec-Fetch-Site", []))
        or not handler.path.startswith("/")  # the address of another host, as a proxy gets it
    )


def _read_body(handler: _Handler, headers: dict[str, str]) -> tuple[bytes, str | None]:
    """The request's body and an error message or None."""
    lengths = handler.headers.get_all("Content-Length", ["0"])
    length = lengths[0]
    digits = length.isascii() and length.isdecimal() and len(length) <= len(str(_MAX_BODY))
    unclear = len(lengths) > 1 or "transfer-encoding" in headers
    if not digits or int(length) > _MAX_BODY or unclear:
        handler.close_connection = True  # its end is unknown
        return b"", "The body needs a Content-Length of at most 20,000,000."
    return handler.rfile.read(int(length)), None
