"""One recorded turn: key and JSON line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    record = Record(
        turn_key("aeronpay", text, images),
        "",
        "aeronpay",
        text,
        tuple(images),
        events=[*([1, piece] for piece in pieces), [0, {"event": "completed"}]],
    )
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
