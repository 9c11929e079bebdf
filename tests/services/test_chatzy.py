"""Chatzy's flows, sent their answers by hand: no server, no waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flow_server import FlowServer

from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
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
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.services.chatzy import MAX_REOPENS, Service
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


def refused(status: int, **body: Any) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def event(data: Any, name: str = "m1") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"id: {name}\ndata: {text}\n\n".encode()


def content(text: str, name: str = "m1") -> bytes:
    return event({"content": text}, name)


END = event({"signal": "close_connection", "new_message_id": "m9"}) + event("[DONE]")


@dataclass
class Server(FlowServer):
    """Answers requests: each list is used up from the front, and its last item stays."""

    inits: list[Given] = field(
        default_factory=lambda: [
            ok(valid=True, conversation_id=CONVERSATION, introductory_message=HELLO)
        ]
    )
    inferences: list[Given] = field(default_factory=lambda: [ok(msg="taken", temp_token="t-1")])
    secrets: list[Given] = field(default_factory=lambda: [ok(temp_token="t-new")])
    statuses: list[Given | tuple[str | None, str | None]] = field(default_factory=lambda: [DONE])
    streams: list[Given | list[bytes | ConnectionLost]] = field(default_factory=lambda: [[END]])
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
        """Drive ``flow`` to its end; of a whole reply all has been shown, in order."""
        accumulator = super().run(flow)
        assert (
            accumulator.status != "complete" or "".join(accumulator.displayed) == accumulator.text
        )
        return accumulator

    def ask(self, token: str | None = CONVERSATION, **options: Any) -> ReplyAccumulator:
        return self.run(Service(SETTINGS).ask(Question("Well?", context_token=token, **options)))


def stream(*reads: bytes | ConnectionLost, **more: Any) -> Server:
    return Server(streams=[list(reads)], **more)


# The three calls -----------------------------------------------------------------------------


def test_a_new_conversation_is_begun_introduced_and_started() -> None:
    """Without a token: init_conversation, get_inference, the stream, in this order."""
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
    """The context_token is the conversation_id, before the question and after it."""
    server = stream(content("Fine."), END)
    accumulator = server.ask("earlier")
    assert server.seen == ["get_inference", "get-response"]
    assert server.requests[0].json["conversation_id"] == "earlier"
    assert accumulator.context_token == "earlier"


def test_what_get_inference_is_sent() -> None:
    """The body holds what the vendor requires, and nothing that is null."""
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
    """get-response gets the token that get_inference gave, and its repr does not show it."""
    server = Server()
    server.ask()
    request = server.requests[-1]
    assert (request.url, request.params) == ("https://stream.test/get-response", {"token": "t-1"})
    assert "t-1" not in repr(request)


def test_images_are_refused_before_anything_is_sent() -> None:
    """Chatzy does not accept images."""
    server = Server()
    with pytest.raises(UsageError, match="does not accept images"):
        server.ask(None, images=("https://x.test/a.png",))
    assert server.seen == []


def test_a_question_without_stream_reads_the_stream_all_the_same() -> None:
    """Chatzy has no such choice: the reply always comes by get-response."""
    assert stream(content("Fine."), END).ask(stream=False).text == "Fine."


@pytest.mark.parametrize("call", [Service.fetch, Service.history])
def test_nothing_can_be_fetched(call: Callable[[Service, str], Flow[Any]]) -> None:
    """Chatzy has no call that returns messages: the error says where the transcript is."""
    server = Server()
    with pytest.raises(UsageError, match="has no call") as caught:
        server.run(call(Service(SETTINGS), CONVERSATION))
    assert "%aeron history" in caught.value.hint
    assert server.seen == []


# Introductions -------------------------------------------------------------------------------


def test_introduce_begins_a_conversation_and_asks_nothing() -> None:
    """The introduction comes with the token that a first question continues from."""
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
    """An introduction is shown where there is one and it is switched on."""
    server = Server(inits=[ok(conversation_id=CONVERSATION, introductory_message=message)])
    accumulator = server.run(Service(SETTINGS).introduction())
    assert accumulator.introduction == expected


@pytest.mark.parametrize(
    "answer",
    [
        ok(valid=False),
        ok(valid=False, conversation_id=CONVERSATION),
        ok(valid=True),
        refused(401, message="no"),
        refused(403, message="no"),
    ],
)
def test_an_agent_that_is_none(answer: Response) -> None:
    """The chatbot_id is what Chatzy knows its callers by; the hint names it, not AeronPay's."""
    with pytest.raises(AuthenticationError) as caught:
        Server(inits=[answer]).ask(None)
    assert "--chatbot-id" in caught.value.hint
    assert "AeronPay" not in caught.value.hint


def test_init_conversation_is_repeated() -> None:
    """Beginning a conversation costs nothing, so a passing failure is waited out."""
    good = ok(conversation_id=CONVERSATION)
    server = Server(inits=[LOST, refused(502), good])
    server.ask(None)
    assert server.seen.count("init_conversation") == 3
    assert len(server.pauses) == 2


# The paid request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        ConnectionLost("refused", sent=False),
        refused(429),
        Response(503, {"retry-after": "1"}, b""),
    ],
)
def test_a_question_that_was_surely_not_accepted_is_repeated(first: Given) -> None:
    """Nothing was taken up, so asking again costs nothing."""
    server = Server(inferences=[first, ok(temp_token="t-2")])
    server.ask()
    assert server.seen == ["get_inference", "get_inference", "get-response"]


@pytest.mark.parametrize("first", [refused(500), refused(502), refused(503), refused(504)])
def test_a_question_that_may_have_been_accepted_is_not_repeated(first: Given) -> None:
    """It might be answered, and charged, twice."""
    server = Server(inferences=[first])
    with pytest.raises(ServiceError):
        server.ask()
    assert server.seen == ["get_inference"]


def test_a_question_that_was_lost_on_its_way_may_have_been_accepted() -> None:
    """The error says so, and leaves asking again to the user."""
    server = Server(inferences=[LOST])
    with pytest.raises(IncompleteReply, match="may have been accepted"):
        server.ask()
    assert server.seen == ["get_inference"]


def test_a_service_that_is_out_of_reach() -> None:
    """Where no connection was ever made, nothing was accepted."""
    with pytest.raises(Unreachable):
        Server(inferences=[ConnectionLost("refused", sent=False)]).ask()


def test_a_conversation_that_is_not_known() -> None:
    """Its id is the context token, so the error is that of a token."""
    answer = refused(404, message="There is no such conversation.")
    with pytest.raises(TokenError):
        Server(inferences=[answer]).ask("old")


def test_an_answer_without_data_is_a_refusal() -> None:
    """A body may refuse under HTTP 200; its words are kept."""
    answer = refused(200, success=False, message="Credits exhausted")
    with pytest.raises(ServiceError) as caught:
        Server(inferences=[answer]).ask()
    assert caught.value.service_message == "Credits exhausted"


def test_a_missing_temporary_token_is_generated() -> None:
    """get_inference gave none: the reply has not begun, which is what generate_secret is for."""
    server = stream(content("Fine."), END, inferences=[ok(msg="taken")], statuses=[NOT_BEGUN])
    assert server.ask().text == "Fine."
    assert server.seen[1:] == ["get_stream_status", "generate_secret", "get-response"]
    assert server.requests[-1].params == {"token": "t-new"}


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
    "[FROZEN]": ("failed", AuthenticationError),
    "[BLACKLISTED]": ("failed", AuthenticationError),
}


@pytest.mark.parametrize("signal", OUTCOMES)
@pytest.mark.parametrize("spelling", ["bare", "json", "quoted"])
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_signals(signal: str, spelling: str, streaming: bool, together: bool) -> None:
    """Each signal means the same in each spelling; the text before it is kept, none after it."""
    said = {"bare": signal, "json": {"signal": signal}, "quoted": json.dumps(signal)}[spelling]
    chunks = [content("How"), content(" can")] if streaming else [content("How can")]
    after = [content(" I"), END] if signal == "call_again" else [content(" I"), event("[FROZEN]")]
    parts: list[bytes | ConnectionLost] = [*chunks, event(said), *after]
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
    """A signal is a whole event's data, never a part of what the agent says."""
    assert stream(content(f"see {text} "), content(text), END).ask().text == f"see {text} {text}"


def test_an_error_that_is_told_in_another_field() -> None:
    """The service's words are kept wherever they stand."""
    with pytest.raises(FailedReply) as caught:
        stream(event({"signal": "__ERROR__", "message": "Overloaded"})).ask()
    assert caught.value.service_message == "Overloaded"


def test_chunks_of_one_id_are_one_message_and_a_new_id_begins_another() -> None:
    """Messages are told apart by an empty line; the newest one names the reply."""
    server = stream(
        content("a"), content("b"), content("c", "m2"), b'data: {"content":"d"}\n\n', END
    )
    accumulator = server.ask()
    assert accumulator.text == "ab\n\ncd"
    assert accumulator.msg_id == "m2"


def test_chunks_without_ids_are_one_message() -> None:
    """Nothing is put between chunks that no id tells apart."""
    server = stream(b'data: {"content": "a"}\n\ndata: {"content": "b"}\n\ndata: [DONE]\n\n')
    assert server.ask().text == "ab"


@pytest.mark.parametrize("empty", [{"content": ""}, {"content": "", "x": 1}])
def test_an_empty_chunk_says_nothing(empty: dict[str, Any]) -> None:
    """It is neither text nor an unknown event, and it begins no message."""
    accumulator = stream(content("a"), event(empty, "m2"), END).ask()
    assert (accumulator.text, accumulator.unknown) == ("a", {})


@pytest.mark.parametrize("end", ["close_connection", "[DONE]"])
def test_an_empty_reply_is_a_reply(end: str) -> None:
    """The service said that it is whole."""
    accumulator = stream(event(end)).ask()
    assert (accumulator.text, accumulator.status) == ("", "complete")


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
def test_what_is_not_known_is_counted_and_passed_over(odd: Any, name: str) -> None:
    """An event of a later version is no failure."""
    accumulator = stream(content("a"), event(odd), content("b"), END).ask()
    assert (accumulator.text, accumulator.unknown) == ("ab", {name: 1})


def test_data_nested_too_deeply_is_passed_over() -> None:
    """Hostile JSON is one more unknown event."""
    accumulator = stream(content("a"), event("[" * 200_000), END).ask()
    assert (accumulator.text, accumulator.status) == ("a", "complete")


SAMPLES = sorted(WIRE.glob("*.sse"))


def outcome(server: Server) -> tuple[str | type[AeronError], str]:
    """How it ended, and the text that was received."""
    try:
        accumulator = server.ask()
    except AeronError as error:
        return type(error), error.partial
    return accumulator.status, accumulator.text


def result(reads: Iterable[bytes]) -> Any:
    """Everything that can be seen of a stream that came in these reads."""
    server = stream(*reads)
    ended, text = outcome(server)
    accumulator = ReplyAccumulator()
    accumulator.add(server.events)
    return ended, text, accumulator.msg_id, accumulator.unknown, accumulator.status_text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_mean_the_same_however_they_are_cut(sample: Path) -> None:
    """Whole, byte by byte and in halves at each place: one reply."""
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
def test_samples_of_whole_replies(name: str, expected: str) -> None:
    """The vendor's samples, and its rule for ids."""
    assert result([(WIRE / f"{name}.sse").read_bytes()])[:2] == ("complete", expected)


@pytest.mark.parametrize("how", [(), (LOST,)])
@pytest.mark.parametrize("name", ["streaming-on", "streaming-off", "ids-change", "keep-alive"])
@pytest.mark.parametrize("status", [NOT_BEGUN, DONE])
@pytest.mark.parametrize("second", ["repeats", "continues", "has nothing"])
def test_a_stream_cut_at_any_byte_never_gives_a_wrong_text(
    name: str, how: tuple[ConnectionLost, ...], status: tuple[str, str | None], second: str
) -> None:
    """The reply is whole and right, or incomplete with a beginning of the right text.

    That holds also where the status is wrong (it says that nothing has begun), and whatever a
    second stream would give.
    """
    data = (WIRE / f"{name}.sse").read_bytes()
    right = result([data])[1]
    whole = 0
    for place in range(len(data)):
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
def test_a_stream_that_gave_nothing_is_opened_again_with_a_new_secret(reads: list[Any]) -> None:
    """is_streaming and null: the reply has not begun; comments are no part of it."""
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
        refused(401, message="t-1 is invalid"),
        refused(503),
        ConnectionLost("refused", sent=False),
        LOST,
    ],
)
def test_a_stream_that_did_not_open_is_opened_with_a_new_secret(refusal: Given) -> None:
    """The temporary token serves once and for a minute: another one is asked for."""
    server = Server(streams=[refusal, [content("Fine."), END]], statuses=[NOT_BEGUN])
    assert server.ask().text == "Fine."
    assert server.requests[-1].params == {"token": "t-new"}


@pytest.mark.parametrize("first", [b"i", b"id: m1\n", b"id: m1\ndata: ", content(""), b"retr"])
def test_a_stream_that_gave_a_single_byte_is_not_opened_again(first: bytes) -> None:
    """A second stream might go on where this one was lost, and so leave a hole."""
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
        (refused(404, message="gone"), "is unknown"),
        (refused(200, message="no"), "not documented"),
        (Response(200, {}, b"<html>"), "a web page"),
    ],
)
@pytest.mark.parametrize("got", [b"", content("Half")])
def test_statuses_that_end_it(status: Any, sentence: str, got: bytes) -> None:
    """Where the text cannot be had, the reply is incomplete, with what came."""
    server = Server(streams=[[got, LOST]], statuses=[status])
    with pytest.raises(IncompleteReply, match=sentence) as caught:
        server.ask()
    assert "the line broke" in str(caught.value) or not got
    assert caught.value.partial == ("Half" if got else "")
    assert server.seen == ["get_inference", "get-response", "get_stream_status"]


@pytest.mark.parametrize(
    "status", [PROCESSING, ("completed", "processing"), ("is_streaming", "completed")]
)
def test_statuses_that_are_waited_on(status: tuple[str, str]) -> None:
    """The server is still at work: ask again, with growing pauses, until it is done."""
    server = stream(content("Half"), LOST, statuses=[status, status, status, DONE])
    with pytest.raises(IncompleteReply, match="done on the server"):
        server.ask()
    assert server.seen.count("get_stream_status") == 4
    assert len(server.pauses) == 3
    assert all(before < after for before, after in pairwise(server.pauses))


def test_a_reply_that_is_processed_and_then_not_begun_is_opened_again() -> None:
    """Only the newest status counts."""
    server = Server(
        streams=[[LOST], [content("Fine."), END]], statuses=[PROCESSING, PROCESSING, NOT_BEGUN]
    )
    assert server.ask().text == "Fine."


@pytest.mark.parametrize("where", ["data", "top"])
@pytest.mark.parametrize("null", [{"response_processing_status": None}, {}])
def test_the_status_stands_in_data_or_at_the_top(where: str, null: dict[str, Any]) -> None:
    """It is not documented where; a field that is left out is null."""
    fields = {"stream_status": "is_streaming", **null}
    body = {"data": fields} if where == "data" else {"data": {}, "success": True, **fields}
    server = Server(streams=[[LOST], [content("Fine."), END]], statuses=[refused(200, **body)])
    assert server.ask().text == "Fine."


def test_waiting_ends_with_fetch_timeout() -> None:
    """The pauses and the requests' own time are bounded together."""
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


def test_a_status_that_passes_is_asked_for_again() -> None:
    """The network that lost the stream may need a moment."""
    server = stream(content("Half"), LOST, statuses=[LOST, refused(503), DONE])
    with pytest.raises(IncompleteReply, match="done on the server"):
        server.ask()
    assert server.seen.count("get_stream_status") == 3


def test_a_status_that_never_comes_is_given_up_in_time() -> None:
    """Neither the failures nor a long Retry-After wait longer than fetch_timeout."""
    busy = Response(503, {"retry-after": "86400"}, b"")
    server = stream(content("Half"), LOST, statuses=[LOST, busy])
    with pytest.raises(IncompleteReply, match="is unknown") as caught:
        server.ask()
    assert caught.value.partial == "Half"
    assert caught.value.status_code == 503
    assert sum(server.pauses) == pytest.approx(120)


def test_opening_again_has_an_end() -> None:
    """A service that always says that nothing has begun is not asked for ever."""
    server = Server(streams=[[LOST]], statuses=[NOT_BEGUN])
    with pytest.raises(IncompleteReply, match="opening it again failed"):
        server.ask()
    assert server.seen.count("get-response") == 1 + MAX_REOPENS
    assert server.seen.count("get_inference") == 1


def test_a_second_stream_that_finds_no_message_is_incomplete() -> None:
    """The question was there for the first stream: so the reply is gone, not the question."""
    server = Server(streams=[[LOST], [event("no_message_found")]], statuses=[NOT_BEGUN])
    with pytest.raises(IncompleteReply, match="no more of the reply"):
        server.ask()


@pytest.mark.parametrize("answer", [refused(404, message="gone"), refused(500), LOST])
def test_a_secret_that_cannot_be_had_leaves_the_reply_incomplete(answer: Given) -> None:
    """The question was accepted, so this is no refusal of it."""
    server = Server(streams=[[LOST]], statuses=[NOT_BEGUN], secrets=[answer])
    with pytest.raises(IncompleteReply, match="the line broke"):
        server.ask()


# What must not be shown ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(403, message="token t-1 is not for you"), AuthenticationError),
        (refused(400, message="bad token t-1"), ServiceError),
        (refused(404), UnexpectedAnswer),
        (Response(302, {"location": "https://elsewhere.test/?token=t-1"}), UnexpectedAnswer),
        ([b"<html>token=t-1"], UnexpectedAnswer),
        ([event("__ERROR__: token t-1 broke")], FailedReply),
    ],
)
def test_the_temporary_token_is_shown_nowhere(answer: Any, error: type[AeronError]) -> None:
    """Not in the address, nor where the service repeats it."""
    with pytest.raises(error) as caught:
        Server(streams=[answer]).ask()
    shown = "\n".join([*caught.value.lines(), repr(caught.value), repr(caught.value.__dict__)])
    assert "t-1" not in shown


@pytest.mark.parametrize("given", [refused(401, message="t-1?"), [LOST], refused(502)])
def test_the_temporary_token_is_not_shown_while_recovering(given: Any) -> None:
    """The notice of a lost stream names the reason only."""
    server = Server(streams=[given])
    with pytest.raises(IncompleteReply) as caught:
        server.ask()
    assert "t-1" not in repr(server.events) + "\n".join(caught.value.lines())
