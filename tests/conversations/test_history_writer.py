"""Questions work without the history, with one warning."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_notebook import FakeNotebook, shape

from aeron_magic.conversations.history import HistoryScope, HistoryStore, HistoryWriter
from aeron_magic.conversations.history_db import open_file
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.sandbox import Sandbox


def damaged(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    path.write_bytes(b"this is not a database" * 100)
    return path


def read_only_home(folder: Path) -> Path:
    home = folder / "home"
    home.write_text("")  # no folder can be created in it, as in a read-only home
    return home / "history.sqlite3"


def other_version(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    connection = open_file(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    return path


def folder_instead(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize("broken", [damaged, read_only_home, other_version, folder_instead])
def test_questions_work_with_a_broken_history_and_one_warning(
    sandbox: Sandbox, tmp_path: Path, broken: Callable[[Path], Path]
) -> None:
    """Only the first question has the warning."""
    notebook = FakeNotebook(sandbox, history=broken(tmp_path))
    notes = []
    for cell in "abc":
        notebook.run(cell)
        notes.append(notebook.notes)
    notebook.close()
    assert [len(some) for some in notes] == [1, 0, 0]
    assert notes[0][0].startswith("The local history ")
    assert "Questions work, but are not stored." in notes[0][0]
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]


def test_a_locked_history_does_not_delay_questions(sandbox: Sandbox, tmp_path: Path) -> None:
    """Except the first; all turns are stored once the lock is released."""
    path = tmp_path / "history.sqlite3"
    notebook = FakeNotebook(sandbox, history=path)
    notebook.run("a")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    notebook.run("b")
    assert "locked" in notebook.notes[0]
    notebook.run("c")
    blocker.execute("ROLLBACK")
    blocker.close()
    notebook.run("d")
    notebook.close()
    history = HistoryStore(path)
    (stored,) = history.conversations()
    assert [turn.question[-1] for turn in history.load(stored)] == list("abcd")
    history.close()


def test_several_kernels_write_to_one_file_without_a_warning(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "history.sqlite3"

    def kernel(_: int) -> list[str]:
        notebook = FakeNotebook(sandbox, history=path, notebook="/same.ipynb")
        notes: list[str] = []
        for cell in "abcdef":
            notebook.run(cell)
            notes += notebook.notes
        notebook.close()
        return notes

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kernel, range(4))) == [[]] * 4
    history = HistoryStore(path)
    assert [stored.turns for stored in history.conversations("/same.ipynb")] == [6] * 4
    history.close()


def test_a_disabled_history_writes_nothing_and_gives_no_warning(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    notebook = FakeNotebook(sandbox)
    notebook.run("a")
    notebook.close()
    assert notebook.notes == []
    assert list(tmp_path.iterdir()) == []


def test_a_question_in_flight_does_not_hide_an_unfinished_one(tmp_path: Path) -> None:
    """Of the same number, in another conversation."""
    writer = HistoryWriter(HistoryStore(tmp_path / "history.sqlite3"))
    assert writer.history is not None
    scope = HistoryScope("/a.ipynb", "https://example.org/ai", False)
    first, second = (tree.start(tree.at_head(), "why?") for tree in map(ConversationTree, "ab"))
    writer.history.save_pending(first, scope)
    writer.save_pending(second, scope)
    found = [writer.unfinished(pending.position.tree) for pending in (first, second)]
    assert [len(one) for one in found] == [1, 0]
    writer.history.close()
