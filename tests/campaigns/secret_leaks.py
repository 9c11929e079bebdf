"""Search everything that a session leaves behind for its secrets, after every kind of failure.

A server that repeats the client secret, in every spelling and at every place of an HTTP response,
answers cells, the chat panel and both clients. Then every output, metadata, repr, error,
traceback, log record (all libraries at DEBUG), warning, history, recording, export, panel message
and temporary file is searched for the secret, the password of a proxy and Chatzy's temporary
tokens: raw, as JSON, URL-encoded, in base64.

    python tests/campaigns/secret_leaks.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import html
import json
import logging
import os
import pprint
import random
import socketserver
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import quote, quote_plus

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from fake_notebook import Cell

from aeron_magic import AeronError, AsyncClient, Client
from aeron_magic.client.client import make_question
from aeron_magic.conversations import export
from aeron_magic.jupyter.app import App, Preferences
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.display.terminal import TerminalOutput
from aeron_magic.jupyter.magics import AeronMagics
from aeron_magic.protocol import retry
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.services.settings import Settings

SECRET = 'Kq+7/z"R_e&x~hush-4f1c-hush'
PROXY_PASSWORD = "Pr0xy+pass=word-77aa"
SETTINGS_TIMEOUT = 0.2

Reply = Callable[[str], bytes]
"""A whole HTTP response (raw bytes) that repeats a text."""


def spellings(secret: str) -> dict[str, str]:
    """How a service may repeat a secret; independent of what the package searches for."""
    raw = secret.encode()
    return {
        "raw": secret,
        "json": json.dumps(secret)[1:-1],
        "url": quote(secret),
        "url strict": quote(secret, safe=""),
        "url form": quote_plus(secret),
        "base64": base64.b64encode(raw).decode(),
        "base64url": base64.urlsafe_b64encode(raw).decode(),
        "basic": base64.b64encode(b"me:" + raw).decode(),
        "html": html.escape(secret),
        "hex": raw.hex(),
    }


# What is searched --------------------------------------------------------------------------------


@dataclass
class Evidence:
    """Everything that was shown, raised, logged or written, by its source."""

    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, source: str, *texts: object) -> None:
        """Keep texts; an object is kept as its str, repr and JSON."""
        kept = self.texts.setdefault(source, [])
        for text in texts:
            if isinstance(text, str):
                kept.append(text)
            elif isinstance(text, bytes):
                kept += [text.decode("utf-8", "replace"), text.decode("latin-1")]
            else:
                kept += [str(text), repr(text)]

    def leaks(self, secrets: dict[str, str]) -> list[str]:
        """Which secret is in which source, in which spelling, and the text around it."""
        found = []
        for name, secret in secrets.items():
            for spelling, form in spellings(secret).items():
                for source, texts in self.texts.items():
                    for text in texts:
                        at = text.find(form)
                        if at >= 0:
                            around = text[max(0, at - 60) : at + len(form) + 20]
                            found.append(f"{name} ({spelling}) in {source}: {around!r}")
                            break
        return found

    def error(self, source: str, error: BaseException) -> None:
        """Keep an error in every way in which it can be shown, except with its local variables."""
        self.add(source, error, "".join(traceback.format_exception(error)))
        self.add(source, pprint.pformat(vars(error)), repr(error.args))
        if isinstance(error, AeronError):
            self.add(source, *error.lines(partial_limit=None), *error._render_traceback_())


# A server that repeats the secret ----------------------------------------------------------------


class Echo(socketserver.ThreadingTCPServer):
    """Answers every request with the next response; repeats the last one."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: list[bytes] = []
        self.asked = 0
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """The client has gone."""


class _Handler(socketserver.StreamRequestHandler):
    server: Echo

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.rfile.read(length)
        responses = self.server.responses
        self.server.asked += 1
        self.wfile.write(responses.pop(0) if len(responses) > 1 else responses[0])


def _answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _json(status: str, value: object, *headers: str) -> bytes:
    return _answer(status, json.dumps(value).encode(), "Content-Type: application/json", *headers)


def _events(*events: dict[str, Any], end: bytes = b"") -> bytes:
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return head + body + end


def _started(token: str = "t-1") -> dict[str, Any]:
    return {"event": "response_initiated", "context_token": token, "parent_context_token": token}


def _chunk(text: str, number: int, msg_id: str = "m") -> dict[str, Any]:
    return {
        "event": "response_output",
        "sequence_no": number,
        "system": {"msg_id": msg_id, "text_chunk": text},
    }


def _done(text: str, token: str = "t-1") -> dict[str, Any]:
    return {
        "event": "response_completed",
        "response_status": "completed",
        "status": "SUCCESS",
        "context_token": token,
        "system": {"msg_id": "m", "text": text},
    }


def _chunked(line: bytes) -> bytes:
    part = b"data: " + json.dumps(_started()).encode() + b"\n\n"
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + f"{len(part):x}\r\n".encode()
        + part
        + b"\r\n"
        + line
        + b"\r\n"
    )


def _said(text: str) -> dict[str, Any]:
    return {"status": "FAILED", "message": f"your secret {text} is wrong"}


RESPONSES: dict[str, Reply] = {
    **{
        f"{status} message": lambda s, status=status: _json(f"{status} Bad", _said(s))
        for status in (400, 401, 403, 404, 413, 429, 500, 503)
    },
    "200 failed": lambda s: _json("200 OK", _said(s)),
    "nested words": lambda s: _json("400 Bad", {"errors": [{"message": s}], "detail": {s: s}}),
    "other shape": lambda s: _json("200 OK", {s: [s, {"x": s}]}),
    "status words": lambda s: _json("200 OK", {"status": s, "response_status": s, "system": s}),
    "web page": lambda s: _answer("502 Bad", f"<p>{s}</p>".encode(), "Content-Type: text/html"),
    "plain text": lambda s: _answer("500 Bad", f"error: {s}".encode(), "Content-Type: text/plain"),
    "redirect": lambda s: _answer("302 Found", b"", f"Location: http://127.0.0.1:9/?q={s}"),
    "reason phrase": lambda s: _json(f"500 {s}", {}),
    "no HTTP": lambda s: f"{s}\r\n\r\n".encode(),
    "header": lambda s: _json(
        "500 Bad", _said("x"), f"X-Echo: {s}", f"Set-Cookie: a={s}", f"Set-Cookie: @{s}=b"
    ),
    "header name": lambda s: _json("500 Bad", _said("x"), f"{s}: x"),
    "header line": lambda s: _json("500 Bad", _said("x"), s),
    "content type": lambda s: _answer("200 OK", b"{}", f"Content-Type: {s}"),
    "encoding": lambda s: _answer("200 OK", b"x", f"Content-Encoding: {s}"),
    "charset": lambda s: _answer("200 OK", b"{}", f"Content-Type: text/plain; charset={s}"),
    "retry-after": lambda s: _json("429 Slow", _said("x"), f"Retry-After: {s}"),
    "length": lambda s: f"HTTP/1.1 200 OK\r\nContent-Length: {s}\r\n\r\n".encode(),
    "chunk line": lambda s: _chunked(s.encode()),
    "reply": lambda s: _events(_started(), _chunk(f"It is {s}.", 2), _done(f"It is {s}.")),
    "reply in pieces": lambda s: _events(
        _started(),
        *(_chunk(piece, number) for number, piece in enumerate(f"It is {s}.", 2)),
        _done(f"It is {s}."),
    ),
    "reply, chunks only": lambda s: _events(
        _started(),
        *(_chunk(piece, number) for number, piece in enumerate((s[:5], s[5:9], s[9:]), 2)),
        {**_done(""), "system": []},
    ),
    "token": lambda s: _events(_started(s), _chunk("x", 2), _done("x", s)),
    "message id": lambda s: _events(_started(), _chunk("x", 2, s), _done("x")),
    "unknown event": lambda s: _events(_started(), {"event": s, s: s}, _done("x")),
    "error event": lambda s: _events(_started(), {"event": "error", "message": s}),
    "failed event": lambda s: _events(
        _started(), _chunk(f"so {s}", 2), {"event": "response_failed", "message": s}
    ),
    "cut": lambda s: _events(_started(), _chunk(f"so {s[: len(s) - 2]}", 2)),
    "cut before a token": lambda s: _events(_chunk(f"so {s}", 2)),
    "broken JSON": lambda s: _events(_started(), end=b"data: {" + s.encode() + b"\n\n"),
    "one object": lambda s: _json("200 OK", {**_done(s), "message": s}),
}


# The session -------------------------------------------------------------------------------------


class Run:
    """One session with every failure; collects evidence.

    Parameters
    ----------
    folder
        For the history, the recording, exports and temporary files.
    randomness
        Decides which spelling is used where, when ``quick``.
    quick
        One spelling for each response instead of all, and not with the asynchronous client.
    """

    def __init__(self, folder: Path, randomness: random.Random, *, quick: bool) -> None:
        self.folder = folder
        self.randomness = randomness
        self.quick = quick
        self.evidence = Evidence()
        self.counts: Counter[str] = Counter()
        self.temporary_tokens: dict[str, str] = {}

    def forms(self) -> list[str]:
        """The spellings to use for one response."""
        forms = list(dict.fromkeys(spellings(SECRET).values()))
        return self.randomness.sample(forms, 1) if self.quick else forms

    def settings(self, url: str) -> Settings:
        return Settings(
            "aeronpay",
            url,
            client_id="me",
            client_secret=SECRET,
            timeout=SETTINGS_TIMEOUT,
            fetch_timeout=SETTINGS_TIMEOUT,
        )

    def everything(self) -> None:
        """Every driver against every response, then the faults of the sandbox."""
        with contextlib.closing(_server()) as echo:
            self.cells_and_panel(echo)
            self.clients(echo)
        self.sandbox()
        self.chatzy()
        self.bad_options()
        self.proxy()

    def _each(self, echo: Echo) -> Iterator[str]:
        for name, make in RESPONSES.items():
            for form in self.forms():
                echo.responses = [make(form)]
                yield name

    def cells_and_panel(self, echo: Echo) -> None:
        """A cell asks, the panel observes; every turn is kept, recorded and exported."""
        app = _app(self.folder / "history.sqlite3")
        session = app.session
        session.connect("aeronpay", base_url=echo.url, client_id="me", client_secret=SECRET)
        session.connections.set_recorder(Recorder(Cassette(self.folder / "made.jsonl"), "record"))
        messages = _observe(app)
        for count, name in enumerate(self._each(echo)):
            if session.connections.recorder is not None and count % 2:
                session.connections.set_recorder(None)
            elif session.connections.recorder is None:
                recorder = Recorder(Cassette(self.folder / "made.jsonl"), "record")
                session.connections.set_recorder(recorder)
            self.counts["questions"] += 1
            self.ask(app, Cell(f"cell-{count}", f"Question {count}?"), name)
        with contextlib.suppress(AeronError):
            self.evidence.add("remote history", session.remote_history("t-1"))
        self.evidence.add("panel", *(json.dumps(message) for message in messages))
        self.evidence.add("panel", *(pprint.pformat(message) for message in messages))
        self.exports(app)
        self.evidence.add("session", vars(session), session.connection, session.connections)
        self.evidence.add("namespace", pprint.pformat(app.shell.user_ns))
        app.close()

    def ask(self, app: App, cell: Cell, name: str) -> None:
        """Ask as a cell does, with all outputs."""
        session = app.session
        shown: list[str] = []

        def publish(**display: Any) -> None:
            shown.append(json.dumps(display, default=str))

        try:
            position = session.position_for(cell=cell.id, new=True)
            asked = session.ask(make_question(cell.question, position.token), position)
        except AeronError as error:
            self.evidence.error(f"error of {name}", error)
            return
        outputs = [LiveOutput(publish), LiveOutput(publish, "text"), TerminalOutput()]
        written = _Text()
        with contextlib.redirect_stdout(written):
            while not asked.done.wait(0.005):
                for output in outputs:
                    output.render(asked.accumulator)
            for output in outputs:
                output.render(asked.accumulator)
                output.finish(asked.accumulator, asked.reply, asked.metadata)
        source = f"output of {name}"
        self.evidence.add(source, *shown, written.getvalue(), pprint.pformat(asked.metadata))
        self.evidence.add(source, asked.reply, pprint.pformat(asdict(asked.reply)), *asked.notes)
        self.evidence.add(source, pprint.pformat(asked.accumulator.unknown))
        if asked.error is not None:
            self.evidence.error(f"error of {name}", asked.error)

    def exports(self, app: App) -> None:
        """Export every conversation in every format."""
        for number, tree in enumerate(list(app.session.registry)):
            for kind in ("md", "html", "json", "ipynb"):
                with contextlib.suppress(AeronError):
                    export.write(tree, self.folder / f"export-{number}.{kind}")

    def clients(self, echo: Echo) -> None:
        """Both clients, with their objects."""
        settings = self.settings(echo.url)

        async def ask_async() -> None:
            async with AsyncClient(settings=settings) as client:
                for name in self._each(echo):
                    self.counts["questions"] += 1
                    try:
                        self.evidence.add(f"reply of {name}", await client.ask("Well?"))
                    except AeronError as error:
                        self.evidence.error(f"error of {name} (async)", error)
                self.evidence.add("objects", client, vars(client), vars(client.service))

        with Client(settings=settings) as client:
            for name in self._each(echo):
                self.counts["questions"] += 1
                try:
                    with client.stream("Well?") as stream:
                        self.evidence.add(f"pieces of {name}", "".join(stream))
                    self.evidence.add(f"reply of {name}", stream.reply)
                except AeronError as error:
                    self.evidence.error(f"error of {name} (sync)", error)
            self.evidence.add("objects", client, vars(client), vars(client.service), settings)
        if not self.quick:
            asyncio.run(ask_async())

    def sandbox(self) -> None:
        """Cuts, stalls, resets, interrupts, bad recordings and histories, secrets in questions."""
        with Sandbox() as sandbox:
            app = _app(self.folder / "second.sqlite3")
            session = app.session
            session.connect(
                "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret=SECRET
            )
            text = f"so {SECRET} and {base64.b64encode(SECRET.encode()).decode()} it is"
            faults = {
                "cut": Faults(say=text, cut_after=300),
                "reset": Faults(say=text, cut_after=40),
                "stall": Faults(say=text, stall_after=300, stall_seconds=1),
                "drop": Faults(refuse=(Refusal(page="drop"),)),
                "fails": Faults(say=text, generation="fails-with-event"),
                "refused token": Faults(
                    refuse=(Refusal(status=400, message=f"invalid token {SECRET}"),)
                ),
            }
            for name, fault in faults.items():
                sandbox.faults = fault
                self.counts["questions"] += 1
                self.ask(app, Cell(name, f"Question about {name}?"), name)
            sandbox.faults = Faults(say=text, pause=0.02, chunk_size=3)
            position = session.position_for(cell="interrupted")
            asked = session.ask(make_question("Stop me", position.token), position)
            asked.changed.wait(5)
            asked.cancel()
            self.evidence.add("interrupted", asked.reply, pprint.pformat(asked.metadata))
            for form in spellings(SECRET).values():
                self.ask(app, Cell("secret", f"What is {form}?"), "a secret in a question")
                self.value(form)
            self.exports(app)
            app.close()
            self.recordings(sandbox)
            self.histories()

    def value(self, form: str) -> None:
        """A value with a secret in a question."""
        from aeron_magic.prompts.interpolation import interpolate

        for value in (form, [form], {"a": form}, f"x{form}y"):
            try:
                shown = interpolate("Say {{value}}", {"value": value}, secrets=(SECRET,))
            except AeronError as error:
                self.evidence.error("a secret in a value", error)
            else:
                self.evidence.add("a question with a value", shown)

    def recordings(self, sandbox: Sandbox) -> None:
        """Damaged recordings whose lines contain the secret."""
        path = self.folder / "bad.jsonl"
        for line in (f'{{"key":"{SECRET}', f'{{"key":"a","events":[["{SECRET}"]]}}', SECRET):
            path.write_text(line + "\n")
            recorder = Recorder(Cassette(path), "replay")
            settings = self.settings(sandbox.aeronpay_url)
            with Client(settings=settings, recorder=recorder) as client:
                try:
                    client.ask("Well?")
                except AeronError as error:
                    self.evidence.error("bad recording", error)
        path.unlink()

    def histories(self) -> None:
        """A history that is no history, but contains the secret."""
        path = self.folder / "bad.sqlite3"
        path.write_text(f"SQLite format 3\0 {SECRET}" * 100)
        app = _app(path)
        with Sandbox() as sandbox:
            app.session.connect(
                "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret=SECRET
            )
            self.ask(app, Cell("one", "Question?"), "bad history")
        app.close()
        path.unlink()

    def chatzy(self) -> None:
        """Temporary tokens of streams."""
        with Sandbox() as sandbox:
            for faults in (
                Faults(),
                Faults(refuse=(Refusal(endpoint="get-response", status=401, times=9),)),
                Faults(refuse=(Refusal(endpoint="get-response", page="drop", times=9),)),
                Faults(refuse=(Refusal(endpoint="get-response", page="html", times=9),)),
                Faults(cut_after=30, cut_times=9),
                Faults(signal="__ERROR__: out of order"),
            ):
                sandbox.faults = faults
                settings = Settings(
                    "chatzy",
                    sandbox.chatzy_url,
                    sandbox.chatzy_stream_url,
                    chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
                    timeout=SETTINGS_TIMEOUT,
                    fetch_timeout=SETTINGS_TIMEOUT,
                )
                with Client(settings=settings) as client:
                    try:
                        self.counts["questions"] += 1
                        self.evidence.add("reply of chatzy", client.ask("Well?"))
                    except AeronError as error:
                        self.evidence.error("error of chatzy", error)
                    self.evidence.add("objects", vars(client), vars(client.service))
            for number, seen in enumerate(sandbox.log.of("get-response")):
                if token := seen.query.get("token"):
                    self.temporary_tokens[f"temporary token {number}"] = token

    def bad_options(self) -> None:
        """Addresses with a password, and credentials that cannot be used."""
        for options in (
            {"base_url": f"https://me:{PROXY_PASSWORD}@host.example/"},
            {"base_url": f"me:{PROXY_PASSWORD}@host.example"},
            {"base_url": f"https:/me:{PROXY_PASSWORD}@host.example/"},
            {"base_url": f"https:\\\\me:{PROXY_PASSWORD}@host.example/"},
            {"base_url": f"ftp://me:{PROXY_PASSWORD}@host.example/"},
            {"base_url": f"https://host.example/?key={PROXY_PASSWORD}"},
            {"base_url": f"https://host.example/#{PROXY_PASSWORD}"},
            {"base_url": f"https://me:{PROXY_PASSWORD}@[::1/"},
            {"client_secret": f"{SECRET}\n"},
            {"client_secret": f"{SECRET}é"},
            {"service": "chatzy", "chatbot_id": SECRET},
        ):
            try:
                with Client(**{"client_id": "me", "client_secret": SECRET, **options}) as client:
                    self.evidence.add("bad options", client, vars(client))
            except AeronError as error:
                self.evidence.error(f"bad option {next(iter(options))}", error)

    def proxy(self) -> None:
        """A proxy with a password that refuses, repeats the password, or does not exist."""
        given = base64.b64encode(f"me:{PROXY_PASSWORD}".encode()).decode()
        with contextlib.closing(_server()) as echo:
            port = echo.server_address[1]
            password = quote(PROXY_PASSWORD, safe="")
            for address in (
                f"http://me:{password}@127.0.0.1:{port}",
                f"http://me:{password}@127.0.0.1:1",
                f"me:{password}@127.0.0.1:{port}",
                f"socks9://me:{password}@127.0.0.1:{port}",
                f"http://me:{password}@127.0.0.1:port",
                f"http://me:{password}@[::1",
            ):
                for response in (
                    _answer(f"407 {given}", given.encode(), f"X-Echo: {PROXY_PASSWORD}"),
                    f"{PROXY_PASSWORD} {given}\r\n\r\n".encode(),
                    _answer(f"502 {PROXY_PASSWORD}", PROXY_PASSWORD.encode()),
                ):
                    echo.responses = [response]
                    names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")
                    with mock.patch.dict(os.environ, dict.fromkeys(names, address)):
                        self._through_proxy()

    def _through_proxy(self) -> None:
        settings = self.settings("https://service.invalid/api")

        async def batch() -> None:
            from aeron_magic.client.aiohttp_transport import AiohttpTransport
            from aeron_magic.protocol.flow import OpenStream
            from aeron_magic.services.base import load

            transport = AiohttpTransport([settings.base_url], 1.0)
            request = load(settings).build_request(make_question("Well?"))
            try:
                self.evidence.add(
                    "proxy (batch)", await transport.flow_io().perform(OpenStream(request))
                )
            except ValueError as error:  # a batch makes it an error of the row
                self.evidence.error("error of a proxy (batch)", error)
            finally:
                await transport.close()

        async def ask_async() -> None:
            async with AsyncClient(settings=settings) as client:
                await client.ask("Well?")

        def ask() -> None:
            with Client(settings=settings) as client:
                self.evidence.add("objects", vars(client))
                client.ask("Well?")

        for work in (ask, lambda: asyncio.run(ask_async()), lambda: asyncio.run(batch())):
            self.counts["questions"] += 1
            try:
                work()
            except AeronError as error:
                self.evidence.error("error of a proxy", error)

    def files(self) -> None:
        """Every file that is left, with the logs of SQLite."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                self.counts["files"] += 1
                self.evidence.add(f"file {path.name}", path.read_bytes(), str(path))


class _Text:
    """A text stream that keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing to do."""

    def getvalue(self) -> str:
        return "".join(self._parts)


class _Server(Echo):
    def close(self) -> None:
        self.shutdown()
        self.server_close()


def _server() -> _Server:
    return _Server()


def _app(history: Path) -> App:
    values = {name: AeronMagics.class_traits()[name].default() for name in Preferences._fields}
    values |= {"timeout": SETTINGS_TIMEOUT, "fetch_timeout": SETTINGS_TIMEOUT}
    preferences = Preferences(**{**values, "history": str(history), "notebook": "n.ipynb"})
    with mock.patch.dict(os.environ):
        os.environ.pop("AERON_HISTORY", None)
        app = App(SimpleNamespace(user_ns={}), preferences)
        _ = app.session
    return app


def _observe(app: App) -> list[Any]:
    """Every message to a panel of ``app``, as it is posted."""
    from aeron_magic.jupyter.panel.controller import PanelController

    messages: list[Any] = []

    class Panel:
        def post(self, message: Any) -> None:
            messages.append(message)

        def turns_changed(self) -> None:
            from aeron_magic.jupyter.panel import transcript

            messages.append({"transcript": str(vars(transcript))[:0]})

        def cell_ended(self) -> None:
            """Nothing to do."""

    controller = PanelController(app.session)
    controller.attach(Panel())
    return messages


class _Records(logging.Handler):
    """Keeps every log record as text, with its arguments."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(logging.DEBUG)
        self.evidence = evidence

    def emit(self, record: logging.LogRecord) -> None:
        self.evidence.add(f"log of {record.name}", record.getMessage(), repr(record.args))
        if record.exc_info and record.exc_info[1] is not None:
            self.evidence.error(f"log of {record.name}", record.exc_info[1])


def run(seed: int = 0, *, quick: bool = False) -> tuple[Counter[str], list[str]]:
    """One session with every failure; what was searched, and what leaked."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session = Run(folder, random.Random(seed), quick=quick)
        handler = _Records(session.evidence)
        root = logging.getLogger()
        level = root.level
        temporary = folder / "tmp"
        temporary.mkdir()
        with (
            warnings.catch_warnings(record=True) as warned,
            mock.patch.object(tempfile, "tempdir", str(temporary)),
            mock.patch.object(retry, "FIRST_DELAY", 0.001),
            mock.patch.object(retry, "FIRST_POLL", 0.05),
            mock.patch.object(retry, "MIN_REQUEST_TIMEOUT", 0.1),
        ):
            warnings.simplefilter("always")
            root.addHandler(handler)
            root.setLevel(logging.DEBUG)
            asyncio_level = logging.getLogger("asyncio").level
            try:
                session.everything()
            finally:
                root.removeHandler(handler)
                root.setLevel(level)
                logging.getLogger("asyncio").setLevel(asyncio_level)
        session.evidence.add("warnings", *(str(one.message) for one in warned))
        session.files()
    counts = session.counts
    counts["sources"] = len(session.evidence.texts)
    counts["texts"] = sum(map(len, session.evidence.texts.values()))
    secrets = {"secret": SECRET, "proxy password": PROXY_PASSWORD, **session.temporary_tokens}
    counts["secrets"] = len(secrets)
    return counts, session.evidence.leaks(secrets)


def main() -> int:
    """Run, print a table; 1 if anything leaked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one spelling for each response")
    parser.add_argument("--seed", type=int, default=0, help="which spellings (0)")
    options = parser.parse_args()
    counts, leaks = run(options.seed, quick=options.quick)
    print("  ".join(f"{name}: {count:,}" for name, count in counts.items()))
    for leak in leaks[:40]:
        print(leak)
    print(f"leaks: {len(leaks)}")
    return bool(leaks)


if __name__ == "__main__":
    sys.exit(main())
