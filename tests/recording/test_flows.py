"""Flows that record and replay: events, pauses, errors, and what is not recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from records import make_record

from aeron_magic.errors import (
    AeronError,
    FailedReply,
    IncompleteReply,
    RateLimited,
    Unreachable,
    UsageError,
)
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
)
from aeron_magic.protocol.flow import Flow, Question, Sleep
from aeron_magic.recording.flows import record_flow, replay_flow
from aeron_magic.recording.record import Record, placeholder_token
from aeron_magic.replies.accumulator import ReplyAccumulator

QUESTION = Question("What is it?")


def flow(*steps: Any) -> Flow[None]:
    """A flow that yields ``steps``; an exception among them is raised."""
    for step in steps:
        if isinstance(step, Exception):
            raise step
        yield step


def recorded(*steps: Any, ticks: Iterator[float] | None = None, **options: Any) -> Record | None:
    """The record of a flow of ``steps``, driven to its end."""
    kept: list[Record] = []
    clock = (lambda: next(ticks)) if ticks else (lambda: 0.0)
    driven = record_flow(
        flow(*steps), QUESTION, "aeronpay", "", lambda r, _: kept.append(r), clock=clock, **options
    )
    try:
        for _ in driven:
            pass
    except AeronError:
        pass
    return kept[0] if kept else None


def replayed(record: Record, **options: Any) -> tuple[list[Any], AeronError | None]:
    """What a replay yields, and the error that ends it."""
    steps: list[Any] = []
    try:
        for step in replay_flow(record, **options):
            steps.append(step)
    except AeronError as error:
        return steps, error
    return steps, None


def test_a_reply_replays_with_its_chunks_and_pauses() -> None:
    ticks = iter([0.0, 0.25, 0.5, 1.0, 1.0])
    record = recorded(
        [Started("apay_1")],
        [Chunk("Hel", 2, "msg_1")],
        [Chunk("lo", 3, "msg_1")],
        [Completed("Hello", "apay_1", msg_id="msg_1")],
        ticks=ticks,
    )
    assert record is not None
    events = json.loads(record.to_json_line())["events"]
    assert events == [[500, "Hel"], [500, "lo"], [0, {"event": "completed"}]]
    steps, error = replayed(record, parent="p")
    assert error is None
    assert [step.seconds for step in steps if isinstance(step, Sleep)] == [0.5, 0.5]
    accumulator = ReplyAccumulator()
    for step in steps:
        if isinstance(step, list):
            accumulator.add(step)
    reply = accumulator.reply()
    assert (reply.text, reply.status, reply.replayed) == ("Hello", "complete", True)
    assert reply.context_token == placeholder_token(record.key)
    assert reply.parent_context_token == "p"
    assert accumulator.displayed == ["Hel", "lo"]


@pytest.mark.parametrize(("speed", "pauses"), [(0.0, []), (2.0, [0.5])])
def test_the_speed_of_a_replay(speed: float, pauses: list[float]) -> None:
    record = make_record("aeronpay", "q", [1000, "text"], [0, {"event": "completed"}])
    steps, _ = replayed(record, speed=speed)
    assert [step.seconds for step in steps if isinstance(step, Sleep)] == pauses


def test_neither_tokens_nor_message_ids_are_in_a_record() -> None:
    record = recorded(
        [Started("apay_1", "apay_0")],
        [Chunk("a", 2, "msg_1"), Chunk("b", None, "msg_2")],
        FailedReply("It failed for apay_1.", hint="fetch apay_1", context_token="apay_1"),
    )
    assert record is not None
    assert "apay_" not in record.to_json_line()
    assert "msg_" not in record.to_json_line()


def test_a_secret_in_a_reply_is_not_in_its_record() -> None:
    record = recorded([Chunk('the secret is s3"cret.')], [Completed()], secrets=['s3"cret'])
    assert record is not None
    assert "s3" not in record.to_json_line()
    assert record.text == "the secret is [secret]."


def test_a_question_with_a_secret_is_not_recorded() -> None:
    """Without the secret its key would not fit it; the reply is not lost."""
    assert recorded([Chunk("yes")], [Completed()], secrets=[QUESTION.text]) is None


def test_half_a_surrogate_pair_is_recorded_as_text() -> None:
    record = recorded([Chunk("a\ud83d"), Chunk("\ude00 b"), Chunk("\ud83d")], [Completed()])
    assert record is not None
    assert Record.from_line(record.to_json_line()).text == "a\U0001f600 b\ufffd"


def test_events_without_text_are_replayed() -> None:
    steps = [
        [Introduced("Hi!", ("A", "B")), Started("c")],
        [ToolCalled(), Unknown("x")],
        [Recovering("cut")],
        [Chunk("text"), Completed("text and more", "c", recovered=True)],
    ]
    record = recorded(*steps)
    assert record is not None
    assert record.status == "recovered"
    assert record.text == "text and more"
    events = [event for step in replayed(record)[0] if isinstance(step, list) for event in step]
    assert [type(event) for event in events] == [
        Started,
        Introduced,
        ToolCalled,
        Recovering,
        Chunk,
        Completed,
    ]


def test_chunks_out_of_order_replay_as_the_whole_text() -> None:
    record = recorded([Chunk("b", 3), Chunk("a", 2)], [Completed("ab")])
    assert record is not None
    assert record.text == "ab"


def test_an_error_is_recorded_and_raised_again() -> None:
    record = recorded(
        [Started("apay_1")],
        [Chunk("half")],
        RateLimited("Too many.", hint="Wait.", status_code=429, service_message="slow down"),
    )
    assert record is not None
    assert record.status == "failed"
    _, error = replayed(record)
    assert isinstance(error, RateLimited)
    assert (error.status_code, error.service_message, error.hint) == (429, "slow down", "Wait.")


def test_a_cut_reply_is_recorded_as_incomplete() -> None:
    record = recorded([Chunk("half")], IncompleteReply("Cut."))
    assert record is not None
    assert (record.status, record.is_complete, record.text) == ("incomplete", False, "half")


def test_an_interrupted_reply_replays_as_incomplete() -> None:
    kept: list[Record] = []
    driven = record_flow(
        flow([Chunk("half")], [Completed("half and half")]),
        QUESTION,
        "aeronpay",
        "",
        lambda r, _: kept.append(r),
        clock=lambda: 0.0,
    )
    next(driven)
    driven.close()
    assert kept[0].status == "interrupted"
    assert isinstance(replayed(kept[0])[1], IncompleteReply)


@pytest.mark.parametrize("error", [Unreachable("no"), UsageError("no")])
def test_a_question_that_was_not_sent_is_not_recorded(error: AeronError) -> None:
    assert recorded(error) is None
