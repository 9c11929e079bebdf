"""Displays of commands: Markdown in a notebook, plain text in a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from aeron_magic.jupyter.frontend import has_kernel
from aeron_magic.markdown_text import (
    COLON,
    REFERENCES,
    SPECIAL,
    escaped_table,
    fenced,
    one_line,
    truncate,
)
from aeron_magic.plaintext import printable, strip_control_sequences
from aeron_magic.rendering.mimebundle import Bundle, mimebundle

PLAIN_WIDTH = 100
"""Most characters in a line of a table in plain text."""

_MARKUP = re.compile(rf"\\([{re.escape(SPECIAL)}])|`|\*\*|^- ", re.MULTILINE)


class Table(NamedTuple):
    """A table of untrusted texts; ``width`` limits the characters of a cell in Markdown."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    width: int = 80

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        return escaped_table(self.head, self.rows, self.width)

    @property
    def plain(self) -> str:
        """The table as plain text in which the widest columns are cut to fit a line."""
        lines = [[one_line(str(value)) for value in row] for row in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        room = PLAIN_WIDTH - 2 * (len(widths) - 1)
        while sum(widths) > room and max(widths) > 8:
            widths[widths.index(max(widths))] -= 1
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "  ".join(
                truncate(text, width).ljust(width) for text, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )


class Part(Protocol):
    """A part of a display in two forms; its Markdown has no active content."""

    @property
    def markdown(self) -> str: ...

    @property
    def plain(self) -> str: ...


class Verbatim(NamedTuple):
    """A text that is shown as it is, in a notebook as a code block."""

    plain: str

    @property
    def markdown(self) -> str:
        """The text as a code block."""
        return fenced(self.plain, "text")


def publish(
    *,
    data: Bundle,
    metadata: dict[str, Any],
    transient: dict[str, Any] | None = None,
    update: bool = False,
) -> None:
    """Publish a display to the front end."""
    from IPython.display import publish_display_data

    publish_display_data(  # type: ignore[no-untyped-call]
        data=data, metadata=metadata, transient=transient, update=update
    )


def write(*, data: Bundle, **_rest: object) -> None:
    """Print a display in a terminal."""
    print(printable(strip_control_sequences(data["text/plain"])))  # noqa: T201 - a terminal has no displays


def show(shell: Any, *parts: str | Part) -> None:
    """Show paragraphs of Markdown, tables and texts as one display; empty parts are left out."""
    plain = "\n\n".join(
        strip_markup(part) if isinstance(part, str) else part.plain for part in parts if part
    )
    if not has_kernel(shell):
        write(data={"text/plain": plain})
        return
    bundle = mimebundle(
        "\n\n".join(part if isinstance(part, str) else part.markdown for part in parts if part)
    )
    bundle["text/plain"] = strip_control_sequences(plain)
    publish(data=bundle, metadata={})


def strip_markup(text: str) -> str:
    """Return our own Markdown as plain text: without back-ticks, stars, escapes and bullets."""
    text = _MARKUP.sub(r"\1", text).replace(COLON, ":")
    for character, reference in reversed(REFERENCES.items()):
        text = text.replace(reference, character)
    return text
