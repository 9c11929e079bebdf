"""Log records and spans of a question, through retries and recovery."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aeron_magic import AeronError, AsyncClient, Client, ask_many
from aeron_magic.client.logs import log_failure
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.services.settings import Settings, resolve_settings

SECRET = "hush-4f1c-hush"
QUESTION = "What does Xanthippe want?"
ANSWER = "Only Quetzalcoatl knows."
CHATBOT = "00000000-0000-4000-8000-000000000000"

Ask = Callable[[Settings], None]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a program that has set a provider gets."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    sandbox.set_faults(say=ANSWER)
    return resolve_settings(
        "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret=SECRET
    )


def ask_plainly(settings: Settings) -> None:
    with Client(settings=settings) as client:
        client.ask(QUESTION)


def ask_async(settings: Settings) -> None:
    async def ask() -> None:
        async with AsyncClient(settings=settings) as client:
            await client.ask(QUESTION)

    asyncio.run(ask())


def ask_in_a_batch(settings: Settings) -> None:
    (row,) = ask_many([QUESTION], settings=settings, progress=False, frame=False)
    if row.error is not None:
        raise row.error


ways = pytest.mark.parametrize("ask", [ask_plainly, ask_async, ask_in_a_batch])


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def names(span: ReadableSpan) -> list[str]:
    return [event.name.removeprefix("aeron_magic.") for event in span.events]


@ways
def test_a_question_is_one_span(
    ask: Ask, settings: Settings, spans: InMemorySpanExporter, sandbox: Sandbox
) -> None:
    """With the names of the conventions, below the caller's span, and without any content."""
    with trace.get_tracer("caller").start_as_current_span("mine") as mine:
        ask(settings)
    span, _ = spans.get_finished_spans()
    assert span.parent == mine.get_span_context()
    assert (span.name, span.kind) == ("chat", SpanKind.CLIENT)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.37.0"
    port = int(sandbox.url.rpartition(":")[2])
    attributes = dict(span.attributes or {})
    assert attributes.pop("gen_ai.response.id")
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aeronpay",
        "server.address": "127.0.0.1",
        "server.port": port,
        "aeron_magic.status": "complete",
        "aeron_magic.requests": 1,
        "aeron_magic.replayed": False,
    }
    assert names(span) == ["request"]
    assert span.status.status_code is StatusCode.UNSET
    shown = span.to_json()
    assert not [one for one in (SECRET, "Xanthippe", "Quetzal", "context_token") if one in shown]


@ways
def test_retries_and_recovery_belong_to_the_span(
    ask: Ask, settings: Settings, spans: InMemorySpanExporter, sandbox: Sandbox
) -> None:
    """Refused once, then cut, then fetched."""
    sandbox.set_faults(
        say=ANSWER, refuse=[Refusal("create-response", 429, retry_after="0")], cut_after=500
    )
    ask(settings)
    span = only(spans)
    assert [name for name in names(span) if name != "wait"] == [
        *("request", "request", "recovery", "request")
    ]
    assert (span.attributes or {})["aeron_magic.status"] == "recovered"


def test_a_row_that_is_asked_again_after_the_others_is_one_span(
    settings: Settings, spans: InMemorySpanExporter, sandbox: Sandbox
) -> None:
    """As often as the service refuses it: more often than one run of the flow repeats."""
    refused = [Refusal("create-response", 429, retry_after="0") for _ in range(6)]
    sandbox.set_faults(say=ANSWER, refuse=refused)
    ask_in_a_batch(settings)
    assert (only(spans).attributes or {})["aeron_magic.requests"] == 7
    spans.clear()
    sandbox.set_faults(say=ANSWER, refuse=refused * 9)
    with pytest.raises(AeronError):
        ask_in_a_batch(settings)
    assert (only(spans).attributes or {})["error.type"] == "RateLimited"


@ways
def test_a_failure_is_an_error_of_the_span(
    ask: Ask, settings: Settings, spans: InMemorySpanExporter, sandbox: Sandbox
) -> None:
    sandbox.set_faults(refuse=[Refusal("create-response", 403, message=SECRET)])
    with pytest.raises(AeronError):
        ask(settings)
    span = only(spans)
    assert (span.attributes or {})["error.type"] == "AuthenticationError"
    assert span.status.status_code is StatusCode.ERROR
    assert SECRET not in span.to_json()


def test_a_stream_that_is_left_is_ended_and_one_that_is_not_begun_has_no_span(
    settings: Settings, spans: InMemorySpanExporter, sandbox: Sandbox
) -> None:
    sandbox.set_faults(chunks=("One ", "two ", "three."), pause=0.01)
    with Client(settings=settings) as client:
        client.stream(QUESTION).close()
        assert spans.get_finished_spans() == ()
        with client.stream(QUESTION) as stream:
            next(iter(stream))
    span = only(spans)
    assert (span.attributes or {})["aeron_magic.status"] == "interrupted"
    assert span.status.status_code is StatusCode.UNSET


def test_a_replayed_question_says_so_and_makes_no_request(
    settings: Settings, spans: InMemorySpanExporter, tmp_path
) -> None:
    for _ in range(2):
        recorder = Recorder(Cassette(tmp_path / "answers.jsonl"), "auto", speed=0)
        with Client(settings=settings, recorder=recorder) as client:
            client.ask(QUESTION)
    asked, replayed = spans.get_finished_spans()
    assert (asked.attributes or {})["aeron_magic.requests"] == 1
    assert (replayed.attributes or {})["aeron_magic.requests"] == 0
    assert (replayed.attributes or {})["aeron_magic.replayed"] is True


def test_only_questions_have_spans(settings: Settings, spans: InMemorySpanExporter) -> None:
    with Client(settings=settings) as client:
        token = client.ask(QUESTION).context_token
        assert token
        client.fetch(token)
        client.history(token)
    assert only(spans)


@ways
def test_the_log_names_requests_waits_and_recoveries(
    ask: Ask, settings: Settings, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """And neither content nor secrets; nothing is a warning, which Python shows by default."""
    caplog.set_level(logging.DEBUG, "aeron_magic")
    sandbox.set_faults(
        say=ANSWER, refuse=[Refusal("create-response", 429, retry_after="0")], cut_after=500
    )
    ask(settings)
    records = [one for one in caplog.records if one.name == "aeron_magic"]
    text = "\n".join(one.getMessage() for one in records)
    for part in ("request 1, POST create-response at 127.0.0.1: HTTP 429", "waits 0.00 s"):
        assert part in text
    for part in (
        "recovers the reply",
        "request 3, POST fetch-response",
        "recovered after 3 requests",
    ):
        assert part in text
    sandbox.faults = Faults(say=ANSWER)
    ask(settings)
    assert any(one.endswith("complete after 1 request") for one in caplog.messages)
    assert all(one.levelno <= logging.INFO for one in records)
    assert not [one for one in (SECRET, "Xanthippe", "Quetzal") if one in text]


def test_the_token_in_an_address_is_not_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, spans: InMemorySpanExporter
) -> None:
    """Chatzy's stream is opened by one."""
    caplog.set_level(logging.DEBUG, "aeron_magic")
    sandbox.set_faults(say=ANSWER)
    with Client(
        "chatzy",
        chatbot_id=CHATBOT,
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
    ) as client:
        conversation = client.ask(QUESTION).context_token
    assert conversation
    text = caplog.text + only(spans).to_json()
    assert "GET get-response at 127.0.0.1: HTTP 200" in text
    secret = ("token=", conversation, CHATBOT, "Xanthippe", "Quetzal")
    assert not [one for one in secret if one in text]


def test_an_internal_failure_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(ANSWER)
    except ValueError as error:
        log_failure("Something failed:", error)
    assert "ValueError" in caplog.text
    assert __file__ in caplog.text
    assert "Quetzal" not in caplog.text


def test_without_a_provider_no_span_is_made(
    settings: Settings, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what makes spans is not imported."""
    ask_plainly(settings)
    assert len(spans.get_finished_spans()) == 1
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    monkeypatch.delitem(sys.modules, "aeron_magic.client.telemetry")
    ask_plainly(settings)
    assert len(spans.get_finished_spans()) == 1
    assert "aeron_magic.client.telemetry" not in sys.modules


def test_each_thread_has_spans_of_its_own(settings: Settings, spans: InMemorySpanExporter) -> None:
    threads = [threading.Thread(target=ask_plainly, args=(settings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [names(span) for span in spans.get_finished_spans()] == [["request"]] * 4
