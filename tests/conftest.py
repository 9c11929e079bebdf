"""What all tests share: the sandbox, Ctrl-C, and the order from quick to slow."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from aeron_magic.sandbox import Sandbox

# With this package jsonschema checks IRIs, which no notebook here has; it takes 1.2 s to import.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests and the processes that they start; set no limit on an example.

    A shell without job control starts a background command (``python3 tests/run.py &``) with
    SIGINT ignored, and every child process inherits that. Hypothesis' limit of 0.2 s for an
    example would fail on a busy machine.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("aeron-magic", deadline=None)
    hypothesis.settings.load_profile("aeron-magic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernels after plain tests, browsers last: what fails quickly is seen first.

    Playwright keeps an event loop running on the main thread until the session ends, so tests
    that call ``asyncio.run`` have to come before. Tests in Notebook 7 follow those in JupyterLab:
    loading the other front end takes seconds.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is not None,
            item.get_closest_marker("jupyter") is not None,
            _parameters(item).get("frontend") == "notebook",
        )
    )


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def pytest_collection_finish() -> None:
    """Exclude what lives for the whole session from garbage collection.

    A full collection would take a third of a second, in which the sandbox in the same process
    does not answer: longer than the limits in tests of silence.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_main_module() -> Iterator[None]:
    """Restore ``__main__``: IPython's shells take its place, and new processes run its file."""
    main = sys.modules["__main__"]
    file = vars(main).get("__file__")
    yield
    sys.modules["__main__"] = main
    if vars(main).get("__file__") != file:
        vars(main)["__file__"] = file


@pytest.fixture(autouse=True, scope="session")
def private_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' questions and locks out of the user's own data folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("AERON_HISTORY", str(tmp_path_factory.mktemp("history") / "history.sqlite3"))
        yield


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both services in this process, without faults; other processes reach it by its ``url``."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts to reach a service follow each other at once, in this process."""
    monkeypatch.setattr("aeron_magic.protocol.retry.FIRST_DELAY", 0.01)
