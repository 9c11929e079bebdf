"""Events in any order give the text of the service."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
)
from aeron_magic.replies.accumulator import FIRST_NUMBER, MAX_HELD_CHUNKS, ReplyAccumulator


def fold(
    events: Iterable[Event], accumulator: ReplyAccumulator | None = None
) -> tuple[ReplyAccumulator, list[str]]:
    """The accumulator after ``events``, and the text displayed after each."""
    accumulator = accumulator or ReplyAccumulator("aeronpay")
    return accumulator, [accumulator.add([event]) for event in events]


def chunks(*numbers: int) -> list[Event]:
    return [Chunk(f"<{number}>", number) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "text", "shown"),
    [
        ((2, 3, 4), "<2><3><4>", ["<2>", "<3>", "<4>"]),
        ((0, 1, 2), "<0><1><2>", ["<0>", "<1>", "<2>"]),
        ((1, 2, 3), "<1><2><3>", ["<1>", "<2>", "<3>"]),
        ((2, 4, 3, 5), "<2><3><4><5>", ["<2>", "", "<3><4>", "<5>"]),
        ((3, 2, 5, 4), "<2><3><4><5>", ["", "<2><3>", "", "<4><5>"]),
        ((9, 10, 11), "<9><10><11>", ["", "<9><10>", "<11>"]),
        ((2, 2, 3, 2, 3), "<2><3>", ["<2>", "", "<3>", "", ""]),
        ((2, 3, 5), "<2><3><5>", ["<2>", "<3>", ""]),
        ((9,), "<9>", [""]),
    ],
    ids=["from 2", "from 0", "from 1", "swapped", "first", "late start", "repeated", "gap", "one"],
)
def test_chunks_are_sorted_by_number(numbers: tuple[int, ...], text: str, shown: list[str]) -> None:
    """Only the next number is displayed; the text contains all chunks."""
    accumulator, pieces = fold(chunks(*numbers))
    assert pieces == shown
    assert accumulator.text == text


@given(st.permutations(range(FIRST_NUMBER, 16)), st.integers(0, 5))
def test_any_order_gives_the_same_text(order: list[int], first: int) -> None:
    """Also before the stream ends."""
    events = chunks(*(number + first for number in order))
    accumulator, _ = fold([*events, *events])
    assert accumulator.text == "".join(f"<{n + first}>" for n in range(FIRST_NUMBER, 16))


@given(st.permutations(range(FIRST_NUMBER, 12)))
def test_displayed_text_is_always_in_order(order: list[int]) -> None:
    """A chunk that is too late to be displayed is only in the text."""
    _, shown = fold(chunks(*order))
    numbers = [int(part) for part in "".join(shown).replace(">", " ").replace("<", "").split()]
    assert numbers == sorted(set(numbers))


def test_a_missing_number_delays_the_text_only_for_a_limited_time() -> None:
    """After `MAX_HELD_CHUNKS` chunks the text continues without it."""
    numbers = [2, *range(4, 4 + MAX_HELD_CHUNKS + 1)]
    accumulator, shown = fold(chunks(*numbers))
    assert shown[1:-1] == [""] * MAX_HELD_CHUNKS
    assert shown[-1] == "".join(f"<{n}>" for n in numbers[1:])
    assert accumulator.text == "".join(f"<{n}>" for n in numbers)


def test_a_late_chunk_is_in_the_text_but_not_displayed() -> None:
    """Displayed text is never changed."""
    numbers = [2, *range(4, 4 + MAX_HELD_CHUNKS + 1), 3]
    accumulator, shown = fold(chunks(*numbers))
    assert shown[-1] == ""
    assert accumulator.text == "".join(f"<{n}>" for n in sorted(numbers))


def test_chunks_without_numbers_keep_their_order() -> None:
    """Also between numbered ones."""
    events = [Chunk("a"), Chunk("b"), Chunk("c", 2), Chunk("d"), Chunk("e"), Chunk("f", 3)]
    accumulator, shown = fold(events)
    assert "".join(shown) == accumulator.text == "abcdef"
    assert fold([Completed()], accumulator)[0].text == "abcdef"


@pytest.mark.parametrize("first", [2, 7, -3, 17 * 10**14, 2**64, 10**400], ids=range(6))
@pytest.mark.parametrize("numbered", [1, 2])
def test_chunks_without_numbers_follow_numbered_ones(first: int, numbered: int) -> None:
    """However large the numbers are: no text may be lost or change its place."""
    reply = ReplyAccumulator()
    coming = [Chunk(f"{place} ", first + place) for place in range(numbered)]
    coming += [Chunk(f"{place} ") for place in range(numbered, 6)]
    shown = "".join(reply.add([chunk]) for chunk in coming)
    reply.add([Completed()])
    assert shown == reply.text == "0 1 2 3 4 5 "


def test_the_completed_text_is_the_reply() -> None:
    """Also if it differs from the chunks."""
    accumulator, shown = fold([*chunks(2, 3), Completed("All of it.")])
    assert accumulator.text == "All of it."
    assert shown == ["<2>", "<3>", ""]


def test_the_completed_text_displays_what_was_missing() -> None:
    """A missing chunk and the end are displayed with the completed text."""
    accumulator, shown = fold([*chunks(2, 4), Completed("<2><3><4>!")])
    assert shown == ["<2>", "", "<3><4>!"]
    assert "".join(accumulator.displayed) == accumulator.text


def test_without_a_completed_text_the_chunks_are_the_reply() -> None:
    """Including those that were held back."""
    accumulator, shown = fold([*chunks(2, 4), Completed()])
    assert shown[-1] == "<4>"
    assert accumulator.text == "<2><4>"
    assert accumulator.status == "complete"


def test_events_can_be_added_together_or_one_by_one() -> None:
    """One read of the stream can contain many."""
    events = [Started("t"), *chunks(2, 4, 3), Completed("<2><3><4>.")]
    accumulator = ReplyAccumulator()
    assert accumulator.add(events) == "<2><3><4>."
    assert accumulator.text == fold(events)[0].text


def test_a_new_message_begins_a_paragraph() -> None:
    """Chatzy's messages have different ids."""
    events = [Chunk("a", msg_id="1"), Chunk("b", msg_id="1"), Chunk("c", msg_id="2"), Chunk("d")]
    accumulator, shown = fold(events)
    assert shown == ["a", "b", "\n\nc", "d"]
    assert accumulator.text == "ab\n\ncd"
    assert accumulator.msg_id == "2"
    assert fold([Completed()], accumulator)[0].text == "ab\n\ncd"


def test_the_last_token_is_the_token_of_the_reply() -> None:
    """The first event has it, the last repeats it."""
    accumulator, _ = fold([Started("t1", "p1"), Completed("x", "t2", "p2", "m")])
    reply = accumulator.reply()
    assert (reply.context_token, reply.parent_context_token, reply.msg_id) == ("t2", "p2", "m")


def test_an_event_without_a_token_keeps_the_earlier_one() -> None:
    """The last event may lack it."""
    accumulator, _ = fold([Started("t", "p"), Completed("x")])
    assert accumulator.reply().context_token == "t"
    assert accumulator.reply().parent_context_token == "p"


def test_without_any_token_the_request_token_stays_valid() -> None:
    """Only if the reply is complete: a failed question does not change the position."""
    accumulator = ReplyAccumulator(request_token="sent")
    assert accumulator.reply(status="interrupted").context_token is None
    accumulator.add([Completed("x")])
    assert accumulator.reply().context_token == "sent"


def test_status_follows_the_events() -> None:
    """Processing until the service confirms the end."""
    accumulator = ReplyAccumulator()
    assert accumulator.reply().status == "processing"
    assert not accumulator.reply().is_complete
    accumulator.add([Completed("x", recovered=True)])
    assert accumulator.reply().status == "recovered"
    assert accumulator.reply().is_complete


def test_status_texts_are_replaced() -> None:
    """They explain a pause, until the next chunk."""
    accumulator = ReplyAccumulator()
    accumulator.add([ToolCalled()])
    assert "tool" in accumulator.status_text
    accumulator.add([Chunk("x")])
    assert accumulator.status_text == ""
    accumulator.add([Recovering("reset")])
    assert accumulator.status_text.startswith("reset")
    accumulator.add([Completed("xy")])
    assert accumulator.status_text == ""


def test_unknown_events_are_counted() -> None:
    """They are not errors."""
    accumulator, shown = fold([Unknown("usage"), Unknown("usage"), Unknown("other")])
    assert accumulator.unknown == {"usage": 2, "other": 1}
    assert shown == [""] * 3


def test_the_introduction_is_stored() -> None:
    """It is not part of the text."""
    accumulator, _ = fold([Introduced("Hello", ("Prices",))])
    assert accumulator.introduction == Introduced("Hello", ("Prices",))
    assert accumulator.text == ""


def test_the_text_can_be_read_from_another_thread() -> None:
    """The notebook repaints in one thread while events arrive in another."""
    accumulator = ReplyAccumulator("aeronpay", "sent")
    order = [n ^ 1 for n in range(2, 6002)]  # each pair swapped, so that the held ones are read
    whole = "".join(f"<{n}>" for n in range(2, 6002))
    done = threading.Event()
    torn: list[str] = []

    def paint() -> None:
        while not done.is_set():
            if not whole.startswith(shown := "".join(accumulator.displayed)):
                torn.append(shown)
            numbers = [int(part) for part in re.findall(r"\d+", accumulator.reply().text)]
            if numbers != sorted(set(numbers)):
                torn.append(str(numbers))

    with ThreadPoolExecutor() as pool:
        painter = pool.submit(paint)
        for event in chunks(*order):
            accumulator.add([event])
        accumulator.add([Completed()])
        done.set()
        painter.result()
    assert torn == []
    assert accumulator.text == "".join(accumulator.displayed) == whole
