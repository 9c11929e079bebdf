"""The HTML of a growing reply, as differences for the panel's pages.

The HTML consists of finished blocks and a tail. A finished block is sent once; only the tail is
rendered again, and only its difference from the previous tail is sent. So a message is about as
long as the new text in it. At the end the whole reply is rendered once; blocks that are equal in
it are kept, and the rest is replaced.

Positions count UTF-16 units, as a browser does. Characters beyond 16 bits are written as references
in HTML, so that Python counts the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from markupsafe import Markup

from aeron_magic.rendering.incremental import MarkdownStream, render_block
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

MAX_STEP = 5_000
"""Characters that are rendered in one step: at most 50 ms, in which no other reply is read."""


class _Astral(dict[int, int | str]):
    """Maps characters beyond 16 bits to references, and others to themselves."""

    def __missing__(self, code: int) -> int | str:
        self[code] = result = f"&#{code};" if code > 0xFFFF else code
        return result


_REFERENCES = _Astral()


def utf16_safe(html: Markup) -> Markup:
    """Equivalent HTML whose length is the same in Python and in a browser."""
    if max(html, default="") <= "\uffff":
        return html
    return cast(Markup, html.translate(_REFERENCES))


@lru_cache(maxsize=64)
def reply_html(text: str) -> Markup:
    """The HTML of a whole text; cached, since messages and the transcript all use it."""
    from aeron_magic.rendering.safe_html import to_html

    return utf16_safe(to_html(text, cells=True)) if text else Markup("")


def splice(old: str, new: str) -> tuple[int, int, str]:
    """The edit from ``old`` to ``new``: position, number of characters to drop, insertion."""
    shortest = min(len(old), len(new))
    start = _common(shortest, lambda n: old[:n] == new[:n])
    rest = shortest - start
    end = _common(rest, lambda n: old[len(old) - n :] == new[len(new) - n :])
    return start, len(old) - start - end, new[start : len(new) - end]


def _common(most: int, same: Any) -> int:
    """The greatest number up to ``most`` for which ``same`` holds; it holds for all below."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if same(middle):
            low = middle
        else:
            high = middle - 1
    return low


class HtmlStream:
    """The differences of one reply's HTML from step to step.

    Attributes
    ----------
    blocks
        The HTML of the finished blocks.
    tail
        The HTML of the rest.
    sequence
        The number of the last step; a page that misses one requests a snapshot.
    """

    def __init__(self) -> None:
        self.blocks: list[Markup] = []
        self.tail = Markup("")
        self.status_text = ""
        self.sequence = 0
        self._markdown = MarkdownStream(limit_blocks=False)
        self._taken = 0
        self._rest = ""

    @property
    def state(self) -> dict[str, Any]:
        """A snapshot, for a new page."""
        return {
            "seq": self.sequence,
            "blocks": self.blocks,
            "tail": self.tail,
            "notice": self.status_text,
        }

    def step(self, accumulator: ReplyAccumulator) -> dict[str, Any] | None:
        """The difference from the last step; None if there is none.

        A step takes at most ``MAX_STEP`` characters; the next one continues there.
        ``at``, ``drop`` and ``add`` edit the old tail. In the result, ``cuts`` are the ends of the
        blocks that are finished now; the new tail is the rest.
        """
        arrived = self._rest + "".join(accumulator.displayed[self._taken :])
        self._taken = len(accumulator.displayed)
        fresh, self._rest = arrived[:MAX_STEP], arrived[MAX_STEP:]
        self._markdown.add(fresh)
        done = [
            utf16_safe(render_block(piece, cells=True)) for piece in self._markdown.pop_finished()
        ]
        tail = utf16_safe(render_block(self._markdown.tail, cells=True)) if fresh else self.tail
        if not done and tail == self.tail and accumulator.status_text == self.status_text:
            return None
        at, drop, add = splice(str(self.tail), "".join([*done, tail]))
        cuts, end = [], 0
        for block in done:
            end += len(block)
            cuts.append(end)
        self.blocks += done
        self.tail, self.status_text = tail, accumulator.status_text
        self.sequence += 1
        return {
            "seq": self.sequence,
            "at": at,
            "drop": drop,
            "add": add,
            "cuts": cuts,
            "notice": self.status_text,
        }

    def end(self, reply: Reply) -> dict[str, Any]:
        """The difference between the blocks on the screen and the finished reply.

        The first ``keep`` and the last ``keep_last`` blocks stay (the tail counts as a block if it
        is not empty); ``html`` replaces those between.
        """
        whole = reply_html(reply.text)
        shown = [*self.blocks, self.tail] if self.tail else list(self.blocks)
        begin, keep = 0, 0
        while keep < len(shown) and whole.startswith(shown[keep], begin):
            begin += len(shown[keep])
            keep += 1
        end, keep_last = len(whole), 0
        while keep_last < len(shown) - keep:
            block = shown[-1 - keep_last]
            if end - len(block) < begin or not whole.endswith(block, begin, end):
                break
            end -= len(block)
            keep_last += 1
        return {"keep": keep, "keep_last": keep_last, "html": whole[begin:end]}
