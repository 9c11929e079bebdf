"""``%aeron check FILE``: ask recorded questions again and compare the answers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from aeron_magic.errors import AeronError, RecordingError, ReplyFormatError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import Table, show
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.record import UNRECORDED_PARENT
from aeron_magic.replies.reply import Reply
from aeron_magic.session.recordings import damage_note, require_recording

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def _match(recorded: str, now: str, how: str) -> bool:
    """Whether two answers are the same: exactly, apart from white space, or as JSON values."""
    if how == "spaces":
        return recorded.split() == now.split()
    if how == "json":
        with suppress(ReplyFormatError):
            return bool(Reply(recorded).json() == Reply(now).json())
    return recorded == now


def check(app: App, command: Command) -> None:
    """Ask every recorded question again, in separate conversations, and show what differs.

    Raises
    ------
    RecordingError
        The file does not exist or contains no turn; with ``--strict`` also if an answer differs,
        a question failed, or a line is damaged.
    """
    how = command["match"] or "exact"
    cassette = Cassette(command["file"])
    require_recording(cassette)
    rows = _check_turns(app, cassette, how)
    damaged = damage_note(cassette)
    if not rows:
        raise RecordingError(
            f"{cassette.name} contains no turn to check{damaged}.",
            hint="Record it first, with `%aeron record FILE`.",
        )
    different = [row for row in rows if row[1] != "same"]
    summary = f"{len(rows) - len(different)} of {len(rows)} answers are the same ({how}){damaged}."
    table = Table(("question", "result", "recorded", "now"), different)
    show(app.shell, summary, table if different else "")
    if (different or damaged) and command["strict"]:
        raise RecordingError(
            f"{len(different)} of {len(rows)} answers differ from the recording{damaged}.",
            hint="Look at the table above; `%aeron record FILE` records them in a new file.",
        )


def _check_turns(app: App, cassette: Cassette, how: str) -> list[tuple[str, str, str, str]]:
    """Ask again; return question, result, recorded answer and new answer of each turn.

    The result is ``same``, ``differs``, ``failed`` or ``not asked``.
    """
    client = app.session.ensure_connected().client
    recorder, client.recorder = client.recorder, None
    tokens: dict[str, str | None] = {"": None}
    rows: list[tuple[str, str, str, str]] = []
    try:
        for record in cassette:
            result, now = "not asked", ""
            if (
                record.parent_key in tokens
                and record.parent_key != UNRECORDED_PARENT
                and record.service == client.settings.service
                and record.is_complete
            ):
                question = client.ask(record.question, tokens[record.parent_key], record.images)
                try:
                    reply = app.session.io_loop.run(question)
                except AeronError as error:
                    result, now = "failed", str(error)
                else:
                    tokens[record.key] = reply.context_token
                    now = reply.text
                    result = "same" if _match(record.text, now, how) else "differs"
            rows.append((record.question, result, record.text, now))
    finally:
        client.recorder = recorder
    return rows
