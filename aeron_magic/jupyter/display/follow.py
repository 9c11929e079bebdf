"""Choose the output of a reply, and repaint it until the reply is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aeron_magic.client.io_loop import ReplyTask
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.display.outputs import CellOutput, NoOutput, Output
from aeron_magic.jupyter.display.publish import publish, write
from aeron_magic.jupyter.display.terminal import TerminalOutput

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

MIN_IDLE = 0.02
"""Seconds after each painting, however long it took, in which other threads can run."""

WAITING_AFTER = 1.0
"""Seconds without any text after which the output shows that it is waiting."""


def render_until_done(task: ReplyTask, output: Output, label: str) -> None:
    """Repaint ``task`` on ``output`` at intervals until it is done."""
    while not task.done.is_set():
        if not task.changed.wait(WAITING_AFTER):
            if task.accumulator.status_text:
                output.render(task.accumulator)
            elif not task.accumulator.displayed:
                output.waiting(label)
            continue
        task.changed.clear()
        if not task.done.is_set():
            began = time.monotonic()
            pace = output.render(task.accumulator)
            task.done.wait(max(MIN_IDLE, pace - (time.monotonic() - began)))


def output_for(app: App) -> Output:
    """The output of a reply without options."""
    live = frontend.is_live(app.shell, app.preferences.live)
    return choose_output(Options(format=app.preferences.format), app.shell, live)


def show_fetched(app: App, token: str, label: str) -> tuple[ReplyTask, Output, bool]:
    """Fetch the reply of ``token`` and show it; the last value is whether the user stopped it."""
    output = output_for(app)
    task = ReplyTask(app.session.io_loop, app.session.fetch_stream(token))
    return task, output, follow_to_end(task, output, label)


def follow_to_end(task: ReplyTask, output: Output, label: str) -> bool:
    """Show ``task`` until it is done; return whether the user stopped it."""
    try:
        render_until_done(task, output, label)
    except KeyboardInterrupt:
        task.cancel()
        return True
    return False


def choose_output(options: Options, shell: Any, live: bool) -> Output:
    """The output of a reply; ``live`` is whether a front end updates it in place."""
    if options.quiet:
        return NoOutput()
    if not frontend.has_kernel(shell):
        if options.format in ("json", "table", "code"):
            return CellOutput(write, options.format)  # they are known only at the end
        return TerminalOutput()
    if live:
        clear = _clear if frontend.is_cell_magic(shell) else None
        if clear is None and frontend.cell_id(shell) is None:
            return CellOutput(publish, options.format)  # such as jupyter console: it cannot update
        return LiveOutput(publish, options.format, clear=clear)
    return CellOutput(publish, options.format)


def _clear() -> None:
    from IPython.display import clear_output

    clear_output(wait=True)  # type: ignore[no-untyped-call]
