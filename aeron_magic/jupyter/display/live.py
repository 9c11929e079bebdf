"""The output of a reply that is updated in place while the reply is being read.

The page is the bottleneck: JupyterLab redraws a whole output for each update. So the text is
repainted at intervals, not for each chunk, and in blocks: a finished block becomes an output that
is never updated, and only the tail is repainted. At the end one output replaces them all.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aeron_magic.jupyter.display.outputs import (
    REPAINT_INTERVAL,
    CellOutput,
    Publish,
    greeting,
    saved_metadata,
)
from aeron_magic.rendering.incremental import MarkdownBlock, MarkdownStream, render_block
from aeron_magic.rendering.mimebundle import mimebundle, remark_html
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

if TYPE_CHECKING:
    from markupsafe import Markup

SECONDS_PER_CHAR = 10e-6
"""Seconds until the next painting, for each character of the last one: JupyterLab draws about 200
characters in a millisecond."""

RECEIVING = "receiving …"
"""Below the text so far: it is saved with the notebook if that is saved now, or the kernel ends."""

MIN_FROZEN = 500
"""Characters from which on a block is frozen; each painting sends half of them on average."""

FAST_STREAM = 2_000
"""Characters between two paintings above which code is highlighted at the end only: highlighting
makes its HTML two or three times as long."""


class LiveOutput(CellOutput):
    """An output that grows with the reply.

    * ``clear``: clears the cell's outputs before the next one; None if the cell has other outputs,
      too. Then only the tail is shown, in one display that the whole reply replaces at the end.
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
        self._show(remark_html(f"waiting for {label} …"))

    def render(self, accumulator: ReplyAccumulator) -> float:
        from markupsafe import Markup

        pieces = accumulator.displayed[self._taken :]
        self._taken += len(pieces)
        fresh = "".join(pieces)
        if accumulator.introduction is not None and not self._greeting:
            self._greeting = greeting(accumulator.introduction, self._form)
            fresh = self._greeting + fresh
        self._markdown.add(fresh)
        flood = len(fresh) > FAST_STREAM
        # A short text that arrives at once is one message, because most of that is its envelope.
        whole = not self._shown and not flood
        painted = 0
        self._ready += self._markdown.pop_finished()
        html = Markup("").join(
            self._html(piece, highlight=not (flood or whole)) for piece in self._ready
        )
        if self._ready and not whole:
            if self._clear is not None:
                self._show(html)
                painted = len(html)
                self._display_id = None  # a frozen block is never updated
            self._frozen += len(self._ready)
            self._ready.clear()
            html = Markup("")
        html += self._html(self._markdown.tail, highlight=not flood)
        if self._frozen and self._clear is None:
            html = remark_html("…") + html
        if html or accumulator.status_text:
            mark = accumulator.status_text or ("" if whole else RECEIVING)
            self._show(html + remark_html(mark) if mark else html)
        if not flood:
            self._highlight_ahead(accumulator)
        return max(REPAINT_INTERVAL, SECONDS_PER_CHAR * (painted + len(html)))

    def _highlight_ahead(self, accumulator: ReplyAccumulator) -> None:
        """Highlight a long code block while it comes, so that the end does not wait for it."""
        fence = self._markdown.tail.context
        if self._form == "markdown" and fence.startswith(("```", "~~~")):
            from aeron_magic.rendering.highlighting import highlight_ahead

            code = "".join(accumulator.displayed).rpartition(fence)[2]
            highlight_ahead(code, fence.strip("`~\n"))

    def _html(self, piece: MarkdownBlock, *, highlight: bool) -> Markup:
        if self._form == "text":
            return mimebundle(piece.source, format="text")["text/html"]
        return render_block(piece, highlight=highlight, compact=True)

    def _show(self, html: Markup) -> None:
        update = self._display_id is not None
        if update and html == self._shown:
            return
        self._display_id = self._display_id or uuid.uuid4().hex[:12]
        self._shown = html
        self._publish(
            data={"text/html": html},  # without plain text, which a console would print
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
                metadata=saved_metadata(metadata),
                transient={"display_id": self._display_id},
                update=True,
            )
            return True
        return super().finish(accumulator, reply, metadata)
