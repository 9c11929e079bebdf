"""Choose the output of a reply, and repaint it until the reply is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.session.reply_task import ReplyTask

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.jupyter.display.outputs import Output

__all__ = ["choose_output", "follow_to_end", "render_until_done", "show_fetched"]


MIN_IDLE = 0.02
"""Seconds after a painting, however long it took, in which others have the processor."""

WAITING_AFTER = 1.0
"""Seconds without any text after which the output says that it is waiting."""


def render_until_done(task: ReplyTask, output: Output, label: str) -> None:
    """Repaint ``task`` on ``output`` at intervals until it is done."""
    while not task.done.is_set():
        if not task.changed.wait(WAITING_AFTER):
            if not task.accumulator.displayed:
                output.waiting(label)
            continue
        task.changed.clear()
        if not task.done.is_set():
            began = time.monotonic()
            pace = output.render(task.accumulator)
            task.done.wait(max(MIN_IDLE, pace - (time.monotonic() - began)))


def show_fetched(app: App, token: str, label: str) -> tuple[ReplyTask, Output, bool]:
    """Fetch the reply of ``token`` and watch it come, and whether the user stopped that."""
    task = ReplyTask(app.session.io_loop, app.session.fetch_stream(token))
    output = choose_output(app, Options())()
    return task, output, follow_to_end(task, output, label)


def follow_to_end(task: ReplyTask, output: Output, label: str) -> bool:
    """Show ``task`` until it is done; return whether the user stopped it."""
    try:
        render_until_done(task, output, label)
    except KeyboardInterrupt:
        task.cancel()
        return True
    return False


def choose_output(app: App, options: Options) -> Callable[[], Output]:
    """What makes the place where a reply appears, by what the front end can do.

    Raises
    ------
    UsageError
        A setting is wrong.
    """
    shell = app.shell
    seen = not options.quiet and frontend.has_kernel(shell)
    live = seen and frontend.is_live(shell, options.live, app.preferences.live)

    def make() -> Output:
        from aeron_magic.jupyter.display.live import LiveOutput
        from aeron_magic.jupyter.display.outputs import CellOutput, NoOutput
        from aeron_magic.jupyter.display.publish import publish, write
        from aeron_magic.jupyter.display.terminal import TerminalOutput

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
