"""``-f json``, ``-f table``, ``-f code``: does the reply hold it; and its code as the next cell.

A front end makes a new cell each time it is told of a next one. So code is offered once: again
only when the code has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aeron_magic.errors import ReplyFormatError
from aeron_magic.jupyter.frontend import has_kernel
from aeron_magic.replies.extract import code_blocks, extract_code, extract_json
from aeron_magic.replies.reply import Reply
from aeron_magic.replies.tables import extract_table

__all__ = ["code_for_cell", "missing_format_error", "offer_next_cell"]

EXTRACTORS: dict[str, Callable[[str], object]] = {
    "json": extract_json,
    "table": extract_table,
    "code": extract_code,
}
"""The formats that a reply may not hold, and what finds out."""

RUNS_HERE = ("", "python", "python3", "py", "ipython")


def missing_format_error(reply: Reply, form: str) -> ReplyFormatError | None:
    """The error to fail the cell with where ``reply`` does not hold what ``form`` shows."""
    try:
        if form in EXTRACTORS:
            EXTRACTORS[form](reply.text)
    except ReplyFormatError as error:
        error.context_token = reply.context_token
        return error
    return None


def code_for_cell(text: str) -> str:
    """The Python of a reply's code blocks, one after the other; empty where there is none.

    Blocks without a language count only where none says that it is Python.
    """
    blocks = [block for block in code_blocks(text) if block.language in RUNS_HERE]
    python = [block for block in blocks if block.language] or blocks
    return "\n\n".join(block.code for block in python)


def offer_next_cell(
    shell: Any, offered: dict[str | None, str], cell: str | None, text: str
) -> None:
    """Offer the code of the reply ``text`` to the question of ``cell`` as the next cell.

    ``offered`` is what has been offered so far, by cell.
    """
    code = code_for_cell(text)
    if not code or not has_kernel(shell) or offered.get(cell) == code:
        return
    offered[cell] = code
    shell.set_next_input(code, replace=False)
