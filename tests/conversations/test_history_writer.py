"""Whatever happens to the history, a question works, and there is one warning."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_notebook import FakeNotebook, shape

from aeron_magic.conversations.history import HistoryStore
from aeron_magic.conversations.history_db import open_file
from aeron_magic.sandbox import Sandbox


def damaged(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    path.write_bytes(b"this is no database at all" * 100)
    return path


def read_only_home(folder: Path) -> Path:
    home = folder / "home"
    home.write_text("")  # nothing can be made below it, as in a home that is read-only
    return home / "history.sqlite3"


def later_version(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    connection = open_file(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    return path


def folder_in_its_place(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize("broken", [damaged, read_only_home, later_version, folder_in_its_place])
def test_a_question_works_without_the_history_and_one_note_says_so(
    sandbox: Sandbox, tmp_path: Path, broken: Callable[[Path], Path]
) -> None:
    """The first question's output has it, the others' have none."""
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


def test_a_history_that_is_locked_does_not_hold_questions_up(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """One of them waits; what was not kept is made up for when the lock is gone."""
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


def test_many_kernels_at_once_keep_all_that_is_asked(sandbox: Sandbox, tmp_path: Path) -> None:
    """And none has anything to complain of."""
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


def test_without_a_history_nothing_is_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    """Switched off is no problem to warn of."""
    notebook = FakeNotebook(sandbox)
    notebook.run("a")
    notebook.close()
    assert notebook.notes == []
    assert list(tmp_path.iterdir()) == []
