"""``%aeron record FILE --mode check``: ask again, and see which answers are no longer the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeron_magic.errors import AeronError, RecordingError, ReplyFormatError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show_markdown
from aeron_magic.markdown_text import escaped_table
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.record import UNRECORDED_PARENT, Record
from aeron_magic.replies.reply import Reply
from aeron_magic.session.recordings import damage_note, require_recording

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["CheckedTurn", "answers_match", "check"]


@dataclass(frozen=True, slots=True)
class CheckedTurn:
    """One recorded turn, and what the service says now."""

    record: Record
    now: str
    result: str
    """``same``, ``differs``, ``failed`` or ``not asked``."""


def answers_match(before: str, now: str, how: str) -> bool:
    """Whether two answers are the same.

    ``how`` is ``exact``, ``spaces`` (white space does not count) or ``json`` (as values).
    """
    if how == "spaces":
        return before.split() == now.split()
    if how == "json":
        try:
            return bool(Reply(before).json() == Reply(now).json())
        except ReplyFormatError:
            return before == now
    return before == now


def check(app: App, command: Command) -> None:
    """Ask every recorded question again, in its own conversation, and show what differs.

    Raises
    ------
    RecordingError
        There is no such file, or nothing in it; with ``--strict`` also: an answer differs, could
        not be had, or cannot be read.
    """
    session = app.session
    how = command["match"] or "exact"
    cassette = Cassette(command["file"])
    require_recording(cassette)
    compared = _check_turns(app, cassette, how)
    damaged = damage_note(cassette)
    if not compared:
        raise RecordingError(
            f"{cassette.name} holds nothing to compare{damaged}.",
            hint="`%aeron record FILE` asks and records.",
        )
    different = [row for row in compared if row.result != "same"]
    text = f"{len(compared) - len(different)} of {len(compared)} answers are the same ({how})"
    text += f"{damaged}."
    if different:
        rows = [(row.record.question, row.result, row.record.text, row.now) for row in different]
        text += "\n\n" + escaped_table(["question", "result", "recorded", "now"], rows)
    show_markdown(text, app.shell)
    session.last_error = None
    if (different or damaged) and command["strict"]:
        raise RecordingError(
            f"{len(different)} of {len(compared)} answers differ from the recording{damaged}.",
            hint="Look at the table above; `--mode record` records the new answers.",
        )


def _check_turns(app: App, cassette: Cassette, how: str) -> list[CheckedTurn]:
    session = app.session
    client = session.ensure_connected().client
    recorder, client.recorder = client.recorder, None
    tokens: dict[str, str | None] = {"": None}
    compared: list[CheckedTurn] = []
    try:
        for record in cassette:
            elsewhere = (
                record.parent_key == UNRECORDED_PARENT or record.service != client.settings.service
            )
            if elsewhere or record.parent_key not in tokens or not record.is_complete:
                compared.append(CheckedTurn(record, "", "not asked"))
                continue
            try:
                reply = session.io_loop.run(
                    client.ask(record.question, tokens[record.parent_key], record.images)
                )
            except AeronError as error:
                compared.append(CheckedTurn(record, str(error), "failed"))
                continue
            tokens[record.key] = reply.context_token
            result = "same" if answers_match(record.text, reply.text, how) else "differs"
            compared.append(CheckedTurn(record, reply.text, result))
    finally:
        client.recorder = recorder
    return compared
