"""Where Markdown can be cut so that its parts render as they do in the whole."""

from __future__ import annotations

import re

__all__ = ["segments"]

MATH_SEEN = 2_000
"""Characters before a fence in which the beginning of a block of math is sought."""

_DEFINITION = re.compile(r"^[ \t>*+\-\d.)]*\[(?:[^\[\]\\]|\\.){1,999}\]:", re.MULTILINE | re.DOTALL)
_NOTABLE_LINE = re.compile(
    r"^(?:(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>.*)|(?:\*\*|[^\s\d*+~-]))",
    re.MULTILINE,
)


def segments(markdown: str) -> list[str]:
    """Cut ``markdown`` where that surely changes nothing, so that results can be kept.

    The HTML of a segment serves when a growing tail is painted again, and in the whole after its
    pieces. A segment begins after a blank line, at a line without indentation that cannot go on
    with a list: whatever was open is closed there, unless it is a fence that stands in no other
    block. An indented fence may stand in an item or not; if what follows does not show that it
    makes no difference, there are no further cuts. Nor are there any where links are defined,
    since a definition works everywhere.
    """
    if _DEFINITION.search(markdown):
        return [markdown]
    starts = [0]
    fence, indent, end = "", 0, 0
    for line in _NOTABLE_LINE.finditer(markdown):
        marker = line["fence"]
        if fence:
            if not marker or marker[0] != fence[0] or len(marker) < len(fence) or line["info"]:
                continue
            if indent and not _is_indented(markdown[end : line.end()], indent):
                break
            fence = ""
            continue
        if marker:
            if marker[0] == "`" and "`" in line["info"]:
                continue
            if _may_be_math(markdown, line.start()):
                break
            fence, indent, end = marker, len(line["indent"]), line.end()
            if indent:
                continue
        if markdown.startswith("\n\n", line.start() - 2):
            starts.append(line.start())
    return [markdown[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True)]


def _may_be_math(markdown: str, end: int) -> bool:
    """Whether the line that begins at ``end`` may be one of a block of math."""
    begin = max(0, end - MATH_SEEN)
    block = markdown.rfind("\n\n", begin, end)
    if block < 0 < begin:
        return True
    before = markdown[max(block, begin) : end]
    return "$$" in before or "\\[" in before or "\\begin{" in before


def _is_indented(lines: str, indent: int) -> bool:
    return all(line.startswith(" " * indent) or not line.strip() for line in lines.split("\n"))
