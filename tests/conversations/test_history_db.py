"""The file of the history: its path, permissions and schema."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from aeron_magic.conversations.history_db import (
    SCHEMA_VERSION,
    history_path,
    open_file,
    resume_hint,
)
from aeron_magic.errors import HistoryError


def test_the_variable_has_precedence_over_the_setting(tmp_path: Path) -> None:
    """And both over the user's data folder."""
    assert history_path("~/mine", {"AERON_HISTORY": str(tmp_path)}) == tmp_path
    assert history_path(str(tmp_path), {}) == tmp_path
    found = history_path("", {})
    assert found is not None
    assert found.parts[-2:] == ("aeron-magic", "history.sqlite3")


def test_it_can_be_disabled_by_setting_and_variable() -> None:
    for value in ("off", "OFF", "0", "no", "false"):
        assert history_path(value, {}) is None, value
        assert history_path("~/mine", {"AERON_HISTORY": value}) is None, value


def test_a_bare_word_is_no_file() -> None:
    """A misspelt ``off`` would write the questions to a file in the working folder."""
    default = history_path("", {})
    for value in ("on", "1", "YES", "true"):
        assert history_path(value, {}) == default, value
    for value in ("of", "Off1", "none", "history"):
        with pytest.raises(HistoryError, match="neither `off` nor a file"):
            history_path(value, {})
        with pytest.raises(HistoryError):
            history_path("", {"AERON_HISTORY": value})
    assert history_path("", {"AERON_HISTORY": "off "}) is None
    for value in ("./history", "history.sqlite3", "~/history"):
        assert history_path(value, {}) == Path(value).expanduser()


def test_a_new_file_has_the_schema(tmp_path: Path) -> None:
    connection = open_file(tmp_path / "new")
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("SELECT count(*) FROM turn").fetchone() == (0,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_several_kernels_can_create_the_file_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for connection in pool.map(open_file, [tmp_path / "new"] * 8):
            assert connection.execute("SELECT count(*) FROM conversation").fetchone() == (0,)
            connection.close()


@pytest.mark.parametrize("version", [1, 99])
def test_a_file_with_another_schema_version_is_not_changed(tmp_path: Path, version: int) -> None:
    """Neither an older nor a newer one; the error says what to do."""
    path = tmp_path / "other"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE turn (x)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="written by another version") as caught:
        open_file(path)
    assert f"Move {path} away" in caught.value.hint
    assert resume_hint(path, "/a.ipynb") == ""
    assert path.read_bytes() == before


def test_an_existing_file_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.touch(0o644)
    open_file(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_notebook_gives_no_hint(tmp_path: Path) -> None:
    """And no file is created."""
    assert resume_hint(tmp_path / "none", "/a.ipynb") == ""
    assert not (tmp_path / "none").exists()
    open_file(tmp_path / "some").close()
    assert resume_hint(tmp_path / "some", "/a.ipynb") == ""


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ("plots", "a conversation of TIME (plots, 1 turn): %aeron resume loads it."),
        (
            "plots side plots main old",
            "several conversations. The newest is of TIME (plots, 1 turn): %aeron resume loads it. "
            "%aeron resume NAME loads another: side, plots#3, main, ….",
        ),
    ],
)
def test_the_hint_names_the_conversations_and_the_command(
    tmp_path: Path, names: str, hint: str
) -> None:
    """The newest first; those without an answer are left out."""
    connection = open_file(tmp_path / "some")
    for number, name in enumerate([*names.split(), "refused"], 1):
        connection.execute(
            "INSERT INTO conversation (notebook, name, service, address, sandbox, kernel, used)"
            " VALUES ('/a.ipynb', ?, '', '', 0, '', ?)",
            (name, 86_400.0 * (365 - number)),
        )
        tokens = "[]" if name == "refused" else '["t"]'
        connection.execute(
            "INSERT INTO turn (conversation, number, content) VALUES (?, 1, ?)",
            (number, f'{{"question": "why?", "tokens": {tokens}}}'),
        )
    connection.close()
    found = resume_hint(tmp_path / "some", "/a.ipynb")
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", found) == f"This notebook has {hint}"


def test_a_hint_from_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"this is not a database" * 100)
    with pytest.raises(HistoryError):
        resume_hint(tmp_path / "bad", "/a.ipynb")


def test_without_a_home_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id without an entry in the list of users, as in many containers."""

    def missing(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", missing)
    with pytest.raises(HistoryError, match="no home folder") as caught:
        history_path("~/mine", {})
    assert "AERON_HISTORY" in caught.value.hint


@pytest.mark.parametrize("kind", ["fifo", "zero", "folder", "circle", "name"])
def test_the_hint_at_loading_never_waits(tmp_path: Path, kind: str) -> None:
    """Whatever stands at the path."""
    path = tmp_path / "history"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to("history")
        case "name":
            path = tmp_path / ("x" * 300)
    with suppress(HistoryError):
        assert resume_hint(path, "n.ipynb") == ""


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_a_pipe_beside_the_file_is_an_error(tmp_path: Path, ending: str) -> None:
    """Such as in an archive of another person; SQLite would wait for it. Also through a link."""
    path = tmp_path / "history"
    open_file(path).close()
    link = tmp_path / "link"
    link.symlink_to(path)
    os.mkfifo(tmp_path / f"history{ending}")
    for name in (path, link):
        for use in (open_file, lambda name: resume_hint(name, "n.ipynb")):
            with pytest.raises(HistoryError, match=f"history{ending} is not a file"):
                use(name)
