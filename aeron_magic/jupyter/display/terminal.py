"""The output of a reply in a terminal."""

from __future__ import annotations

import sys
from typing import Any

from aeron_magic.jupyter.display.outputs import REPAINT_INTERVAL, NoOutput, greeting, status_note
from aeron_magic.plaintext import ControlSequenceFilter, printable, strip_control_sequences
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply


class TerminalOutput(NoOutput):
    """Writes text as it arrives, without control sequences."""

    def __init__(self) -> None:
        self._filter = ControlSequenceFilter()
        self._written = 0
        self._greeted = False
        self._last = ""
        self._status_text = ""

    def render(self, accumulator: ReplyAccumulator) -> float:
        new = accumulator.displayed[self._written :]
        if not self._written and accumulator.introduction and not self._greeted:
            self._greeted = True
            self._write(strip_control_sequences(greeting(accumulator.introduction, "text")))
        self._written += len(new)
        self._write(self._filter.feed("".join(new)))
        if accumulator.status_text and accumulator.status_text != self._status_text:
            self._end_line()
            self._write(f"[{strip_control_sequences(accumulator.status_text)}]\n")
        self._status_text = accumulator.status_text
        return REPAINT_INTERVAL

    def _write(self, text: str) -> None:
        if text:
            self._last = text[-1]
            sys.stdout.write(printable(text))
            sys.stdout.flush()

    def finish(self, accumulator: ReplyAccumulator, reply: Reply, metadata: dict[str, Any]) -> bool:
        self.render(accumulator)
        self._write(self._filter.close())
        self._end_line()
        if reply.text != "".join(accumulator.displayed):
            text = strip_control_sequences(reply.text)
            self._write(f"[the whole reply, in order:]\n{text}")
            self._end_line()
        if remark := status_note(reply, metadata):
            self._write(f"[{remark}]\n")
        return bool(self._last)

    def _end_line(self) -> None:
        if self._last not in ("", "\n"):
            self._write("\n")
