"""Ask one question from a cell.

The modules that show the reply are imported after the request was sent, so it is sent sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.client.client import make_question
from aeron_magic.conversations.registry import NUMBER_SIGN
from aeron_magic.errors import AeronError, Interrupted, fetch_command, nearest
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.frontend import is_live, visible_names
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.services.catalog import service_info

if TYPE_CHECKING:
    from aeron_magic.conversations.tree import ConversationTree, Position
    from aeron_magic.jupyter.app import App
    from aeron_magic.jupyter.display.outputs import Output
    from aeron_magic.replies.reply import Reply
    from aeron_magic.session.session import PendingQuestion, Session

SEND_GRACE = 0.5
"""Seconds for which nothing else runs while the question is being sent."""

NOTIFIED_TIMEOUT = 10.0
"""Seconds that a cell waits for panels where the front end sends no cell ids."""


def ask(app: App, options: Options, text: str) -> None:
    """Ask ``text`` with ``options``, show the reply, and bind it to the variable of ``-o``.

    Raises AeronError: the question is invalid, or the reply is incomplete.
    """
    session, shell = app.session, app.shell
    cell = app.cell_keys.next(shell)
    options = options._replace(format=options.format or app.preferences.format)
    text = text.rstrip("\r\n")
    if options.each is not None:
        from aeron_magic.jupyter.commands.ask_each import ask_each

        ask_each(app, options, text, cell)
        return
    connection = session.ensure_connected()
    notes: list[str] = []
    if not options.raw and "{{" in text:
        secrets = connection.settings.secrets
        text = interpolate(text, visible_names(shell), secrets=secrets, notes=notes)
    text = text.lstrip("\n")
    app.run_order.follow()
    if NUMBER_SIGN in (options.conversation or ""):
        from aeron_magic.jupyter.commands.resume import refuse_stored

        refuse_stored(session, options.conversation or "")
    position = session.position_for(
        cell=cell,
        name=options.as_,
        conversation=options.conversation,
        new=options.new,
        after=options.after,
    )
    question = make_question(text, position.token, options.images, options.stream)
    if options.dry_run:
        from aeron_magic.jupyter.commands.dry_run import show_dry_run
        from aeron_magic.markdown_text import escape_markdown

        note = "".join(f"{escape_markdown(note)} " for note in notes)
        show_dry_run(session, question, shell, note)
        return
    live = not options.quiet and is_live(shell, app.preferences.live)
    note = _place_note(session, options, position)
    asked = session.ask(question, position)
    asked.notes += notes
    _show_until_done(app, options, asked, live, note)

    from aeron_magic.jupyter.display.outputs import missing_format_error

    if problem := missing_format_error(asked.reply, options.format):
        raise problem


def _place_note(session: Session, options: Options, position: Position) -> str:
    """What to say below a reply whose place may not be the one that was meant.

    It is in a new conversation, and its name is near that of another one; or no option and no
    assigned token says where it is: in another conversation, where the cell's own place is, and
    which becomes the current one; or at the start, because the turns before cannot be continued.
    """
    name, known = options.conversation, session.registry.conversations
    if name and not options.new and name not in known and (near := nearest(name, known)):
        return f"This starts the conversation {name}; there is also {near}."
    is_placed = options.conversation or options.new or options.after is not None
    if is_placed or session.token.assigned_by_user:
        return ""
    ended, replaced = position.tree.ended, position.replaces
    if ended and position.parent is None and (replaced is None or replaced in ended):
        return "This question starts anew: the sandbox of the turns before it has ended."
    if position.tree is session.tree:
        return ""
    return (
        f"Asked in {position.tree.name}, where this cell belongs; {continues_there(session.tree)}"
    )


def continues_there(before: ConversationTree) -> str:
    """The end of a note on a conversation that is the current one now, instead of ``before``."""
    from aeron_magic.conversations.export import quoted_word

    name = quoted_word(before.name) or "NAME"
    return f"the next question continues there. %aeron use {name} goes back."


def _show_until_done(
    app: App, options: Options, asked: PendingQuestion, live: bool, note: str
) -> None:
    """Show the reply until it has ended, bind it, and raise its error; an interrupt stops it.

    ``note`` is for below the reply if its conversation is then the current one; not in a panel.
    """
    output: Output | None = None
    failure: Exception | None = None
    shown = False
    try:
        asked.sent.wait(SEND_GRACE)
        from aeron_magic.jupyter.display import follow, outputs

        try:
            output = follow.choose_output(options, app.shell, live)
            follow.follow_to_end(asked, output, asked.connection.label)
        except Exception as problem:  # noqa: BLE001 - a reply that cannot be shown is charged, too
            failure = problem
            follow.follow_to_end(asked, outputs.NoOutput(), asked.connection.label)
    except KeyboardInterrupt:
        asked.cancel()
    reply, error = asked.reply, asked.error
    if options.out:
        app.bind(options.out, reply)
    if failure is None:
        try:
            if output is None:  # the interrupt came before, perhaps during the import
                from aeron_magic.jupyter.display import follow

                output = follow.choose_output(options, app.shell, live)
            metadata = asked.metadata
            if note and asked.tree is app.session.tree:
                metadata = {**metadata, "notes": [*asked.notes, note]}
            shown = output.finish(asked.accumulator, reply, metadata)
        except Exception as problem:  # noqa: BLE001 - as above
            failure = problem
    if asked.pending.turn.cell is None:  # such a runner accepts a panel's transcript only now
        asked.notified.wait(NOTIFIED_TIMEOUT)
    if error is None and not reply.is_complete:  # stopped by an interrupt, or in the panel
        error = Interrupted(
            "The question was interrupted; the text received so far is kept.",
            hint=_hint_after_stop(reply),
            context_token=reply.context_token,
            partial=reply.text,
        )
    if error is None and failure is not None:
        error = AeronError(
            f"The reply came, but cannot be shown here: {type(failure).__name__}.",
            hint="It is kept, and the conversation continues after it: `%aeron last` shows it.",
            context_token=reply.context_token,
        )
        error.__cause__ = failure
    if error is not None:
        error.partial_shown = shown
        raise error


def _hint_after_stop(reply: Reply) -> str:
    """What to do about a stopped reply: the service may have completed it."""
    service = service_info(reply.service)
    if reply.context_token is None or not (service.can_fetch or service.if_incomplete):
        return "Ask again if you want the whole reply; that may be charged a second time."
    if not service.can_fetch:
        return service.if_incomplete
    return (
        f"{fetch_command(reply.context_token)} gets the whole reply, completes the turn, and costs "
        "nothing."
    )
