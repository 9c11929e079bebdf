"""What all tests share: the sandbox, and the order from quick to slow."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from aeron_magic.sandbox import Sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernels after plain tests, browsers last: what fails quickly is seen first.

    The browser's driver also keeps an event loop on the main thread to the end of the session,
    which code under test that begins a loop of its own there could not bear.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is not None,
            item.get_closest_marker("jupyter") is not None,
        )
    )


def pytest_collection_finish() -> None:
    """What is there for the whole session is nothing for the garbage collector to look through.

    Its full rounds took a third of a second, in which the sandbox of the same process was silent:
    longer than the limits in tests of silence.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def private_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is asked in this process is never kept in the reader's own history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AERON_HISTORY", str(tmp_path_factory.mktemp("history") / "history.sqlite3"))
        yield


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both services in this process, behaving well; other processes reach it by its ``url``."""
    with Sandbox() as running:
        yield running
