"""An HTTP/1.1 server on 127.0.0.1, with one thread per connection.

A web page can send requests to 127.0.0.1, too. Browsers mark them (``Origin``, ``Sec-Fetch-Site``),
and a DNS name that leads to this machine is visible in ``Host``: such requests are foreign.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any

from .encoding import Answer
from .faults import Faults
from .request_log import RequestLog
from .response_writer import ConnectionDropped, ResponseWriter

_IDLE = 30.0
"""Seconds of silence after which a connection is closed; clients close theirs earlier."""

_MAX_CONNECTIONS = 1_000
"""At the same time, unless half of the files that the process may open are fewer: the embedded
sandbox runs in a kernel, which needs the others. More connections wait."""

_MAX_BODY = 20_000_000


class HttpServer(socketserver.ThreadingTCPServer):
    """The listening socket and its threads."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, port: int, serve: Callable[[Handler], None]) -> None:
        self.serve = serve
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_changed = threading.Condition()
        self._most = _most_connections()
        super().__init__(("127.0.0.1", port), Handler)
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


class Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection until it is closed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

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
        self.server.serve(self)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = _serve  # noqa: N815 - the base's names


def is_foreign(handler: Handler) -> bool:
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


def read_body(handler: Handler, headers: dict[str, str]) -> tuple[bytes, str | None]:
    """The request's body and an error message or None."""
    lengths = handler.headers.get_all("Content-Length", ["0"])
    length = lengths[0]
    digits = length.isascii() and length.isdecimal() and len(length) <= len(str(_MAX_BODY))
    unclear = len(lengths) > 1 or "transfer-encoding" in headers
    if not digits or int(length) > _MAX_BODY or unclear:
        handler.close_connection = True  # its end is unknown
        return b"", "The body needs a Content-Length of at most 20,000,000."
    return handler.rfile.read(int(length)), None
