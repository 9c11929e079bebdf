"""A growing reply as the panel gets it: what changed in its HTML, and nothing twice.

The reply's HTML is made in the kernel, by the one place that makes it safe. It grows in blocks: a
finished block stays as it is, and only the tail after the last one is rendered again. Of the new
tail only what differs from the old one goes over the wire: nearly always the few words that came.
So a message is about as long as the text in it, however long the reply or the conversation is.

At the end the whole reply is rendered once from one text. Blocks that are the same in it are left
alone; what was cut in the middle of a block of Markdown (a long fence, table or list) is replaced.

Places are counted in UTF-16 units, as a browser counts them: characters beyond 16 bits are written
as references, so that both sides count the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from aeron_magic.rendering.incremental import MarkdownStream, render_block
from aeron_magic.rendering.mimebundle import to_html
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply

__all__ = ["HtmlStream", "reply_html", "splice", "utf16_safe"]

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def utf16_safe(html: str) -> str:
    """``html`` with the same meaning, of which Python and a browser say the same length."""
    return _ASTRAL.sub(lambda found: f"&#{ord(found.group())};", html)


@lru_cache(maxsize=64)
def reply_html(text: str) -> str:
    """The HTML of a whole text; cached, since messages and the transcript all use it."""
    return utf16_safe(to_html(text)) if text else ""


def splice(old: str, new: str) -> tuple[int, int, str]:
    """How ``new`` comes from ``old``: at which place, how many are dropped, what is put there."""
    shortest = min(len(old), len(new))
    start = _common(shortest, lambda n: old[:n] == new[:n])
    rest = shortest - start
    end = _common(rest, lambda n: old[len(old) - n :] == new[len(new) - n :])
    return start, len(old) - start - end, new[start : len(new) - end]


def _common(most: int, same: Any) -> int:
    """The greatest number up to ``most`` for which ``same`` holds, as it does for all below it."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if same(middle):
            low = middle
        else:
            high = middle - 1
    return low


class HtmlStream:
    """Follows one reply and says what has changed since the last time.

    Attributes
    ----------
    blocks
        The HTML of what is finished.
    tail
        The HTML of what is not.
    sequence
        The number of the last step; a panel that misses one asks for all of it.
    """

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.tail = ""
        self.status_text = ""
        self.sequence = 0
        self._markdown = MarkdownStream(limit_blocks=False)
        self._taken = 0

    @property
    def state(self) -> dict[str, Any]:
        """All of it, for a panel that has nothing yet."""
        return {
            "seq": self.sequence,
            "blocks": self.blocks,
            "tail": self.tail,
            "notice": self.status_text,
        }

    def step(self, accumulator: ReplyAccumulator) -> dict[str, Any] | None:
        """What has changed since the last step; None where nothing has.

        ``at``, ``drop`` and ``add`` change the old tail; ``cuts`` are the places in the result
        where blocks end that are finished now, and what is behind the last one is the new tail.
        """
        fresh = accumulator.displayed[self._taken :]
        self._taken += len(fresh)
        self._markdown.add("".join(fresh))
        done = [utf16_safe(render_block(piece)) for piece in self._markdown.pop_finished()]
        tail = utf16_safe(render_block(self._markdown.tail)) if fresh else self.tail
        if not done and tail == self.tail and accumulator.status_text == self.status_text:
            return None
        at, drop, add = splice(self.tail, "".join([*done, tail]))
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
        """How the blocks on the screen become the finished reply.

        The first ``keep`` blocks and the last ``keep_last`` stay (the tail counts as one, if it is
        not empty); ``html`` takes the place of those between.
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
