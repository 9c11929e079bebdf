"""One recorded turn: its key, and its line of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.errors import RecordingError
from aeron_magic.recording.record import Record, key_of_token, placeholder_token, turn_key


def test_the_key_is_the_question_and_what_came_before_it() -> None:
    first = turn_key("aeronpay", "a")
    assert first == turn_key("aeronpay", "a")
    others = [
        turn_key("chatzy", "a"),
        turn_key("aeronpay", "b"),
        turn_key("aeronpay", "a", ("https://x/y.png",)),
        turn_key("aeronpay", "a", (), first),
    ]
    assert len({first, *others}) == 5


def test_a_stand_in_says_its_key_and_a_real_token_none() -> None:
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
def test_a_line_that_is_no_record_is_an_error(line: str) -> None:
    with pytest.raises(RecordingError):
        Record.from_line(line)
