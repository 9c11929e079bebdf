"""``%aeron record``: replay and record the questions of a notebook.

Without that line, ``AERON_RECORD`` names the file; ``AERON_RECORD_MODE`` overrides the mode, so
that CI can replay a notebook unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show
from aeron_magic.session.recordings import describe, open_recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def record(app: App, command: Command) -> None:
    """Replay and record questions from now on, or check the recording."""
    if command["mode"] == "check":
        from aeron_magic.jupyter.commands.check import check

        check(app, command)
        return
    if command["strict"] or command["match"]:
        raise UsageError(
            f"{'--strict' if command['strict'] else '--match'} requires `--mode check`.",
            hint="Write `%aeron record FILE --mode check` with it.",
        )
    preferences = app.preferences
    recorder = open_recorder(
        command["file"], command["mode"], preferences.replay_speed, preferences.max_resent
    )
    app.session.connections.set_recorder(recorder)
    show(app.shell, "Recording is off." if recorder is None else describe(recorder))
