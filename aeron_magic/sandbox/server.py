"""The sandbox: both services on a port of 127.0.0.1, and how they misbehave.

With ``control=True`` it has two more addresses for other processes, which contain a secret:
``POST`` to `Sandbox.control_url` changes faults, ``GET`` returns them; ``GET`` and ``DELETE`` of
`Sandbox.log_url` return and clear the log.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from .aeronpay import AeronPay, TokenRule
from .answers.answer import Turns, answer
from .answers.faq import Faq
from .chatzy import Chatzy
from .encoding import Answer, Request, Stream
from .faults import Faults, Refusal
from .http_server import Handler, HttpServer, is_foreign, read_body
from .request_log import LoggedRequest, RequestLog
from .response_writer import ConnectionDropped, ResponseWriter

Answers = str | os.PathLike[str] | Mapping[str, str]

EMBEDDED_PAUSE = 0.012
"""Seconds between the chunks of `embedded_sandbox`: slow enough to see the streaming."""

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
        self._server: HttpServer | None = None
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
                self._server = HttpServer(self._wanted_port, self.serve)
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
        """The current behaviour; can be assigned at any time. A wrong value is a FaultError."""
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

    def serve(self, handler: Handler) -> None:
        """Answer one request whose headers have been read."""
        path, _, query = handler.path.partition("?")
        first, _, endpoint = path.lstrip("/").partition("/")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        raw, problem = read_body(handler, headers)
        if is_foreign(handler):
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
