"""``%aeron record``: recordings in a notebook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aeron_magic.cassette import Cassette
from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.jupyter.line import Command
from aeron_magic.jupyter.show import show_markdown
from aeron_magic.recording import Mode, Recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.magic import AeronMagics

__all__ = ["describe", "record"]

VARIABLE = "AERON_RECORD_MODE"
MODES: tuple[Mode, ...] = ("auto", "replay", "record", "off")


def record(magics: AeronMagics, command: Command) -> None:
    """Replay and record questions from here on; ``AERON_RECORD_MODE`` overrides the mode."""
    connector = magics.session.connector
    if command["mode"] == "check":
        from aeron_magic.jupyter.drift import check

        check(magics, command)
        return
    mode = _mode(command["mode"] or "auto")
    if mode == "off":
        connector.recorder = None
        show_markdown("Recording is off.", magics.shell)
        return
    cassette = Cassette(command["file"])
    if mode == "replay" and not cassette.path.exists():
        raise RecordingError(
            f"There is no recording {cassette.path}.",
            hint="Record it first: `%aeron record FILE` asks and records.",
        )
    connector.recorder = Recorder(cassette, mode, speed=speed(magics.replay_speed))
    show_markdown(describe(connector.recorder), magics.shell)


def _mode(asked: str) -> Mode:
    wanted = os.environ.get(VARIABLE) or asked
    for mode in MODES:
        if mode == wanted:
            return mode
    raise UsageError(
        f"{VARIABLE} is {wanted!r}, which is no mode.", hint=f"The modes are {', '.join(MODES)}."
    )


def speed(configured: float) -> float:
    """How fast to replay: without any wait under CI, as everywhere where nobody watches."""
    return 0.0 if os.environ.get("CI") else configured


def describe(recorder: Recorder) -> str:
    """One line for the status."""
    cassette = recorder.store
    assert isinstance(cassette, Cassette)
    count = len(cassette)
    text = f"Recording: {cassette.name}, mode {recorder.mode}, {count} turn{'s' * (count != 1)}"
    if cassette.damaged:
        lines = ", ".join(str(number) for number in cassette.damaged)
        text += f"; damaged and left out: line{'s' * (len(cassette.damaged) != 1)} {lines}"
    return text
