"""Costs as counts and bytes, which are the same on every machine.

``tests/benchmarks`` measures times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest
from fresh_process import printed

from aeron_magic.client.client import Client
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.display.outputs import REPAINT_INTERVAL
from aeron_magic.jupyter.panel.turn_views import HtmlStream
from aeron_magic.protocol.events import Chunk
from aeron_magic.rendering import highlighting
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.sandbox import Sandbox

SECTION = (
    "## Heading\n\n"
    + "Some words of a paragraph that is neither long nor short, as most are. " * 6
    + "\n\n- one\n- two\n- three\n\n```python\ndef f(x: int) -> int:\n    return x + 1\n```\n\n"
)
KINDS = {
    "sections": SECTION,
    "one paragraph": "words without an end ",
    "one code block": "value = compute(1, 'two')\n",
    "one list": "- an item of a list\n",
    "one table": "| one | two words | 3 |\n",
}
BEGINNINGS = {"one code block": "```python\n", "one table": "| a | b | c |\n|---|---|--:|\n"}
CHUNK = 6
"""Characters of a chunk; ten times as many where a reply is long, so that fewer are added."""

ENVELOPE = 640
"""Bytes of a display message besides its HTML."""


@dataclass
class Shown:
    """The messages published for a reply before its end."""

    size: int
    """Of the reply's text, in bytes."""
    seconds: float
    messages: int = 0
    outputs: int = 0
    sent: int = 0

    def publish(self, *, data: dict[str, str], update: bool = False, **_: Any) -> None:
        self.messages += 1
        self.outputs += not update
        html = json.dumps(data["text/html"], ensure_ascii=False)
        self.sent += ENVELOPE + len(html.encode())

    @property
    def ratio(self) -> float:
        """Bytes sent for each byte of text."""
        return self.sent / self.size


def shown(kind: str, count: int, rate: float, chunk: int = CHUNK) -> tuple[Shown, list[float]]:
    """Show ``count`` chunks that arrive at ``rate`` a second of simulated time.

    Rendering takes no simulated time; the intervals that `LiveOutput` requested are returned too.
    """
    part, size = KINDS[kind], count * chunk
    text = (BEGINNINGS.get(kind, "") + part * (size // len(part) + 1))[:size]
    found = Shown(len(text.encode()), count / rate)
    live, accumulator = LiveOutput(found.publish, clear=lambda: None), ReplyAccumulator()
    intervals: list[float] = []
    due = 0.0
    for number in range(count):
        accumulator.add([Chunk(text[number * chunk :][:chunk], number + 2, "m")])
        if number / rate >= due:
            intervals.append(live.render(accumulator))
            due = number / rate + intervals[-1]
    return found, intervals


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("count", "rate", "chunk"),
    [(200, 8_000, 6), (2_000, 8_000, 6), (1_000, 2_500, 60), (5_000, 2_500, 60)],
)
def test_a_very_fast_reply_is_sent_at_most_twice(
    kind: str, count: int, rate: float, chunk: int
) -> None:
    """Also if its last block never ends; whole texts would be sent up to ten times."""
    found, _ = shown(kind, count, rate, chunk)
    assert found.messages > 0
    assert found.ratio <= 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_reply_that_arrives_at_once_is_one_message(kind: str) -> None:
    """Its finished blocks become separate outputs when more text arrives."""
    text = (BEGINNINGS.get(kind, "") + KINDS[kind] * 60)[:1_200]
    found = Shown(len(text), 1.0)
    live, accumulator = LiveOutput(found.publish, clear=lambda: None), ReplyAccumulator()
    accumulator.add([Chunk(text, 2, "m")])
    live.render(accumulator)
    assert found.messages == 1
    assert found.ratio <= (5.1 if kind == "one table" else 2.0)
    accumulator.add([Chunk(text[600:], 3, "m")])
    live.render(accumulator)
    assert (found.messages, found.outputs) == (3, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fast_reply_is_sent_a_few_times(kind: str) -> None:
    """Whole texts would be sent 30 times, and 1,000 times without an interval."""
    found, _ = shown(kind, 2_000, 500)
    assert found.ratio <= 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_reply_costs_little_more_than_its_envelopes(kind: str) -> None:
    """Ten envelopes a second are 11 times the text, and a table's HTML is five times that."""
    found, _ = shown(kind, 1_500, 100)
    assert found.ratio <= (41 if kind == "one table" else 25)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [25_000, 500, 100, 20])
def test_there_are_few_messages_a_second_and_one_for_each_output(kind: str, rate: float) -> None:
    """At any speed of the chunks."""
    found, intervals = shown(kind, 600, rate)
    assert found.messages <= 22 * found.seconds + found.outputs + 1
    assert found.messages <= len(intervals) + found.outputs


@pytest.mark.parametrize("kind", KINDS)
def test_no_reply_makes_more_outputs_than_jupyterlab_shows(kind: str) -> None:
    """It hides those after the fiftieth."""
    found, _ = shown(kind, 2_500, 400, 10 * CHUNK)
    assert found.outputs <= 48


def test_large_outputs_are_rendered_less_often() -> None:
    _, slow = shown("sections", 1_000, 500)
    _, fast = shown("sections", 20_000, 100_000)
    assert set(slow) == {REPAINT_INTERVAL}
    assert max(fast) > 0.4


def test_code_is_lexed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code block in the tail is painted with all text that follows it, and at the end."""
    lexer = highlighting._lexer("python")
    assert lexer is not None
    get_tokens = Mock(wraps=lexer.get_tokens)
    monkeypatch.setattr(lexer, "get_tokens", get_tokens)
    found = Shown(1, 1.0)
    live, accumulator, stream = LiveOutput(found.publish), ReplyAccumulator(), HtmlStream()
    parts = ["Some text.\n", "```python\n", "lexed = 'once'\n", "```\n", *["and more\n"] * 5]
    for number, part in enumerate(parts, 2):
        accumulator.add([Chunk(part, number, "m")])
        live.render(accumulator)
        stream.step(accumulator)
    assert found.messages == len(parts)
    live.finish(accumulator, accumulator.reply(), {})
    stream.end(accumulator.reply())
    assert get_tokens.call_count == 1


def test_little_of_a_long_code_block_is_lexed_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks end elsewhere than the slices of the whole code."""
    lexer = highlighting._lexer("python")
    assert lexer is not None
    get_tokens = Mock(wraps=lexer.get_tokens)
    live, accumulator = LiveOutput(Shown(1, 1.0).publish, clear=lambda: None), ReplyAccumulator()
    lines = [f"line_{number} = 'of a long block'\n" for number in range(300)]
    for number, part in enumerate(["A text.\n\n```python\n", *lines, "```\n"], 2):
        accumulator.add([Chunk(part, number, "m")])
        live.render(accumulator)
    monkeypatch.setattr(lexer, "get_tokens", get_tokens)
    assert "".join(accumulator.displayed) == accumulator.text
    live._bundle(accumulator.reply(), {})
    lexed = sum(len(call.args[0]) for call in get_tokens.call_args_list)
    assert 0 < lexed <= 2 * highlighting.SLICE


def test_loading_the_extension_imports_little() -> None:
    """In a running shell; `test_imports` names the modules that must not be imported."""
    code = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "aeron_magic")
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    fresh = json.loads(printed(code).splitlines()[-1])
    ours = [name for name in fresh if name.startswith("aeron_magic")]
    assert len(ours) <= 15, ours
    assert len(fresh) <= 18, fresh


def test_a_question_is_one_request(sandbox: Sandbox) -> None:
    with Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client:
        client.ask("What is AeronPay?")
        client.ask("And what does it cost?", stream=False)
    assert [seen.endpoint for seen in sandbox.log] == ["create-response"] * 2
