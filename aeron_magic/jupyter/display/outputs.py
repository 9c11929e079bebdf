"""Outputs of a reply: the protocol, the silent output, and one display at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aeron_magic.errors import ReplyFormatError
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

__all__ = ["REPAINT_INTERVAL", "CellOutput", "NoOutput", "Output", "Publish", "status_note"]

REPAINT_INTERVAL = 0.095
"""Seconds from one painting to the next: text waits half of that, and each costs a message."""

Publish = Callable[..., None]
"""Publishes ``data``, ``metadata`` and, for what will be updated, ``transient``, ``update``."""

NOTES = {
    "interrupted": "Interrupted: this is what had come.",
    "incomplete": "Incomplete: the reply was cut off here.",
    "failed": "Failed: this is what had come.",
    "recovered": "The stream was lost; the whole reply was fetched from the service.",
    "processing": "The service is still working on this reply.",
    "complete": "",
}

EMPTY = {"complete": "The reply is empty.", "failed": "", "interrupted": "", "incomplete": ""}
"""In place of those, where there is no text; the error says how it ended."""


def status_note(reply: Reply, metadata: Mapping[str, Any] | None = None) -> str:
    """What has to be said of a reply besides its text: how it ended, and ``notes``."""
    ended = NOTES[reply.status]
    if not reply.text.strip():
        ended = EMPTY.get(reply.status, ended)
    return " ".join([ended, *(metadata or {}).get("notes", ())]).strip()


class Output(Protocol):
    """A place where one reply appears."""

    def waiting(self, label: str) -> None:
        """Nothing has come for a while."""

    def render(self, accumulator: ReplyAccumulator) -> float:
        """Show what has come since the last time; in how many seconds to do so again."""
        ...

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        """Show the reply as it ended; whether its text is to be seen now."""
        ...


class NoOutput:
    """For ``--quiet``."""

    def waiting(self, label: str) -> None:
        """Stay quiet."""

    def render(self, accumulator: ReplyAccumulator) -> float:
        """Stay quiet."""
        return REPAINT_INTERVAL

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        return False


class CellOutput:
    """One display at the end: where nothing can, or should, be updated.

    Parameters
    ----------
    publish
        Publishes a display to the front end.
    form
        A name in :data:`aeron_magic.rendering.mimebundle.FORMATS`.
    """

    def __init__(self, publish: Publish, form: str = "markdown") -> None:
        self._publish = publish
        self._form = form

    def waiting(self, label: str) -> None:
        """Nothing is shown before the end."""

    def render(self, accumulator: ReplyAccumulator) -> float:
        """Nothing is shown before the end."""
        return REPAINT_INTERVAL

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        if not reply.text and not reply.is_complete:
            return False
        self._publish(data=self._bundle(reply, metadata), metadata={"aeron": metadata})
        return True

    def _bundle(self, reply: Reply, metadata: dict[str, Any]) -> dict[str, str]:
        """The reply in its format; as Markdown where it does not hold what the format shows."""
        remark = status_note(reply, metadata)
        try:
            return mimebundle(reply.text, format=self._form, note=remark)
        except ReplyFormatError:
            return mimebundle(reply.text, note=remark)
