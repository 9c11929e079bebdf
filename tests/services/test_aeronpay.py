"""AeronPay's flows with given responses: no server, no waiting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from each_case import each_case
from flow_server import FlowServer

from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    RateLimited,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
    is_safe_to_ask_again,
)
from aeron_magic.protocol.events import Recovering, Started, Waiting
from aeron_magic.protocol.flow import (
    ConnectionLost,
    OpenStream,
    Question,
    Response,
    Send,
    StepResult,
)
from aeron_magic.protocol.limits import Limits
from aeron_magic.protocol.retry import MAX_ATTEMPTS
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Message
from aeron_magic.services.aeronpay import Service, reference_id
from aeron_magic.services.settings import Settings

WIRE = Path(__file__).parents[1] / "fixtures" / "wire" / "aeronpay"
SETTINGS = Settings(
    "aeronpay",
    "https://api.test/ai",
    client_id="me",
    client_secret="s3cr3t-0815",
    fetch_timeout=30.0,
)
TOKEN = "apay_68946f93d7d48192a20ca597945780fd03f17a6a593fca89"
WHOLE = "one two three four"
LOST = ConnectionLost("the line broke")
NOT_SENT = ConnectionLost("connection refused", sent=False)

Given = Response | ConnectionLost


def event(name: str, **fields: Any) -> bytes:
    body = {"event": name, **fields} if name else fields
    return f"data: {json.dumps(body)}\n\n".encode()


def chunk(number: Any, text: str, **fields: Any) -> bytes:
    system = {"msg_id": "m", "text_chunk": text}
    return event("response_output", sequence_no=number, system=system, **fields)


def completed(text: str | None = WHOLE, token: str | None = TOKEN, **fields: Any) -> bytes:
    system: Any = [] if text is None else {"msg_id": "m", "text": text}
    body = {"status": "SUCCESS", "response_status": "completed", "context_token": token}
    return event("response_completed", **{**body, "system": system, **fields})


BEGIN = event("response_initiated", status="PENDING", context_token=TOKEN, system=[])
CHUNKS = [chunk(2, "one "), chunk(3, "two "), chunk(4, "three "), chunk(5, "four")]


def respond(status: int = 200, headers: dict[str, str] | None = None, /, **body: Any) -> Response:
    return Response(status, headers or {}, json.dumps(body).encode())


def fetched(text: str | None = WHOLE, status: str = "completed", **fields: Any) -> Response:
    system = {} if text is None else {"msg_id": "m", "text": text}
    body = {"status": "SUCCESS", "response_status": status, "context_token": TOKEN}
    return respond(**{**body, "system": system, **fields})


PROCESSING = fetched(None, "processing")


@dataclass
class Server(FlowServer):
    """Answers requests from the front of each list, whose last item stays."""

    creates: list[Given] = field(default_factory=lambda: [Response(200, {})])
    fetches: list[Given] = field(default_factory=lambda: [fetched()])
    lists: list[Given] = field(default_factory=list)
    settings: Settings = SETTINGS
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)

    def answer(self, step: Send | OpenStream) -> StepResult:
        request = step.request
        endpoint = request.url.removeprefix("https://api.test/ai/")
        assert request.method == "POST"
        assert request.headers == {"client-id": "me", "client-secret": "s3cr3t-0815"}
        assert request.json is not None
        self.requests.append((endpoint, dict(request.json)))
        if isinstance(step, Send):
            self.timeouts.append(step.timeout)
        answers = {
            "create-response": self.creates,
            "fetch-response": self.fetches,
            "list-input": self.lists,
        }[endpoint]
        return self.next_of(answers)

    @property
    def service(self) -> Service:
        return Service(self.settings, jitter=lambda: 1.0)

    def ask(self, text: str = "Well?", **options: Any) -> ReplyAccumulator:
        return self.run(self.service.ask(Question(text, **options)))

    def fetch(self, *, wait: bool = True) -> ReplyAccumulator:
        return self.run(self.service.fetch(TOKEN, wait=wait))

    def count(self, endpoint: str) -> int:
        return sum(name == endpoint for name, _ in self.requests)


def streaming(*parts: bytes | ConnectionLost, **options: Any) -> Server:
    return Server(stream=list(parts), **options)


# Requests.


def test_a_question_has_the_documented_fields() -> None:
    """Reference id, user.text and stream; no empty fields."""
    server = streaming(BEGIN, completed())
    server.ask()
    ((endpoint, body),) = server.requests
    assert endpoint == "create-response"
    assert set(body) == {"client_referenceId", "user", "stream"}
    assert body["user"] == {"text": "Well?"}
    assert body["stream"] is True


def test_images_and_token_are_sent_if_given() -> None:
    server = streaming(BEGIN, completed())
    server.ask(images=("https://a.test/1.png",), context_token="apay_1")
    body = server.requests[0][1]
    assert body["user"] == {"text": "Well?", "images": ["https://a.test/1.png"]}
    assert body["context_token"] == "apay_1"


@pytest.mark.parametrize("stream", [True, False])
def test_null_is_never_sent(stream: bool) -> None:
    """To any endpoint."""
    server = streaming(BEGIN, LOST, lists=[respond(data=[])], creates=[fetched()])
    server.ask(stream=stream)
    server.run(server.service.history(TOKEN))
    assert "null" not in json.dumps([body for _, body in server.requests])


def test_reference_ids_have_30_characters_and_are_unique() -> None:
    ids = {reference_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {30}


def test_each_attempt_has_a_new_reference_id() -> None:
    """Repeated or polled."""
    server = streaming(
        BEGIN,
        LOST,
        creates=[respond(429), Response(200, {})],
        fetches=[PROCESSING, LOST, fetched()],
    )
    server.ask()
    ids = [body["client_referenceId"] for _, body in server.requests]
    assert len(ids) == 5
    assert len(set(ids)) == 5


# Framing. (All framings, cut everywhere, are in the wire samples below.)


def test_one_object_instead_of_a_stream_is_a_reply() -> None:
    """A server may ignore `stream: true`."""
    accumulator = streaming(fetched().body).ask()
    assert (accumulator.text, accumulator.status, accumulator.context_token) == (
        WHOLE,
        "complete",
        TOKEN,
    )


def test_a_stream_instead_of_one_object_is_a_reply() -> None:
    """A server may ignore `stream: false`."""
    body = b"".join([BEGIN, *CHUNKS, completed()])
    accumulator = Server(creates=[Response(200, {}, body)]).ask(stream=False)
    assert (accumulator.text, accumulator.status) == (WHOLE, "complete")


def test_the_event_may_be_named_by_its_sse_field_alone() -> None:
    """`event: response_output`, and no such field in the JSON."""
    lines = b"event: response_output\n" + event("", sequence_no=2, system={"text_chunk": "x"})
    failed = b"event: response_failed\n" + event("", message="no")
    server = streaming(BEGIN, lines, failed)
    with pytest.raises(FailedReply) as caught:
        server.ask()
    assert caught.value.partial == "x"


# The token of the conversation.


def test_the_newest_token_is_kept() -> None:
    """Each event may have another."""
    accumulator = streaming(BEGIN, completed(token="apay_2", parent_context_token="apay_0")).ask()
    assert (accumulator.context_token, accumulator.parent_context_token) == ("apay_2", "apay_0")


@pytest.mark.parametrize(("token", "read"), [(12345, "12345"), (["apay_2"], TOKEN)])
def test_a_token_may_be_a_number(token: Any, read: str) -> None:
    """What is neither text nor a number is none."""
    done = completed(token=token, parent_context_token=7)
    assert streaming(BEGIN, done).ask().context_token == read
    plain = Server(fetches=[fetched(context_token=token, parent_context_token=7)]).fetch()
    assert (plain.context_token, plain.parent_context_token) == (read, "7")
    lost = streaming(BEGIN.replace(json.dumps(TOKEN).encode(), b"5"), CHUNKS[0])
    lost.ask()
    assert lost.requests[-1][1]["context_token"] == "5"


def test_a_reply_without_a_token_is_complete() -> None:
    accumulator = streaming(event("response_initiated"), *CHUNKS, completed(token=None)).ask()
    assert accumulator.context_token is None
    assert accumulator.status == "complete"


# Loose types and unknown events.


@pytest.mark.parametrize("empty", [{"system": []}, {"system": {}}, {"system": None}, {}])
def test_system_may_be_empty_in_every_way(empty: dict[str, Any]) -> None:
    """List, object, null or absent."""
    begin = event("response_initiated", context_token=TOKEN, **empty)
    accumulator = streaming(
        begin, event("response_output", sequence_no=2, **empty), completed()
    ).ask()
    assert accumulator.text == WHOLE


@pytest.mark.parametrize("code", ["400", 400])
def test_a_status_code_is_a_string_or_a_number(code: Any) -> None:
    server = Server(creates=[respond(status="FAILED", status_code=code, message="no")])
    with pytest.raises(ServiceError) as caught:
        server.ask(stream=False)
    assert caught.value.status_code == 400


def test_a_status_may_have_capital_letters() -> None:
    """The reply is not fetched again."""
    reply = {"context_token": TOKEN, "system": {"text": WHOLE}}
    server = Server(creates=[respond(status="SUCCESS", response_status="COMPLETED", **reply)])
    assert server.ask(stream=False).text == WHOLE
    assert server.count("fetch-response") == 0


def test_numbers_may_come_as_strings() -> None:
    accumulator = streaming(BEGIN, chunk("3", "b"), chunk("2", "a"), completed(None)).ask()
    assert accumulator.text == "ab"


@pytest.mark.parametrize("strange", ["²", "x", None, 2.5, [], "9" * 5000])
def test_an_invalid_number_is_ignored(strange: Any) -> None:
    """The order of arrival counts."""
    accumulator = streaming(BEGIN, chunk(strange, "a"), chunk(strange, "b"), completed(None)).ask()
    assert accumulator.text == "ab"


def test_unknown_data_is_counted_and_never_fatal() -> None:
    """Unknown events and fields, and data that is not an object."""
    accumulator = streaming(
        BEGIN,
        event("response_usage", words=1),
        event("response_usage"),
        b"data: [1]\n\n",
        b"data: ping\n\n",
        chunk(2, "x", extra={"a": 1}),
        completed("x", extra=1),
    ).ask()
    assert accumulator.unknown == {"response_usage": 2, "not a JSON object": 2}
    assert accumulator.text == "x"


def test_a_reply_without_response_status_is_a_reply() -> None:
    """With a text and SUCCESS."""
    given = respond(status="SUCCESS", context_token=TOKEN, system={"text": "x"})
    accumulator = Server(creates=[given]).ask(stream=False)
    assert (accumulator.text, accumulator.status) == ("x", "complete")


# list-input.


def history(server: Server, order: Any = "asc") -> list[Message]:
    server.run(server.service.history(TOKEN, order))
    return list(server.value)


def test_the_sample_list_is_read() -> None:
    """Questions and answers, with their ids and statuses."""
    server = Server(lists=[Response(200, {}, (WIRE / "list-input.json").read_bytes())])
    messages = history(server)
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert messages[0].text == "Laravel Short Description."
    assert messages[1].text.startswith("**Laravel** is")
    assert messages[2].msg_id == "msg_6894773571848192b826ed1a4005535603f17a6a593fca89"
    assert {message.status for message in messages} == {"completed"}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_order_is_always_sent(order: str) -> None:
    """The service's default is not documented."""
    server = Server(lists=[respond(data=[])])
    assert history(server, order) == []
    assert server.requests[0][1]["data_order"] == order


def test_an_unknown_order_is_rejected_before_a_request() -> None:
    server = Server()
    with pytest.raises(UsageError, match="'asc' or 'desc'"):
        history(server, "random")
    assert server.requests == []


@pytest.mark.parametrize("data", [None, {}, "x", [None, 1, "x"]])
def test_an_invalid_list_is_empty(data: Any) -> None:
    """Invalid rows are skipped."""
    assert history(Server(lists=[respond(data=data)])) == []


def test_an_empty_message_keeps_its_place() -> None:
    """`system` as an empty list is a reply without text."""
    rows = [{"msg_id": "a", "user": {}}, {"msg_id": "b", "response_status": "failed", "system": []}]
    assert history(Server(lists=[respond(data=rows)])) == [
        Message("user", "", "a"),
        Message("assistant", "", "b", "failed"),
    ]


# The order of chunks.


def test_the_completed_text_replaces_the_joined_chunks() -> None:
    assert streaming(BEGIN, *CHUNKS, completed("All.")).ask().text == "All."


def test_a_gap_is_closed_by_the_completed_text() -> None:
    """Nothing is fetched."""
    server = streaming(BEGIN, CHUNKS[0], CHUNKS[2], completed())
    assert server.ask().text == WHOLE
    assert server.count("fetch-response") == 0


@pytest.mark.parametrize("chunks", [[CHUNKS[0], CHUNKS[2]], [*CHUNKS, chunk(2, "again ")]])
def test_a_reply_without_some_chunks_and_no_completed_text_is_fetched(chunks: list[bytes]) -> None:
    """A number is missing, or came with two texts, of which one is dropped."""
    server = streaming(BEGIN, *chunks, completed(None))
    accumulator = server.ask()
    assert (accumulator.text, accumulator.status) == (WHOLE, "recovered")
    assert server.count("create-response") == 1
    assert streaming(BEGIN, *CHUNKS, CHUNKS[0], completed(None)).ask().status == "complete"


def test_data_after_the_end_is_not_read() -> None:
    server = streaming(BEGIN + completed("x") + chunk(9, "y"), b"never read")
    assert server.ask().text == "x"
    assert server.stream == [b"never read"]
    assert server.closed == [True]


# A stream that ends early.


@pytest.mark.parametrize("end", [LOST, b""], ids=["lost", "clean"])
def test_a_cut_stream_is_fetched_and_the_question_not_repeated(end: bytes | ConnectionLost) -> None:
    """The text is complete, and the status is recovered."""
    server = streaming(BEGIN, CHUNKS[0], end, fetches=[PROCESSING, PROCESSING, fetched()])
    accumulator = server.ask()
    assert (accumulator.text, accumulator.status, accumulator.context_token) == (
        WHOLE,
        "recovered",
        TOKEN,
    )
    assert server.count("create-response") == 1
    assert {body["context_token"] for name, body in server.requests[1:]} == {TOKEN}
    assert server.pauses == [0.4, pytest.approx(0.6)]
    assert [type(one) for one in server.events].count(Recovering) == 1
    assert server.closed == [False]


@pytest.mark.parametrize("end", [LOST, b""], ids=["lost", "clean"])
@pytest.mark.parametrize("begin", [b"", b"data: ", b"dat", BEGIN[:40], b'{"event": "resp', b": hi"])
def test_a_stream_cut_before_the_token_is_in_doubt(
    begin: bytes, end: bytes | ConnectionLost
) -> None:
    """It is said that the question may have been accepted; nothing is sent again."""
    server = streaming(begin, end) if begin else streaming(end)
    with pytest.raises(IncompleteReply, match="may have been accepted") as caught:
        server.ask()
    assert server.count("create-response") == 1
    assert server.count("fetch-response") == 0
    assert caught.value.context_token is None


@pytest.mark.parametrize(
    "begin",
    [BEGIN[:-2], BEGIN[: BEGIN.index(b'", "system"') + 1], BEGIN[6:-3]],
    ids=["blank line", "sse", "json"],
)
def test_a_token_in_an_event_that_is_cut_is_used(begin: bytes) -> None:
    """The reply is fetched by it."""
    server = streaming(begin, LOST)
    assert server.ask().text == WHOLE
    assert (server.count("create-response"), server.count("fetch-response")) == (1, 1)


@pytest.mark.parametrize("token", [r"\x", r"\ud8"])
def test_a_damaged_token_is_none(token: str) -> None:
    server = streaming(f'data: {{"context_token": "{token}"'.encode(), LOST)
    with pytest.raises(IncompleteReply, match="may have been accepted"):
        server.ask()


@pytest.mark.parametrize(
    "begin",
    [
        r'{"event": "response_initiated", "context_token": "x\ud800"}' + "\n\n",
        r'{"event": "response_initiated", "context_token": "x\ud800"',
    ],
    ids=["whole", "cut"],
)
def test_a_token_with_half_a_surrogate_pair_is_in_doubt_and_no_error_of_the_question(
    begin: str,
) -> None:
    unknown = respond(400, status="FAILED", message="Invalid context token.")
    server = streaming(f"data: {begin}".encode(), LOST, fetches=[unknown])
    with pytest.raises(IncompleteReply):
        server.ask()
    assert {body["context_token"] for name, body in server.requests[1:]} == {"x\ufffd"}
    assert server.count("create-response") == 1


@pytest.mark.parametrize(
    "field", ["event", "status", "status_code", "response_status", "context_token", "system"]
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_value_that_python_cannot_show_is_no_internal_error(field: str, stream: bool) -> None:
    """Nested lists that orjson decodes, and whose ``str`` is too deep."""
    deep = "[" * 1_000 + "]" * 1_000
    body = f'{{"context_token": "t", "{field}": {deep}}}'
    if stream:
        server = streaming(f"data: {body}\n\n".encode(), b"")
    else:
        server = Server(creates=[Response(200, {}, body.encode())])
    with suppress(AeronError):
        server.ask(stream=stream)
    assert server.count("create-response") == 1


@pytest.mark.parametrize("cut", [10_000, -3])
def test_an_unstreamed_answer_that_is_cut_after_its_token_is_fetched(cut: int) -> None:
    lost = ConnectionLost("the line broke", received=fetched().body[:cut])
    server = Server(creates=[lost])
    assert server.ask(stream=False).text == WHOLE
    assert (server.count("create-response"), server.count("fetch-response")) == (1, 1)


ACCEPTED = {"status": "SUCCESS", "response_status": "processing", "context_token": TOKEN}
RETRY = {"retry-after": "0"}


@each_case("status", [302, 400, 403, 404, 408, 409, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("stream", [True, False])
@each_case("framing", ["json", "sse", "list", "escaped"])
def test_a_refusal_that_names_a_token_was_accepted(status: int, stream: bool, framing: str) -> None:
    """The reply is fetched by it; the question is not repeated."""
    text = json.dumps(ACCEPTED)
    body = {
        "json": text,
        "sse": f"event: response_initiated\ndata: {text}\n\n",
        "list": f"[{text}]",
        "escaped": text.replace("context_token", "context\\u005ftoken"),
    }[framing]
    server = Server(creates=[Response(status, RETRY, body.encode())])
    assert server.ask(stream=stream).text == WHOLE
    assert (server.count("create-response"), server.count("fetch-response")) == (1, 1)


def test_a_refusal_with_the_whole_reply_is_the_reply() -> None:
    server = Server(creates=[Response(503, RETRY, fetched().body)])
    assert server.ask().text == WHOLE
    assert [name for name, _ in server.requests] == ["create-response"]


@pytest.mark.parametrize(
    "body",
    [
        {"status": "FAILED", "message": "busy", "context_token": TOKEN},
        {"message": "busy", "context_token": TOKEN},
        {"error": {"context_token": TOKEN}},
        {**ACCEPTED, "context_token": "sent"},
    ],
)
def test_any_refusal_that_names_a_token_is_not_repeated(body: dict[str, Any]) -> None:
    """Whether it was accepted is in doubt, or the token is only the question's own."""
    server = Server(creates=[Response(429, RETRY, json.dumps(body).encode())])
    with pytest.raises(RateLimited):
        server.ask(context_token="sent")
    assert [name for name, _ in server.requests] == ["create-response"]


@pytest.mark.parametrize("token", [None, ""])
def test_a_refusal_without_a_token_is_repeated(token: str | None) -> None:
    body = json.dumps({"status": "FAILED", "context_token": token}).encode()
    server = Server(creates=[Response(429, RETRY, body), Response(200, {}, b"")])
    server.stream = [BEGIN, completed()]
    assert server.ask().text == WHOLE
    assert server.count("create-response") == 2


def test_a_refusal_whose_body_is_cut_is_not_repeated() -> None:
    """The missing part may name a token."""
    server = Server(creates=[Response(429, RETRY, b'{"status": "SUC', cut=True)])
    with pytest.raises(RateLimited):
        server.ask()
    assert server.count("create-response") == 1


def test_a_remedy_ends_the_attempts() -> None:
    """Such as an authority's certificate that is missing."""
    lost = ConnectionLost("its certificate is unknown", sent=False, remedy="Set SSL_CERT_FILE.")
    server = Server(creates=[lost], fetches=[lost])
    for call in (server.ask, server.fetch):
        with pytest.raises(Unreachable) as caught:
            call()
        assert caught.value.hint == "Set SSL_CERT_FILE."
    assert [name for name, _ in server.requests] == ["create-response", "fetch-response"]


@pytest.mark.parametrize(
    ("name", "most", "begin"),
    [
        ("reply", 3_000, [BEGIN, *CHUNKS * 20]),
        ("chunks", 20, [BEGIN, *CHUNKS * 20]),
        ("frame", 3_000, [BEGIN, *[b"data: " + 500 * b"x"] * 10]),
        ("frame", 3_000, [BEGIN, b'data: {"text": "', *[500 * b"[x"] * 10]),
    ],
)
def test_reading_a_reply_stops_at_a_limit(name: str, most: int, begin: list[bytes]) -> None:
    """The rest is not read, the connection is closed, and the error names the setting."""
    limits = Limits()._replace(**{name: most})
    server = streaming(*begin, completed(), b"never read")
    server.settings = replace(SETTINGS, limits=limits)
    with pytest.raises(IncompleteReply, match="limit") as caught:
        server.ask()
    assert f"Limits({name}=…)" in caught.value.hint
    assert caught.value.context_token == TOKEN
    assert server.stream
    assert server.closed == [False]
    assert [one for one, _ in server.requests] == ["create-response"]


def test_chunks_before_a_cut_without_token_are_kept() -> None:
    server = streaming(*CHUNKS[:2], LOST)
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert caught.value.partial == "one two "


def test_a_response_that_is_processing_is_polled() -> None:
    """If the question was not streamed; the reply is complete, not recovered."""
    server = Server(creates=[PROCESSING], fetches=[PROCESSING, fetched()])
    accumulator = server.ask(stream=False)
    assert (accumulator.text, accumulator.status) == (WHOLE, "complete")
    assert Started(TOKEN) in server.events
    assert not [one for one in server.events if isinstance(one, Recovering)]


def test_recovery_retries_transient_errors_until_the_deadline() -> None:
    """With more attempts than a plain fetch."""
    gone: list[Given] = [NOT_SENT, LOST, respond(502)] * 2
    server = streaming(BEGIN, LOST, fetches=[*gone, fetched()])
    assert server.ask().status == "recovered"
    assert server.pauses == sorted(server.pauses)


def test_recovery_retries_a_token_that_is_not_known_yet() -> None:
    unknown = respond(400, status="FAILED", message="Invalid context token.")
    server = streaming(BEGIN, LOST, fetches=[unknown, unknown, fetched()])
    assert server.ask().status == "recovered"


def test_recovery_of_an_unknown_token_ends_after_a_few_attempts() -> None:
    """The error has the token, the text and the service's message."""
    unknown = respond(400, status="FAILED", message="Expired context token.")
    server = streaming(BEGIN, CHUNKS[0], LOST, fetches=[unknown])
    with pytest.raises(IncompleteReply, match="could not be fetched") as caught:
        server.ask()
    assert server.count("fetch-response") == MAX_ATTEMPTS
    assert caught.value.partial == "one "
    assert caught.value.service_message == "Expired context token."
    assert TOKEN in caught.value.hint


def test_recovery_with_rejected_credentials_ends_at_once() -> None:
    server = streaming(BEGIN, LOST, fetches=[respond(403)])
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert server.count("fetch-response") == 1
    assert caught.value.status_code == 403
    assert caught.value.context_token == TOKEN


def test_a_reply_that_failed_meanwhile_is_failed() -> None:
    """Not incomplete."""
    server = streaming(BEGIN, CHUNKS[0], LOST, fetches=[PROCESSING, fetched(None, "failed")])
    with pytest.raises(FailedReply) as caught:
        server.ask()
    assert caught.value.partial == "one "


def test_a_recovered_reply_without_text_is_incomplete() -> None:
    """The text received before the cut may not be all."""
    server = streaming(BEGIN, CHUNKS[0], LOST, fetches=[fetched(None)])
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert caught.value.partial == "one "


@pytest.mark.parametrize(
    "result",
    [
        PROCESSING,
        LOST,
        ConnectionLost("silence", elapsed=7.0),
        respond(503, {"retry-after": "20"}),
        fetched(None, "processing", status_code="102"),
    ],
    ids=["processing", "lost", "silent", "retry-after", "102"],
)
@pytest.mark.parametrize("recovering", [True, False])
def test_waiting_ends_with_fetch_timeout(result: Given, recovering: bool) -> None:
    """All requests and delays together."""
    server = streaming(BEGIN, LOST, fetches=[result])
    with pytest.raises(AeronError):
        server.ask() if recovering else server.fetch()
    waited = sum(server.pauses) + result.elapsed * server.count("fetch-response")
    assert waited <= SETTINGS.fetch_timeout + result.elapsed + 1e-6
    if recovering:
        assert waited >= SETTINGS.fetch_timeout - 1e-6


def test_the_timeout_of_a_request_is_at_most_the_time_left() -> None:
    silent = ConnectionLost("silence", elapsed=20.0)
    server = streaming(BEGIN, LOST, fetches=[silent])
    with pytest.raises(IncompleteReply):
        server.ask()
    assert server.timeouts == [30.0, pytest.approx(9.6)]


# Retries.


def test_a_question_is_repeated_if_it_was_not_accepted() -> None:
    """Not connected, 429, 503 with Retry-After."""
    busy = respond(503, {"retry-after": "3"})
    server = streaming(
        BEGIN, completed(), creates=[NOT_SENT, respond(429), busy, Response(200, {})]
    )
    assert server.ask().status == "complete"
    assert server.count("create-response") == 4
    assert server.pauses == [0.5, 1.0, 3.0]


@each_case(
    "result", [LOST, *(respond(status) for status in (302, 400, 403, 408, 500, 502, 503, 504))]
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_question_that_may_have_been_accepted_is_not_repeated(
    result: Given, stream: bool
) -> None:
    """It may be charged twice, so the user decides."""
    server = Server(creates=[result])
    with pytest.raises(AeronError) as caught:
        server.ask(stream=stream)
    assert server.count("create-response") == 1
    assert server.pauses == []
    if caught.value.status_code in (408, 500, 502, 503, 504):
        assert "charged a second time" in caught.value.hint
        assert not is_safe_to_ask_again(caught.value)


def test_a_lost_question_may_have_been_accepted() -> None:
    """The error says so, with the reason of the loss."""
    with pytest.raises(IncompleteReply, match=r"the line broke.*may have been accepted"):
        Server(creates=[LOST]).ask()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_hint_of_a_server_error_mentions_a_second_charge(status: int) -> None:
    with pytest.raises(ServiceError) as caught:
        Server(creates=[respond(status)]).ask()
    assert "charged" in caught.value.hint


def test_an_unreachable_host_is_reported_after_a_few_attempts() -> None:
    server = Server(creates=[NOT_SENT])
    with pytest.raises(Unreachable):
        server.ask()
    assert server.count("create-response") == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (respond(429), RateLimited),
        (respond(403, status="BAD_REQUEST_ERROR", message="IP"), AuthenticationError),
        (respond(400, status="FAILED", message="Invalid context token"), TokenError),
        (respond(status="FAILED", status_code="403", message="IP"), AuthenticationError),
        (respond(status="FAILED", status_code="400", message="Expired token"), TokenError),
        (respond(status="FAILED", message="no"), ServiceError),
        (respond(status="BAD_REQUEST_ERROR", status_code="403"), AuthenticationError),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_response_has_its_exception(
    response: Response, kind: type[ServiceError], stream: bool
) -> None:
    """By its status, or by the status in its body."""
    body = [response.body] if response.status == 200 and stream else []
    server = Server(creates=[response], stream=list(body))
    with pytest.raises(ServiceError) as caught:
        server.ask(stream=stream)
    assert type(caught.value) is kind


@pytest.mark.parametrize("result", [LOST, NOT_SENT, respond(429), respond(500), respond(504)])
def test_fetch_and_list_are_repeated(result: Given) -> None:
    """They cost nothing."""
    server = Server(fetches=[result, fetched()], lists=[result, respond(data=[])])
    assert server.fetch().text == WHOLE
    assert history(server) == []
    assert (server.count("fetch-response"), server.count("list-input")) == (2, 2)


def test_fetch_and_list_end_after_the_same_number_of_attempts() -> None:
    server = Server(fetches=[respond(500)], lists=[respond(500)])
    with pytest.raises(ServiceError):
        server.fetch()
    with pytest.raises(ServiceError):
        history(server)
    assert (server.count("fetch-response"), server.count("list-input")) == (
        MAX_ATTEMPTS,
        MAX_ATTEMPTS,
    )


def test_a_requested_pause_is_announced() -> None:
    """Before the question is accepted, and while its reply is fetched."""
    busy = Response(429, {"retry-after": "6"})
    server = streaming(BEGIN, *CHUNKS, completed(), creates=[busy, Response(200, {})])
    assert server.ask().status == "complete"
    assert server.events[0] == Waiting(6.0)
    server = Server(fetches=[busy, fetched()])
    assert server.fetch().status_text == ""
    assert Waiting(6.0) in server.events
    accumulator = ReplyAccumulator()
    accumulator.add([Waiting(5.2)])
    assert accumulator.status_text == "waiting 6 s …"
    accumulator.add([Started(TOKEN)])
    assert accumulator.status_text == ""


def test_retry_after_is_respected_while_polling() -> None:
    """Also that of a successful response."""
    delayed = Response(200, {"retry-after": "9"}, PROCESSING.body)
    server = Server(fetches=[delayed, fetched()])
    server.fetch()
    assert server.pauses == [9.0]


# Redirects.


@pytest.mark.parametrize("stream", [True, False])
def test_a_redirect_is_reported_and_not_followed(stream: bool) -> None:
    """It would receive the credentials."""
    server = Server(creates=[Response(302, {"location": "https://evil.test"})])
    with pytest.raises(UnexpectedAnswer, match="redirect"):
        server.ask(stream=stream)
    assert len(server.requests) == 1


# fetch-response.


def test_a_fetched_reply_is_complete() -> None:
    """With tokens and message id."""
    accumulator = Server(fetches=[fetched(parent_context_token="apay_0")]).fetch()
    assert (accumulator.text, accumulator.status, accumulator.msg_id) == (WHOLE, "complete", "m")
    assert (accumulator.context_token, accumulator.parent_context_token) == (TOKEN, "apay_0")


def test_a_fetch_without_waiting_may_return_a_processing_reply() -> None:
    """After one request."""
    server = Server(fetches=[PROCESSING])
    accumulator = server.fetch(wait=False)
    assert accumulator.reply().status == "processing"
    assert (server.count("fetch-response"), server.pauses) == (1, [])


def test_a_fetched_reply_may_have_failed() -> None:
    """The error has the service's message and the token."""
    failed = Response(200, {}, (WIRE / "fetch-failed.json").read_bytes())
    with pytest.raises(FailedReply) as caught:
        Server(fetches=[failed]).fetch()
    assert caught.value.context_token == json.loads(failed.body)["context_token"]
    assert caught.value.service_message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"error": {"message": "The model is overloaded."}}, "The model is overloaded."),
        ({"message": "The request was not successful."}, "The request was not successful."),
    ],
)
def test_the_success_of_the_request_is_not_shown_as_the_failure_of_the_reply(
    fields: dict[str, Any], said: str | None
) -> None:
    body = {
        "status": "SUCCESS",
        "status_code": "200",
        "message": "Response fetched successfully.",
        "context_token": TOKEN,
        "response_status": "failed",
    }
    with pytest.raises(FailedReply) as caught:
        Server(fetches=[Response(200, {}, json.dumps(body | fields).encode())]).fetch()
    assert (caught.value.status_code, caught.value.service_message) == (None, said)


def test_a_fetched_web_page_is_unexpected() -> None:
    """Usually it comes from a proxy."""
    with pytest.raises(UnexpectedAnswer, match="web page"):
        Server(fetches=[Response(200, {}, b"<html>")]).fetch()


# Failures in the stream.


def test_a_failed_reply_keeps_its_text() -> None:
    """Also if text and failure arrive in one read."""
    server = streaming(
        BEGIN + CHUNKS[0] + event("response_failed", status_code="500", message="overload")
    )
    with pytest.raises(FailedReply) as caught:
        server.ask()
    assert caught.value.partial == "one "
    assert caught.value.service_message == "overload"
    assert caught.value.status_code == 500
    assert caught.value.context_token == TOKEN
    assert server.closed == [False]


def test_an_error_after_the_beginning_is_a_failed_reply() -> None:
    """The service had accepted the question."""
    with pytest.raises(FailedReply):
        streaming(BEGIN, event("", status="FAILED", status_code="400", message="no")).ask()


def test_a_web_page_is_not_read_to_its_end() -> None:
    """And it is not shown."""
    server = streaming(b"<html>sign in", b"for ever")
    with pytest.raises(UnexpectedAnswer, match="web page") as caught:
        server.ask()
    assert server.stream == [b"for ever"]
    assert caught.value.service_message is None


def test_a_message_instead_of_a_reply_is_reported() -> None:
    """Such as that of a gateway."""
    with pytest.raises(ServiceError) as caught:
        streaming(b'{"message": "Endpoint request timed out"}').ask()
    assert caught.value.service_message == "Endpoint request timed out"
    assert not is_safe_to_ask_again(caught.value)


# The wire samples.


def sample(name: str) -> bytes:
    return (WIRE / name).read_bytes()


def result_of(server: Server, **options: Any) -> tuple[str, str, str | None]:
    """Status or error, text and token of a question."""
    try:
        accumulator = server.ask(**options)
    except AeronError as error:
        return (
            type(error).__name__,
            error.partial,
            error.context_token or server.accumulator.context_token,
        )
    return accumulator.status, accumulator.text, accumulator.context_token


STREAMS = sorted(path.name for path in WIRE.glob("stream*") if "frames" not in path.name)
UNICODE = ["unicode.sse", "unicode-escaped.ndjson", "unicode-back-to-back.json"]
OTHERS = ["out-of-order.sse", "repeated.sse", "gap.sse", "loose-types.sse", "unknown-event.sse"]
PLAIN = ["plain.json", "plain-bom.json", "pretty.json", "array.json", "back-to-back.json"]
WHOLE_STREAMS = [*STREAMS, *UNICODE, *OTHERS, *PLAIN, "completed-differs.sse"]


def test_there_are_samples() -> None:
    """An empty list would pass the tests below."""
    assert len(STREAMS) > 8
    assert all((WIRE / name).is_file() for name in WHOLE_STREAMS)


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_a_whole_sample_is_a_complete_reply(name: str) -> None:
    """In one read, byte by byte, and not streamed."""
    body = sample(name)
    whole = result_of(streaming(body))
    assert whole[0] == "complete"
    assert whole[1]
    assert str(whole[2]) in body.decode()
    single = streaming(*(body[i : i + 1] for i in range(len(body))))
    assert result_of(single) == whole
    assert result_of(Server(creates=[Response(200, {}, body)]), stream=False) == whole


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.campaign) for first in range(1, 5))]
)
@each_case("name", WHOLE_STREAMS)
def test_a_sample_cut_at_every_byte_is_recovered_or_in_doubt(name: str, first: int) -> None:
    """The text is right in each case, and the question was sent once.

    Each of these tests cuts at every fifth byte.
    """
    body = sample(name)
    _, text, token = result_of(streaming(body))
    named = {"context_token": token}
    found: list[str] = []
    for cut in range(first, len(body), 5):
        end = b"" if cut % 2 else LOST  # alternately a clean end and a loss
        server = streaming(*([body[:cut]] if cut else []), end, fetches=[fetched(text, **named)])
        result = result_of(server)
        assert server.count("create-response") == 1
        expected = {
            "complete": (text, token),
            "recovered": (text, token),
            "IncompleteReply": ("", None),
        }[result[0]]
        assert result[1:] == expected, cut
        assert server.count("fetch-response") == (result[0] == "recovered")
        if not found or found[-1] != result[0]:
            found.append(result[0])
    stages = ["IncompleteReply", "recovered", "complete"]
    assert found == [stage for stage in stages if stage in found]  # never back
    assert found[0] == "IncompleteReply"


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("cut.sse", "recovered"),
        ("cut.ndjson", "recovered"),
        ("cut-between-events.sse", "recovered"),
        ("cut-before-blank-line.sse", "recovered"),
        ("broken-after-objects.json", "recovered"),
        ("cut-before-token.sse", "IncompleteReply"),
        ("failed-in-stream.sse", "FailedReply"),
        ("failed-under-200.json", "ServiceError"),
        ("page.html", "UnexpectedAnswer"),
        ("garbage.txt", "UnexpectedAnswer"),
        ("fetch-failed.json", "FailedReply"),
        ("fetch-processing.json", "complete"),
    ],
)
def test_the_result_of_a_damaged_sample(name: str, result: str) -> None:
    """It does not depend on the reads."""
    body = sample(name)
    whole = result_of(streaming(body))
    assert whole[0] == result
    assert result_of(streaming(*(body[i : i + 1] for i in range(len(body))))) == whole


def reads(body: bytes, size: int) -> Iterable[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@pytest.mark.parametrize("size", [2, 3, 7, 64, 1000])
def test_events_do_not_depend_on_the_reads(size: int) -> None:
    """Only the lengths of the lists do."""
    body = sample("stream.sse")
    at_once, in_pieces = streaming(body), streaming(*reads(body, size))
    at_once.ask()
    in_pieces.ask()
    assert in_pieces.events == at_once.events


def test_an_introduction_sends_no_request() -> None:
    """AeronPay has none."""
    server = Server()
    server.run(server.service.introduction())
    assert server.requests == []
