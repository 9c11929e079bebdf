"""Outputs of a reply: their protocol, no output, and one display at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aeron_magic.errors import ReplyFormatError
from aeron_magic.markdown_text import code_span, one_line
from aeron_magic.protocol.events import Introduced
from aeron_magic.rendering.mimebundle import Bundle, mimebundle
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.extract import code_blocks, extract_code, extract_json
from aeron_magic.replies.reply import Reply
from aeron_magic.replies.tables import extract_table

REPAINT_INTERVAL = 0.095
"""Seconds between two paintings; each costs a message."""


class Publish(Protocol):
    def __call__(
        self,
        *,
        data: Bundle,
        metadata: dict[str, Any],
        transient: dict[str, Any] | None = None,
        update: bool = False,
    ) -> None:
        """``transient`` and ``update`` are for updatable displays."""


NOTES = {
    "interrupted": "Interrupted; the text received so far is shown.",
    "incomplete": "Incomplete: the reply was cut off here.",
    "failed": "Failed; the text received so far is shown.",
    "recovered": "The stream was lost; the whole reply was fetched from the service.",
    "processing": "The service is still working on this reply.",
    "complete": "",
    "lost": "The reply is lost: its kernel ended before it was complete, and it cannot be fetched.",
}

EMPTY = {"complete": "The reply is empty.", "failed": "", "interrupted": "", "incomplete": ""}
"""Replaces a note if the reply has no text; the error shows how the reply ended."""


def status_note(reply: Reply, metadata: Mapping[str, Any] | None = None) -> str:
    """The line below a reply: how it ended, and the ``notes`` in its metadata.

    A note may name a token of the service, which may contain control sequences.
    """
    ended = NOTES[reply.status]
    if not reply.text.strip():
        ended = EMPTY.get(reply.status, ended)
    return one_line(" ".join([ended, *(metadata or {}).get("notes", ())]))


def saved_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an output; the notes are part of its text."""
    return {"aeron_magic": {name: value for name, value in metadata.items() if name != "notes"}}


def greeting(introduced: Introduced | None, form: str = "markdown") -> str:
    """An agent's introductory message and its suggestions, to stand above the first reply."""
    if introduced is None or form not in ("markdown", "text"):
        return ""
    plain = form == "text"
    buttons = " · ".join(one_line(one) if plain else code_span(one) for one in introduced.buttons)
    parts = [introduced.text.strip(), f"Suggestions: {buttons}" if buttons else ""]
    text = "\n\n".join(filter(None, parts))
    if plain or not text:
        return f"{text}\n\n" if text else ""
    return "".join(f"> {line}\n" for line in text.split("\n")) + "\n"


EXTRACTORS: dict[str, Callable[[str], object]] = {
    "json": extract_json,
    "table": extract_table,
    "code": extract_code,
}
"""For each format that a reply may not contain, the function that extracts it or raises."""


def missing_format_error(reply: Reply, form: str) -> ReplyFormatError | None:
    """The error if ``reply`` does not contain what the format ``form`` shows, else None."""
    try:
        if form in EXTRACTORS:
            EXTRACTORS[form](reply.text)
    except ReplyFormatError as error:
        error.context_token = reply.context_token
        return error
    return None


def code_note(text: str) -> str:
    """How to insert the code blocks of a reply as cells."""
    count = len(code_blocks(text))
    if count == 1:
        return "%aeron code inserts it as a cell."
    return f"%aeron code NUMBER inserts one of the {count} blocks as a cell."


class Output(Protocol):
    def waiting(self, label: str) -> None:
        """Show that no text has arrived yet."""

    def render(self, accumulator: ReplyAccumulator) -> float:
        """Show new text; return the seconds until the next call."""
        ...

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        """Show the finished reply; return whether its text is visible."""
        ...


class NoOutput:
    """Shows nothing, for ``--quiet``."""

    def waiting(self, label: str) -> None:
        pass

    def render(self, accumulator: ReplyAccumulator) -> float:
        return REPAINT_INTERVAL

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        return False


class CellOutput(NoOutput):
    """Shows one display at the end, for front ends that do not update displays.

    * ``form``: a name in :data:`aeron_magic.rendering.mimebundle.FORMATS`.
    """

    def __init__(self, publish: Publish, form: str = "markdown") -> None:
        self._publish = publish
        self._form = form
        self._greeting = ""

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        if not reply.text and not reply.is_complete:
            return False
        self._greeting = greeting(accumulator.introduction, self._form)
        self._publish(data=self._bundle(reply, metadata), metadata=saved_metadata(metadata))
        return True

    def _bundle(self, reply: Reply, metadata: dict[str, Any]) -> Bundle:
        """The reply in its format; as Markdown if it has no data of that format."""
        remark = status_note(reply, metadata)
        try:
            noted = f"{remark} {code_note(reply.text)}".strip() if self._form == "code" else remark
            return mimebundle(self._greeting + reply.text, format=self._form, note=noted)
        except ReplyFormatError:
            return mimebundle(reply.text, note=remark)
