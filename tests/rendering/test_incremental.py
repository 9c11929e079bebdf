"""A growing reply in finished pieces and a tail."""

from __future__ import annotations

import sys
from types import FrameType
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.rendering import incremental as module
from aeron_magic.rendering import safe_html
from aeron_magic.rendering.incremental import (
    LIMIT,
    MAX_OUTPUTS,
    MarkdownBlock,
    MarkdownStream,
    render_block,
)
from aeron_magic.rendering.safe_html import to_html

PARAGRAPH = "Words of a paragraph, *some* of them `code`, and more of them. " * 5 + "\n\n"
CODE = "```python\n" + "value = value + 1  # more\n" * 300 + "```\n"
TABLE = "| a | b |\n|---|--:|\n" + "| one | 2 |\n" * 500
LIST = "".join(
    f"{n}. item {n} with words that fill its line to some length\n" for n in range(1, 90)
)
BULLETS = "- item with words that fill its line to some length\n" * 90
QUOTE = "> said with words that fill its line to some length\n" * 90
LINES = "A line of a paragraph that never ends with a blank line\n" * 90
SENTENCES = "A sentence in one line. Another one without any end of line! " * 90
WORD = "x" * 9_000
NESTED = "1. step\n\n   ```js\n" + "   let x = 1\n" * 300 + "   ```\n2. step\n"
MATH = "$$\n" + "x + y \\\\\n" * 400 + "$$\n"
ENDLESS = {
    "code": CODE, "table": TABLE, "list": LIST, "bullets": BULLETS, "quote": QUOTE,
    "lines": LINES, "sentences": SENTENCES, "word": WORD, "nested": NESTED, "math": MATH,
}  # fmt: skip

BLOCKS = st.lists(
    st.sampled_from(
        [
            *("a\n", "b. c", " ", "\n", "\n\n", "- x\n", "  y\n", "1. n\n", "7) m\n", "# h\n", "`"),
            *(
                "```\n",
                "```py\n",
                "  ```\n",
                "~~~\n",
                "> q\n",
                "    code\n",
                "$$\n",
                "\\[\n",
                "\\]\n",
            ),
            *("| a | b |\n", "|---|---|\n", "---\n", "===\n", "\t", "*", "\u2028", "\r", "é" * 30),
        ]
    ),
    max_size=60,
).map("".join)


def cut(text: str, size: int, limit: int = LIMIT) -> tuple[list[MarkdownBlock], MarkdownBlock, int]:
    """Return the pieces and the tail of ``text`` in chunks of ``size``, and the longest tail."""
    pieces, ready, longest = MarkdownStream(limit), [], 0
    for begin in range(0, len(text), size):
        pieces.add(text[begin : begin + size])
        ready += pieces.pop_finished()
        longest = max(longest, len(pieces.tail.source))
    return ready, pieces.tail, longest


@given(BLOCKS, st.integers(1, 40), st.integers(5, 60))
def test_the_pieces_and_the_tail_are_the_text(text: str, size: int, limit: int) -> None:
    ready, tail, _ = cut(text, size, limit)
    assert "".join(piece.source for piece in [*ready, tail]) == text
    for piece in ready:
        assert piece.source
        render_block(piece)


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_tail_that_never_closes_stays_short(text: str, size: int) -> None:
    ready, tail, longest = cut(text, size)
    assert "".join(piece.source for piece in [*ready, tail]) == text
    assert longest <= 2 * LIMIT
    assert max(len(piece.source) for piece in ready) <= 2 * LIMIT + 100


def test_a_piece_ends_between_two_blocks() -> None:
    ready, _, _ = cut(PARAGRAPH * 20, 5)
    assert len(ready) > 3
    for piece in ready:
        assert len(piece.source) >= LIMIT
        assert piece.source.endswith(".\n\n") or piece.source.endswith(". \n\n")
        assert not piece.context


@pytest.mark.parametrize(
    "block",
    [CODE[:1_500] + "\n```\n", LIST[:1_500], NESTED[:1_400] + "   ```\n"],
    ids=["code", "list", "nested"],
)
def test_a_block_is_not_cut_before_twice_the_limit(block: str) -> None:
    ready, _, _ = cut(PARAGRAPH + block + "\n\n" + PARAGRAPH * 8, 3)
    begin = len(PARAGRAPH)
    ends = [len("".join(p.source for p in ready[: n + 1])) for n in range(len(ready))]
    assert ends
    assert not [end for end in ends if begin < end < begin + len(block)]


def test_code_goes_on_in_a_fence_of_the_same_language() -> None:
    ready, tail, _ = cut(CODE, 9)
    assert all(piece.context == "```python\n" for piece in [*ready[1:], tail])
    assert all(piece.source.endswith("\n") for piece in ready)
    assert all('<span class="c"># more</span>' in render_block(piece) for piece in [*ready, tail])


def test_code_that_was_cut_is_cut_again_at_the_limit() -> None:
    """It cannot be kept together any more, and a short tail costs less."""
    ready, _, _ = cut(CODE, 9)
    assert len(ready[0].source) > 2 * LIMIT - 50
    assert {len(piece.source) for piece in ready[1:]} <= set(range(LIMIT, LIMIT + 50))


def test_a_table_goes_on_under_its_head() -> None:
    ready, _, _ = cut(TABLE, 9)
    assert {piece.context for piece in ready[1:]} == {"| a | b |\n|---|--:|\n"}
    assert all(render_block(piece).count("<thead>") == 1 for piece in ready)


def test_a_table_begins_a_piece_and_is_cut_once_it_is_over_the_limit() -> None:
    """Not at twice that: its HTML is several times as long as its text."""
    prose = PARAGRAPH * 2
    short, _, _ = cut(prose + TABLE[:900] + "\n\n" + PARAGRAPH, 3)
    assert short[0].source == prose
    assert short[1].source.startswith("| a | b |\n")
    assert "\n\n" in short[1].source
    long, _, longest = cut(prose + TABLE, 3)
    assert long[0].source == prose
    assert {len(piece.source) for piece in long[1:9]} <= set(range(LIMIT, LIMIT + 20))
    assert longest < LIMIT + 20


def test_a_head_that_is_long_is_not_repeated() -> None:
    wide = "|" + "a" * 600 + "|b|\n|---|---|\n" + "| 1 | 2 |\n" * 500
    assert {piece.context for piece in cut(wide, 9)[0]} == {""}


def test_a_list_goes_on_with_its_next_number() -> None:
    ready, _, _ = cut(LIST, 9)
    number = 1
    for piece in ready:
        assert piece.source.startswith(f"{number}. ")
        number += piece.source.count("\n")


def test_a_list_that_says_one_everywhere_is_numbered_on() -> None:
    ready, _, _ = cut("1. item with words that fill its line to some length\n" * 90, 9)
    count = ready[0].source.count("\n")
    assert ready[1].number == count + 1
    assert f'<ol start="{count + 1}">' in render_block(ready[1])


def test_code_in_an_item_goes_on_in_the_item() -> None:
    ready, tail, _ = cut(NESTED, 9)
    assert {piece.context for piece in ready[1:]} <= {"1.\n   ```js\n", ""}
    for piece in ready[1:-1]:
        assert render_block(piece).startswith('<ol>\n<li><figure class="highlight">')
    assert tail.source.endswith("2. step\n")


def test_a_heading_stays_with_what_follows() -> None:
    ready, _, _ = cut((PARAGRAPH * 2 + "## Next\n\n") * 9, 4)
    assert ready
    assert not [piece for piece in ready if piece.source.endswith("## Next\n\n")]


def test_a_line_is_cut_at_a_sentence_or_else_at_a_space() -> None:
    assert all(piece.source.endswith((". ", "! ")) for piece in cut(SENTENCES, 4)[0])
    assert all(piece.source.endswith(" ") for piece in cut("some words " * 900, 4)[0])


def test_the_pieces_of_a_very_long_reply_are_few() -> None:
    ready, _, _ = cut((PARAGRAPH + LIST + "\n" + CODE + "\n") * 16, 1_000)
    assert sum(len(piece.source) for piece in ready) > 200_000
    assert len(ready) <= MAX_OUTPUTS
    ready, _, _ = cut((PARAGRAPH + LIST + "\n" + CODE + "\n") * 80, 1_000)
    assert len(ready) <= MAX_OUTPUTS + 8


def test_a_line_that_may_yet_be_a_list_does_not_make_a_heading() -> None:
    """``Text`` and ``-`` is a heading, ``Text`` and ``- item`` is not."""
    pieces = MarkdownStream()
    pieces.add("Text\n-")
    assert pieces.tail.source == "Text\n-"
    assert render_block(pieces.tail) == "<p>Text</p>\n"
    pieces.add(" item")
    assert "<li>item</li>" in render_block(pieces.tail)


def test_pieces_look_like_the_whole() -> None:
    """Where the cuts fall between blocks, the HTML is the same."""
    text = (
        PARAGRAPH + "# Head\n\n- a\n- b\n\n```py\nx = 1\n```\n\n> q\n\n" + TABLE[:300] + "\n\n"
    ) * 9
    ready, tail, _ = cut(text, 6)
    assert len(ready) > 3
    assert "".join(map(render_block, [*ready, tail])) == to_html(text)


def steps(text: str, size: int) -> int:
    """Return how many lines of ``incremental`` run for ``text`` in chunks of ``size``."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        if frame.f_code.co_filename != module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        pieces = MarkdownStream()
        for begin in range(0, len(text), size):
            pieces.add(text[begin : begin + size])
            pieces.pop_finished()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_the_work_is_linear_in_the_text(text: str) -> None:
    once, fourfold = steps(text, 7), steps(text * 4, 7)
    assert fourfold <= 4.4 * once


@pytest.mark.parametrize(
    "text",
    [PARAGRAPH * 60, CODE * 3, TABLE * 3, LIST * 4],
    ids=["paragraphs", "code", "table", "list"],
)
def test_a_text_that_comes_at_once_is_parsed_little_more_than_once(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block is then as long as the part that is parsed to find its end allows."""
    parse = Mock(wraps=safe_html.block_tokens)
    monkeypatch.setattr(safe_html, "block_tokens", parse)
    cut(text, len(text))
    assert sum(len(call.args[0]) for call in parse.call_args_list) < 1.25 * len(text)


LONG = {
    "headings": "#\n" * 20_000,
    "carriage returns": "a\r" * 20_000,
    "cells": "|a|b|\n|-|-|\n" * 5_000,
    "one line": "*a* " * 75_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_what_follows_a_very_long_beginning_is_plain_text(text: str) -> None:
    """A megabyte of two-character lines took half a minute."""
    stream, blocks = MarkdownStream(), []
    for begin in range(0, len(text), 1_000):
        stream.add(text[begin : begin + 1_000])
        blocks += stream.pop_finished()
    blocks.append(stream.tail)
    assert "".join(block.source for block in blocks) == text
    begin = next(number for number, block in enumerate(blocks) if block.is_plain)
    assert all(block.is_plain for block in blocks[begin:])
    formatted = "".join(block.source for block in blocks[:begin])
    assert len(text) / 4 < len(formatted) < len(text) * 0.9
    assert "<figure" in render_block(MarkdownBlock("# a", is_plain=True))
