"""The transcript: what is saved of the panel in a notebook.

A widget's messages are not saved, so the conversation is saved in further outputs below it, as
folded HTML, Markdown and plain text. An output is sent as a whole whenever it changes, so a
conversation is split into several, of which only the last one grows. JupyterLab hides the outputs
of a cell after the fiftieth, so an output may grow to a tenth of all before it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.jupyter.display.outputs import Publish, status_note
from aeron_magic.jupyter.panel.turn_views import APART, is_apart, problem_of, reply_html
from aeron_magic.markdown_text import escape_markdown, one_line
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.mimebundle import Bundle, remark_html, text_html, to_markdown
from aeron_magic.services.catalog import service_info

PANEL: Bundle = {
    "text/plain": "Chat panel. Run this cell in JupyterLab, Notebook or Voilà to use it; "
    "the conversation is below.",
    "text/html": Markup(
        "<p><em>Chat panel: run this cell to use it; the conversation is below.</em></p>"
    ),
    "text/markdown": "*Chat panel: run this cell to use it; the conversation is below.*",
}
"""The panel's output for front ends without widgets."""

PENDING = "There was no reply when this was saved."
"""Below a question that has not ended, or was refused before it was sent."""

MAX_NAMED = 8
"""Turns of a branch that the title names."""

MIN_OUTPUT = 8_000
"""Characters after which an output is full."""


def pages(turns: Sequence[Turn], total: int = 0) -> list[list[Turn]]:
    """The turns of each output; more turns do not change the outputs before the last.

    ``total`` is the number of characters in outputs before these.
    """
    outputs: list[list[Turn]] = [[]]
    length = 0
    for turn in turns:
        if length >= max(MIN_OUTPUT, total // 10):
            outputs.append([])
            length = 0
        outputs[-1].append(turn)
        length += _size(turn)
        total += _size(turn)
    return outputs


def _size(turn: Turn) -> int:
    return len(turn.question) + (len(turn.reply.text) if turn.reply is not None else 0)


def bundle(tree: ConversationTree, turns: Sequence[Turn]) -> Bundle:
    """The data of one output."""
    speaker, title = one_line(service_info(tree.service).title), one_line(_title(turns))
    html = [Markup("<details><summary>{}</summary>\n").format(text_html(title))]
    markdown, plain = [f"*{escape_markdown(title)}*"], [title]
    for turn in turns:
        reply = _known(tree, turn).reply
        text = reply.text if reply is not None else ""
        remark = _remark(tree, turn)
        asked = Markup("<p><strong>You</strong></p>\n<blockquote>{}</blockquote>\n")
        html += [
            asked.format(reply_html(turn.question)),
            Markup("<p><strong>{}</strong></p>\n").format(text_html(speaker)),
            reply_html(text),
            remark_html(remark) if remark else Markup(""),
        ]
        question, answer = (to_markdown(one) for one in (turn.question, text))
        markdown += ["**You**", question, f"**{escape_markdown(speaker)}**", answer]
        plain += [
            f"You: {strip_control_sequences(turn.question)}",
            f"{speaker}: {strip_control_sequences(text)}",
        ]
        if remark:
            markdown.append(f"*{escape_markdown(remark)}*")
            plain.append(f"[{remark}]")
    html.append(Markup("</details>"))
    return {
        "text/html": Markup("").join(html),
        "text/markdown": "\n\n".join(markdown),
        "text/plain": "\n\n".join(plain),
    }


def _known(tree: ConversationTree, turn: Turn) -> Turn:
    """``turn``; while its reply is fetched, the turn with what is known of it."""
    known = tree.by_number(turn.number)
    return known if known is not None and known.asked_at == turn.asked_at else turn


def _remark(tree: ConversationTree, turn: Turn) -> str:
    """How a reply ended, if that is not clear from its text."""
    turn = _known(tree, turn)
    if turn.reply is None and tree.by_number(turn.number) is not turn:
        return PENDING
    note = status_note(turn.reply) if turn.reply is not None else ""
    problem = problem_of(None, turn.reply, tree.service)
    if not note and problem is not None:
        note = problem["title"]
    return f"{note} {APART}" if is_apart(tree, turn) else note


def _title(turns: Sequence[Turn]) -> str:
    if not turns:
        return "Transcript: no turns yet"
    first, last = turns[0].label, turns[-1].label
    numbers = [turn.number for turn in turns]
    if numbers != list(range(numbers[0], numbers[0] + len(turns))):  # others are in other branches
        shown = ", ".join(turn.label for turn in turns[:MAX_NAMED])
        return f"Transcript: turns {shown}{' …' * (len(turns) > MAX_NAMED)}"
    return f"Transcript: turn {first}" if first == last else f"Transcript: turns {first} to {last}"


class Transcript:
    """The transcript in one cell.

    * ``name``: a unique prefix for the names of the displays.
    """

    def __init__(self, publish: Publish, name: str) -> None:
        self._publish = publish
        self._name = name
        self._shown: list[tuple[Any, ...]] = []
        self._full: list[Turn] = []
        """The turns of full outputs, which need not be looked at again."""
        self._full_count = self._full_size = 0
        self._full_of: object = None
        self._lock = threading.Lock()

    def show(self, tree: ConversationTree, turns: list[Turn]) -> None:
        """Show these turns; only outputs that change are published."""
        with self._lock:
            state = (tree, tree.name, tree.edits)
            if state != self._full_of or turns[: len(self._full)] != self._full:
                self._full, self._full_count, self._full_size = [], 0, 0
                self._full_of = state
            outputs = pages(turns[len(self._full) :], self._full_size)
            filled, first = outputs[:-1], self._full_count
            outputs += [[]] * (len(self._shown) - first - len(outputs))
            for index, page in enumerate(outputs, first):
                signature = (
                    tree.name,
                    *((t.number, t.asked_at, t.status, _remark(tree, t)) for t in page),
                )
                update = index < len(self._shown)
                if update and self._shown[index] == signature:
                    continue
                nothing: Bundle = {"text/html": Markup(""), "text/plain": ""}
                self._publish(
                    data=nothing if index and not page else bundle(tree, page),
                    metadata={},
                    transient={"display_id": f"{self._name}-{index}"},
                    update=update,
                )
                self._shown[index : index + 1] = [signature]
            for page in filled:
                if any(turn.reply is None for turn in page):
                    break  # still to come
                self._full += page
                self._full_count += 1
                self._full_size += sum(map(_size, page))
