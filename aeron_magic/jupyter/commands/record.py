"""``%aeron record`` and ``%aeron replay``: replay and record the questions of a notebook.

Without such a line, ``AERON_RECORD`` names the file; ``AERON_RECORD_MODE`` overrides what the line
says, so that CI can replay a notebook unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show
from aeron_magic.markdown_text import escape_markdown
from aeron_magic.session.recordings import describe, open_recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def record(app: App, command: Command) -> None:
    """Replay what the file holds, and record the rest; without a file, show the state."""
    if command["file"] is None:
        recorder = app.session.connections.recorder
        show(app.shell, escape_markdown(describe(recorder, whole_path=True)))
        return
    _use(app, command["file"], "record")


def replay(app: App, command: Command) -> None:
    """Replay what the file holds, and never use the network; ``off`` stops."""
    is_off = command["file"].strip().lower() == "off"
    _use(app, command["file"], "record" if is_off else "replay")


def _use(app: App, file: str, mode: str) -> None:
    preferences = app.preferences
    recorder = open_recorder(file, mode, preferences.replay_speed, preferences.max_resent)
    described = describe(recorder)  # which reads the file: one that cannot be used is not set
    app.session.connections.set_recorder(recorder)
    show(app.shell, escape_markdown(described))
