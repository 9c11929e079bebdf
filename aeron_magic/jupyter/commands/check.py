"""``%aeron record FILE --mode check``: ask again, and see which answers are no longer the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeron_magic.errors import AeronError, RecordingError, ReplyFormatError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.record import damage_note, require
from aeron_magic.jupyter.display.publish import markdown_table, show_markdown
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.record import UNRECORDED_PARENT, Record
from aeron_magic.replies.reply import Reply

if TYPE_CHECKING:
    from aeron_magic.jupyter.magics import AeronMagics

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


def check(magics: AeronMagics, command: Command) -> None:
    """Ask every recorded question again, in its own conversation, and show what differs.

    Raises
    ------
    RecordingError
        There is no such file, or nothing in it; with ``--strict`` also: an answer differs, could
        not be had, or cannot be read.
    """
    session = magics.session
    how = command["match"] or "exact"
    cassette = Cassette(command["file"])
    require(cassette)
    compared = _ask_again(magics, cassette, how)
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
        text += "\n\n" + markdown_table(["question", "result", "recorded", "now"], rows)
    show_markdown(text, magics.shell)
    session.last_error = None
    if (different or damaged) and command["strict"]:
        raise RecordingError(
            f"{len(different)} of {len(compared)} answers differ from the recording{damaged}.",
            hint="Look at the table above; `--mode record` records the new answers.",
        )


def _ask_again(magics: AeronMagics, cassette: Cassette, how: str) -> list[CheckedTurn]:
    session = magics.session
    client = session.ensure_connected().client
    recorder, client.recorder = client.recorder, None
    tokens: dict[str, str | None] = {"": None}
    compared: list[CheckedTurn] = []
    try:
        for made in cassette:
            elsewhere = (
                made.parent_key == UNRECORDED_PARENT or made.service != client.settings.service
            )
            if elsewhere or made.parent_key not in tokens or not made.is_complete:
                compared.append(CheckedTurn(made, "", "not asked"))
                continue
            try:
                reply = session.loop.run(
                    client.ask(made.question, tokens[made.parent_key], made.images)
                )
            except AeronError as error:
                compared.append(CheckedTurn(made, str(error), "failed"))
                continue
            tokens[made.key] = reply.context_token
            result = "same" if answers_match(made.text, reply.text, how) else "differs"
            compared.append(CheckedTurn(made, reply.text, result))
    finally:
        client.recorder = recorder
    return compared
