"""One recorded turn: key and JSON line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import make_record

from aeron_magic.errors import RecordingError
from aeron_magic.recording.record import Record, key_of_token, placeholder_token, turn_key


def test_the_key_depends_on_the_question_and_its_parent() -> None:
    first = turn_key("aeronpay", "a")
    assert first == turn_key("aeronpay", "a")
    others = [
        turn_key("chatzy", "a"),
        turn_key("aeronpay", "b"),
        turn_key("aeronpay", "a", ("https://x/y.png",)),
        turn_key("aeronpay", "a", (), first),
    ]
    assert len({first, *others}) == 5


def test_a_placeholder_token_contains_its_key() -> None:
    assert key_of_token(placeholder_token("abc")) == "abc"
    assert key_of_token("apay_abc") is None


@given(
    text=st.text(min_size=1),
    pieces=st.lists(st.text(), max_size=5),
    images=st.lists(st.text(), max_size=2),
)
def test_a_record_is_one_line_that_reads_back(
    text: str, pieces: list[str], images: list[str]
) -> None:
    events = [*([1, piece] for piece in pieces), [0, {"event": "completed"}]]
    record = make_record("aeronpay", text, *events, images=images)
    line = record.to_json_line()
    assert len(line.splitlines()) == 1
    assert line.startswith('{"key":"')
    assert Record.from_line(line) == record


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "{",
        '{"key":"k"}',
        json.dumps({"key": "k", "after": "", "service": "s", "question": "q", "status": "complete",
                    "events": [[1]]}),
        json.dumps({"key": "k", "after": "", "service": "s", "question": "q", "status": "complete",
                    "events": [[1, {}]]}),
    ],
)  # fmt: skip
def test_an_invalid_line_is_an_error(line: str) -> None:
    with pytest.raises(RecordingError):
        Record.from_line(line)


VALID: dict[str, Any] = json.loads(
    make_record("aeronpay", "q", [1, "a"], [2, "b", 1]).to_json_line()
)


@pytest.mark.parametrize(
    "change",
    [
        {"question": "another question"},
        {"after": turn_key("aeronpay", "elsewhere")},
        {"service": "chatzy"},
        {"images": ["https://a.example/1.png"]},
        {"key": "0" * 24},
    ],
)
def test_a_key_that_does_not_fit_the_content_is_an_error(change: dict[str, Any]) -> None:
    """It could make a replayed conversation continue with foreign questions."""
    with pytest.raises(RecordingError, match="the key does not fit"):
        Record.from_line(json.dumps(VALID | change))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "\x1b[2J"},
        {"events": 5},
        {"events": [["1", "a"]]},
        {"events": [[-1, "a"]]},
        {"events": [[1e300, "a"]]},
        {"events": [[1, 5]]},
        {"events": [[1, "a", "b"]]},
        {"events": [[1, "a", 1, 1]]},
        {"events": [[1, {"event": "\x1b[2J"}]]},
        {"events": [[1, {"event": "completed", "text": ["a"]}]]},
        {"events": [[1, {"event": "introduced", "text": "a", "buttons": "ab"}]]},
        {"error": "x"},
        {"error": {"status_code": "500"}},
        {"images": "https://a.example/1.png"},
        {"question": None},
        {"question": "\ud800"},
    ],
)
def test_a_value_of_another_type_is_an_error_that_does_not_repeat_it(
    change: dict[str, Any],
) -> None:
    with pytest.raises(RecordingError) as caught:
        Record.from_line(json.dumps(VALID | change))
    assert caught.value.message.isprintable()
    assert "2J" not in caught.value.message


@pytest.mark.parametrize(
    "data", [b'{"key":' * 100_000, b'{"other":' * 100_000, b"[" * 100_000, b"\xff", b"\x00"]
)
def test_a_line_that_is_not_json_is_an_error(data: bytes) -> None:
    with pytest.raises(RecordingError):
        Record.from_line(data)
