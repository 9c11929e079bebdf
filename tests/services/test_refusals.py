"""Every error shape, in every place where it may come: the service's own words are its message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from each_case import each_case
from flow_server import FlowServer

from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    UnexpectedAnswer,
    is_safe_to_ask_again,
)
from aeron_magic.protocol.flow import ConnectionLost, OpenStream, Question, Response, Send
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.services import aeronpay, chatzy
from aeron_magic.services.settings import Settings

TOKEN = "apay_1"
WHOLE = "one two"
WORDS = "Rate limit reached"
SHAPES: list[Any] = [
    {"error": {"message": WORDS}},
    {"error": WORDS},
    {"errors": [{"message": WORDS}]},
    {"errors": {"items": [{"message": WORDS}]}, "status_code": None},
    {"Message": WORDS},
    {"detail": WORDS},
    {"detail": [{"loc": ["body"], "msg": WORDS}]},
    {"type": "about:blank", "title": "Too many requests", "detail": WORDS},
    {"error": "slow_down", "error_description": WORDS},
    {"status": "FAILED", "message": WORDS},
    {"status": "failed", "error": {"inner": 1, "error": {"message": WORDS}}},
    {"success": False, "message": WORDS},
    {"response": {"error": {"message": WORDS}}, "status": "ERROR"},
]
SOME = each_case("shape", SHAPES)


def body(shape: Any) -> bytes:
    return json.dumps(shape).encode()


def sse(name: str, **fields: Any) -> bytes:
    return b"data: " + body({"event": name, **fields} if name else fields) + b"\n\n"


def chunk(number: int, text: str, **fields: Any) -> bytes:
    return sse("response_output", sequence_no=number, system={"text_chunk": text}, **fields)


def completed(text: str | None = WHOLE) -> bytes:
    system: Any = [] if text is None else {"text": text}
    return sse(
        "response_completed", response_status="completed", context_token=TOKEN, system=system
    )


BEGIN = sse("response_initiated", status="PENDING", context_token=TOKEN, system=[])
CHUNKS = [chunk(2, "one "), chunk(3, "two")]
STREAM = Response(200, {"content-type": "text/event-stream"})
FETCHED = {"response_status": "completed", "context_token": TOKEN, "system": {"text": WHOLE}}


@dataclass
class Server(FlowServer):
    """Answers each endpoint always the same."""

    answers: dict[str, Response] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def answer(self, step: Send | OpenStream) -> Response:
        self.seen.append(step.request.url.rpartition("/")[2])
        return self.answers[self.seen[-1]]


class AeronPay(Server):
    service = aeronpay.Service(Settings("aeronpay", "https://api.test"), jitter=lambda: 0.0)

    def __init__(self, stream: Any = (), **answers: Response) -> None:
        known = {"create": STREAM, "fetch": Response(200, {}, body(FETCHED)), **answers}
        names = {"create": "create-response", "fetch": "fetch-response", "list": "list-input"}
        super().__init__(stream=list(stream), answers={names[key]: known[key] for key in known})

    def ask(self, **options: Any) -> ReplyAccumulator:
        return self.run(self.service.ask(Question("Well?", **options)))

    def fetch(self) -> ReplyAccumulator:
        return self.run(self.service.fetch(TOKEN))

    def history(self) -> ReplyAccumulator:
        return self.run(self.service.history(TOKEN))


class Chatzy(Server):
    service = chatzy.Service(Settings("chatzy", "https://api.test", "https://stream.test"))

    def __init__(self, stream: Any = (), **answers: Response) -> None:
        ready = body({"data": {"conversation_id": "c", "temp_token": "secret-token"}})
        ready = Response(200, {}, ready)
        default = {"init_conversation": ready, "get_inference": ready, "get-response": STREAM}
        super().__init__(stream=list(stream), answers={**default, **answers})

    def ask(self) -> ReplyAccumulator:
        return self.run(self.service.ask(Question("Well?")))


def streaming(*parts: Any, **answers: Response) -> AeronPay:
    return AeronPay(parts, **answers)


def caught(call: Any) -> AeronError:
    with pytest.raises(AeronError) as error:
        call()
    assert error.value.hint
    assert not any(mark in str(error.value) for mark in ("cut off", "ended early", "{"))
    return error.value


@SOME
@pytest.mark.parametrize("status", [200, 400, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("call", ["ask", "plain", "fetch", "history"])
def test_aeronpay_answers_with_it(shape: Any, status: int, call: str) -> None:
    """Asked with and without a stream, fetched, and listed."""
    answer = Response(status, {"content-type": "application/json"}, body(shape))
    server = AeronPay(create=answer, fetch=answer, list=answer)
    if call == "ask" and status == 200:
        server = streaming(body(shape))
    calls = {"plain": lambda: server.ask(stream=False), "ask": server.ask}
    error = caught(calls.get(call) or getattr(server, call))
    assert isinstance(error, ServiceError)
    assert error.service_message == WORDS
    if status != 200:
        assert error.status_code == status


@SOME
@pytest.mark.parametrize("frame", ["{}\n", "[{}]", "data: {}\n\n", "event: error\ndata: {}\n\n"])
def test_aeronpay_streams_it_before_a_token(shape: Any, frame: str) -> None:
    """As JSON, in an array, and as a server-sent event."""
    error = caught(streaming(frame.replace("{}", json.dumps(shape)).encode()).ask)
    assert isinstance(error, ServiceError)
    assert error.service_message == WORDS


@SOME
@pytest.mark.parametrize("frame", ["data: {}\n\n", "event: error\ndata: {}\n\n"])
def test_aeronpay_streams_it_after_chunks(shape: Any, frame: str) -> None:
    """The reply has failed; its text is kept."""
    if "Message" in shape or "detail" in shape:
        frame = "event: error\ndata: {}\n\n"  # without the name, it may be a remark
    event = frame.replace("{}", json.dumps(shape)).encode()
    error = caught(streaming(BEGIN, *CHUNKS, event, completed()).ask)
    assert isinstance(error, FailedReply)
    assert (error.service_message, error.partial) == (WORDS, WHOLE)
    assert error.context_token == TOKEN


def test_an_error_event_may_hold_plain_text() -> None:
    event = f"event: error\ndata: {WORDS}\n\n".encode()
    assert caught(streaming(event).ask).service_message == WORDS
    assert caught(streaming(BEGIN, event).ask).service_message == WORDS
    assert caught(Chatzy([event]).ask).service_message == WORDS


def test_the_event_may_be_named_in_its_data() -> None:
    event = body({"event": "response_error", "error": {"message": WORDS}})
    assert caught(streaming(BEGIN, b"data: " + event + b"\n\n").ask).service_message == WORDS


@SOME
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("place", ["init_conversation", "get_inference"])
def test_chatzy_answers_with_it(shape: Any, status: int, place: str) -> None:
    error = caught(Chatzy(**{place: Response(status, {}, body(shape))}).ask)
    assert isinstance(error, ServiceError)
    assert error.service_message == WORDS


@SOME
@pytest.mark.parametrize("frame", ["{}\n", "event: error\ndata: {}\n\n"])
@pytest.mark.parametrize("before", [[], [sse("", content="Partly")]])
def test_chatzy_streams_it(shape: Any, frame: str, before: list[bytes]) -> None:
    if before:
        frame = "event: error\ndata: {}\n\n"
    error = caught(Chatzy([*before, frame.replace("{}", json.dumps(shape)).encode()]).ask)
    assert error.service_message == WORDS
    assert error.partial == ("Partly" if before else "")


@pytest.mark.parametrize("signal", ["[FROZEN]", "[BLACKLISTED]"])
@pytest.mark.parametrize(
    ("status", "shape"),
    [
        (403, {"message": "{}"}),
        (403, {"error": {"message": "Access denied: {}"}}),
        (200, {"message": "{}"}),
        (200, {"data": "{}"}),
        (200, {"data": {"msg": "{}"}}),
        (200, "{}"),
        (200, {"status": "FAILED", "message": "{}", "data": {}}),
    ],
)
def test_chatzy_restricts_access_in_any_call(status: int, shape: Any, signal: str) -> None:
    raw = body(shape).replace(b"{}", signal.encode(), 1)
    answer = Response(status, {}, raw)
    places = ["init_conversation", "get_inference", "generate_secret"]
    for place in places if isinstance(shape, dict) else [*places, "get-response"]:
        without_token = Response(200, {}, body({"data": {"conversation_id": "c"}}))
        given = {"get_inference": without_token} if place == "generate_secret" else {}
        error = caught(Chatzy([raw], **{**given, place: answer}).ask)
        assert (type(error), error.service_message) == (AccessRestricted, signal)
        # After get_inference the question was accepted, also where no reply will come.
        was_accepted = place in ("generate_secret", "get-response")
        assert is_safe_to_ask_again(error) == (not was_accepted)
        assert ("may be charged" in error.hint) == was_accepted


def test_chatzy_may_refuse_beside_empty_data() -> None:
    """The reply is not looked for."""
    refusal = {"status": "FAILED", "status_code": 402, "message": WORDS, "data": {}}
    server = Chatzy(get_inference=Response(200, {}, body(refusal)))
    error = caught(server.ask)
    assert (error.service_message, error.status_code) == (WORDS, 402)
    assert server.seen[-1] == "get_inference"


def test_chatzys_words_about_an_agent_are_shown() -> None:
    answer = Response(200, {}, body({"data": {"valid": False, "message": WORDS}}))
    assert caught(Chatzy(init_conversation=answer).ask).service_message == WORDS


@pytest.mark.parametrize("stream", [True, False])
def test_json_that_is_no_reply_shows_its_shape(stream: bool) -> None:
    """Not its values."""
    raw = body({"items": ["private"], "total": 3})
    server = streaming(raw, create=Response(200, {}, b"" if stream else raw))
    error = caught_any(lambda: server.ask(stream=stream))
    assert isinstance(error, UnexpectedAnswer)
    assert "items, total" in str(error)
    assert "private" not in "\n".join(error.lines())


def caught_any(call: Any) -> AeronError:
    with pytest.raises(AeronError) as error:
        call()
    return error.value


@each_case(
    "system",
    [
        *([], {}, None, {"msg_id": "m"}, {"text": None}, {"html": "<p>x"}, "x", [{"a": 1}]),
        *({"text": ""}, {"text": " \n"}, [{"text": ""}]),
    ],
)
@pytest.mark.parametrize("way", ["streamed", "blank chunks", "plain", "fetched"])
def test_completed_without_any_text_is_an_error(system: Any, way: str) -> None:
    """It is fetched first, which costs nothing; the error shows the shape that came."""
    fields = {"status": "SUCCESS", "response_status": "completed", "context_token": TOKEN}
    answer = Response(200, {}, body({**fields, "system": system}))
    server = AeronPay(create=answer, fetch=answer)
    if way in ("streamed", "blank chunks"):
        event = sse("response_completed", **fields, system=system)
        blank = [sse("response_output", sequence_no=2, system={"text_chunk": " \n"})]
        server = streaming(BEGIN, *(blank if way != "streamed" else []), event, fetch=answer)
    error = caught_any(
        server.fetch if way == "fetched" else lambda: server.ask(stream=way != "plain")
    )
    assert isinstance(error, IncompleteReply)
    assert "text is missing" in str(error) or "text is empty" in str(error)
    assert error.context_token == TOKEN
    assert "{" in str(error)


@pytest.mark.parametrize("stream", [True, False])
def test_a_lost_question_that_was_not_streamed_names_the_remedy(stream: bool) -> None:
    """A long reply in one piece is silent for longer than ``timeout``."""
    lost = ConnectionLost("the service was silent for 30 s", elapsed=30.0)
    server = AeronPay(create=lost)  # type: ignore[arg-type]
    error = caught_any(lambda: server.ask(stream=stream))
    assert ("without --no-stream, in Python without stream=False" in error.hint) is not stream


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        {"status": "SUCCESS", "data": {"context_token": TOKEN, "system": {"text": WHOLE}}},
        {"status": "SUCCESS", "message": "ok"},
        [],
        [{"status": "PENDING"}],
    ],
    ids=json.dumps,
)
def test_a_whole_answer_without_a_reply_did_not_end_early(shape: Any, stream: bool) -> None:
    """The service accepted the question: it may be charged."""
    parts = [body(shape)] if stream else []
    create = STREAM if stream else Response(200, {}, body(shape))
    error = caught_any(lambda: AeronPay(parts, create=create).ask(stream=stream))
    assert isinstance(error, IncompleteReply)
    assert "JSON that is not a reply" in str(error)
    assert "ended early" not in str(error)


@pytest.mark.parametrize("missing", [None, "", "\n"])
def test_chunks_are_the_text_of_a_completed_reply_that_does_not_repeat_it(
    missing: str | None,
) -> None:
    server = streaming(BEGIN, *CHUNKS, completed(missing))
    assert server.ask().text == WHOLE
    assert server.seen == ["create-response"]


@pytest.mark.parametrize("missing", [None, "", "\n"])
def test_a_text_that_only_the_stored_reply_has_is_fetched(missing: str | None) -> None:
    server = streaming(BEGIN, completed(missing))
    assert server.ask().text == WHOLE
    assert server.seen == ["create-response", "fetch-response"]


def test_system_in_a_list_is_read() -> None:
    """In chunks and in the completed reply."""
    output = sse("response_output", sequence_no=2, system=[{"text_chunk": "one "}])
    done = sse("response_completed", context_token=TOKEN, system=[{"msg_id": "m", "text": WHOLE}])
    reply = streaming(BEGIN, output, done).ask()
    assert (reply.text, reply.displayed[0]) == ("one two", "one ")


@pytest.mark.parametrize("empty", [[], [{}], [None, {"msg_id": "n"}], [{"text": ""}]])
def test_all_texts_of_a_system_in_a_list_are_read(empty: list[Any]) -> None:
    output = sse(
        "response_output", sequence_no=2, system=[{"text_chunk": "o"}, {"text_chunk": "n"}]
    )
    parts = [*empty, {"msg_id": "m", "text": "one"}, {"text": "two"}]
    done = sse("response_completed", context_token=TOKEN, system=parts)
    reply = streaming(BEGIN, output, done).ask()
    assert (reply.text, reply.displayed[0]) == ("one\n\ntwo", "on")


def test_control_characters_that_are_not_escaped_are_read() -> None:
    raw = body({"response_status": "completed", "context_token": TOKEN, "system": {"text": "a#b"}})
    assert streaming(raw.replace(b"#", b"\x0b\n")).ask().text == "a\x0b\nb"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("framing", ["data: {}\n\n", "{}"])
@pytest.mark.parametrize("label", ["text/event-stream", "application/json; charset=utf-16"])
def test_a_body_in_utf_16_is_named(encoding: str, framing: str, label: str) -> None:
    text = framing.replace("{}", json.dumps({"response_status": "completed"}))
    server = streaming(text.encode(encoding), create=Response(200, {"content-type": label}))
    error = caught_any(server.ask)
    assert isinstance(error, UnexpectedAnswer)
    assert "UTF-16" in str(error)


def test_an_error_body_in_utf_16_is_read() -> None:
    answer = Response(400, {}, json.dumps({"message": WORDS}).encode("utf-16"))
    assert caught(AeronPay(create=answer).ask).service_message == WORDS


@pytest.mark.parametrize(
    ("encoding", "declared", "read"),
    [
        ("latin-1", "ISO-8859-1", "Prüfung: 5 £"),
        ("cp1252", '"windows-1252"', "Prüfung: 5 £"),
        ("utf-8", "iso-8859-1", "Prüfung: 5 £"),  # JSON is UTF-8 by its standard
        ("latin-1", "utf-8", "Pr\ufffdfung: 5 \ufffd"),
        ("latin-1", "idna", "Pr\ufffdfung: 5 \ufffd"),
        ("latin-1", "nonsense", "Pr\ufffdfung: 5 \ufffd"),
    ],
)
def test_json_in_another_charset_is_read_as_declared(
    encoding: str, declared: str, read: str
) -> None:
    """In one piece, in a stream, as a stored reply, and as an error."""

    def label(status: int) -> Response:
        return Response(status, {"content-type": f"application/json; charset={declared}"})

    said = {"context_token": TOKEN, "system": {"msg_id": "m", "text": "Prüfung: 5 £"}}
    done = json.dumps({"response_status": "completed", **said}, ensure_ascii=False).encode(encoding)
    whole = label(200)._replace(body=done)
    assert AeronPay(create=whole).ask(stream=False).text == read
    assert streaming(done, create=label(200)).ask().text == read
    assert AeronPay(fetch=whole).fetch().text == read
    refused = json.dumps({"message": "Prüfung: 5 £"}, ensure_ascii=False).encode(encoding)
    error = caught(AeronPay(create=label(400)._replace(body=refused)).ask)
    assert error.service_message == read


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><p>Sign in",
        "\n<html><body>x",
        "<?xml?><a/>",
        "<br />\n<b>Fatal error</b>: Uncaught Error in /srv/ai.php:3",
        "<center>502 Bad Gateway</center>",
        '<a href="/sign-in">Sign in</a>',
    ],
)
def test_a_web_page_is_never_shown(status: int, page: str) -> None:
    answer = Response(status, {"content-type": "text/html"}, page.encode())
    for server in (
        AeronPay([page.encode()], create=STREAM if status == 200 else answer),
        Chatzy(init_conversation=answer),
        Chatzy([page.encode()]),
    ):
        error = caught_any(server.ask)
        assert error.service_message is None
        assert "<" not in "\n".join(error.lines())


def test_a_remark_in_a_stream_is_not_an_error() -> None:
    """Nor is an error field that is empty."""
    remark = b'data: {"message": "still working", "error": null}\n\n'
    assert streaming(BEGIN, remark, chunk(2, "x", error=""), completed("x")).ask().text == "x"


def test_a_refusal_that_was_cut_may_have_been_accepted() -> None:
    """Only a whole body is a refusal."""
    server = streaming(b'{"message": "slow', ConnectionLost("the line broke"))
    assert isinstance(caught_any(server.ask), IncompleteReply)
