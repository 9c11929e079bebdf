"""The output of a reply that is updated in place while the reply comes in.

The page is the narrow place, not the kernel: JupyterLab draws a whole output anew for each update.
So text is painted by a clock and not by chunk, in pieces: a piece that is long enough is frozen,
and only the open tail is updated. When the reply has ended, one output takes their place.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from aeron_magic.jupyter.display.outputs import REPAINT_INTERVAL, CellOutput, Publish
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.incremental import MarkdownBlock, MarkdownStream, render_block
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

__all__ = ["LiveOutput"]


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

    def waiting(self, label: str) -> None:
        self._show(f"<p><em>waiting for {label} …</em></p>")

    def render(self, accumulator: ReplyAccumulator) -> float:
        pieces = accumulator.displayed[self._taken :]
        self._taken += len(pieces)
        fresh = "".join(pieces)
        self._markdown.add(fresh)
        flood = len(fresh) > FAST_STREAM
        # A short text that is there at once goes in one message: the envelope is most of it.
        whole = not self._shown and not flood
        painted = 0
        self._ready += self._markdown.pop_finished()
        html = "".join(self._html(piece, highlight=not (flood or whole)) for piece in self._ready)
        if self._ready and not whole:
            if self._clear is not None:
                self._show(html)
                painted = len(html)
                self._display_id = None  # what is frozen is never sent again
            self._frozen += len(self._ready)
            self._ready.clear()
            html = ""
        html += self._html(self._markdown.tail, highlight=not flood)
        if self._frozen and self._clear is None:
            html = f"<p><em>…</em></p>{html}"
        if accumulator.status_text:
            html += f"<p><em>{strip_control_sequences(accumulator.status_text)}</em></p>"
        if html:
            self._show(html)
        return max(REPAINT_INTERVAL, SECONDS_PER_CHAR * (painted + len(html)))

    def _html(self, piece: MarkdownBlock, *, highlight: bool) -> str:
        if self._form == "text":
            return mimebundle(piece.source, format="text")["text/html"]
        html = _END_TAG.sub("", render_block(piece, highlight=highlight))
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

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
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
        return super().finish(accumulator, reply, metadata)
