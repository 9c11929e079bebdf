"""A reply is kept wherever it can be shown."""

from __future__ import annotations

import io
import sys

import pytest
from panel_harness import PanelHarness

from aeron_magic.errors import AeronError
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.commands.ask import ask
from aeron_magic.sandbox import Sandbox


class Broken(io.StringIO):
    """A standard output whose reader has gone after some characters."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, text: str) -> int:
        self.room -= len(text)
        if self.room < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("room", [0, 8, 60])
def test_a_reply_that_cannot_be_painted_is_bound_and_continued(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """At its beginning, in its middle or at its end: it is charged, so it must not be lost."""
    sandbox.set_faults(chunks=tuple(f"word{n} " for n in range(12)), pause=0.02)
    monkeypatch.setattr(sys, "stdout", Broken(room))
    with pytest.raises(AeronError, match="cannot be shown here: BrokenPipeError") as caught:
        ask(harness.app, Options(out="answer"), "Count")
    answer = harness.app.shell.user_ns["answer"]
    assert answer.text.split() == [f"word{n}" for n in range(12)]
    assert answer.status == "complete"
    assert harness.app.shell.user_ns["context_token"] == answer.context_token
    assert harness.session.last is answer
    assert "%aeron last" in caught.value.hint
    assert len(sandbox.log.of("create-response")) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_the_characters(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """They are replaced."""
    sandbox.set_faults(say="नमस्ते ☺ end")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, write_through=True))
    ask(harness.app, Options(out="answer"), "Greet")
    assert harness.app.shell.user_ns["answer"].text == "नमस्ते ☺ end"
    shown = raw.getvalue().decode(encoding)
    assert shown == ("नमस्ते ☺ end\n" if encoding == "utf-8" else "?????? ? end\n")
