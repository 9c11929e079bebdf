"""What of the panel can be read without it: in a saved notebook, in an export, on a code host.

A widget is not saved with its text, so a second output stands below it: the conversation in folded
blocks of plain HTML, Markdown and text. An output is sent and painted whole whenever it changes;
so a long conversation is cut into several, of which only the last still grows. They are as long as
a tenth of all before them, since JupyterLab hides the outputs of a cell after the fiftieth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.jupyter.display.outputs import status_note
from aeron_magic.rendering.mimebundle import to_html, to_markdown, to_plain
from aeron_magic.services.catalog import service_info

__all__ = ["PANEL", "Transcript", "bundle", "pages"]

PANEL = {
    "text/plain": "Chat panel. Run this cell in JupyterLab, Notebook or Voilà to use it; "
    "the conversation is below.",
    "text/html": "<p><em>Chat panel: run this cell to use it; the conversation is below.</em></p>",
    "text/markdown": "*Chat panel: run this cell to use it; the conversation is below.*",
}
"""What stands in the panel's own place where there are no widgets; always the same."""

LEAST = 8_000
"""Characters after which an output is full, at first."""


def pages(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The turns of each output; the same beginning gives the same outputs."""
    made: list[list[Turn]] = [[]]
    length = total = 0
    for turn in turns:
        if length >= max(LEAST, total // 10):
            made.append([])
            length = 0
        made[-1].append(turn)
        size = len(turn.question) + (len(turn.reply.text) if turn.reply is not None else 0)
        length += size
        total += size
    return made


def bundle(tree: ConversationTree, turns: Sequence[Turn]) -> dict[str, str]:
    """One output's data: its turns, folded where that is possible."""
    speaker = service_info(tree.service).title
    title = _title(turns)
    html = [f"<details><summary>{title}</summary>\n"]
    markdown, plain = [f"*{title}*"], [title]
    for turn in turns:
        reply = turn.reply
        text = reply.text if reply is not None else ""
        remark = status_note(reply) if reply is not None else "Nothing is known of the reply."
        html += [
            f"<p><strong>You</strong></p>\n<blockquote>{to_html(turn.question)}</blockquote>\n",
            f"<p><strong>{speaker}</strong></p>\n{to_html(text)}",
            f"<p><em>{remark}</em></p>\n" if remark else "",
        ]
        markdown += ["**You**", to_markdown(turn.question), f"**{speaker}**", to_markdown(text)]
        plain += [f"You: {to_plain(turn.question)}", f"{speaker}: {to_plain(text)}"]
        if remark:
            markdown.append(f"*{remark}*")
            plain.append(f"[{remark}]")
    html.append("</details>")
    return {
        "text/html": "".join(html),
        "text/markdown": "\n\n".join(markdown),
        "text/plain": "\n\n".join(plain),
    }


def _title(turns: Sequence[Turn]) -> str:
    if not turns:
        return "Transcript: no turns yet"
    first, last = turns[0].label, turns[-1].label
    return f"Transcript: turn {first}" if first == last else f"Transcript: turns {first} to {last}"


class Transcript:
    """The outputs of one panel's cell.

    Parameters
    ----------
    publish
        Publishes a display in that cell.
    name
        Begins the names of the displays; no other panel has it.
    """

    def __init__(self, publish: Callable[..., None], name: str) -> None:
        self._publish = publish
        self._name = name
        self._shown: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()

    def show(self, tree: ConversationTree, turns: Sequence[Turn]) -> None:
        """Show these turns; outputs that would stay as they are, are left alone."""
        wanted = pages(turns)
        with self._lock:
            for position, page in enumerate(wanted):
                self._show(position, _signature(tree, page), partial(bundle, tree, page))
            for position in range(len(wanted), len(self._shown)):
                self._show(position, (), lambda: {"text/html": "", "text/plain": ""})

    def _show(
        self, position: int, signature: tuple[Any, ...], data: Callable[[], dict[str, str]]
    ) -> None:
        update = position < len(self._shown)
        if update and self._shown[position] == signature:
            return
        self._publish(
            data=data(),
            metadata={},
            transient={"display_id": f"{self._name}-{position}"},
            update=update,
        )
        self._shown[position : position + 1] = [signature]


def _signature(tree: ConversationTree, turns: Sequence[Turn]) -> tuple[Any, ...]:
    return (tree.name, *((turn.number, turn.asked_at, turn.status) for turn in turns))
