"""Code highlighted with the classes of Jupyter's style sheets."""

from __future__ import annotations

import re
from html import unescape

import pytest
from each_case import each_case
from hypothesis import example, given
from hypothesis import strategies as st

from aeron_magic.rendering import highlighting
from aeron_magic.rendering.highlighting import (
    CLASSES,
    CODE_LIMIT,
    LANGUAGES,
    SLICE,
    highlight_code,
    split_code,
)

FUNCTION = 'def f(x):\n    """Say <x>."""\n    return x + 1  # more\n\n\n'


def text_of(html: str) -> str:
    return unescape(re.sub(r"</?span[^>]*>", "", html))


@each_case("language", sorted(LANGUAGES))
def test_every_language_has_a_lexer_and_keeps_the_code(language: str) -> None:
    code = "x = '<a>' & \"b\" # c\n\n\tif (y) { z }  \n-- d"
    html = highlight_code(code, language)
    assert text_of(html) == code
    assert set(re.findall(r'class="(\w+)"', html)) <= {*CLASSES.values()}


def test_code_is_plain_where_pygments_does_not_know_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older versions lack ``tsx`` and ``yml``."""
    monkeypatch.setattr(highlighting, "LANGUAGES", frozenset({"unheard-of"}))
    assert highlight_code("a: <b>", "unheard-of") == "a: &lt;b&gt;"


@example(":\\", "ini")  # its lexer ends with an empty token
@given(st.text("ab \n\t\"'#/*<>&(){}[]-=:;\\", max_size=80), st.sampled_from(sorted(LANGUAGES)))
def test_no_character_is_lost_or_added(code: str, language: str) -> None:
    assert text_of(highlight_code(code, language)) == code


def test_the_case_of_the_name_does_not_matter() -> None:
    assert (
        highlight_code("pass", "Python")
        == highlight_code("pass", "python")
        == '<span class="k">pass</span>'
    )


def test_slices_do_not_change_the_highlighting() -> None:
    code = FUNCTION * 100
    assert len(code) > 2 * SLICE
    assert highlight_code(code, "python") == highlight_code(FUNCTION, "python") * 100


@pytest.mark.parametrize("code", ["x = 1\n" * 1_500, "x" * 9_000, " = 1" * 2_500])
def test_slices_lose_nothing_without_a_good_split_point(code: str) -> None:
    assert text_of(highlight_code(code, "python")) == code


@pytest.mark.parametrize(
    ("opening", "closing", "language"),
    [('"""', '"""', "python"), ("'''", "'''", "python"), ("/*", "*/", "js"), ("`", "`", "js")],
)
def test_a_slice_does_not_end_in_a_string_or_comment(
    opening: str, closing: str, language: str
) -> None:
    """Also where its lines look like top-level code."""
    text = f"{opening}\n" + "some words\n\n" * (SLICE // 20) + f"{closing}\n"
    code = ("x = 1\n" * (SLICE // 12) + text) * 4
    parts = list(split_code(code))
    assert len(parts) > 3
    for part in parts:
        halves = part.count(opening) - part.count(closing) if opening != closing else 0
        assert halves == 0
        assert opening != closing or part.count(opening) % 2 == 0


@given(st.lists(st.sampled_from(["x" * 99, "\n", "\n\n", FUNCTION, '"""', "/*", "`"]), max_size=60))
def test_slices_are_complete_and_short(parts: list[str]) -> None:
    """This bounds the cost: most lexers can take quadratic time."""
    code = "".join(parts)
    slices = list(split_code(code))
    assert "".join(slices) == code
    assert max(map(len, slices)) <= 2 * SLICE


@given(st.lists(st.sampled_from(["word ", "\n", "\n\n", "`", "/*", "*/", "x" * 90]), max_size=200))
def test_slices_before_the_last_stay_when_code_grows(parts: list[str]) -> None:
    code = "".join(part * 9 for part in parts)
    for length in (len(code) // 3, len(code) // 2):
        finished = list(split_code(code[:length]))[:-1]
        assert list(split_code(code))[: len(finished)] == finished


def test_very_long_code_is_not_highlighted() -> None:
    assert "span" in highlight_code("x = 1 "[:CODE_LIMIT], "python")
    assert "span" not in highlight_code("x = 1\n" * CODE_LIMIT, "python")


def test_a_lexer_of_an_unlisted_language_is_not_used() -> None:
    assert highlight_code("<x>", "brainfuck") == "&lt;x&gt;"
