"""No secret is shown in a repr, an error, a traceback or a log."""

from __future__ import annotations

import asyncio
import logging
import pickle
import pprint
import traceback
from base64 import b64encode
from collections.abc import Callable
from http.cookies import CookieError

import pytest
import secret_leaks
from IPython.core.ultratb import VerboseTB

from aeron_magic import AeronError, AsyncClient, Client
from aeron_magic.client.stream import FlowRun
from aeron_magic.protocol.events import Chunk
from aeron_magic.protocol.flow import OpenStream, Question, Send
from aeron_magic.sandbox import Refusal, Sandbox
from aeron_magic.services.base import load
from aeron_magic.services.settings import Settings
from aeron_magic.session.session import Session

SECRET = "s3cr3t-0815-do-not-show"
ECHO = f"your secret {SECRET} is wrong"


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    return Settings("aeronpay", sandbox.aeronpay_url, client_id="me", client_secret=SECRET)


def verbose(error: BaseException) -> str:
    """IPython's verbose traceback, with the variables of all frames."""
    shown = VerboseTB(theme_name="nocolor", include_vars=True).structured_traceback(
        type(error), error, error.__traceback__
    )
    return "\n".join(shown)


def every_way(error: AeronError) -> str:
    ways: list[Callable[[], object]] = [
        lambda: str(error),
        lambda: repr(error),
        lambda: pprint.pformat(vars(error)),
        lambda: pickle.dumps(error),
        lambda: "".join(traceback.format_exception(error)),
        lambda: error.lines(partial_limit=None),
        error._render_traceback_,  # what IPython shows in each of its modes
    ]
    return "\n".join(str(way()) for way in ways)


def test_the_verbose_traceback_shows_variables() -> None:
    """Otherwise the tests with it would prove nothing."""
    marked = [0, 8, 1, 5]
    with pytest.raises(IndexError) as caught:
        marked[8]
    assert "[0, 8, 1, 5]" in verbose(caught.value)


def test_no_repr_shows_the_secret(settings: Settings) -> None:
    """Settings, clients, services and requests, alone and in a container."""
    with Client(settings=settings) as client:
        request = client.service.build_request(Question("Well?"))
        assert request.headers["client-secret"] == SECRET
        values = [settings, client, client.service, request, Send(request), OpenStream(request)]
        shown = [repr(values), str(values), pprint.pformat(values), *map(str, values)]
        shown += [repr(vars(client)), repr(vars(client.service))]
        shown.append(repr(client.stream("Well?")))
        shown.append(repr(vars(client.stream("Well?"))))
    assert not [text for text in shown if SECRET in text]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(status=403, message=ECHO),
        Refusal(status=400, message=ECHO),
        Refusal(status=200, message=ECHO),
        Refusal(status=500, message=ECHO),
        Refusal(status=302, page="redirect", location=f"/?{SECRET}"),
        Refusal(status=200, page="html"),
        Refusal(page="drop"),
    ],
    ids=lambda refusal: f"{refusal.status}-{refusal.page}",
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_failure_shows_the_secret(
    settings: Settings,
    sandbox: Sandbox,
    refusal: Refusal,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even if the service repeats it; nor do the libraries' logs."""
    caplog.set_level(logging.DEBUG)
    sandbox.set_faults(refuse=[refusal])

    async def ask_async() -> None:
        async with AsyncClient(settings=settings) as client:
            await client.ask("Well?")

    def ask() -> None:
        with Client(settings=settings) as client:
            client.ask("Well?")

    with pytest.raises(AeronError) as caught:
        ask() if kind == "sync" else asyncio.run(ask_async())
    if refusal.message != ECHO:  # else it is in the response
        assert SECRET not in verbose(caught.value)
    assert SECRET not in every_way(caught.value)
    if refusal.page != "redirect":  # the library logs what the server sent
        assert SECRET not in caplog.text
    assert caplog.records


def test_a_failed_reply_that_repeats_the_secret_does_not_show_it(
    settings: Settings, sandbox: Sandbox
) -> None:
    """In the partial text."""
    sandbox.set_faults(say=f"{ECHO} {ECHO} {ECHO}", generation="fails-with-event")
    with Client(settings=settings) as client, pytest.raises(AeronError) as caught:
        client.ask("Well?")
    assert "[secret]" in caught.value.partial
    assert SECRET not in every_way(caught.value)
    assert SECRET not in pprint.pformat(sandbox.log.as_json())


def test_an_interrupt_does_not_show_the_secret(settings: Settings) -> None:
    """In the partial text."""
    run = FlowRun(load(settings).ask(Question("Well?")), settings)
    run.apply([Chunk(ECHO)])
    error = run.interrupt()
    assert "[secret]" in error.partial
    assert SECRET not in every_way(error)


def test_a_connection_does_not_show_the_secret(settings: Settings) -> None:
    session = Session({})
    connection = session.connect(
        "aeronpay", base_url=settings.base_url, client_id="me", client_secret=SECRET
    )
    assert connection.settings.secrets == (SECRET,)
    assert SECRET not in repr(connection) + str(vars(session.connections))
    session.close()


def test_the_logs_of_the_http_libraries_show_no_secret(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They quote what the server sent, and addresses with temporary tokens."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pr0xy%2Bpassword@127.0.0.1:9")
    Client(base_url="https://host.example", client_id="me", client_secret=SECRET).close()
    log = logging.getLogger("httpcore.http11")
    log.debug("headers=%r", [(b"x-echo", f"a {SECRET}".encode()), b64encode(SECRET.encode())])
    log.debug("proxy=%r", b"pr0xy+password")
    logging.getLogger("httpx").info("GET http://host/get-response?token=%s done", "t-0815")
    # aiohttp 3.10 logs this for "Set-Cookie: @…".
    logging.getLogger("aiohttp.client").warning("cookies: %s", CookieError(f"Illegal {SECRET!r}"))
    logging.getLogger("aiohttp.internal").warning("Illegal cookie name %r", f"@{SECRET}")
    assert SECRET not in caplog.text
    assert b64encode(SECRET.encode()).decode() not in caplog.text
    assert "pr0xy" not in caplog.text
    assert "t-0815" not in caplog.text
    assert caplog.text.count("[secret]") == 6


@pytest.mark.campaign
def test_a_session_with_every_failure_leaks_nothing() -> None:
    """The quick part of the campaign."""
    counts, leaks = secret_leaks.run(quick=True)
    assert not leaks
    assert counts["questions"] > 100
    assert counts["secrets"] > 5
