"""Real kernels, terminals and notebook runners for the tests of the Jupyter side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from credentials import credentials
from live_kernel import Kernel, running_kernel
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from panel_harness import PanelHarness, panel_harness
from private_home import private_environment
from terminal_ipython import Terminal, running_terminal

from aeron_magic.sandbox import Sandbox

Executed = Callable[..., NotebookNode]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A fresh kernel, to which cells are sent as JupyterLab sends them."""
    with running_kernel(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Sandbox]:
    """The service that the kernel of a module asks."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def shared_kernel(service: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel for a module, with the extension loaded; its first question asks the service."""
    home = tmp_path_factory.mktemp("kernel")
    with running_kernel(home, **credentials(service.aeronpay_url)) as running:
        loaded = running.execute("%load_ext aeron_magic")
        assert (loaded.status, loaded.outputs) == ("ok", [])
        yield running


@pytest.fixture
def harness(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PanelHarness]:
    """A panel without a browser."""
    with panel_harness(sandbox, monkeypatch) as made:
        yield made


@pytest.fixture(params=["simple prompt", "full prompt"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """IPython in a terminal, with the plain and with the full prompt."""
    with running_terminal(tmp_path, simple=request.param == "simple prompt") as running:
        yield running


@pytest.fixture
def executed(tmp_path: Path) -> Executed:
    """A function that runs cells through nbclient and returns the notebook with its outputs."""

    def execute(*sources: str, allow_errors: bool = False) -> NotebookNode:
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        client = NotebookClient(notebook, timeout=60, allow_errors=allow_errors)
        client.execute(env=private_environment(tmp_path), cwd=str(tmp_path))
        nbformat.validate(notebook)
        return notebook

    return execute
