"""Where a reply appears while it comes in: a live cell, a cell at its end, or a terminal.

The page is the narrow place, not the kernel: JupyterLab draws a whole output anew for each update.
So text is painted by a clock and not by chunk, in pieces: a piece that is long enough is frozen,
and only the open tail is updated. When the reply has ended, one output takes their place.
"""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

from aeron_magic.errors import ReplyFormatError
from aeron_magic.plaintext import ControlSequenceFilter, strip_control_sequences
from aeron_magic.rendering.incremental import MarkdownBlock, MarkdownStream, render_block
from aeron_magic.rendering.mimebundle import mimebundle, warm_cache
from aeron_magic.replies.reply import Reply, ReplyAccumulator
from aeron_magic.session.reply_task import ReplyTask

__all__ = [
    "CellOutput",
    "LiveOutput",
    "NoOutput",
    "Output",
    "TerminalOutput",
    "render_until_done",
    "status_note",
]

Publish = Callable[..., None]
"""Publishes ``data``, ``metadata`` and, for what will be updated, ``transient``, ``update``."""

REPAINT_INTERVAL = 0.095
"""Seconds from one painting to the next: text waits half of that, and each costs a message."""

MIN_IDLE = 0.02
"""Seconds after a painting, however long it took, in which others have the processor."""

SECONDS_PER_CHAR = 10e-6
"""Seconds for each character painted, where so many are that the page needs the time: JupyterLab
draws some 200 in a millisecond, and has other things to do."""

MIN_FROZEN = 500
"""Characters from which on a piece is frozen: half of them are sent again by each painting."""

FAST_STREAM = 2_000
"""Characters that come between two paintings beyond which code is coloured at the end only: nobody
reads that fast, and colours make it two or three times as long."""

_END_TAG = re.compile(r"</t[dhr]>\n")
_QUOTED = re.compile(r'="([a-z:-]+)">')
"""What HTML does without, and each cell of a table has. Text has no ``>`` as such."""

WAITING_AFTER = 1.0
"""Seconds without any text after which the output says that it is waiting."""

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

    def render(self, draft: ReplyAccumulator) -> float:
        """Show what has come since the last time; in how many seconds to do so again."""
        ...

    def finish(self, draft: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        """Show the reply as it ended; whether its text is to be seen now."""
        ...


def render_until_done(running: ReplyTask, output: Output, label: str) -> None:
    """Paint ``running`` on ``output``, by the clock, until it has ended."""
    while not running.done.is_set():
        if not running.changed.wait(WAITING_AFTER):
            if not running.accumulator.displayed:
                output.waiting(label)
            continue
        running.changed.clear()
        if not running.done.is_set():
            began = time.monotonic()
            pace = output.render(running.accumulator)
            running.done.wait(max(MIN_IDLE, pace - (time.monotonic() - began)))


class NoOutput:
    """For ``--quiet``."""

    def waiting(self, label: str) -> None:
        """Stay quiet."""

    def render(self, draft: ReplyAccumulator) -> float:
        """Stay quiet."""
        return REPAINT_INTERVAL

    def finish(self, draft: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
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

    def render(self, draft: ReplyAccumulator) -> float:
        """Nothing is shown before the end."""
        return REPAINT_INTERVAL

    def finish(self, draft: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
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


class LiveOutput(CellOutput):
    """Grows while the reply comes in.

    Parameters
    ----------
    publish, form
        See :class:`CellOutput`.
    clear
        Clears the cell's outputs when the next one comes; None where the cell has other outputs
        too. The tail alone is shown then, in one display that the whole reply replaces at the end.
    """

    def __init__(
        self, publish: Publish, form: str = "markdown", *, clear: Callable[[], None] | None = None
    ) -> None:
        super().__init__(publish, form)
        self._clear = clear
        self._markdown = MarkdownStream(MIN_FROZEN)
        self._ready: list[MarkdownBlock] = []
        self._taken = 0
        self._display_id: str | None = None
        self._shown = ""
        self._frozen = 0
        self._unprepared = ""

    def waiting(self, label: str) -> None:
        self._show(f"<p><em>waiting for {label} …</em></p>")

    def render(self, draft: ReplyAccumulator) -> float:
        pieces = draft.displayed[self._taken :]
        self._taken += len(pieces)
        fresh = "".join(pieces)
        self._markdown.add(fresh)
        flood = len(fresh) > FAST_STREAM
        # A short text that is there at once goes in one message: the envelope is most of it.
        whole = not self._shown and not flood
        painted = 0
        self._ready += self._markdown.pop_finished()
        html = "".join(self._html(piece, plain=flood or whole) for piece in self._ready)
        if self._ready and not whole:
            if self._clear is not None:
                self._show(html)
                painted = len(html)
                self._display_id = None  # what is frozen is never sent again
            self._frozen += len(self._ready)
            self._ready.clear()
            html = ""
        html += self._html(self._markdown.tail, plain=flood)
        if self._frozen and self._clear is None:
            html = f"<p><em>…</em></p>{html}"
        if draft.status_text:
            html += f"<p><em>{strip_control_sequences(draft.status_text)}</em></p>"
        if html:
            self._show(html)
        if self._form == "markdown":
            self._unprepared = warm_cache(self._unprepared + fresh)
        return max(REPAINT_INTERVAL, SECONDS_PER_CHAR * (painted + len(html)))

    def _html(self, piece: MarkdownBlock, *, plain: bool) -> str:
        if self._form == "text":
            return mimebundle(piece.source, format="text")["text/html"]
        html = _END_TAG.sub("", render_block(piece, plain=plain))
        return _QUOTED.sub(r"=\1>", html)

    def _show(self, html: str) -> None:
        update = self._display_id is not None
        if update and html == self._shown:
            return
        self._display_id = self._display_id or uuid.uuid4().hex[:12]
        self._shown = html
        self._publish(
            data={"text/html": html, "text/plain": "…"},
            metadata={},
            transient={"display_id": self._display_id},
            update=update,
        )

    def finish(self, draft: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        painted = bool(self._shown)
        if painted and self._clear is not None:
            self._clear()
        elif painted:
            self._publish(
                data=self._bundle(reply, metadata),
                metadata={"aeron": metadata},
                transient={"display_id": self._display_id},
                update=True,
            )
            return True
        return super().finish(draft, reply, metadata)


class TerminalOutput:
    """Writes text as it comes, made harmless, and never the same text twice."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._filter = ControlSequenceFilter()
        self._taken = 0
        self._last = ""
        self._status_text = ""

    @property
    def _out(self) -> TextIO:
        return self._stream or sys.stdout

    def waiting(self, label: str) -> None:
        """A terminal shows by its cursor that it waits."""

    def render(self, draft: ReplyAccumulator) -> float:
        fresh = draft.displayed[self._taken :]
        self._taken += len(fresh)
        self._write(self._filter.feed("".join(fresh)))
        if draft.status_text and draft.status_text != self._status_text:
            self._end_line()
            self._write(f"[{strip_control_sequences(draft.status_text)}]\n")
        self._status_text = draft.status_text
        return REPAINT_INTERVAL

    def _write(self, text: str) -> None:
        if text:
            self._last = text[-1]
            self._out.write(text)
            self._out.flush()

    def finish(self, draft: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        self.render(draft)
        self._write(self._filter.close())
        self._end_line()
        if reply.text != "".join(draft.displayed):
            self._write(
                f"[the reply as the service has it:]\n{strip_control_sequences(reply.text)}"
            )
            self._end_line()
        if remark := status_note(reply, metadata):
            self._write(f"[{remark}]\n")
        return bool(self._last)

    def _end_line(self) -> None:
        if self._last not in ("", "\n"):
            self._write("\n")
