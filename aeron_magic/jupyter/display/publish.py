"""Displays of ours: what a command answers, as Markdown in a notebook and as text in a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aeron_magic.jupyter.frontend import has_kernel
from aeron_magic.markdown_text import SPECIAL, escaped_table, one_line, truncate
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.mimebundle import mimebundle

__all__ = [
    "plain_table",
    "publish",
    "show_markdown",
    "show_message",
    "show_table",
    "strip_markup",
    "write",
]

_MARKS = re.compile(rf"\\([{re.escape(SPECIAL)}])|`|\*\*")


def publish(
    *,
    data: dict[str, str],
    metadata: dict[str, Any],
    transient: dict[str, Any] | None = None,
    update: bool = False,
) -> None:
    """Publish one display to the front end."""
    from IPython.display import publish_display_data

    publish_display_data(  # type: ignore[no-untyped-call]
        data=data, metadata=metadata, transient=transient, update=update
    )


def write(*, data: dict[str, str], **_rest: object) -> None:
    """Show a display in a terminal."""
    print(strip_control_sequences(data["text/plain"]))  # noqa: T201 - a terminal is for that


def show_markdown(text: str, shell: Any, plain: str | None = None) -> None:
    """Show ``text``; ``plain`` is what a terminal shows, where that should differ."""
    if has_kernel(shell):
        bundle = mimebundle(text)
        if plain is not None:
            bundle["text/plain"] = strip_control_sequences(plain)
        publish(data=bundle, metadata={})
    else:
        print(strip_control_sequences(text if plain is None else plain))  # noqa: T201 - a terminal is for that


def show_message(text: str, shell: Any) -> None:
    """Show a sentence of ours; a terminal needs no marks around what is to be typed."""
    show_markdown(text, shell, strip_markup(text))


def strip_markup(text: str) -> str:
    """Our own Markdown as plain text: no back-ticks, no escapes."""
    return _MARKS.sub(r"\1", text)


def show_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], shell: Any, *, below: str = ""
) -> None:
    """Show a table of untrusted texts, and Markdown of ours below it.

    In plain text its columns are aligned, and each text is cut so that a row fits a line.
    """
    markdown = "\n\n".join(filter(None, [escaped_table(head, rows), below]))
    plain = "\n\n".join(filter(None, [plain_table(head, rows), strip_markup(below)]))
    show_markdown(markdown, shell, plain)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[object]], width: int = 100) -> str:
    """A table in plain text, at most ``width`` wide: the wide columns share what is left."""
    lines = [[one_line(str(value)) for value in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    room = width - 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    lines.insert(1, ["-" * one for one in widths])
    return "\n".join(
        "  ".join(
            truncate(text, one).ljust(one) for text, one in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
