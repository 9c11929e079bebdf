"""Checks of the fixtures and of Jupyter itself; they run only with ``-m platform``.

Run them where a new version of Jupyter breaks other tests: what the fixtures report of plain
Python is what Python did.
"""

from __future__ import annotations

import time

import pytest
from live_kernel import Kernel
from terminal_ipython import Terminal

pytestmark = [pytest.mark.jupyter, pytest.mark.platform]


def test_streams_arrive_while_the_cell_runs(kernel: Kernel) -> None:
    """A print arrives before the cell ends, and the text of one stream is one output."""
    run = kernel.start("import time\nprint('one', flush=True)\ntime.sleep(0.7)\nprint('two')")
    kernel.wait(run, lambda now: "one" in now.text)
    assert run.reply is None
    kernel.finish(run)
    assert run.outputs == [{"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"}]
    assert run.size > len("one\ntwo\n")
    assert run.messages[-1].at - run.messages[0].at >= 0.5


def test_updates_and_clearing_are_applied_as_in_a_notebook(kernel: Kernel) -> None:
    """An update replaces its output; clear_output(wait) empties the cell with the next output."""
    run = kernel.execute(
        "from IPython.display import clear_output, display\n"
        "h = display({'text/plain': 'a'}, raw=True, display_id=True)\n"
        "h.update({'text/plain': 'b'}, raw=True)\n"
        "clear_output(wait=True)\n"
        "display({'text/plain': 'c'}, raw=True)"
    )
    plains = [[output["data"]["text/plain"] for output in state] for state in run.states]
    assert plains == [["a"], ["b"], ["b"], ["c"]]


def test_the_cell_id_reaches_the_kernel(kernel: Kernel) -> None:
    """The id is in the metadata of the request; without one there is none."""
    code = "print(get_ipython().get_parent()['metadata'].get('cellId'))"
    assert kernel.execute(code, "abc").text == "abc\n"
    assert kernel.execute(code, None).text == "None\n"


def test_an_interrupt_ends_a_sleeping_cell(kernel: Kernel) -> None:
    """The cell fails with KeyboardInterrupt and the kernel continues."""
    run = kernel.start("import time\nprint('up', flush=True)\ntime.sleep(30)")
    kernel.wait(run, lambda now: now.text == "up\n")
    began = time.monotonic()
    kernel.interrupt()
    kernel.finish(run)
    assert time.monotonic() - began < 5
    assert (run.status, run.reply and run.reply["ename"]) == ("error", "KeyboardInterrupt")
    assert kernel.value("[1, 2]") == [1, 2]


def test_a_terminal_shows_what_cells_print(terminal: Terminal) -> None:
    """One line and several lines, a failure, and Ctrl-C."""
    assert "42" in terminal.run("print(6 * 7)")
    assert "a\nb\n" in terminal.run("for letter in 'ab':\n    print(letter)\n")
    assert "ZeroDivisionError" in terminal.run("1 / 0")
    terminal.start("import time; print('st' + 'arted'); time.sleep(30)")
    terminal.expect("started")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.finish()


def test_a_cell_magic_can_be_typed(terminal: Terminal) -> None:
    """The body of a %% cell ends with an empty line."""
    assert "MAGIC\n" in terminal.run("%%writefile -a /dev/stdout\nMAGIC")


def test_notebooks_run_from_top_to_bottom(executed) -> None:
    """Outputs come back in the notebook."""
    notebook = executed("x = 1", "print(x)")
    assert notebook.cells[1].outputs[0].text == "1\n"
