"""Checks of the browser fixtures and of Jupyter itself; they run only with ``-m platform``."""

from __future__ import annotations

import pytest
from notebook_page import Frontend, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.platform, pytest.mark.timeout(120)]


def test_cells_run_and_their_outputs_are_read(lab: NotebookPage) -> None:
    """Run All stops at a failing cell; outputs, prompts and the saved file agree."""
    lab.open("print('one')", "1 / 0", "print('never')")
    lab.run_all()
    assert lab.outputs(0) == [{"output_type": "stream", "name": "stdout", "text": "one\n"}]
    assert lab.outputs(1)[0]["ename"] == "ZeroDivisionError"
    assert [lab.prompt(index) for index in range(3)] == [1, 2, None]
    assert lab.save().cells[0].outputs[0].text == "one\n"


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_an_output_is_watched_while_it_grows(lab: NotebookPage, frontend: Frontend) -> None:
    """Every painted state is recorded, and an interrupt ends the cell."""
    lab.open(
        "import time\nfor i in range(4):\n    print(i, flush=True)\n    time.sleep(.3)",
        "print('up', flush=True); time.sleep(60)",
        frontend=frontend,
    )
    lab.watch(0)
    lab.run(0)
    states = lab.watched()
    assert [text.split() for _, text in states][-1] == ["0", "1", "2", "3"]
    assert len(states) >= 4
    assert [height for height, _ in states] == sorted(height for height, _ in states)
    lab.start(1)
    lab.wait_shown(1, "up")
    lab.interrupt()
    lab.wait_shown(1, "KeyboardInterrupt")
