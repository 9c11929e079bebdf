"""``%aeron record``: recordings in a notebook.

``AERON_RECORD`` names a file for a notebook that has no such line of its own, and
``AERON_RECORD_MODE`` overrides the mode: so a notebook that asks a service runs in CI as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show_markdown
from aeron_magic.session.recordings import describe, open_recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["record"]


def record(app: App, command: Command) -> None:
    """Replay and record questions from here on; ``AERON_RECORD_MODE`` overrides the mode."""
    if command["mode"] == "check":
        from aeron_magic.jupyter.commands.check import check

        check(app, command)
        return
    if command["strict"] or command["match"]:
        raise UsageError(
            f"{'--strict' if command['strict'] else '--match'} belongs to `--mode check`.",
            hint="Write `%aeron record FILE --mode check` with it.",
        )
    recorder = open_recorder(command["file"], command["mode"], app.preferences.replay_speed)
    app.session.connections.set_recorder(recorder)
    show_markdown("Recording is off." if recorder is None else describe(recorder), app.shell)
