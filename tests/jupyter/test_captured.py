"""Outputs that are captured, and consoles: exactly one whole display, at the end."""

from __future__ import annotations

import pytest
from live_kernel import Kernel

from aeron_magic.sandbox import Sandbox

pytestmark = pytest.mark.jupyter

WORDS = tuple(f"word{n} " for n in range(12))
OUTPUT = "import ipywidgets\nout = ipywidgets.Output()\n"
MAGIC = "get_ipython().run_cell_magic('aeron', '-o answer', 'Count')"

DISPLAYS = ("display_data", "update_display_data", "clear_output")

CAPTURES = {
    "with": f"{OUTPUT}with out:\n    {MAGIC}",
    "line": f"{OUTPUT}with out:\n    %aeron ask -o answer Count",
    "forced": f"%env AERON_LIVE=1\n{OUTPUT}with out:\n    %aeron ask -o answer Count",
    "decorator": f"{OUTPUT}@out.capture()\ndef ask():\n    {MAGIC}\nask()",
}


@pytest.mark.parametrize("source", CAPTURES.values(), ids=CAPTURES)
def test_an_output_widget_gets_one_whole_display(
    kernel: Kernel, sandbox: Sandbox, source: str
) -> None:
    """It ignores updates."""
    sandbox.set_faults(chunks=WORDS, pause=0.05)
    run = kernel.execute(source)
    assert run.status == "ok"
    assert [message.kind for message in run.of(*DISPLAYS)] == ["display_data"]
    output = run.outputs[-1]
    assert "".join(WORDS).strip() in output["data"]["text/plain"]


@pytest.mark.parametrize("ask", ["%aeron ask -o answer Count", MAGIC])
def test_a_captured_cell_has_one_whole_display(kernel: Kernel, sandbox: Sandbox, ask: str) -> None:
    """``%%capture`` would keep each update."""
    sandbox.set_faults(chunks=WORDS, pause=0.05)
    run = kernel.execute(f"%%capture caught\n{ask}")
    assert run.status == "ok"
    assert run.outputs == []
    shown = kernel.execute(
        "print(len(caught.outputs), answer.text == caught.outputs[0].data['text/plain'])"
    )
    assert shown.text.split() == ["1", "True"]


def test_after_a_capture_the_output_is_live_again(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.execute(CAPTURES["with"])
    sandbox.set_faults(chunks=WORDS, pause=0.05)
    assert len(kernel.execute("%%aeron\nCount").of("display_data")) > 1


@pytest.mark.parametrize("source", ["%%aeron\nCount", "%aeron ask Count"])
def test_a_console_prints_the_reply_and_nothing_before(
    kernel: Kernel, sandbox: Sandbox, source: str
) -> None:
    """It sends no cell id, prints the plain text of each display, and ignores updates."""
    sandbox.set_faults(chunks=WORDS, pause=0.05)
    kernel.execute("%env AERON_LIVE=1", None)
    run = kernel.execute(source, None)
    displays = [message.content["data"] for message in run.of("display_data")]
    printed = [data["text/plain"] for data in displays if "text/plain" in data]
    assert [text.strip() for text in printed] == ["".join(WORDS).strip()]
