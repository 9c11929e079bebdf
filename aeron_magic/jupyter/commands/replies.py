"""The commands about replies: ``fetch`` and ``last``."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.ask import continues_there
from aeron_magic.jupyter.display.follow import follow_to_end, output_for, show_fetched
from aeron_magic.jupyter.display.outputs import saved_metadata, status_note
from aeron_magic.jupyter.display.publish import Verbatim, publish, show, write
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.session.session import UNFINISHED

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def fetch(app: App, command: Command) -> None:
    """Fetch and show a stored reply, which completes its turn.

    Raises AeronError: the turn is unknown, or the reply did not come.
    """
    session, before = app.session, app.session.tree
    token = before.find_to_fetch(command["token"]) if command["token"] else None
    asked = session.fetch_unfinished(token)
    if asked is not None:
        output = output_for(app)
        interrupted = follow_to_end(asked, output, "the unfinished reply")
        if note := app.bind_fetched(asked.reply):
            asked.notes.append(note)
        where = f"The turn is in {asked.tree.name};"
        if before is not asked.tree is session.tree:
            asked.notes.append(f"{where} {continues_there(before)}")
        elif asked.tree is not session.tree:
            from aeron_magic.conversations.export import quoted_word

            name = quoted_word(asked.tree.name) or "NAME"
            asked.notes.append(f"{where} %aeron use {name} continues it.")
        output.finish(asked.accumulator, asked.reply, asked.metadata)
        error = asked.error
    else:
        token = token or session.newest_token()
        task, output, interrupted = show_fetched(app, token, "the stored reply")
        reply = replace(task.reply, context_token=task.reply.context_token or token)
        metadata = session.metadata_of(reply)
        bound = app.bind_fetched(reply)
        if (label := metadata["turn"]) is not None and reply.is_complete:
            unfinished = [
                f"The reply of turn {one.number} is {one.status}: `%aeron fetch {one.number}`."
                for one in session.tree
                if one.status in UNFINISHED and one.reply and (own := one.reply.context_token)
                if session.tree.newest_with(own) is one
            ]
            metadata["notes"] = [f"Turn {label} was complete already.", bound, *unfinished[-1:]]
        if reply.is_complete or reply.text:
            session.remember(reply, metadata)
        output.finish(task.accumulator, reply, metadata)
        error = task.error
    if error is not None or interrupted:
        raise error or UsageError("Stopped waiting.", hint="Run `%aeron fetch` again.")


def last(app: App, command: Command) -> None:
    """Show the newest reply again, such as after a reload of the page, or in full the
    error of a question sent after it.
    """
    session = app.session
    if (failure := session.last_error) is not None:
        lines = failure.lines(partial_limit=None)
        if failure.__cause__ is not None:
            lines += ["", *"".join(traceback.format_exception(failure.__cause__)).splitlines()]
        show(app.shell, Verbatim("\n".join(lines)))
        return
    if (newest := session.newest_reply()) is None:
        show(app.shell, "No reply yet: ask something with `%%aeron`.")
        return
    reply, metadata = newest
    data = mimebundle(reply.text, note=status_note(reply))
    if app.has_kernel:
        publish(data=data, metadata=saved_metadata(metadata))
    else:
        write(data=data)
