"""The quickstart in JupyterLab, from top to bottom, as a newcomer sees it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from notebook_page import NotebookPage, without_outputs

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01-quickstart.ipynb"


@pytest.fixture
def committed() -> NotebookNode:
    """The notebook as it is in the repository, with its outputs."""
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_quickstart_runs_from_top_to_bottom(
    lab: NotebookPage, committed: NotebookNode, screenshots: Path
) -> None:
    """Every cell gives what is committed; in both themes it can be looked at."""
    lab.open(without_outputs(committed))
    lab.run_all()
    for index, cell in enumerate(committed.cells):
        if cell.cell_type != "code" or "nbval-ignore-output" in cell.metadata.get("tags", ()):
            continue
        fresh = lab.outputs(index)
        assert [output["output_type"] for output in fresh] == [
            output.output_type for output in cell.outputs
        ]
        for new, old in zip(fresh, cell.outputs, strict=True):
            if new["output_type"] == "display_data":
                assert "".join(new["data"]["text/html"]) == "".join(old.data["text/html"])
    lab.screenshot(screenshots / "quickstart-light-end.png")
    lab.scroll_to(1)
    lab.screenshot(screenshots / "quickstart-light.png")
    lab.theme("JupyterLab Dark")
    lab.screenshot(screenshots / "quickstart-dark.png")
    lab.theme("JupyterLab Light")


def test_run_all_twice_is_the_same_conversation_twice(
    lab: NotebookPage, committed: NotebookNode
) -> None:
    """The second time each question is asked where it was asked the first time."""
    lab.open(without_outputs(committed))
    lab.run_all()
    indices = [i for i, cell in enumerate(committed.cells) if cell.source.startswith("%%aeron")]
    before = [lab.outputs(index)[0].get("metadata", {}).get("aeron") for index in indices]
    lab.run_all()
    after = [lab.outputs(index)[0].get("metadata", {}).get("aeron") for index in indices]
    parents = [[one and one["parent_context_token"] for one in run] for run in (before, after)]
    assert parents[1][0] is None
    told = [one["context_token"] for one in after if one]
    assert parents[1][1 : len(told)] == told[:-1]
    assert [one and one["turn"] for one in before] == [one and one["turn"] for one in after]


def test_the_committed_outputs_are_readable_without_a_kernel(
    lab: NotebookPage, committed: NotebookNode, screenshots: Path
) -> None:
    """Opened and not run, the notebook shows the conversation."""
    lab.open(committed)
    index = next(i for i, cell in enumerate(committed.cells) if cell.id == "first-question")
    assert "context_token" in lab.shown(index)
    assert lab.page.locator(".jp-OutputArea-output h3").count() >= 1
    lab.screenshot(screenshots / "quickstart-unrun.png")
