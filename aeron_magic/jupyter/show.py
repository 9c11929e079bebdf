"""Displays of ours: what a command answers, as Markdown in a notebook and as text in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aeron_magic.jupyter.frontend import has_kernel
from aeron_magic.render import mimebundle
from aeron_magic.scrub import clean

__all__ = ["cell", "fenced", "publish", "show_markdown", "table"]


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


def show_markdown(text: str, shell: Any, plain: str | None = None) -> None:
    """Show ``text``; ``plain`` is what a terminal shows, where that should differ."""
    if has_kernel(shell):
        bundle = mimebundle(text)
        if plain is not None:
            bundle["text/plain"] = clean(plain)
        publish(data=bundle, metadata={})
    else:
        print(clean(text if plain is None else plain))  # noqa: T201 - a terminal is for that


def fenced(text: str, language: str = "") -> str:
    """``text`` as a code block that nothing in it can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def cell(text: object, width: int = 0) -> str:
    """``text`` as one cell of a table: on one line, cut to ``width`` characters where that is set,
    and with nothing in it that is Markdown."""
    line = " ".join(clean(str(text)).split())
    if width and len(line) > width:
        line = line[: width - 1] + "…"
    return "".join(f"\\{c}" if c in r"\`*_[]<>|~$#&!" else c for c in line)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], width: int = 80) -> str:
    """A Markdown table of untrusted texts."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell(value, width) for value in row) + " |" for row in rows]
    return "\n".join(lines)
