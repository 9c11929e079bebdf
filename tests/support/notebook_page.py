"""A notebook that is open in a browser: run its cells, read its outputs, take pictures.

The page is driven through the application object that JupyterLab and Notebook 7 expose, so that
a test does not depend on the position of a button.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

import nbformat
from jupyter_site import Site
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import ConsoleMessage, Page, Request

__all__ = ["Frontend", "NotebookPage", "Theme", "notebook_of", "without_outputs"]

Frontend = Literal["lab", "notebook"]
Theme = Literal["JupyterLab Light", "JupyterLab Dark"]

_WIDGET = "window.jupyterapp?.shell.currentWidget"
_READY = f"{_WIDGET}?.sessionContext?.session?.kernel?.status === 'idle'"
_CELLS = "jupyterapp.shell.currentWidget.content.model.cells"
_numbers = count(1)


def notebook_of(*sources: str) -> NotebookNode:
    """A notebook of code cells with new cell ids."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    return notebook


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook without outputs and execution counts."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


class NotebookPage:
    """One browser page and the notebook that is open in it.

    Parameters
    ----------
    page
        A fresh page.
    site
        The Jupyter server.

    Attributes
    ----------
    requests
        The addresses that the page requested, the newest last.
    console
        Messages in the browser's console, including script errors.
    """

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.name = ""
        self._loaded: Frontend | None = None
        self.requests: list[str] = []
        self.console: list[str] = []
        page.on("request", self._requested)
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _logged(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    # Opening -------------------------------------------------------------------------------

    def open(
        self, *cells: str | NotebookNode, frontend: Frontend = "lab", name: str | None = None
    ) -> NotebookPage:
        """Open a new notebook and wait for its kernel.

        Parameters
        ----------
        cells
            The sources of its code cells; or one whole notebook.
        frontend
            JupyterLab or Notebook 7.
        name
            The file's name; by default one that no other test uses.
        """
        if len(cells) == 1 and isinstance(cells[0], NotebookNode):
            notebook = cells[0]
        else:
            notebook = notebook_of(*cast(Sequence[str], cells))
        self.name = name or f"test-{next(_numbers)}.ipynb"
        self.site.write(self.name, notebook)
        if frontend == "lab" == self._loaded:
            # The command that closes a notebook would ask whether to save changes.
            self.page.evaluate(
                "() => [...jupyterapp.shell.widgets('main')].forEach(one => one.dispose())"
            )
            self.command("docmanager:open", path=self.name, factory="Notebook")
            self.page.wait_for_function(
                f"name => {_WIDGET}?.context?.path === name", arg=self.name, timeout=30_000
            )
            self.page.wait_for_function(_READY, timeout=60_000)
        else:
            self.visit(frontend)
        return self

    def visit(self, frontend: Frontend = "lab") -> None:
        """Load the page of the notebook, or reload it."""
        where = f"lab/tree/{self.name}" if frontend == "lab" else f"notebooks/{self.name}"
        self.page.goto(f"{self.site.url}/{where}?token={self.site.token}&reset", timeout=60_000)
        self.page.wait_for_function(_READY, timeout=60_000)
        self._loaded = frontend

    def forget(self) -> None:
        """Clear the requests and console messages of an earlier test."""
        self.requests.clear()
        self.console.clear()

    # Running -------------------------------------------------------------------------------

    def run_all(self) -> None:
        """Run all cells and wait until every one has finished or one has failed."""
        self.command("notebook:run-all-cells")

    def start_all(self) -> None:
        """Run all cells without waiting."""
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def run(self, index: int) -> None:
        """Run one cell and wait for its end."""
        self._activate(index)
        self.command("notebook:run-cell")

    def start(self, index: int) -> None:
        """Run one cell without waiting."""
        self._activate(index)
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")

    def interrupt(self) -> None:
        """Press the stop button."""
        self.command("notebook:interrupt-kernel")

    def save(self) -> NotebookNode:
        """Save the notebook and return what is on disk."""
        self.command("docmanager:save")
        return self.site.read(self.name)

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of the application and wait for it."""
        self.page.evaluate(
            "async ([name, given]) => { await jupyterapp.commands.execute(name, given); }",
            [name, arguments],
        )

    def _activate(self, index: int) -> None:
        self.page.evaluate(
            "index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", index
        )

    # Reading -------------------------------------------------------------------------------

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """A cell's outputs as they would be saved."""
        found = self.page.evaluate(f"index => {_CELLS}.get(index).outputs?.toJSON() ?? []", index)
        return cast("list[dict[str, Any]]", found)

    def prompt(self, index: int) -> int | None:
        """A cell's execution count; None before its end."""
        found = self.page.evaluate(f"index => {_CELLS}.get(index).executionCount", index)
        return cast("int | None", found)

    def cell_id(self, index: int) -> str:
        """A cell's id."""
        return str(self.page.evaluate(f"index => {_CELLS}.get(index).id", index))

    def shown(self, index: int) -> str:
        """The visible text of a cell's output area."""
        return str(
            self.page.evaluate(
                "index => jupyterapp.shell.currentWidget.content.widgets[index]"
                ".outputArea.node.innerText",
                index,
            )
        )

    def wait_shown(self, index: int, text: str, timeout: float = 20) -> None:
        """Wait until a cell's output area contains a text."""
        self.page.wait_for_function(
            "([index, text]) => jupyterapp.shell.currentWidget.content.widgets[index]"
            ".outputArea.node.innerText.includes(text)",
            arg=[index, text],
            timeout=timeout * 1000,
        )

    def watch(self, index: int) -> None:
        """Start to record a cell's output at every animation frame; see `watched`.

        The height is that of the content: Notebook 7 puts a long output into a scrolling box.
        """
        self.page.evaluate(
            """index => {
                const area = jupyterapp.shell.currentWidget.content.widgets[index].outputArea.node;
                window.watched = [];
                window.watching = true;
                const look = () => {
                    const seen = [area.scrollHeight, area.innerText];
                    const last = window.watched.at(-1);
                    if (!last || last[0] !== seen[0] || last[1] !== seen[1])
                        window.watched.push(seen);
                    if (window.watching) requestAnimationFrame(look);
                };
                look();
            }""",
            index,
        )

    def watched(self) -> list[tuple[int, str]]:
        """Stop recording; return height in pixels and text of each different state."""
        found = self.page.evaluate("() => { window.watching = false; return window.watched; }")
        return [(height, text) for height, text in found]

    # Looking -------------------------------------------------------------------------------

    def theme(self, name: Theme) -> None:
        """Change the theme; the server stores it."""
        self.command("apputils:change-theme", theme=name)
        dark = "false" if name == "JupyterLab Dark" else "true"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{dark}']", state="attached")

    def scroll_to(self, index: int) -> None:
        """Scroll a cell to the top and select the first cell."""
        self._activate(0)
        self.page.evaluate(
            "index => { const content = jupyterapp.shell.currentWidget.content;"
            " content.mode = 'command';"
            " content.widgets[index].node.scrollIntoView({block: 'start'}); }",
            index,
        )
        self.page.wait_for_timeout(500)  # until the toolbar of the previous cell has faded

    def screenshot(self, path: Path, index: int | None = None) -> None:
        """The whole window, or one cell, as PNG."""
        if index is None:
            self.page.screenshot(path=path)
        else:
            self.page.locator(".jp-Notebook .jp-Cell").nth(index).screenshot(path=path)

    def requests_during(self) -> AbstractContextManager[list[str]]:
        """A context manager whose value lists the addresses that were requested within it."""
        return _Recorded(self.requests)


class _Recorded(AbstractContextManager["list[str]"]):
    def __init__(self, requests: list[str]) -> None:
        self._requests = requests
        self._seen: list[str] = []

    def __enter__(self) -> list[str]:
        self._from = len(self._requests)
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._seen[:] = self._requests[self._from :]
