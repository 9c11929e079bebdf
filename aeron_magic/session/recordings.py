"""Open the recording that a command or the environment names."""

from __future__ import annotations

import os

from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.markdown_text import plural
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import HINT, Mode, Recorder

__all__ = ["damage_note", "describe", "open_recorder", "require_recording"]


VARIABLE = "AERON_RECORD_MODE"

OVERRIDDEN = f"Where {VARIABLE} is not set, the mode `auto` asks and records it."

MODES: tuple[Mode, ...] = ("auto", "replay", "record", "off")


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
        require_recording(cassette)
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
    by = f" (by {VARIABLE})" if os.environ.get(VARIABLE) == recorder.mode else ""
    turns = plural(len(cassette), "turn")
    text = f"Recording: {cassette.name}, mode {recorder.mode}{by}, {turns}"
    return text + damage_note(cassette)


def damage_note(cassette: Cassette) -> str:
    """Which lines of a recording cannot be read; empty where all can."""
    if not cassette.damaged:
        return ""
    lines = ", ".join(str(number) for number in cassette.damaged)
    return f"; damaged and left out: line{'s' * (len(cassette.damaged) != 1)} {lines}"


def require_recording(cassette: Cassette) -> None:
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
