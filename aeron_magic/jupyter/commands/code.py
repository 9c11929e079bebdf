"""``%aeron code``: a code block of the last reply as a new cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.replies.extract import cell_source, code_blocks

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def code(app: App, command: Command) -> None:
    """Insert a code block of the last reply, by default the first, as a new cell below."""
    newest = app.session.newest_reply()
    if newest is None:
        raise UsageError("No reply yet.", hint="Ask something with %%aeron first.")
    number = command["number"] or "1"
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"{number} is not the number of a block.", hint="Write `%aeron code 2`.")
    reply, _ = newest
    reply.code(number=int(number))  # an error if the block does not exist
    block = code_blocks(reply.text)[int(number) - 1]
    app.shell.set_next_input(cell_source(block), replace=False)
