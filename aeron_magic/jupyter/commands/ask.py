"""One question from a cell: values in, place found, asked, shown, bound.

What shows a reply is imported when the question is on its way: the service has it so much sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aeron_magic.errors import Interrupted, UsageError
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.commands.dry_run import show_dry_run
from aeron_magic.jupyter.display.follow import choose_output, follow_to_end
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.protocol.flow import Question
from aeron_magic.services.catalog import service_info
from aeron_magic.session.session import PendingQuestion, Session

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.jupyter.display.outputs import Output
    from aeron_magic.replies.reply import Reply

__all__ = ["ask"]

SEND_GRACE = 0.5
"""Seconds that a question has the processor to itself, until it is sent."""


def ask(app: App, options: Options, text: str) -> None:
    """Ask ``text`` as ``options`` say, show the reply, and bind it.

    Raises
    ------
    AeronError
        Something was wrong with the question, or the reply is not whole.
    """
    session, shell = app.session, app.shell
    key = app.cell_keys.next(shell)
    text = text.strip("\n")
    if not text.strip():
        raise UsageError(
            "There is no question.",
            hint="Write it on the lines below %%aeron, or on one line with `%aeron ask`.",
        )
    if options.each is not None:
        from aeron_magic.jupyter.commands.ask_each import ask_each

        ask_each(app, options, text, key)
        return
    session.ensure_connected()
    if not options.raw:
        text = interpolate(text, shell.user_ns, secrets=session.secrets)
    position = session.position_for(
        cell=key,
        name=options.as_,
        conversation=options.conversation,
        new=options.new,
        after=options.after,
    )
    if options.dry_run:
        show_dry_run(session, Question(text, options.images, position.token, options.stream), shell)
        return
    make_output = choose_output(app, options)
    asked = session.ask(
        text,
        position,
        cell=key,
        images=options.images,
        stream=options.stream,
        timeout=options.timeout,
        name=options.as_,
        new=options.new,
    )
    show_until_done(session, asked, make_output, shell, options.out)

    from aeron_magic.jupyter.display.next_cell import missing_format_error, offer_next_cell

    if problem := missing_format_error(asked.task.reply, options.format):
        raise problem
    if options.format == "code":
        offer_next_cell(shell, app.offered_cells, key, asked.task.reply.text)


def show_until_done(
    session: Session,
    asked: PendingQuestion,
    make_output: Callable[[], Output],
    shell: Any,
    out: str | None = None,
) -> None:
    """Watch ``asked`` to its end, show it, bind it to the variable ``out``, raise its error."""
    task = asked.task
    try:
        task.sent.wait(SEND_GRACE)
        output = make_output()
    except KeyboardInterrupt:
        task.cancel()
        output = make_output()
    follow_to_end(task, output, asked.connection.label)
    reply = session.finish(asked)
    if out:
        shell.user_ns[out] = reply
    seen = output.finish(task.accumulator, reply, asked.metadata)
    error = task.error
    if reply.status == "interrupted":  # by the kernel's interrupt, or by Stop in the panel
        error = Interrupted(
            "The question was interrupted; what had come is kept.",
            hint=_after_a_stop(reply),
            context_token=reply.context_token,
            partial=reply.text,
        )
    if error is not None:
        error.partial_shown = seen
        raise error


def _after_a_stop(reply: Reply) -> str:
    """What can be done for a reply that was stopped: the service may have gone on with it."""
    again = "Ask again if you want the whole reply; that may be charged a second time."
    if not service_info(reply.service).can_fetch or reply.context_token is None:
        return again
    return f"`%aeron fetch {reply.context_token}` shows what the service has made of it. {again}"
