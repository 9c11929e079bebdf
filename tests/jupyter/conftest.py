"""Real kernels, terminals and notebook runners for the tests of the Jupyter side."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from credentials import credentials
from IPython.core.interactiveshell import InteractiveShell
from live_kernel import Kernel, running_kernel
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from panel_harness import PanelHarness, panel_harness
from private_home import private_environment
from terminal_ipython import Terminal, running_terminal
from traitlets.config import Config

from aeron_magic.sandbox import Sandbox

Executed = Callable[..., NotebookNode]


@pytest.fixture
def plain_shell() -> Iterator[InteractiveShell]:
    """A shell in this process, without the extension and without a database for its history."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()
    # At the end of the process it would collect garbage: 0.2 s for each shell there was.
    atexit.unregister(shell.atexit_operations)


@pytest.fixture(scope="session")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """The one kernel process of all tests that do not depend on a new one."""
    with running_kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


@pytest.fixture
def kernel(shared_kernel: Kernel, sandbox: Sandbox, tmp_path: Path) -> Iterator[Kernel]:
    """The shared kernel, without variables and with the extension loaded.

    Its first question asks ``sandbox``; its working directory and history are in ``tmp_path``.
    """
    loaded = shared_kernel.reset(tmp_path, **credentials(sandbox.aeronpay_url))
    assert (loaded.status, loaded.outputs) == ("ok", [])
    yield shared_kernel
    shared_kernel.execute("%unload_ext aeron_magic", None)


@pytest.fixture
def new_kernel(sandbox: Sandbox, tmp_path: Path) -> Iterator[Kernel]:
    """As ``kernel``, but a process that was started for this test and ends with it."""
    with running_kernel(tmp_path) as running:
        running.reset(tmp_path, **credentials(sandbox.aeronpay_url))
        yield running


@pytest.fixture(scope="session", params=["simple prompt", "full prompt"])
def shared_terminal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """IPython in a terminal, with the plain and with the full prompt, for all tests."""
    home = tmp_path_factory.mktemp("terminal")
    with running_terminal(home, simple=request.param == "simple prompt") as running:
        yield running


@pytest.fixture
def terminal(shared_terminal: Terminal, sandbox: Sandbox, tmp_path: Path) -> Iterator[Terminal]:
    """The shared terminal, without variables and with the extension loaded, as ``kernel``."""
    assert shared_terminal.reset(tmp_path, **credentials(sandbox.aeronpay_url)).strip() == ""
    yield shared_terminal
    shared_terminal.run("%unload_ext aeron_magic")


@pytest.fixture
def harness(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PanelHarness]:
    """A panel without a browser."""
    with panel_harness(sandbox, monkeypatch) as made:
        yield made


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
