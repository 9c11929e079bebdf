"""Recordings of a session: open and describe the file that a command or the environment names."""

from __future__ import annotations

import os
import re

from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.markdown_text import plural
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.near_file import near_file, suggest_file
from aeron_magic.recording.recorder import HINT, MAX_RESENT, Mode, Recorder
from aeron_magic.services.settings import RECORD_MODE, record_mode

FILE_VARIABLE = "AERON_RECORD"
VARIABLE = RECORD_MODE

OVERRIDDEN = f"Unset {VARIABLE}; `%aeron record {{file}}` then sends the question and records it."
"""The remedy for a file of a line."""

ENVIRONMENT = f"Unset {VARIABLE} and start again: the question is then sent and recorded."
"""The remedy for a file that ``AERON_RECORD`` names."""

_NEARLY_OFF = re.compile(
    r"[^./\\]?ff|o[^./\\]?f|of[^./\\]?|[^./\\]off|o[^./\\]ff|of[^./\\]f|off[^./\\]", re.IGNORECASE
)
"""A name that differs from ``off`` in one letter, and has no dot or folder."""

MAX_SHOWN = 5
"""Damaged lines that are named."""

MODES: dict[str, Mode] = {"record": "auto", "replay": "replay"}


def open_recorder(
    file: str | None, mode: str = "record", speed: float = 1.0, max_resent: int = MAX_RESENT
) -> Recorder | None:
    """A recorder on ``file``; None if the name of the file is ``off``, or empty.

    Without ``file``, that of ``AERON_RECORD``.

    Raises UsageError: the name is nearly ``off``, or the mode is not known. Raises RecordingError:
    the mode is ``replay`` and the file does not exist or is not named; or the file's folder does
    not exist.
    """
    name = record_mode() or mode
    if name not in MODES:
        raise UsageError(
            f"{VARIABLE} must be {' or '.join(MODES)}.", hint="Set it to one of them, or unset it."
        )
    decided = MODES[name]
    named = os.environ.get(FILE_VARIABLE, "")
    remedy = HINT
    if record_mode():
        remedy = ENVIRONMENT if file is None else OVERRIDDEN
    file = (named if file is None else file).strip()
    if file.lower() in ("", "off"):
        if decided == "replay":
            by = "" if named else f"{FILE_VARIABLE} or "
            raise RecordingError(
                f"{VARIABLE} is replay, and no recording is used: nothing is sent.",
                hint=f"Name it by {by}`%aeron replay FILE`, or unset {VARIABLE}.",
            )
        return None
    if _NEARLY_OFF.fullmatch(file):
        raise UsageError(
            f"{file!r} is not the name of a recording.",
            hint=f"Did you mean `off`? For a file of that name write `./{file}`.",
        )
    cassette = Cassette(file)
    if decided == "replay":
        if not cassette.exists:
            remedy = remedy.replace("{file}", cassette.argument)
            raise RecordingError(
                f"Recording not found: {cassette.path}.", hint=suggest_file(cassette.path) + remedy
            )
    elif not cassette.path.parent.is_dir():
        raise RecordingError(
            f"The folder of the recording does not exist: {cassette.path.parent}.",
            hint="Create it, or name a file in another folder.",
        )
    # Under CI, replies are replayed without delays.
    speed = 0.0 if os.environ.get("CI") else speed
    return Recorder(cassette, decided, speed=speed, hint=remedy, max_resent=max_resent)


def describe(recorder: Recorder | None, *, whole_path: bool = False) -> str:
    """The recorder in one line; with the file's whole path, if asked for."""
    if recorder is None:
        return "Recording is off."
    cassette = recorder.store
    replays = recorder.mode == "replay"
    by = f" (by {VARIABLE})" if record_mode() else ""
    file = cassette.path if whole_path else cassette.name
    turns = plural(len(cassette), "turn")
    kind = "Replaying, without the network" if replays else "Recording"
    near = "" if cassette.exists else near_file(cassette.path)
    new = f" (new file; did you mean `{near}`?)" if near else ""
    return f"{kind}{by}: {file}, {turns}{new}{damage_note(cassette)}"


def damage_note(cassette: Cassette) -> str:
    """The invalid lines of a recording with the reasons, as text; empty if there are none."""
    if not cassette.damaged:
        return ""
    shown = sorted(cassette.damaged.items())[:MAX_SHOWN]
    lines = ", ".join(f"{number} ({reason})" for number, reason in shown)
    more = len(cassette.damaged) - len(shown)
    rest = f" and {more:,} more" if more else ""
    return f"; ignored damaged line{'s' * (len(cassette.damaged) != 1)}: {lines}{rest}"
