"""One question from a cell: values in, place found, asked, shown, bound.

What shows a reply is imported when the question is on its way: the service has it so much sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aeron_magic.errors import Interrupted, UsageError
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.protocol.flow import Question
from aeron_magic.services.catalog import KEEPING
from aeron_magic.session.reply_task import ReplyTask
from aeron_magic.session.session import PendingQuestion, Session

if TYPE_CHECKING:
    from aeron_magic.jupyter.display.live import Output
    from aeron_magic.jupyter.magics import AeronMagics
    from aeron_magic.replies.reply import Reply

__all__ = ["ask", "show_dry_run", "show_fetched"]

SEND_GRACE = 0.5
"""Seconds that a question has the processor to itself, until it is sent."""


def ask(magics: AeronMagics, options: Options, text: str) -> None:
    """Ask ``text`` as ``options`` say, show the reply, and bind it.

    Raises
    ------
    AeronError
        Something was wrong with the question, or the reply is not whole.
    """
    session, shell = magics.session, magics.shell
    key = magics.cell_keys.next(shell)
    text = text.strip("\n")
    if not text.strip():
        raise UsageError(
            "There is no question.",
            hint="Write it on the lines below %%aeron, or on one line with `%aeron ask`.",
        )
    if options.each is not None:
        from aeron_magic.jupyter.commands.ask_each import ask_each

        ask_each(magics, options, text, key)
        return
    session.ensure_connected()
    if not options.raw:
        text = interpolate(text, shell.user_ns, secrets=session.secrets)
    place = session.position_for(
        cell=key,
        name=options.as_,
        conversation=options.conversation,
        new=options.new,
        after=options.after,
    )
    if options.dry_run:
        show_dry_run(session, Question(text, options.images, place.token, options.stream), shell)
        return
    make_output = choose_output(magics, options)
    asked = session.ask(
        text,
        place,
        cell=key,
        images=options.images,
        stream=options.stream,
        timeout=options.timeout,
        name=options.as_,
        new=options.new,
    )
    show_until_done(session, asked, make_output, shell, options.out)

    from aeron_magic.jupyter.display.next_cell import format_error, offer_next_cell

    if problem := format_error(asked.task.reply, options.format):
        raise problem
    if options.format == "code":
        offer_next_cell(shell, magics.offered_cells, key, asked.task.reply.text)


def show_until_done(
    session: Session,
    asked: PendingQuestion,
    make_output: Callable[[], Output],
    shell: Any,
    out: str | None = None,
) -> None:
    """Watch ``asked`` to its end, show it, bind it to the variable ``out``, raise its error."""
    running = asked.task
    try:
        running.sent.wait(SEND_GRACE)
        output = make_output()
    except KeyboardInterrupt:
        running.cancel()
        output = make_output()
    _watch_to_end(running, output, asked.connection.label)
    reply = session.finish(asked)
    if out:
        shell.user_ns[out] = reply
    seen = output.finish(running.accumulator, reply, asked.metadata)
    error = running.error
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
    if reply.service not in KEEPING or reply.context_token is None:
        return again
    return f"`%aeron fetch {reply.context_token}` shows what the service has made of it. {again}"


def show_fetched(magics: AeronMagics, token: str, label: str) -> tuple[ReplyTask, Output, bool]:
    """Fetch the reply of ``token`` and watch it come, and whether the user stopped that."""
    running = ReplyTask(magics.session.loop, magics.session.fetch_stream(token))
    output = choose_output(magics, Options())()
    return running, output, _watch_to_end(running, output, label)


def _watch_to_end(running: ReplyTask, output: Output, label: str) -> bool:
    """Watch ``running`` until it has ended; whether that was because the user stopped it."""
    from aeron_magic.jupyter.display.live import render_until_done

    try:
        render_until_done(running, output, label)
    except KeyboardInterrupt:
        running.cancel()
        return True
    return False


def choose_output(magics: AeronMagics, options: Options) -> Callable[[], Output]:
    """What makes the place where a reply appears, by what the front end can do.

    Raises
    ------
    UsageError
        A setting is wrong.
    """
    shell = magics.shell
    seen = not options.quiet and frontend.has_kernel(shell)
    live = seen and frontend.is_live(shell, options.live, magics.live)

    def make() -> Output:
        from aeron_magic.jupyter.display.live import (
            CellOutput,
            LiveOutput,
            NoOutput,
            TerminalOutput,
        )
        from aeron_magic.jupyter.display.publish import publish, write

        if live:
            clear = _clear if frontend.is_cell_magic(shell) else None
            return LiveOutput(publish, options.format, clear=clear)
        if seen:
            return CellOutput(publish, options.format)
        if options.quiet:
            return NoOutput()
        if options.format in ("json", "table", "code"):
            return CellOutput(write, options.format)  # what that is, is known at the end
        return TerminalOutput()

    return make


def _clear() -> None:
    from IPython.display import clear_output

    clear_output(wait=True)  # type: ignore[no-untyped-call]


def show_dry_run(session: Session, question: Question, shell: Any) -> None:
    """Show the request that ``question`` would make; send nothing."""
    import json

    from aeron_magic.jupyter.display.publish import fenced, show_markdown

    connection = session.ensure_connected()
    connection.validate(question.text, question.context_token or "", *question.images)
    request = connection.client.service.build_request(question)
    headers = "".join(f"{name}: [hidden]\n" for name in request.headers)
    body = json.dumps(request.json, indent=2, ensure_ascii=False)
    text = f"{request.method} {request.url}\n{headers}\n{body}"
    said = "Nothing was sent. This would be:"
    show_markdown(f"{said}\n\n{fenced(text)}", shell, f"{said}\n\n{text}")
