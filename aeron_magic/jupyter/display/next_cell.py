"""Formats that a reply may not contain, and its code as the next cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aeron_magic.errors import ReplyFormatError
from aeron_magic.jupyter.frontend import has_kernel
from aeron_magic.replies.extract import code_blocks, extract_code, extract_json
from aeron_magic.replies.reply import Reply
from aeron_magic.replies.tables import extract_table

EXTRACTORS: dict[str, Callable[[str], object]] = {
    "json": extract_json,
    "table": extract_table,
    "code": extract_code,
}
"""For each format that a reply may not contain, the function that extracts it or raises."""

PYTHON = ("", "python", "python3", "py", "ipython")


def missing_format_error(reply: Reply, form: str) -> ReplyFormatError | None:
    """The error if ``reply`` does not contain what the format ``form`` shows, else None."""
    try:
        if form in EXTRACTORS:
            EXTRACTORS[form](reply.text)
    except ReplyFormatError as error:
        error.context_token = reply.context_token
        return error
    return None


def code_for_cell(text: str) -> str:
    """The Python code blocks of a reply, joined; empty if there are none.

    Blocks without a language are used only if no block is marked as Python.
    """
    blocks = [block for block in code_blocks(text) if block.language in PYTHON]
    python = [block for block in blocks if block.language] or blocks
    return "\n\n".join(block.code for block in python)


def offer_next_cell(
    shell: Any, offered: dict[str | None, str], cell: str | None, text: str
) -> None:
    """Insert the code of the reply ``text`` below ``cell``.

    A front end inserts a new cell on each call, so the same code is offered once. ``offered`` is
    the code that was offered before, by cell.
    """
    code = code_for_cell(text)
    if not code or not has_kernel(shell) or offered.get(cell) == code:
        return
    offered[cell] = code
    shell.set_next_input(code, replace=False)
