"""The notebooks of the gallery in JupyterLab."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from notebook_page import NotebookPage, without_outputs

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def read(name: str) -> NotebookNode:
    """A notebook as it is in the repository, with its outputs."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def run_all(lab: NotebookPage, notebook: NotebookNode) -> None:
    """Run all cells; JupyterLab's command may end at a cell that fails as expected."""
    cells = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    before = lab.prompt(cells[-1])
    lab.run_all()
    lab.page.wait_for_function(
        "([index, before]) => { const count = jupyterapp.shell.currentWidget.content.model.cells"
        ".get(index).executionCount; return count !== null && count !== before; }",
        arg=[cells[-1], before],
    )


def run_first(lab: NotebookPage, notebook: NotebookNode, pictures: Path) -> None:
    """Run a notebook: every cell has its committed outputs. Take pictures in both themes."""
    lab.open(without_outputs(notebook))
    run_all(lab, notebook)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or "nbval-ignore-output" in cell.metadata.get("tags", ()):
            continue
        fresh = lab.outputs(index)
        if "%reload_ext" in cell.source:  # a front end that sends the notebook's path gets a hint
            assert "%aeron resume" in str(fresh.pop(0))
        assert [output["output_type"] for output in fresh] == [
            output.output_type for output in cell.outputs
        ]
        for new, old in zip(fresh, cell.outputs, strict=True):
            if new["output_type"] == "display_data":
                assert "".join(new["data"]["text/html"]) == "".join(old.data["text/html"])
            assert new.get("ename") == old.get("ename")
    lab.screenshot(pictures.with_name(f"{pictures.name}-end.png"))
    lab.scroll_to(1)
    lab.screenshot(pictures.with_name(f"{pictures.name}-light.png"))
    lab.theme("JupyterLab Dark")
    lab.screenshot(pictures.with_name(f"{pictures.name}-dark.png"))
    lab.theme("JupyterLab Light")


@pytest.mark.parametrize("name", ["02-conversations", "06-chatzy", "07-recovery"])
def test_a_notebook_runs_from_top_to_bottom_twice(
    lab: NotebookPage, name: str, screenshots: Path
) -> None:
    """Also in a kernel that has run it before."""
    committed = read(name)
    run_first(lab, committed, screenshots / name)
    run_all(lab, committed)
    for index, cell in enumerate(committed.cells):
        if "raises-exception" not in cell.metadata.get("tags", ()):
            assert "error" not in [output["output_type"] for output in lab.outputs(index)]


def test_the_quickstart_keeps_its_turns_when_it_is_run_again(
    lab: NotebookPage, screenshots: Path
) -> None:
    """Each question has the same turn and the same parent turn."""
    committed = read("01-quickstart")
    questions = [i for i, cell in enumerate(committed.cells) if cell.source.startswith("%%aeron")]
    run_first(lab, committed, screenshots / "01-quickstart")
    before = [lab.outputs(index)[0].get("metadata", {}).get("aeron_magic") for index in questions]
    run_all(lab, committed)
    after = [lab.outputs(index)[0].get("metadata", {}).get("aeron_magic") for index in questions]
    tokens = [about["context_token"] for about in after if about]
    parents = [about["parent_context_token"] for about in after if about]
    assert parents == [None, *tokens[:-1]]
    assert [about and about["turn"] for about in before] == [
        about and about["turn"] for about in after
    ]


def test_the_committed_outputs_are_readable_without_a_kernel(
    lab: NotebookPage, screenshots: Path
) -> None:
    """Opened without being run, the notebook shows the conversation."""
    committed = read("01-quickstart")
    lab.open(committed)
    index = next(i for i, cell in enumerate(committed.cells) if cell.id == "first-question")
    assert "context_token" in lab.shown(index)
    assert lab.page.locator(".jp-OutputArea-output h3").count() >= 1
    lab.screenshot(screenshots / "quickstart-unrun.png")
