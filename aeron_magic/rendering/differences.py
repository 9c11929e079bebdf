"""Two texts side by side, with their differences marked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from aeron_magic.markdown_text import escape_markdown, one_line, truncate
from aeron_magic.plaintext import strip_control_sequences

COMPARED = 150
"""Words of each text, from the first difference on, that are compared."""

CONTEXT = 12
"""Equal words that are shown beside a difference."""

LONG_WORD = 24
"""Characters; a longer word, as in languages without blanks, is compared sign by sign."""


UNRELATED = 0.15
"""The share of equal words below which nothing is marked; two pages on other topics have less."""

SHOWN = 200
"""Characters of a text without marks."""


class Differences(NamedTuple):
    """Two texts on one line each, as Markdown without active content and as plain text."""

    before: str
    after: str
    plain_before: str
    plain_after: str

    @property
    def equal(self) -> bool:
        """Whether the texts have the same words."""
        return self.before == self.after


def differences(before: str, after: str) -> Differences:
    """Return two untrusted texts with what differs marked; white space is not compared.

    If they have nearly nothing in common, return the beginning of each without marks.
    """
    one, other = _words(before), _words(after)
    pairs = enumerate(zip(one, other, strict=False))
    same = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    head, one, other = one[:same], one[same:], other[same:]
    cut_one, cut_other = len(one) > COMPARED, len(other) > COMPARED
    one, other = one[:COMPARED], other[:COMPARED]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    equal = len(head) + sum(block.size for block in matcher.get_matching_blocks())
    total = 2 * len(head) + len(one) + len(other)
    if len(head) <= 2 and 2 * equal < UNRELATED * total:
        # They differ within the first words, so that what is shown differs, too.
        short = [truncate(one_line(text), SHOWN) for text in (before, after)]
        return Differences(*map(escape_markdown, short), *short)
    left: list[tuple[str, Sequence[str]]] = [("", _end(head))]
    right = [*left]
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            left.append(("", _middle(one[a:b])))
            right.append(("", _middle(one[a:b])))
        else:
            left.append(("-", one[a:b]))
            right.append(("+", other[c:d]))
    left.append(("", [" …"] if cut_one else []))
    right.append(("", [" …"] if cut_other else []))
    return Differences(
        _joined(left, _as_markdown),
        _joined(right, _as_markdown),
        _joined(left, _as_plain),
        _joined(right, _as_plain),
    )


def _words(text: str) -> list[str]:
    """The words, each with the blank before it."""
    words: list[str] = []
    for word in strip_control_sequences(text).split():
        parts = [word] if len(word) <= LONG_WORD else re.findall(r"[\x21-\x7f]{1,24}|.", word)
        words += [f" {parts[0]}", *parts[1:]]
    return words


def _end(words: Sequence[str]) -> list[str]:
    return list(words) if len(words) <= CONTEXT else ["…", *words[-CONTEXT:]]


def _middle(words: Sequence[str]) -> list[str]:
    if len(words) <= 2 * CONTEXT:
        return list(words)
    return [*words[:CONTEXT], " …", *words[-CONTEXT:]]


def _joined(parts: Iterable[tuple[str, Sequence[str]]], mark: Callable[[str, str], str]) -> str:
    texts = []
    for kind, words in parts:
        text = "".join(words)
        blank = " " if text.startswith(" ") else ""
        texts.append(blank + mark(kind, text.strip()) if text.strip() else "")
    return "".join(texts).strip()


def _as_markdown(kind: str, text: str) -> str:
    sign = {"-": "~~", "+": "**"}.get(kind, "")
    return f"{sign}{escape_markdown(text)}{sign}"


def _as_plain(kind: str, text: str) -> str:
    begin, end = {"-": ("[-", "-]"), "+": ("{+", "+}")}.get(kind, ("", ""))
    return f"{begin}{text}{end}"
