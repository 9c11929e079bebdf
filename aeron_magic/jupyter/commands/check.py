"""``%aeron record FILE --mode check``: ask again, and see which answers are no longer the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeron_magic.recording.cassette import Cassette
from aeron_magic.errors import AeronError, RecordingError, ReplyFormatError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.record import damage, present
from aeron_magic.jupyter.display.publish import show_markdown, table
from aeron_magic.recording.record import ELSEWHERE, Record
from aeron_magic.replies.reply import Reply

if TYPE_CHECKING:
    from aeron_magic.jupyter.magics import AeronMagics

__all__ = ["Compared", "check", "same"]


@dataclass(frozen=True, slots=True)
class Compared:
    """One recorded turn, and what the service says now."""

    made: Record
    now: str
    result: str
    """``same``, ``differs``, ``failed`` or ``not asked``."""


def same(before: str, now: str, how: str) -> bool:
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
    present(cassette)
    compared = _ask_again(magics, cassette, how)
    damaged = damage(cassette)
    if not compared:
        raise RecordingError(
            f"{cassette.name} holds nothing to compare{damaged}.",
            hint="`%aeron record FILE` asks and records.",
        )
    different = [row for row in compared if row.result != "same"]
    text = f"{len(compared) - len(different)} of {len(compared)} answers are the same ({how})"
    text += f"{damaged}."
    if different:
        rows = [(row.made.question, row.result, row.made.text, row.now) for row in different]
        text += "\n\n" + table(["question", "result", "recorded", "now"], rows)
    show_markdown(text, magics.shell)
    session.last_error = None
    if (different or damaged) and command["strict"]:
        raise RecordingError(
            f"{len(different)} of {len(compared)} answers differ from the recording{damaged}.",
            hint="Look at the table above; `--mode record` records the new answers.",
        )


def _ask_again(magics: AeronMagics, cassette: Cassette, how: str) -> list[Compared]:
    session = magics.session
    client = session.connected().client
    recorder, client.recorder = client.recorder, None
    tokens: dict[str, str | None] = {"": None}
    compared: list[Compared] = []
    try:
        for made in cassette:
            elsewhere = made.after == ELSEWHERE or made.service != client.settings.service
            if elsewhere or made.after not in tokens or not made.whole:
                compared.append(Compared(made, "", "not asked"))
                continue
            try:
                reply = session.background.run(
                    client.ask(made.question, tokens[made.after], made.images)
                )
            except AeronError as error:
                compared.append(Compared(made, str(error), "failed"))
                continue
            tokens[made.key] = reply.context_token
            result = "same" if same(made.text, reply.text, how) else "differs"
            compared.append(Compared(made, reply.text, result))
    finally:
        client.recorder = recorder
    return compared
