"""The file of the history: where it is, and how its tables come up to date."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from aeron_magic.conversations.history_db import MIGRATIONS, history_path, open_file, resume_hint
from aeron_magic.errors import HistoryError


def test_the_variable_comes_before_the_setting(tmp_path: Path) -> None:
    """And both before the user's data folder."""
    assert history_path("~/mine", {"AERON_HISTORY": str(tmp_path)}) == tmp_path
    assert history_path(str(tmp_path), {}) == tmp_path
    found = history_path("", {})
    assert found is not None
    assert found.parts[-2:] == ("aeron-magic", "history.sqlite3")


@pytest.mark.parametrize("value", ["off", "OFF", "0", "no", "false"])
def test_it_can_be_switched_off(value: str) -> None:
    """By either."""
    assert history_path(value, {}) is None
    assert history_path("~/mine", {"AERON_HISTORY": value}) is None


def test_a_new_file_has_all_tables(tmp_path: Path) -> None:
    """Its version is the number of scripts."""
    connection = open_file(tmp_path / "new")
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert connection.execute("SELECT count(*) FROM turn").fetchone() == (0,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """Only by the scripts that it has not had; what is in it stays."""
    path = tmp_path / "old"
    first, second = "CREATE TABLE a (x);", "ALTER TABLE a ADD y; UPDATE a SET y = x + 1;"
    connection = open_file(path, [first])
    connection.execute("INSERT INTO a VALUES (1)")
    connection.close()
    connection = open_file(path, [first, second.replace("; ", ";\n")])
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 2)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Neither the tables nor the version."""
    path = tmp_path / "old"
    open_file(path, ["CREATE TABLE a (x);"]).close()
    with pytest.raises(HistoryError):
        open_file(path, ["CREATE TABLE a (x);", "CREATE TABLE b (x);\nnonsense;"])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("a",)]
    connection.close()


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """The error says to update."""
    path = tmp_path / "later"
    open_file(path, [*MIGRATIONS, "CREATE TABLE more (x);"]).close()
    with pytest.raises(HistoryError, match="later version") as caught:
        open_file(path)
    assert "Update aeron-magic" in caught.value.hint


def test_a_file_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    """Whoever made it so."""
    path = tmp_path / "open"
    path.touch(0o644)
    open_file(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_notebook_without_a_past_says_nothing(tmp_path: Path) -> None:
    """And looking makes no file."""
    assert resume_hint(tmp_path / "none", "/a.ipynb") == ""
    assert not (tmp_path / "none").exists()
    open_file(tmp_path / "some").close()
    assert resume_hint(tmp_path / "some", "/a.ipynb") == ""


def test_a_notebook_with_a_past_says_so_in_a_line(tmp_path: Path) -> None:
    """The newest conversation, and how to take it up."""
    connection = open_file(tmp_path / "some")
    for name, used in (("newer", 86_400.0 * 365), ("older", 1.0)):
        connection.execute(
            "INSERT INTO conversation (notebook, name, service, address, sandbox, owner, used)"
            " VALUES ('/a.ipynb', ?, '', '', 0, '', ?)",
            (name, used),
        )
    connection.close()
    said = resume_hint(tmp_path / "some", "/a.ipynb")
    assert "(newer, 0 turns): %aeron resume takes it up." in said
    assert "\n" not in said


def test_a_past_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Whoever asks decides what to say of it."""
    (tmp_path / "bad").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(HistoryError):
        resume_hint(tmp_path / "bad", "/a.ipynb")
