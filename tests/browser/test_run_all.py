"""A notebook that is edited in JupyterLab and run again in its live kernel."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from notebook_page import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PATH = (
    "[turn.question for turn in "
    "get_ipython().magics_manager.registry['AeronMagics'].app.session.tree.head.path()]"
)
CELLS = "jupyterapp.shell.currentWidget.content.model.cells"


def question(number: int) -> str:
    """A cell with a question that the sandbox answers shortly."""
    return f"%%aeron\nThanks {number}\nthanks a lot"


def asked(lab: NotebookPage) -> list[str]:
    """The questions that led to the newest reply, by the kernel; its cell is the last one."""
    last = lab.page.evaluate(f"{CELLS}.length") - 1
    found: list[str] = ast.literal_eval(lab.outputs(last)[0]["data"]["text/plain"])
    return found


def on_the_page(lab: NotebookPage) -> list[str]:
    """The questions of the cells from top to bottom."""
    sources: list[str] = lab.page.evaluate(f"[...{CELLS}].map(cell => cell.sharedModel.source)")
    return [
        source.partition("\n")[2].strip("\n") for source in sources if source.startswith("%%aeron")
    ]


def select(lab: NotebookPage, index: int, text: str = "") -> None:
    """Make a cell the active one, with the cursor before ``text``."""
    lab.page.evaluate(
        """([index, text]) => {
            const notebook = jupyterapp.shell.currentWidget.content;
            notebook.deselectAll();
            notebook.activeCellIndex = index;
            if (text) {
                const editor = notebook.activeCell.editor;
                const source = notebook.activeCell.model.sharedModel.source;
                editor.setCursorPosition(editor.getPositionAt(source.indexOf(text)));
            }
        }""",
        [index, text],
    )


def write(lab: NotebookPage, index: int, source: str) -> None:
    lab.page.evaluate(
        f"([index, text]) => {{ {CELLS}.get(index).sharedModel.setSource(text); }}", [index, source]
    )


def insert(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:insert-cell-above")
    write(lab, index, "%%aeron\nThanks, inserted\nthanks a lot")


def delete(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:delete-cell")


def move_up(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:move-cell-up")


def cut_and_paste(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:cut-cell")
    select(lab, index)
    lab.command("notebook:paste-cell-below")


def copy(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:copy-cell")
    lab.command("notebook:paste-cell-below")


def split(lab: NotebookPage, index: int) -> None:
    select(lab, index, "thanks a lot")
    lab.command("notebook:split-cell-at-cursor")
    write(lab, index + 1, "%%aeron\nthanks a lot")


def merge(lab: NotebookPage, index: int) -> None:
    select(lab, index)
    lab.command("notebook:merge-cell-below")
    write(lab, index, "%%aeron\nThanks, merged\nthanks a lot")


EDITS = {
    "inserted": (insert, 2),
    "inserted at the start": (insert, 1),
    "deleted": (delete, 2),
    "deleted at the start": (delete, 1),
    "moved up": (move_up, 3),
    "moved to the start": (move_up, 2),
    "cut and pasted": (cut_and_paste, 1),
    "copied": (copy, 2),
    "split": (split, 2),
    "split at the start": (split, 1),
    "merged": (merge, 1),
}


def test_run_all_after_edits_gives_what_is_on_the_page(
    lab: NotebookPage, screenshots: Path
) -> None:
    """One edit after the other in one kernel, with the metadata that JupyterLab sends."""
    slow = "from aeron_magic.jupyter.frontend import RunOrder\nRunOrder.MAX_PAUSE = 30\n"
    load = f"%load_ext aeron_magic\n%aeron connect sandbox\n{slow}"  # on a busy machine
    lab.open(load, *map(question, range(1, 6)), PATH)
    lab.run_all()
    assert asked(lab) == on_the_page(lab)
    for name, (edit, index) in EDITS.items():
        edit(lab, index)
        lab.run_all()
        assert asked(lab) == on_the_page(lab), name
        for cell in range(1, len(on_the_page(lab)) + 1):
            assert lab.shown(cell).strip() == "You are welcome.", name
    lab.screenshot(screenshots / "run-all.png")


def test_one_cell_alone_and_a_new_one_after_a_deleted_one(
    lab: NotebookPage, screenshots: Path
) -> None:
    """Notes below the cell say what became stale, and where a question continues."""
    lab.open("%load_ext aeron_magic\n%aeron connect sandbox", *map(question, range(1, 5)), PATH)
    lab.run_all()
    lab.page.wait_for_timeout(1_500)  # a pause in which a user moves to another cell
    lab.run(2)
    assert "Turns 3 and 4 are stale now; run their cells again." in lab.shown(2)
    lab.screenshot(screenshots / "stale-note.png")
    lab.run(3)
    lab.run(4)
    assert "stale" not in lab.shown(3) + lab.shown(4)
    delete(lab, 4)
    insert(lab, 4)
    lab.run(4)
    lab.run(5)
    assert asked(lab) == on_the_page(lab)
    delete(lab, 4)
    lab.run(4)  # a cell that asks nothing
    insert(lab, 4)
    lab.run(4)
    lab.run(5)
    assert asked(lab) == on_the_page(lab)
