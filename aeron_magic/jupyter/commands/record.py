"""``%aeron record``: recordings in a notebook.

``AERON_RECORD`` names a file for a notebook that has no such line of its own, and
``AERON_RECORD_MODE`` overrides the mode: so a notebook that asks a service runs in CI as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show_markdown
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import HINT, Mode, Recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.magics import AeronMagics

__all__ = ["damage_note", "describe", "open_recorder", "record", "require"]

VARIABLE = "AERON_RECORD_MODE"
OVERRIDDEN = f"Where {VARIABLE} is not set, the mode `auto` asks and records it."
MODES: tuple[Mode, ...] = ("auto", "replay", "record", "off")


def record(magics: AeronMagics, command: Command) -> None:
    """Replay and record questions from here on; ``AERON_RECORD_MODE`` overrides the mode."""
    connector = magics.session.connections
    if command["mode"] == "check":
        from aeron_magic.jupyter.commands.check import check

        check(magics, command)
        return
    if command["strict"] or command["match"]:
        raise UsageError(
            f"{'--strict' if command['strict'] else '--match'} belongs to `--mode check`.",
            hint="Write `%aeron record FILE --mode check` with it.",
        )
    connector.recorder = open_recorder(command["file"], command["mode"], magics.replay_speed)
    recorder = connector.recorder
    show_markdown("Recording is off." if recorder is None else describe(recorder), magics.shell)


def open_recorder(file: str, mode: str | None = None, speed: float = 1.0) -> Recorder | None:
    """A recorder on ``file``; None where the mode is ``off``, or the word stands for the file.

    Raises
    ------
    RecordingError
        The mode is ``replay``, and there is no such file.
    """
    decided = _mode(mode or ("off" if file == "off" else "auto"))
    if decided == "off":
        return None
    cassette = Cassette(file)
    if decided == "replay":
        require(cassette)
    # Under CI nobody watches, and there is nothing to wait for.
    speed = 0.0 if os.environ.get("CI") else speed
    remedy = OVERRIDDEN if os.environ.get(VARIABLE) else HINT
    return Recorder(cassette, decided, speed=speed, hint=remedy)


def _mode(asked: str) -> Mode:
    wanted = os.environ.get(VARIABLE) or asked
    for mode in MODES:
        if mode == wanted:
            return mode
    raise UsageError(
        f"{VARIABLE} is {wanted!r}, which is no mode.", hint=f"The modes are {', '.join(MODES)}."
    )


def describe(recorder: Recorder) -> str:
    """One line for the status."""
    cassette = recorder.store
    assert isinstance(cassette, Cassette)
    count = len(cassette)
    by = f" (by {VARIABLE})" if os.environ.get(VARIABLE) == recorder.mode else ""
    turns = f"{count} turn{'s' * (count != 1)}"
    text = f"Recording: {cassette.name}, mode {recorder.mode}{by}, {turns}"
    return text + damage_note(cassette)


def damage_note(cassette: Cassette) -> str:
    """Which lines of a recording cannot be read; empty where all can."""
    if not cassette.damaged:
        return ""
    lines = ", ".join(str(number) for number in cassette.damaged)
    return f"; damaged and left out: line{'s' * (len(cassette.damaged) != 1)} {lines}"


def require(cassette: Cassette) -> None:
    """Make sure that there is a recording.

    Raises
    ------
    RecordingError
        There is no such file.
    """
    if not cassette.path.exists():
        raise RecordingError(
            f"There is no recording {cassette.path}.",
            hint="Record it first: `%aeron record FILE` asks and records.",
        )
