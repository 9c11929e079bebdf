from __future__ import annotations

import json

import pytest

from aeron_magic.sandbox import Faults
from aeron_magic.sandbox.encoding import content_type, frame, split_text, split_writes, sse

EVENT = {"event": "response_output", "text": "a\nb \u2028 é"}


@pytest.mark.parametrize(("end", "bytes_"), [("lf", b"\n"), ("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_ends(end, bytes_):
    """All three of the standard."""
    assert sse(Faults(line_end=end), data="x") == b"data: x" + bytes_ * 2


def test_each_line_of_data_is_a_field():
    """A reader joins them with line feeds."""
    assert sse(Faults(), data="x\ny", event="e", id_="7") == (
        b"id: 7\nevent: e\ndata: x\ndata: y\n\n"
    )


@pytest.mark.parametrize(
    ("framing", "first", "kind"),
    [
        ("sse", b"data: {", "text/event-stream"),
        ("sse-event", b"event: response_output\ndata: {", "text/event-stream"),
        ("sse-multiline", b"data: {\ndata:   ", "text/event-stream"),
        ("ndjson", b'{"event"', "application/x-ndjson"),
        ("json", b'{"event"', "application/json"),
        ("pretty", b'{\n  "event"', "application/json"),
    ],
)
def test_framings(framing, first, kind):
    """Each has its start and content type, and contains the same event."""
    faults = Faults(framing=framing)
    written = frame(faults, EVENT)
    assert written.startswith(first)
    assert content_type(faults) == kind
    bare = b"\n".join(
        line.removeprefix(b"data: ") for line in written.split(b"\n") if line[:6] != b"event:"
    )
    assert json.loads(bare) == EVENT


def test_byte_order_mark():
    """Once, before the first byte."""
    assert b"".join(split_writes(Faults(bom=True), [b"a", b"b"])) == b"\xef\xbb\xbfab"


def test_writes_have_the_set_size():
    """Independent of the events."""
    assert list(split_writes(Faults(write_size=2), [b"abc", b"d"])) == [b"ab", b"c", b"d"]


@pytest.mark.parametrize("text", ["", "a", " a  b \n\nc\n", "\n", "ab cd"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_joined_chunks_are_the_text(text, size):
    """Including spaces at its end."""
    assert "".join(split_text(text, Faults(chunk_size=size))) == text
    assert max(map(len, split_text(text, Faults(chunk_size=size))), default=0) <= (size or 9)


def test_set_chunks():
    """They are sent exactly as given, empty ones, too."""
    assert split_text("ignored", Faults(chunks=("a", "", "b"))) == ["a", "", "b"]


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


def test_stream_true_can_be_ignored(visitor, sandbox):
    """The answer is one plain object."""
    sandbox.set_faults(framing="object")
    answer = visitor.create(stream=True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["system"]["text"] == "One two three."


def test_no_completed_event(visitor, sandbox):
    """The stream ends after the last chunk; the reply can be fetched."""
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
    """Among the known ones."""
    sandbox.set_faults(extra=True)
    events = visitor.stream()
    assert "response_usage" in [event["event"] for event in events]
    assert events[0]["trace"]


@pytest.mark.parametrize(
    ("kind", "value"), [("list", []), ("object", {}), ("null", None), ("absent", ...)]
)
def test_an_empty_system(visitor, sandbox, kind, value):
    """In every form."""
    sandbox.set_faults(system_empty=kind)
    assert visitor.stream()[0].get("system", ...) == value


def test_codes_as_numbers(visitor, sandbox):
    """In events, replies and refusals."""
    sandbox.set_faults(number_codes=True)
    assert [event["status_code"] for event in visitor.stream()] == [102, 206, 206, 206, 200]
    assert visitor.fetch("no").json()["status_code"] == 400
