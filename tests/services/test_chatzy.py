"""Chatzy's flows with given responses: no server, no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cpu_time import least_cpu
from each_case import each_case
from flow_server import FlowServer

from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
    is_safe_to_ask_again,
)
from aeron_magic.protocol.events import Introduced, Recovering, Started, ToolCalled
from aeron_magic.protocol.flow import (
    ConnectionLost,
    Flow,
    OpenStream,
    Question,
    Response,
    Send,
    StepResult,
)
from aeron_magic.protocol.limits import Limits
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.services.chatzy import MAX_REOPENS, Service, _StreamParser
from aeron_magic.services.settings import Settings

WIRE = Path(__file__).parents[1] / "fixtures" / "wire" / "chatzy"
AGENT = "0f8fad5b-d9cb-469f-a165-70867728950e"
CONVERSATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
SETTINGS = Settings(
    "chatzy", "https://api.test/prod", stream_url="https://stream.test", chatbot_id=AGENT
)
HELLO = {"switch": True, "buttons": ["Prices", "Hours"], "content": "Hello!"}
LOST = ConnectionLost("the line broke")
PROCESSING = ("is_streaming", "processing")
NOT_BEGUN = ("is_streaming", None)
DONE = ("completed", "completed")

Given = Response | ConnectionLost


def ok(**data: Any) -> Response:
    return Response(200, {"content-type": "application/json"}, json.dumps({"data": data}).encode())


def error_response(status: int, **body: Any) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def event(data: Any, name: str = "m1") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"id: {name}\ndata: {text}\n\n".encode()


def content(text: str, name: str = "m1") -> bytes:
    return event({"content": text}, name)


END = event({"signal": "close_connection", "new_message_id": "m9"}) + event("[DONE]")


@dataclass
class Server(FlowServer):
    """Answers requests from the front of each list, whose last item stays."""

    inits: list[Given] = field(
        default_factory=lambda: [
            ok(valid=True, conversation_id=CONVERSATION, introductory_message=HELLO)
        ]
    )
    inferences: list[Given] = field(default_factory=lambda: [ok(msg="taken", temp_token="t-1")])
    secrets: list[Given] = field(default_factory=lambda: [ok(temp_token="t-new")])
    statuses: list[Given | tuple[str | None, str | None]] = field(default_factory=lambda: [DONE])
    streams: list[Given | list[bytes | ConnectionLost]] = field(
        default_factory=lambda: [[content("Fine."), END]]
    )
    alternates: bool = False
    seen: list[str] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def answer(self, step: Send | OpenStream) -> StepResult:
        endpoint = step.request.url.rpartition("/")[2]
        self.seen.append(endpoint)
        self.requests.append(step.request)
        if endpoint == "get-response":
            given = self.next_of(self.streams)
            if isinstance(given, list):
                self.stream = list(given)
                return Response(200, {"content-type": "text/event-stream"})
            return given  # type: ignore[no-any-return]
        answers: dict[str, list[Any]] = {
            "init_conversation": self.inits,
            "get_inference": self.inferences,
            "generate_secret": self.secrets,
            "get_stream_status": self.statuses,
        }
        given = self.next_of(answers[endpoint])
        if not isinstance(given, Response | ConnectionLost):
            return ok(stream_status=given[0], response_processing_status=given[1])
        return given  # type: ignore[no-any-return]

    def run(self, flow: Flow[Any]) -> ReplyAccumulator:
        """Drive ``flow`` to its end; assert that a complete reply was displayed in order."""
        accumulator = super().run(flow)
        assert (
            accumulator.status != "complete"
            or self.alternates
            or "".join(accumulator.displayed) == accumulator.text
        )
        return accumulator

    def ask(self, token: str | None = CONVERSATION, **options: Any) -> ReplyAccumulator:
        return self.run(Service(SETTINGS).ask(Question("Well?", context_token=token, **options)))


def stream(*reads: bytes | ConnectionLost, **more: Any) -> Server:
    return Server(streams=[list(reads)], **more)


# The three calls -----------------------------------------------------------------------------


def test_a_question_without_a_token_starts_a_conversation() -> None:
    """init_conversation, get_inference, get-response."""
    server = stream(content("Fine."), END)
    accumulator = server.ask(None)
    assert server.seen == ["init_conversation", "get_inference", "get-response"]
    assert server.requests[0].params == {"chatbot_id": AGENT}
    assert server.events[:2] == [Introduced("Hello!", ("Prices", "Hours")), Started(CONVERSATION)]
    assert (accumulator.text, accumulator.status, accumulator.context_token) == (
        "Fine.",
        "complete",
        CONVERSATION,
    )


def test_a_token_continues_its_conversation() -> None:
    """The context_token is the conversation_id."""
    server = stream(content("Fine."), END)
    accumulator = server.ask("earlier")
    assert server.seen == ["get_inference", "get-response"]
    assert server.requests[0].json["conversation_id"] == "earlier"
    assert accumulator.context_token == "earlier"


def test_get_inference_has_the_required_fields() -> None:
    """And none that is null."""
    server = Server()
    server.ask()
    assert server.requests[0].method == "POST"
    assert server.requests[0].json == {
        "chatbot_id": AGENT,
        "conversation_id": CONVERSATION,
        "messages": {"role": "user", "content": "Well?"},
        "conversation_type": "website",
    }


def test_the_stream_is_opened_at_its_own_host_with_the_temporary_token() -> None:
    """The request's repr does not show the token."""
    server = Server()
    server.ask()
    request = server.requests[-1]
    assert (request.url, request.params) == ("https://stream.test/get-response", {"token": "t-1"})
    assert "t-1" not in repr(request)


def test_images_are_rejected_before_a_request() -> None:
    server = Server()
    with pytest.raises(UsageError, match="does not accept images"):
        server.ask(None, images=("https://x.test/a.png",))
    assert server.seen == []


def test_a_question_without_stream_reads_the_stream() -> None:
    """Chatzy sends every reply by get-response."""
    assert stream(content("Fine."), END).ask(stream=False).text == "Fine."


@pytest.mark.parametrize(
    ("call", "remedy"),
    [(Service.fetch, "the next question continues"), (Service.history, "%aeron history")],
)
def test_nothing_can_be_fetched(call: Callable[[Service, str], Flow[Any]], remedy: str) -> None:
    """Chatzy has no such call; the hint says how to get the reply, or the messages."""
    server = Server()
    with pytest.raises(UsageError, match="has no call") as caught:
        server.run(call(Service(SETTINGS), CONVERSATION))
    assert remedy in caught.value.hint
    assert server.seen == []


# Introductions -------------------------------------------------------------------------------


def test_an_introduction_starts_a_conversation() -> None:
    """Without a question; with the token that the first question continues from."""
    server = Server()
    accumulator = server.run(Service(SETTINGS).introduction())
    assert server.seen == ["init_conversation"]
    assert server.events == [Introduced("Hello!", ("Prices", "Hours")), Started(CONVERSATION)]
    assert accumulator.context_token == CONVERSATION


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"switch": True, "content": "Hi", "buttons": []}, Introduced("Hi")),
        ({"content": "Hi"}, Introduced("Hi")),
        ({"content": "Hi", "buttons": ["a", {"odd": 1}, None, ""]}, Introduced("Hi", ("a",))),
        ({"content": None, "buttons": ["a"]}, Introduced("", ("a",))),
        ({"switch": False, "content": "Hi", "buttons": ["a"]}, None),
        ({"switch": True, "content": "", "buttons": None}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_introductions(message: Any, expected: Introduced | None) -> None:
    """An introduction is shown if it has content and is switched on."""
    server = Server(inits=[ok(conversation_id=CONVERSATION, introductory_message=message)])
    accumulator = server.run(Service(SETTINGS).introduction())
    assert accumulator.introduction == expected


@pytest.mark.parametrize(
    "answer",
    [
        ok(valid=False),
        ok(valid=False, conversation_id=CONVERSATION),
        ok(valid=True),
        error_response(401, message="no"),
        error_response(403, message="no"),
    ],
)
def test_an_unknown_agent(answer: Response) -> None:
    """The hint names the chatbot_id, not AeronPay's credentials."""
    with pytest.raises(AuthenticationError) as caught:
        Server(inits=[answer]).ask(None)
    assert "--chatbot-id, in Python chatbot_id=…" in caught.value.hint
    assert "AeronPay" not in caught.value.hint


def test_init_conversation_is_repeated() -> None:
    """It costs nothing."""
    good = ok(conversation_id=CONVERSATION)
    server = Server(inits=[LOST, error_response(502), good])
    server.ask(None)
    assert server.seen.count("init_conversation") == 3
    assert len(server.pauses) == 2


# The paid request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        ConnectionLost("refused", sent=False),
        error_response(429),
        Response(503, {"retry-after": "1"}, b""),
    ],
)
def test_a_question_that_was_certainly_not_accepted_is_repeated(first: Given) -> None:
    server = Server(inferences=[first, ok(temp_token="t-2")])
    server.ask()
    assert server.seen == ["get_inference", "get_inference", "get-response"]


@pytest.mark.parametrize("first", [error_response(status) for status in (408, 500, 502, 503, 504)])
def test_a_question_that_may_have_been_accepted_is_not_repeated(first: Given) -> None:
    """It may be answered, and charged, twice."""
    server = Server(inferences=[first])
    with pytest.raises(ServiceError) as caught:
        server.ask()
    assert server.seen == ["get_inference"]
    assert "charged a second time" in caught.value.hint
    assert not is_safe_to_ask_again(caught.value)


def test_a_lost_question_may_have_been_accepted() -> None:
    """The error says so; it is not repeated."""
    server = Server(inferences=[LOST])
    with pytest.raises(IncompleteReply, match="may have been accepted"):
        server.ask()
    assert server.seen == ["get_inference"]


def test_an_unreachable_service() -> None:
    with pytest.raises(Unreachable):
        Server(inferences=[ConnectionLost("refused", sent=False)]).ask()


def test_an_unknown_conversation() -> None:
    """Its id is the context token."""
    answer = error_response(404, message="There is no such conversation.")
    with pytest.raises(TokenError):
        Server(inferences=[answer]).ask("old")


def test_a_response_without_data_is_an_error() -> None:
    """Also with HTTP status 200; its message is kept."""
    answer = error_response(200, success=False, message="Credits exhausted")
    with pytest.raises(ServiceError) as caught:
        Server(inferences=[answer]).ask()
    assert caught.value.service_message == "Credits exhausted"


def test_a_missing_temporary_token_is_generated() -> None:
    """At once: no stream was open, so nothing was missed. The reply is an ordinary one."""
    server = stream(content("Fine."), END, inferences=[ok(msg="taken", temp_token=None)])
    reply = server.ask()
    assert (reply.text, reply.status) == ("Fine.", "complete")
    assert server.seen[1:] == ["generate_secret", "get-response"]
    assert server.requests[-1].params == {"token": "t-new"}


@pytest.mark.parametrize("refused", [1, 2, 3])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_rejected_temporary_token_is_generated_at_once_twice_at_most(
    refused: int, status: int
) -> None:
    rejected = error_response(status, message="Invalid token")
    server = Server(streams=[*[rejected] * refused, [content("Fine."), END]])
    if refused <= 2:
        assert server.ask().text == "Fine."
    else:
        with pytest.raises(IncompleteReply, match="rejected"):
            server.ask()
    assert server.seen.count("generate_secret") == min(refused, 2)
    assert "get_stream_status" not in server.seen
    assert server.pauses == []


# The stream ----------------------------------------------------------------------------------

OUTCOMES: dict[str, tuple[str, type[AeronError] | None]] = {
    "close_connection": ("complete", None),
    "[DONE]": ("complete", None),
    "call_again": ("complete", None),
    "no_message_found": ("failed", FailedReply),
    "close_connection_incomplete_content": ("incomplete", IncompleteReply),
    "close_connection_incomplete_tool_calls": ("incomplete", IncompleteReply),
    "close_connection_incomplete_request": ("incomplete", IncompleteReply),
    "__ERROR__: out of order: really": ("failed", FailedReply),
    "[FROZEN]": ("failed", AccessRestricted),
    "[BLACKLISTED]": ("failed", AccessRestricted),
}


@each_case("signal", OUTCOMES)
@pytest.mark.parametrize("spelling", ["bare", "json", "quoted"])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_signals(signal: str, spelling: str, streaming: bool, together: bool) -> None:
    """Each signal means the same in each spelling; only the text before it is kept."""
    data = {"bare": signal, "json": {"signal": signal}, "quoted": json.dumps(signal)}[spelling]
    chunks = [content("How"), content(" can")] if streaming else [content("How can")]
    after = [content(" I"), END] if signal == "call_again" else [content(" I"), event("[FROZEN]")]
    parts: list[bytes | ConnectionLost] = [*chunks, event(data), *after]
    server = stream(*([b"".join(parts)] if together else parts))  # type: ignore[arg-type]
    error = OUTCOMES[signal][1]
    if error is None:
        assert server.ask().text == ("How can I" if signal == "call_again" else "How can")
    else:
        with pytest.raises(error) as caught:
            server.ask()
        assert type(caught.value) is error
        assert caught.value.partial == "How can"
        if signal.startswith("__ERROR__"):
            assert caught.value.service_message == "out of order: really"
    assert (ToolCalled() in server.events) == (signal == "call_again")
    assert len(server.closed) == 1
    assert server.seen == ["get_inference", "get-response"]


@pytest.mark.parametrize(
    "text",
    ["[DONE]", "close_connection", '{"signal": "close_connection"}', "__ERROR__: x", "[FROZEN]"],
)
def test_a_signal_inside_a_text_is_text(text: str) -> None:
    """A signal is the data of a whole event."""
    assert stream(content(f"see {text} "), content(text), END).ask().text == f"see {text} {text}"


def test_the_message_of_an_error_may_be_in_another_field() -> None:
    with pytest.raises(FailedReply) as caught:
        stream(event({"signal": "__ERROR__", "message": "Overloaded"})).ask()
    assert caught.value.service_message == "Overloaded"


def test_chunks_of_one_id_are_one_message_and_a_new_id_begins_another() -> None:
    """Messages are separated by an empty line; the newest id is the reply's."""
    server = stream(
        content("a"), content("b"), content("c", "m2"), b'data: {"content":"d"}\n\n', END
    )
    accumulator = server.ask()
    assert accumulator.text == "ab\n\ncd"
    assert accumulator.msg_id == "m2"


def test_alternating_ids_are_grouped_in_the_finished_reply() -> None:
    """On the screen they appear as they come."""
    parts = [("a", "One "), ("b", "Two "), ("a", "and a half"), ("c", "Three"), ("b", "and more")]
    server = stream(*(content(text, name) for name, text in parts), END, alternates=True)
    reply = server.ask()
    assert reply.text == "One and a half\n\nTwo and more\n\nThree"
    assert "".join(reply.displayed) == "One \n\nTwo \n\nand a half\n\nThree\n\nand more"


def test_a_cut_reply_with_alternating_ids_is_grouped_too() -> None:
    parts = [("a", "One "), ("b", "Two"), ("a", "and a half")]
    server = stream(*(content(text, name) for name, text in parts), alternates=True)
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert caught.value.partial == "One and a half\n\nTwo"


def test_chunks_without_ids_are_one_message() -> None:
    server = stream(b'data: {"content": "a"}\n\ndata: {"content": "b"}\n\ndata: [DONE]\n\n')
    assert server.ask().text == "ab"


@pytest.mark.parametrize("empty", [{"content": ""}, {"content": "", "x": 1}])
def test_an_empty_chunk_is_ignored(empty: dict[str, Any]) -> None:
    """It does not begin a message."""
    accumulator = stream(content("a"), event(empty, "m2"), END).ask()
    assert (accumulator.text, accumulator.unknown) == ("a", {})


@pytest.mark.parametrize("end", ["close_connection", "[DONE]", {"signal": "close_connection"}])
@pytest.mark.parametrize("before", [b"", content(""), content(" \n"), event("call_again")])
def test_an_end_without_any_text_is_an_error(before: bytes, end: Any) -> None:
    """Not an empty reply."""
    server = stream(before + event(end))
    with pytest.raises(IncompleteReply, match="without any text"):
        server.ask()
    assert server.accumulator.context_token == CONVERSATION
    assert server.closed == [False]


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        (event("[MAINTENANCE]"), "[MAINTENANCE]"),
        (event({"signal": "queue_full"}), "queue_full"),
        (event({"message": "Internal server error"}), "Internal server error"),
        (event("Come back later.") + event({"state": 7}) + event("null"), "Come back later."),
    ],
)
def test_the_words_of_unknown_events_are_shown_if_no_text_follows(
    strange: bytes, words: str
) -> None:
    lost = stream(content("Hi"), strange)
    with pytest.raises(IncompleteReply) as caught:
        lost.ask()
    assert (caught.value.service_message, caught.value.partial) == (words, "Hi")
    with pytest.raises(IncompleteReply) as caught:
        stream(strange, END).ask()
    assert caught.value.service_message == words
    lost = stream(strange, content("Hi"))
    with pytest.raises(IncompleteReply) as caught:
        lost.ask()
    assert caught.value.service_message is None


def test_signals_may_be_written_in_small_or_capital_letters() -> None:
    assert stream(content("Hi"), event("CLOSE_CONNECTION")).ask().text == "Hi"
    assert stream(content("Hi"), event({"signal": "[done]"})).ask().text == "Hi"
    with pytest.raises(AccessRestricted):
        stream(event("[frozen]")).ask()
    with pytest.raises(FailedReply) as caught:
        stream(event("__error__: Busy")).ask()
    assert caught.value.service_message == "Busy"


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ({"usage": 3}, "neither content nor signal"),
        ({"content": ["a"]}, "neither content nor signal"),
        ({"signal": "new_thing"}, "new_thing"),
        ("new_thing", "new_thing"),
        ("[1, 2]", "[1, 2]"),
        ("7", "7"),
        ("{broken", "{broken"),
        ("x" * 500, "x" * 80),
    ],
)
def test_unknown_events_are_counted_and_skipped(odd: Any, name: str) -> None:
    accumulator = stream(content("a"), event(odd), content("b"), END).ask()
    assert (accumulator.text, accumulator.unknown) == ("ab", {name: 1})


def test_data_nested_too_deeply_is_an_unknown_event() -> None:
    accumulator = stream(content("a"), event("[" * 200_000), END).ask()
    assert (accumulator.text, accumulator.status) == ("a", "complete")


SAMPLES = sorted(WIRE.glob("*.sse"))


def outcome(server: Server) -> tuple[str | type[AeronError], str]:
    """Its status or error, and the text."""
    try:
        accumulator = server.ask()
    except AeronError as error:
        return type(error), error.partial
    return accumulator.status, accumulator.text


def result(reads: Iterable[bytes]) -> Any:
    """All results of a stream with these reads."""
    server = stream(*reads)
    ended, text = outcome(server)
    accumulator = ReplyAccumulator()
    accumulator.add(server.events)
    return ended, text, accumulator.msg_id, accumulator.unknown, accumulator.status_text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_do_not_depend_on_the_reads(sample: Path) -> None:
    """In one read, byte by byte, and in two reads cut at each place."""
    data = sample.read_bytes()
    whole = result([data])
    assert result(data[i : i + 1] for i in range(len(data))) == whole
    for place in range(1, len(data), 1 if len(data) < 700 else 7):
        assert result([data[:place], data[place:]]) == whole


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("streaming-on", "How can I assist you today?"),
        ("streaming-on-crlf", "How can I assist you today?"),
        ("streaming-off", "How can I assist you today?"),
        ("no-ids", "How can I assist you today?"),
        ("ids-change", "First message.\n\nSecond message."),
        ("signal-call-again-bare", "Let me see. It is 42."),
        ("signal-call-again-wrapped", "Let me see. It is 42."),
    ],
)
def test_samples_of_complete_replies(name: str, expected: str) -> None:
    """The vendor's samples, and its rule for ids."""
    assert result([(WIRE / f"{name}.sse").read_bytes()])[:2] == ("complete", expected)


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.campaign) for first in range(1, 5))]
)
@each_case("how", [(), (LOST,)])
@each_case("name", ["streaming-on", "streaming-off", "ids-change", "keep-alive"])
@each_case("status", [NOT_BEGUN, DONE])
@each_case("second", ["repeats", "continues", "has nothing"])
def test_a_stream_cut_at_any_byte_never_gives_a_wrong_text(
    name: str,
    how: tuple[ConnectionLost, ...],
    status: tuple[str, str | None],
    second: str,
    first: int,
) -> None:
    """The reply is complete, or incomplete with a beginning of its text.

    Also if the status is wrong (not begun), and for any second stream. Each of these tests cuts at
    every fifth byte.
    """
    data = (WIRE / f"{name}.sse").read_bytes()
    right = result([data])[1]
    whole = 0
    for place in range(first, len(data), 5):
        again = {"repeats": data, "continues": data[place:], "has nothing": b""}[second]
        server = Server(streams=[[data[:place], *how], [again]], statuses=[status, DONE])
        status_or_error, text = outcome(server)
        if status_or_error is IncompleteReply:
            assert right.startswith(text)
        else:
            assert (status_or_error, text) in {("complete", right), ("recovered", right)}
            whole += 1
    assert whole > 0 or name != "streaming-on"


# Lost streams --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reads",
    [
        [LOST],
        [],
        [b": hello\n\n", LOST],
        [b"\xef\xbb\xbf: a", b"b\r\n\r\nretry: 5\n\n", b": c", LOST],
    ],
)
def test_a_stream_without_events_is_opened_again_with_a_new_secret(reads: list[Any]) -> None:
    """If the status is is_streaming and null. Comments are not events."""
    server = Server(streams=[reads, [content("Fine."), END]], statuses=[NOT_BEGUN])
    accumulator = server.ask()
    assert (accumulator.text, accumulator.status) == ("Fine.", "recovered")
    assert server.seen[1:] == [
        "get-response",
        "get_stream_status",
        "generate_secret",
        "get-response",
    ]
    assert [r.params for r in server.requests if r.url.endswith("get-response")] == [
        {"token": "t-1"},
        {"token": "t-new"},
    ]
    assert any(isinstance(e, Recovering) for e in server.events)


@pytest.mark.parametrize(
    "refusal",
    [
        error_response(401, message="t-1 is invalid"),
        error_response(503),
        ConnectionLost("refused", sent=False),
        LOST,
    ],
)
def test_a_stream_that_did_not_open_is_opened_with_a_new_secret(refusal: Given) -> None:
    """The temporary token is valid once, for a minute."""
    server = Server(streams=[refusal, [content("Fine."), END]], statuses=[NOT_BEGUN])
    assert server.ask().text == "Fine."
    assert server.requests[-1].params == {"token": "t-new"}


@pytest.mark.parametrize("first", [b"i", b"id: m1\n", b"id: m1\ndata: ", content(""), b"retr"])
def test_a_stream_that_sent_a_single_byte_is_not_opened_again(first: bytes) -> None:
    """A second stream might continue where this one was lost, and leave a gap."""
    server = Server(streams=[[first, LOST]], statuses=[NOT_BEGUN])
    with pytest.raises(IncompleteReply, match="double or skip"):
        server.ask()
    assert server.seen.count("get-response") == 1


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (DONE, "done on the server"),
        (("completed", None), "no reply in progress"),
        (("resting", None), "resting"),
        (("is_streaming", "resting"), "resting"),
        ((None, None), "not documented"),
        (error_response(404, message="gone"), "is unknown"),
        (error_response(200, message="no"), "not documented"),
        (Response(200, {}, b"<html>"), "a web page"),
    ],
)
@pytest.mark.parametrize("got", [b"", content("Half")])
def test_statuses_that_end_the_recovery(status: Any, sentence: str, got: bytes) -> None:
    """The reply is incomplete, with the text so far."""
    server = Server(streams=[[got, LOST]], statuses=[status])
    with pytest.raises(IncompleteReply, match=sentence) as caught:
        server.ask()
    assert "the line broke" in str(caught.value) or not got
    assert caught.value.partial == ("Half" if got else "")
    assert server.seen == ["get_inference", "get-response", "get_stream_status"]


@pytest.mark.parametrize(
    "status", [PROCESSING, ("completed", "processing"), ("is_streaming", "completed")]
)
def test_statuses_that_are_polled(status: tuple[str, str]) -> None:
    """With growing delays, until the server is done."""
    server = stream(content("Half"), LOST, statuses=[status, status, status, DONE])
    with pytest.raises(IncompleteReply, match="done on the server"):
        server.ask()
    assert server.seen.count("get_stream_status") == 4
    assert len(server.pauses) == 3
    assert all(before < after for before, after in pairwise(server.pauses))


def test_a_reply_that_is_processed_and_then_not_begun_is_opened_again() -> None:
    server = Server(
        streams=[[LOST], [content("Fine."), END]], statuses=[PROCESSING, PROCESSING, NOT_BEGUN]
    )
    assert server.ask().text == "Fine."


@pytest.mark.parametrize("where", ["data", "top"])
@pytest.mark.parametrize("null", [{"response_processing_status": None}, {}])
def test_the_status_is_in_data_or_at_the_top_level(where: str, null: dict[str, Any]) -> None:
    """That is not documented. A missing field is null."""
    fields = {"stream_status": "is_streaming", **null}
    body = {"data": fields} if where == "data" else {"data": {}, "success": True, **fields}
    server = Server(
        streams=[[LOST], [content("Fine."), END]], statuses=[error_response(200, **body)]
    )
    assert server.ask().text == "Fine."


def test_waiting_ends_with_fetch_timeout() -> None:
    """The limit includes delays and requests."""
    status = PROCESSING
    slow = Response(
        200,
        {},
        json.dumps({"stream_status": status[0], "response_processing_status": status[1]}).encode(),
        elapsed=10.0,
    )
    server = stream(content("Half"), LOST, statuses=[slow])
    with pytest.raises(IncompleteReply, match="still working on it after 120 s"):
        server.ask()
    spent = sum(server.pauses) + 10 * server.seen.count("get_stream_status")
    assert 120 <= spent <= 130


def test_a_transient_error_of_the_status_is_retried() -> None:
    server = stream(content("Half"), LOST, statuses=[LOST, error_response(503), DONE])
    with pytest.raises(IncompleteReply, match="done on the server"):
        server.ask()
    assert server.seen.count("get_stream_status") == 3


def test_a_status_that_stays_unknown_ends_with_fetch_timeout() -> None:
    """Also with a long Retry-After."""
    busy = Response(503, {"retry-after": "86400"}, b"")
    server = stream(content("Half"), LOST, statuses=[LOST, busy])
    with pytest.raises(IncompleteReply, match="is unknown") as caught:
        server.ask()
    assert caught.value.partial == "Half"
    assert caught.value.status_code == 503
    assert sum(server.pauses) == pytest.approx(120)


def test_a_stream_is_opened_again_a_few_times_only() -> None:
    server = Server(streams=[[LOST]], statuses=[NOT_BEGUN])
    with pytest.raises(IncompleteReply, match="opening it again failed"):
        server.ask()
    assert server.seen.count("get-response") == 1 + MAX_REOPENS
    assert server.seen.count("get_inference") == 1


def test_a_second_stream_that_finds_no_message_is_incomplete() -> None:
    """The question existed for the first stream, so the reply is lost."""
    server = Server(streams=[[LOST], [event("no_message_found")]], statuses=[NOT_BEGUN])
    with pytest.raises(IncompleteReply, match="no more of the reply"):
        server.ask()


@pytest.mark.parametrize("answer", [error_response(404, message="gone"), error_response(500), LOST])
def test_without_a_new_secret_the_reply_is_incomplete(answer: Given) -> None:
    server = Server(streams=[[LOST]], statuses=[NOT_BEGUN], secrets=[answer])
    with pytest.raises(IncompleteReply, match="the line broke"):
        server.ask()


@pytest.mark.parametrize("token", [None, "", ["t"], "t" * 100_000])
def test_a_token_that_cannot_be_a_part_of_an_address_is_missing(token: Any) -> None:
    """Another one is requested: the question was accepted."""
    server = Server(inferences=[ok(temp_token=token)])
    assert server.ask().text == "Fine."
    assert server.seen == ["get_inference", "generate_secret", "get-response"]
    with pytest.raises(AuthenticationError):
        Server(inits=[ok(valid=True, conversation_id=token)]).ask(None)


# Secrets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (error_response(403, message="token t-1 is not for you"), AuthenticationError),
        (error_response(400, message="bad token t-1"), ServiceError),
        (error_response(404), UnexpectedAnswer),
        (Response(302, {"location": "https://elsewhere.test/?token=t-1"}), UnexpectedAnswer),
        ([b"<html>token=t-1"], UnexpectedAnswer),
        ([event("__ERROR__: token t-1 broke")], FailedReply),
    ],
)
def test_the_temporary_token_is_not_shown(answer: Any, error: type[AeronError]) -> None:
    """In the address, or if the service repeats it."""
    with pytest.raises(error) as caught:
        Server(streams=[answer]).ask()
    shown = "\n".join([*caught.value.lines(), repr(caught.value), repr(caught.value.__dict__)])
    assert "t-1" not in shown


@pytest.mark.parametrize(
    "given", [error_response(401, message="t-1?"), [LOST], error_response(502)]
)
def test_the_temporary_token_is_not_shown_while_recovering(given: Any) -> None:
    """The status text of a lost stream has only the reason."""
    server = Server(streams=[given])
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert "t-1" not in repr(server.events) + "\n".join(caught.value.lines())


# Money and limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_a_refusal_that_names_a_temporary_token_was_accepted(status: int) -> None:
    """The reply is read with it; the question is not repeated."""
    body = json.dumps({"data": {"msg": "taken", "temp_token": "t-1"}}).encode()
    refused = Response(status, {"retry-after": "0"}, body)
    server = stream(content("Fine."), END, inferences=[refused])
    assert server.ask().text == "Fine."
    assert server.seen == ["get_inference", "get-response"]


@pytest.mark.parametrize(("name", "most"), [("reply", 2_000), ("chunks", 20), ("frame", 2_000)])
def test_reading_a_reply_stops_at_a_limit(name: str, most: int) -> None:
    """The error names the setting; the stream is not opened again."""
    reads = [b"data: " + 500 * b"x"] * 10 if name == "frame" else [content("Fine. ")] * 100
    server = stream(*reads, END)
    settings = replace(SETTINGS, limits=Limits()._replace(**{name: most}))
    with pytest.raises(IncompleteReply, match="limit") as caught:
        server.run(Service(settings).ask(Question("Well?", context_token=CONVERSATION)))
    assert f"Limits({name}=…)" in caught.value.hint
    assert server.seen == ["get_inference", "get-response"]
    assert server.stream


@pytest.mark.parametrize("start", [b":", b"\xef\xbb\xbf:", b"retry:", b""])
def test_a_long_line_that_keeps_the_stream_alive_costs_in_proportion(start: bytes) -> None:
    """Eight times the length costs about eight times as much; so do many short lines."""

    def seconds(length: int, enough: float = 0.0) -> float:
        unit = b"x" * 100 if start else b"\n:\r\n"
        reads = [start, *[unit] * (length // len(unit))]

        def work() -> None:
            parser = _StreamParser(reopened=False)
            for piece in reads:
                parser.feed(piece, [])
            assert not parser.began
            parser.feed(b"\ndata", [])
            assert parser.began

        return least_cpu(work, enough)

    limit = 24 * seconds(100_000)
    assert seconds(800_000, limit) < limit
