"""The commands about replies: ``fetch``, ``last`` and ``error``."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.follow import show_fetched
from aeron_magic.jupyter.display.outputs import status_note
from aeron_magic.jupyter.display.publish import Verbatim, publish, show, write
from aeron_magic.rendering.mimebundle import mimebundle

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def fetch(app: App, command: Command) -> None:
    """Fetch and show the stored reply of a token."""
    session = app.session
    token = command["token"] or session.newest_token()
    task, output, interrupted = show_fetched(app, token, "the stored reply")
    metadata = {"service": task.reply.service, "context_token": token}
    if task.reply.is_complete or task.reply.text:
        session.last, session.last_metadata = task.reply, metadata
    output.finish(task.accumulator, task.reply, metadata)
    if task.error or interrupted:
        raise task.error or UsageError(
            "Stopped waiting.", hint=f"Run `%aeron fetch {token}` again."
        )


def last(app: App, command: Command) -> None:
    """Show the last reply again, for example after the page was reloaded while a cell ran."""
    session = app.session
    if session.last is None:
        raise UsageError("No reply yet.", hint="Ask something with %%aeron first.")
    data = mimebundle(session.last.text, note=status_note(session.last))
    if app.has_kernel:
        publish(data=data, metadata={"aeron": session.last_metadata})
    else:
        write(data=data)


def error(app: App, command: Command) -> None:
    """Show the last error in full, without secrets."""
    failure = app.session.last_error
    if failure is None:
        show(app.shell, "There was no error.")
        return
    lines = failure.lines(partial_limit=None)
    if failure.__cause__ is not None:
        lines += ["", *"".join(traceback.format_exception(failure.__cause__)).splitlines()]
    show(app.shell, Verbatim("\n".join(lines)))
