"""Plain text: what remains of text with control sequences."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from each_case import each_case
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.plaintext import (
    BODY_LIMIT,
    VISIBLE,
    ControlSequenceFilter,
    printable,
    strip_control_sequences,
)

CASES = {
    "plain text, tabs and line ends stay": ("a\tb\nc äöü 漢字 😀\n", "a\tb\nc äöü 漢字 😀\n"),
    "colours are removed": ("a\x1b[31;1mred\x1b[0m", "ared"),
    "clearing the screen is removed": ("\x1b[2J\x1b[H\x1bcx", "x"),
    "a title that ends with BEL is removed": ("a\x1b]0;title\x07b", "ab"),
    "a link that ends with ST is removed": ("\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"),
    "the clipboard is not set": ("\x1b]52;c;aGVsbG8=\x07x", "x"),
    "device control strings are removed": (
        "\x1bPq#0\x1b\\x\x1bXs\x1b\\\x1b^p\x1b\\\x1b_a\x1b\\y",
        "xy",
    ),
    "C1 introducers count as ESC's": ("\x9b31mx\x9d0;t\x9cy\x90q\x9cz", "xyz"),
    "C1 controls are removed": ("a\x85b\x84c", "abc"),
    "a character set is not selected": ("\x1b(0x\x1b)By", "xy"),
    "two-character escapes are removed": ("\x1b7a\x1b8\x1bMb\x1b=", "ab"),
    "bells, backspaces and deletions are removed": ("a\x07b\x08c\x7fd\x00\x0b\x0c", "abcd"),
    "bidi controls are removed": ("a\u202eb\u2066c\u200fd\u061ce", "abcde"),
    "all line ends become line feeds": ("a\r\nb\rc\n\rd", "a\nb\nc\n\nd"),
    "Unicode line separators are text": ("a\u2028b", "a\u2028b"),
    "a surrogate pair is joined": ("\ud83d\ude00", "😀"),
    "an unpaired surrogate is replaced": ("\ud83dx\ude00", "\ufffdx\ufffd"),
    "a string without end loses its introducer": ("a\x1b]0;title\nb", "a0;title\nb"),
    "an overlong string loses its introducer": (
        "\x1b]" + "x" * (BODY_LIMIT + 1) + "\x07y",
        "x" * (BODY_LIMIT + 1) + "y",
    ),
    "an unfinished sequence loses its introducer": ("a\x1b[3", "a3"),
    "an escape within an escape": ("\x1b\x1b[31mx\x1b[\x1b]0;t\x07y", "xy"),
}

PIECES = st.lists(
    st.sampled_from([*"a[]0;m\\(BP \r\n\x1b\x07\x9c\x9b\x9d\ud83d\ude00\u202e", "xy" * 600])
    | st.text(max_size=3),
    max_size=12,
)


@each_case(("text", "expected"), CASES.values())
def test_control_sequences_are_removed(text: str, expected: str) -> None:
    assert strip_control_sequences(text) == expected


@each_case(("text", "expected"), CASES.values())
def test_a_sequence_may_be_cut_after_each_character(text: str, expected: str) -> None:
    text_filter = ControlSequenceFilter()
    assert "".join(map(text_filter.feed, text)) + text_filter.close() == expected


@given(PIECES)
def test_the_filter_gives_the_same_text_for_any_pieces(pieces: list[str]) -> None:
    text_filter = ControlSequenceFilter()
    fed = "".join(map(text_filter.feed, pieces)) + text_filter.close()
    assert fed == strip_control_sequences("".join(pieces))


@given(PIECES)
def test_no_control_sequence_is_left_or_created(pieces: list[str]) -> None:
    cleaned = strip_control_sequences("".join(pieces))
    assert strip_control_sequences(cleaned) == cleaned
    assert not {"\x1b", "\r", "\x07", "\x9b", "\x9d", "\u202e"} & set(cleaned)
    cleaned.encode()


@pytest.mark.parametrize("text", ["a", "\u0939", "\U0001f600", "\u200b.", "\ufffd", "\ue000"])
def test_text_is_visible(text: str) -> None:
    """Also one symbol, and what only some fonts have."""
    assert VISIBLE.search(text)


@pytest.mark.parametrize(
    "text", ["", " \t\r\n\u3000", "\x00\x1f\x85", "\u200b\u2060\ufeff\xad", "\u3164"]
)
def test_white_space_and_format_characters_are_invisible(text: str) -> None:
    assert not VISIBLE.search(text)


def test_a_sequence_that_never_ends_does_not_hold_back_the_reply() -> None:
    text_filter = ControlSequenceFilter()
    shown = "".join(text_filter.feed("x") for _ in range(5)) + text_filter.feed("\x1b]0;")
    shown += "".join(text_filter.feed("y") for _ in range(BODY_LIMIT + 10))
    assert len(shown) > BODY_LIMIT


def test_clean_text_is_returned_as_it_is() -> None:
    text = "A line of prose.\n" * 10
    assert strip_control_sequences(text) is text
    assert ControlSequenceFilter().feed(text) is text


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "a → ☺ न"),
        ("ascii", "a ? ? ?"),
        ("cp1252", "a ? ? ?"),
        ("no-such-codec", "a ? ? ?"),
    ],
)
def test_what_the_standard_output_cannot_encode_is_replaced(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(encoding=encoding))
    assert printable("a → ☺ न") == shown
