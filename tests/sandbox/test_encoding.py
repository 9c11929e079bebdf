from __future__ import annotations

import json

import pytest

from aeron_magic.sandbox import Faults
from aeron_magic.sandbox.encoding import batched, content_type, frame, pieces, sse

EVENT = {"event": "response_output", "text": "a\nb \u2028 é"}


@pytest.mark.parametrize(("end", "bytes_"), [("lf", b"\n"), ("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_ends(end, bytes_):
    """All three that the standard knows."""
    assert sse(Faults(line_end=end), data="x") == b"data: x" + bytes_ * 2


def test_lines_of_data_are_fields_of_their_own():
    """So that a reader joins them with line feeds again."""
    assert sse(Faults(), data="x\ny", event="e", id_="7") == (
        b"id: 7\nevent: e\ndata: x\ndata: y\n\n"
    )


@pytest.mark.parametrize(
    ("framing", "first", "label"),
    [
        ("sse", b"data: {", "text/event-stream"),
        ("sse-event", b"event: response_output\ndata: {", "text/event-stream"),
        ("sse-multiline", b"data: {\ndata:   ", "text/event-stream"),
        ("ndjson", b'{"event"', "application/x-ndjson"),
        ("json", b'{"event"', "application/json"),
        ("pretty", b'{\n  "event"', "application/json"),
    ],
)
def test_framings(framing, first, label):
    """Each begins as it should, has its label, and holds the same event."""
    faults = Faults(framing=framing)
    written = frame(faults, EVENT)
    assert written.startswith(first)
    assert content_type(faults) == label
    bare = b"\n".join(
        line.removeprefix(b"data: ") for line in written.split(b"\n") if line[:6] != b"event:"
    )
    assert json.loads(bare) == EVENT


def test_escaped_json():
    """Nothing but ASCII goes over the line."""
    assert frame(Faults(ascii=True), EVENT).isascii()
    assert not frame(Faults(), EVENT).isascii()


def test_byte_order_mark():
    """It stands before the first byte, once."""
    assert b"".join(batched(Faults(bom=True), [b"a", b"b"])) == b"\xef\xbb\xbfab"


def test_bytes_leave_in_pieces_of_the_size_asked_for():
    """Whatever the events are."""
    assert list(batched(Faults(write_size=2), [b"abc", b"d"])) == [b"ab", b"c", b"d"]


def test_events_leave_together():
    """As many as asked for, the rest at the end; a pause sends what is held."""
    parts = [b"a", b"b", b"c", 0.5, b"d"]
    assert list(batched(Faults(events_per_write=2), parts)) == [b"ab", b"c", 0.5, b"d"]


@pytest.mark.parametrize("text", ["", "a", " a  b \n\nc\n", "\n", "ab cd"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_chunks_are_the_text(text, size):
    """Joined they give it back, to the last blank."""
    assert "".join(pieces(text, Faults(chunk_size=size))) == text
    assert max(map(len, pieces(text, Faults(chunk_size=size))), default=0) <= (size or 9)


def test_scripted_chunks():
    """They come exactly as given, empty ones too."""
    assert pieces("ignored", Faults(chunks=("a", "", "b"))) == ["a", "", "b"]


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("kept", [2, 3, 4]),
        ("swapped", [3, 2, 4]),
        ("repeated", [2, 2, 3, 3, 4, 4]),
        ("gap", [2, 4]),
    ],
)
def test_order_of_chunks(visitor, sandbox, order, numbers):
    """Swapped, repeated or with a gap, each chunk keeps its own number and text."""
    sandbox.set_faults(order=order)
    outputs = visitor.stream()[1:-1]
    assert [one["sequence_no"] for one in outputs] == numbers
    texts = {2: "One", 3: " two", 4: " three."}
    assert all(one["system"]["text_chunk"] == texts[one["sequence_no"]] for one in outputs)


def test_ignoring_that_a_stream_was_asked_for(visitor, sandbox):
    """One plain object answers."""
    sandbox.set_faults(framing="object")
    answer = visitor.create(stream=True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["system"]["text"] == "One two three."


def test_a_completed_text_of_its_own(visitor, sandbox):
    """It differs from the chunks, and is what the service has stored."""
    sandbox.set_faults(completed_text="Four.")
    *chunks, completed = visitor.stream()
    assert completed["system"]["text"] == "Four."
    assert chunks[1]["system"]["text_chunk"] == "One"
    assert visitor.fetch(completed["context_token"]).json()["system"]["text"] == "Four."


def test_no_completed_event(visitor, sandbox):
    """The stream ends cleanly after the last chunk; the reply is there to be fetched."""
    sandbox.set_faults(completed=False)
    events = visitor.stream()
    assert events[-1]["event"] == "response_output"
    fetched = visitor.fetch(events[0]["context_token"]).json()
    assert fetched["response_status"] == "completed"


def test_no_tokens(visitor, sandbox):
    """The fields are left out everywhere."""
    sandbox.set_faults(tokens=False)
    assert not any("context_token" in event for event in visitor.stream())
    assert "context_token" not in visitor.create().json()


def test_unknown_events_and_fields(visitor, sandbox):
    """Both stand among the known ones."""
    sandbox.set_faults(extra=True)
    events = visitor.stream()
    assert "response_usage" in [event["event"] for event in events]
    assert events[0]["trace"]


@pytest.mark.parametrize(
    ("kind", "value"), [("list", []), ("object", {}), ("null", None), ("absent", ...)]
)
def test_an_empty_system(visitor, sandbox, kind, value):
    """In every form it may have."""
    sandbox.set_faults(system_empty=kind)
    assert visitor.stream()[0].get("system", ...) == value


def test_codes_as_numbers(visitor, sandbox):
    """In events, replies and refusals."""
    sandbox.set_faults(number_codes=True)
    assert [event["status_code"] for event in visitor.stream()] == [102, 206, 206, 206, 200]
    assert visitor.fetch("no").json()["status_code"] == 400
