"""Two texts side by side, with what differs marked."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.differences import differences
from aeron_magic.rendering.safe_html import to_html
from aeron_magic.sandbox.answers.answer import answer
from aeron_magic.sandbox.answers.pages import handbook


def test_words_are_marked() -> None:
    marked = differences("It takes three to five days.", "It takes\nthree to seven days, usually.")
    assert marked.plain_before == "It takes three to [-five days.-]"
    assert marked.plain_after == "It takes three to {+seven days, usually.+}"
    assert marked.before == "It takes three to ~~five days.~~"
    assert marked.after == "It takes three to **seven days, usually.**"


def test_white_space_is_no_difference() -> None:
    marked = differences("a\n\nb", " a b ")
    assert marked == ("a b", "a b", "a b", "a b")
    assert marked.equal


def test_texts_with_nearly_nothing_in_common_are_short_and_without_marks() -> None:
    page = answer("How do I export a conversation?")
    marked = differences("Five *days*, to the card.", page)
    assert marked.before == r"Five \*days\*, to the card."
    assert marked.plain_before == "Five *days*, to the card."
    assert marked.plain_after.startswith("### Exporting a conversation `%aeron export FILE`")
    assert marked.plain_after.endswith("…")
    assert not {"{+", "[-"} & set(marked.plain_after.split())
    assert len(marked.plain_after) == 200
    for other in handbook().values():
        marked = differences(page, answer(other.title))
        assert marked.equal or "{+" not in marked.plain_after, other.name


def test_a_difference_late_in_a_long_text_is_shown() -> None:
    words = [f"word{number}" for number in range(5000)]
    marked = differences(" ".join([*words, "five", *words]), " ".join([*words, "six", *words]))
    assert "word4999 ~~five~~ word0" in marked.before
    assert "word4999 **six** word0" in marked.after
    assert marked.before.startswith("… word")
    assert len(marked.before) < 4000


def test_a_language_without_blanks_is_compared_by_signs() -> None:
    text = "退款通常需要三到五个工作日才能到账请耐心等待并注意查收银行通知"
    marked = differences(text, text.replace("五", "七"))
    assert "三到[-五-]个" in marked.plain_before
    assert "三到{+七+}个" in marked.plain_after


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "![x](https://e.example/p)", "| a | b |", "`x`", "$x$"]
)
def test_it_is_not_active(text: str) -> None:
    marked = differences(f"same {text} old", f"same {text} new")
    html = str(to_html(f"| a | b |\n| --- | --- |\n| {marked.before} | {marked.after} |"))
    assert "<img" not in html
    assert "<a" not in html
    assert "math" not in html
    assert html.count("<td") == 2
    assert "<s>old</s>" in html
    assert "<strong>new</strong>" in html


@given(st.text(), st.text())
def test_any_two_texts(before: str, after: str) -> None:
    marked = differences(before, after)
    words = [strip_control_sequences(text).split() for text in (before, after)]
    assert marked.equal == (words[0] == words[1])
    assert not any("\n" in text for text in marked)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a " * 100_000, "b " * 100_000),
        ("ab" * 100_000, "ba" * 100_000),
        ("a b " * 9999, "b a c" * 9999),
    ],
)
def test_long_texts_take_little_time(one: str, other: str) -> None:
    began = time.process_time()
    differences(one, other)
    assert time.process_time() - began < 2
