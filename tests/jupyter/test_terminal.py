"""The magics in IPython in a terminal, with the plain and with the full prompt."""

from __future__ import annotations

import re
import time

import pytest
from terminal_ipython import Terminal, plain

from aeron_magic.sandbox import Refusal, Sandbox

pytestmark = pytest.mark.jupyter

# Title, clipboard, link, clearing, C1, a direction override, backspaces: each acts on a terminal.
HOSTILE = "A\x1b]0;title\x07B\x1b]52;c;c3RvbGVu\x07C\x1b]8;;http://host/\x1b\\D\x1b[2JE\x9b2JF\u202eG\b\b\bH"


def test_text_is_written_as_it_arrives_and_once(terminal: Terminal, sandbox: Sandbox) -> None:
    """Words appear before the reply has ended, and none appears twice."""
    sandbox.set_faults(chunks=tuple(f"word{n} " for n in range(40)), pause=0.03)
    terminal.start("%%aeron -o answer\nCount")
    terminal.expect("word3 ")
    began = time.monotonic()
    shown = terminal.finish()
    assert time.monotonic() - began > 0.5
    assert re.findall(r"word\d+", shown) == [f"word{n}" for n in range(4, 40)]
    assert "word39" in terminal.run("print(answer.text)")
    assert "True" in terminal.run("context_token == answer.context_token")


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("code", ["x = 1", "[%aeron code inserts it as a cell.]"]),
        ("json", ["{", '"a": 2', "}"]),
        ("table", ["| b |", "| --- |", "| 3 |"]),
    ],
)
def test_a_format_shows_only_its_part(
    terminal: Terminal, sandbox: Sandbox, form: str, shown: list[str]
) -> None:
    """A reply without that part is shown completely, and the cell fails."""
    blocks = "```python\nx = 1\n```\n\n| b |\n| --- |\n| 3 |\n"
    sandbox.set_faults(say=f'Here it is.\n\n{blocks if form != "json" else ""}\n{{"a": 2}}\n')
    lines = [line.strip() for line in terminal.run(f"%%aeron -f {form}\nGo").splitlines()]
    assert [line for line in lines if line] == shown
    sandbox.set_faults(say="Nothing of the kind.")
    said = terminal.run(f"%%aeron -f {form}\nGo")
    assert "Nothing of the kind." in said
    assert "ReplyFormatError" in said


def test_a_question_on_one_line_can_end_with_a_question_mark(
    terminal: Terminal, sandbox: Sandbox
) -> None:
    sandbox.set_faults(say="Fine.")
    assert terminal.run("%aeron ask How is it?").split() == ["Fine."]
    assert sandbox.log[-1].body["user"]["text"] == "How is it?"


def test_the_conversation_continues(terminal: Terminal, sandbox: Sandbox) -> None:
    """The second question carries the token of the first reply."""
    terminal.run("%%aeron -o first\nOne")
    terminal.run("%%aeron\nTwo")
    token = terminal.run("print(first.context_token)").strip()
    assert sandbox.log[-1].body["context_token"] == token


def test_control_sequences_are_removed(terminal: Terminal, sandbox: Sandbox) -> None:
    """Also if a chunk ends inside a sequence."""
    sandbox.set_faults(say=HOSTILE, chunk_size=1)
    terminal.run("%%aeron\nDo your worst")
    ours = terminal.raw
    assert "\x1b]" not in ours
    assert "\x1b[2J" not in ours
    assert "\x9b" not in ours
    assert "\u202e" not in ours
    assert "\b\b" not in ours
    assert re.sub(r"[^A-Z]", "", plain(ours)) == "ABCDEFGH"


def test_ctrl_c_returns_to_the_prompt(terminal: Terminal, sandbox: Sandbox) -> None:
    """Within a second; the variable has the received text, and the connection is closed."""
    sandbox.set_faults(chunks=tuple(f"drip{n} " for n in range(600)), pause=0.1)
    terminal.start("%%aeron -o partial\nDrip for a minute")
    terminal.expect("drip5 ")
    began = time.monotonic()
    terminal.interrupt()
    shown = terminal.finish()
    assert time.monotonic() - began < 1.0
    assert "Interrupted" in shown
    assert "Traceback" not in shown
    assert sandbox.log.wait(lambda seen: seen[-1].closed_by_client, 1.0)
    assert "interrupted drip0 drip1" in terminal.run("print(partial.status, partial.text)")
    sandbox.set_faults(chunks=(), say="Still here.", pause=0.0)
    assert "Still here." in terminal.run("%%aeron\nAre you there?")


def test_a_failure_is_a_short_block(terminal: Terminal, sandbox: Sandbox) -> None:
    """Message, cause and hint, without traceback or secret."""
    sandbox.set_faults(refuse=(Refusal("create-response", 401),))
    shown = terminal.run("%%aeron\nHello")
    assert "AuthenticationError" in shown
    assert "→" in shown
    assert "Traceback" not in shown
    assert "hush" not in shown + terminal.run("%aeron last") + terminal.run("%aeron")


def test_a_requested_pause_is_shown(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.set_faults(say="Fine.", refuse=(Refusal("create-response", 429, retry_after="2"),))
    shown = terminal.run("%aeron ask Well")
    assert "[waiting 2 s" in shown
    assert "Fine." in shown


def test_ctrl_c_at_a_hidden_prompt_is_a_short_block(terminal: Terminal) -> None:
    terminal.start("%aeron login")
    terminal.expect("client-id: ")
    terminal.interrupt()
    shown = terminal.finish()
    assert "Interrupted: Stopped." in shown
    assert "Traceback" not in shown
    assert "getpass" not in shown


def test_a_refusal_does_not_mention_received_text(terminal: Terminal, sandbox: Sandbox) -> None:
    sandbox.set_faults(refuse=(Refusal("create-response", 401),))
    assert "the text so far" not in terminal.run("%%aeron\nHello")
