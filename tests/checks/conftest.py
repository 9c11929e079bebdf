from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aeron_magic import Client
from aeron_magic.sandbox import Sandbox

Write = Callable[[str, str], Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with data and history of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("AERON_HISTORY", str(tmp_path / "data" / "history.sqlite3"))
    return tmp_path


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with Client(
        base_url=sandbox.aeronpay_url, client_id="me", client_secret="hush-4f1c-hush"
    ) as asking:
        yield asking


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes a file of turns: one word for each line, the question, then what is expected."""

    def write_file(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file
