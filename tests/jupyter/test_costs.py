"""What things cost, as counts and bytes: they are the same on every machine.

Times are measured by ``tests/benchmarks``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from aeron_magic.client import Client
from aeron_magic.events import Chunk
from aeron_magic.jupyter.output import PACE, LiveOutput
from aeron_magic.reply import Draft
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
}
BEGINNINGS = {"one code block": "```python\n"}


class Front:
    """Counts what is published."""

    def __init__(self) -> None:
        self.messages = 0
        self.outputs = 0
        self.html = 0

    def publish(self, *, data: dict[str, str], update: bool = False, **_: Any) -> None:
        self.messages += 1
        self.outputs += not update
        self.html += len(data["text/html"])


def shown(text: str, each: int) -> tuple[Front, list[float]]:
    """What is published of ``text`` before its end, if it is painted after each ``each`` chunks."""
    front, draft, paces = Front(), Draft(), []
    live = LiveOutput(front.publish, clear=lambda: None)
    chunks = [text[at : at + 5] for at in range(0, len(text), 5)]
    for number, chunk in enumerate(chunks, 2):
        draft.add([Chunk(chunk, number, "m")])
        if number % each == 0:
            paces.append(live.paint(draft))
    return front, paces


def text_of(kind: str, size: int) -> str:
    part = KINDS[kind]
    return (BEGINNINGS.get(kind, "") + part * (size // len(part) + 1))[:size]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2_000, 10_000, 50_000])
def test_what_a_growing_reply_sends_is_linear_in_its_length(kind: str, size: int) -> None:
    """500 chunks a second; a tail that never closes included. Whole texts would be 20 to 400 x."""
    front, _ = shown(text_of(kind, size), each=48)
    most = 7 if size <= 10_000 else 14  # the pieces of a long reply are longer, to be few
    assert front.html <= most * size


@pytest.mark.parametrize("kind", KINDS)
def test_a_reply_that_comes_at_once_is_sent_little_more_than_once(kind: str) -> None:
    front, _ = shown(text_of(kind, 50_000), each=2_500)
    assert front.html <= 4 * 50_000
    assert front.messages <= 2 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_no_reply_makes_more_outputs_than_jupyterlab_shows(kind: str) -> None:
    """It hides those after the fiftieth."""
    front, _ = shown(text_of(kind, 150_000), each=480)
    assert front.outputs <= 48


def test_each_painting_is_one_message_and_each_frozen_piece_one_more() -> None:
    front, paces = shown(text_of("sections", 20_000), each=48)
    assert front.messages <= len(paces) + front.outputs


def test_a_large_painting_gives_the_page_time() -> None:
    _, slow = shown(text_of("sections", 5_000), each=48)
    _, fast = shown(text_of("sections", 100_000), each=10_000)
    assert set(slow) == {PACE}
    assert max(fast) > 0.4


def test_loading_the_extension_imports_little() -> None:
    """Neither HTTP nor widgets nor anything that makes HTML."""
    code = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "aeron_magic")
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fresh = json.loads(done.stdout.splitlines()[-1])
    ours = [name for name in fresh if name.startswith("aeron_magic")]
    assert len(ours) <= 13, ours
    assert len(fresh) <= 20, fresh
    for name in ("httpx", "ipywidgets", "anywidget", "markdown_it", "nh3", "keyring", "pandas"):
        assert name not in fresh


def test_a_question_is_one_request(sandbox: Sandbox) -> None:
    with Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client:
        client.ask("What is AeronPay?")
        client.ask("And what does it cost?", stream=False)
    assert [seen.endpoint for seen in sandbox.log] == ["create-response"] * 2
