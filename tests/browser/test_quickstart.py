"""The quickstart notebook in JupyterLab."""

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


def test_the_quickstart_runs_from_top_to_bottom_twice(
    lab: NotebookPage, committed: NotebookNode, screenshots: Path
) -> None:
    """Every cell has its committed output; run again, each question has the same parent turn."""
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
    questions = [i for i, cell in enumerate(committed.cells) if cell.source.startswith("%%aeron")]
    before = [lab.outputs(index)[0].get("metadata", {}).get("aeron_magic") for index in questions]
    lab.screenshot(screenshots / "quickstart-light-end.png")
    lab.scroll_to(1)
    lab.screenshot(screenshots / "quickstart-light.png")
    lab.theme("JupyterLab Dark")
    lab.screenshot(screenshots / "quickstart-dark.png")
    lab.theme("JupyterLab Light")

    lab.run_all()
    after = [lab.outputs(index)[0].get("metadata", {}).get("aeron_magic") for index in questions]
    tokens = [about["context_token"] for about in after if about]
    parents = [about["parent_context_token"] for about in after if about]
    assert parents == [None, *tokens[:-1]]
    assert [about and about["turn"] for about in before] == [
        about and about["turn"] for about in after
    ]


def test_the_committed_outputs_are_readable_without_a_kernel(
    lab: NotebookPage, committed: NotebookNode, screenshots: Path
) -> None:
    """Opened without being run, the notebook shows the conversation."""
    lab.open(committed)
    index = next(i for i, cell in enumerate(committed.cells) if cell.id == "first-question")
    assert "context_token" in lab.shown(index)
    assert lab.page.locator(".jp-OutputArea-output h3").count() >= 1
    lab.screenshot(screenshots / "quickstart-unrun.png")
