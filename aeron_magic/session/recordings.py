"""Recordings of a session: open and describe the file that a command or the environment names."""

from __future__ import annotations

import os

from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.markdown_text import plural
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import HINT, MAX_RESENT, Mode, Recorder

VARIABLE = "AERON_RECORD_MODE"

OVERRIDDEN = f"Unset {VARIABLE}; in mode `auto` the question is sent and recorded."

MAX_SHOWN = 5
"""Damaged lines that are named."""

MODES: tuple[Mode, ...] = ("auto", "replay", "record", "off")


def open_recorder(
    file: str, mode: str | None = None, speed: float = 1.0, max_resent: int = MAX_RESENT
) -> Recorder | None:
    """A recorder on ``file``; None if the mode, or the name of the file, is ``off``.

    Raises
    ------
    RecordingError
        The mode is ``replay`` and the file does not exist.
    """
    decided = _mode(mode or ("off" if file == "off" else "auto"))
    if decided == "off":
        return None
    cassette = Cassette(file)
    if decided == "replay":
        require_recording(cassette)
    # Under CI, replies are replayed without delays.
    speed = 0.0 if os.environ.get("CI") else speed
    remedy = OVERRIDDEN if os.environ.get(VARIABLE) else HINT
    return Recorder(cassette, decided, speed=speed, hint=remedy, max_resent=max_resent)


def _mode(requested: str) -> Mode:
    name = os.environ.get(VARIABLE) or requested
    for mode in MODES:
        if mode == name:
            return mode
    raise UsageError(
        f"{VARIABLE}: unknown mode {name!r}.", hint=f"The modes are {', '.join(MODES)}."
    )


def describe(recorder: Recorder) -> str:
    """The recorder in one line."""
    cassette = recorder.store
    assert isinstance(cassette, Cassette)
    by = f" (by {VARIABLE})" if os.environ.get(VARIABLE) == recorder.mode else ""
    turns = plural(len(cassette), "turn")
    text = f"Recording: {cassette.name}, mode {recorder.mode}{by}, {turns}"
    return text + damage_note(cassette)


def damage_note(cassette: Cassette) -> str:
    """The invalid lines of a recording with the reasons, as text; empty if there are none."""
    if not cassette.damaged:
        return ""
    shown = sorted(cassette.damaged.items())[:MAX_SHOWN]
    lines = ", ".join(f"{number} ({reason})" for number, reason in shown)
    more = len(cassette.damaged) - len(shown)
    rest = f" and {more:,} more" if more else ""
    return f"; ignored damaged line{'s' * (len(cassette.damaged) != 1)}: {lines}{rest}"


def require_recording(cassette: Cassette) -> None:
    """Check that the file exists.

    Raises
    ------
    RecordingError
        The file does not exist.
    """
    if not cassette.exists:
        raise RecordingError(
            f"Recording not found: {cassette.path}.",
            hint="Record it first, with `%aeron record FILE`.",
        )
