"""A reply inside an Output widget of JupyterLab: shown once, whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from credentials import connecting
from notebook_page import NotebookPage

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

STORY = "# Title\n\n" + "\n\n".join(f"Paragraph {n} with **word{n}**. " * 9 for n in range(8))
MAGIC = "get_ipython().run_cell_magic('aeron', '-o r', 'Tell me')"
SOURCES = [
    f"with out:\n    {MAGIC}",
    f"@out.capture(clear_output=True)\ndef ask():\n    {MAGIC}\nask()",
    "with out:\n    %aeron ask -o r Tell me",
]


@pytest.mark.parametrize("source", SOURCES, ids=["with", "decorator", "line"])
def test_an_output_widget_shows_the_whole_reply_once(
    lab: NotebookPage, sandbox: Sandbox, screenshots: Path, source: str
) -> None:
    sandbox.set_faults(say=STORY, pause=0.02)
    made = "from ipywidgets import Output\nout = Output()\nout"
    kinds = "print([one['output_type'] for one in out.outputs], r.is_complete)"
    lab.open(connecting(sandbox), made, source, kinds)
    for cell in (0, 1, 2):
        lab.run(cell)
    lab.wait_shown(1, "word7")
    shown = lab.shown(1)
    assert shown.count("Title") == 1
    assert [shown.count(f"Paragraph {n} ") for n in range(8)] == [9] * 8
    assert lab.outputs(2) == []
    lab.run(3)  # the widget has told the kernel by now
    lab.wait_shown(3, "['display_data'] True")
    lab.screenshot(screenshots / "captured.png", 1)
