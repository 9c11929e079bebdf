"""The rows of batches that the local history keeps."""

from __future__ import annotations

import gc
import sqlite3
import time
from pathlib import Path

import pytest

from aeron_magic.conversations.history_db import open_file
from aeron_magic.conversations.kept_rows import MAX_AGE, KeptRows, RowState
from aeron_magic.errors import RecordingError
from aeron_magic.replies.reply import Reply

REPLY = Reply("**yes** 👍", "complete", "t-1", msg_id="m", service="aeronpay", seconds=0.5)
HERE = "http://here"


@pytest.fixture(params=["file", "memory", "pending"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> KeptRows:
    """Rows of each kind."""
    path = None if request.param == "memory" else tmp_path / "rows"
    return KeptRows(path, pending=request.param == "pending")


def test_a_row_is_marked_and_kept(rows: KeptRows) -> None:
    assert rows.get("a", HERE) is None
    rows.mark_sent("a", HERE)
    assert rows.get("a", HERE) == RowState()
    rows.mark_token("a", "t-1")
    assert rows.get("a", HERE) == RowState(None, "t-1")
    rows.keep("a", REPLY)
    assert rows.get("a", HERE) == RowState(REPLY)
    rows.release("a")
    assert rows.get("a", HERE) == RowState(REPLY)
    rows.mark_sent("b", HERE)
    rows.release("b")
    assert rows.get("b", HERE) is None
    rows.close()


def test_rows_outlive_their_process(tmp_path: Path) -> None:
    """Without being closed; in a file that only the user can read."""
    path = tmp_path / "history"
    first = KeptRows(path)
    first.mark_sent("a", HERE)
    first.mark_token("a", "t-1")
    assert KeptRows(path).get("a", HERE) == RowState(None, "t-1")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("file", [None, "rows"])
def test_the_connection_is_closed_with_the_rows(tmp_path: Path, file: str | None) -> None:
    """Those of a session in memory have no other end; Python 3.13 warns of it."""
    rows = KeptRows(None if file is None else tmp_path / file)
    rows.mark_sent("a", HERE)
    connection = rows._connection
    assert connection is not None
    del rows
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_token_belongs_to_one_address(tmp_path: Path) -> None:
    """A reply does not: it is that of another sandbox with the same answers."""
    rows = KeptRows(None)
    rows.mark_sent("a", HERE)
    rows.mark_token("a", "t-1")
    assert rows.get("a", "http://elsewhere") is None
    assert not rows.mark_sent("a", HERE, again=False)
    assert rows.mark_sent("a", "http://elsewhere", again=False)
    rows.keep("a", REPLY)
    assert rows.get("a", "http://elsewhere") == RowState(REPLY)


def test_old_rows_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "history"
    rows = KeptRows(path)
    for key in ("old", "new"):
        rows.mark_sent(key, HERE)
    rows.close()
    connection = open_file(path)
    connection.execute("UPDATE batch_row SET used = used - ? WHERE key = 'old'", (MAX_AGE + 60,))
    connection.close()
    assert KeptRows(path).get("old", HERE) is None
    assert KeptRows(path).get("new", HERE) == RowState()


def test_a_clock_that_is_wrong_today_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all rows would be asked, and charged, again."""
    rows = KeptRows(path := tmp_path / "history")
    for key in ("sent", "kept"):
        rows.mark_sent(key, HERE)
    rows.keep("kept", REPLY)
    rows.close()
    later = time.time() + 2 * MAX_AGE
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        assert KeptRows(path).get("sent", HERE) == RowState()
    assert KeptRows(path).get("kept", HERE) == RowState(REPLY)


def test_an_unusable_history_keeps_rows_in_memory(tmp_path: Path) -> None:
    """With one warning."""
    path = tmp_path / "history"
    path.write_bytes(b"no database" * 100)
    rows = KeptRows(path)
    rows.mark_sent("a", HERE)
    assert rows.get("a", HERE) == RowState()
    assert "not kept" in rows.warning
    assert path.read_bytes() == b"no database" * 100


def test_a_damaged_reply_is_left_out(tmp_path: Path) -> None:
    """The row is then fetched, or reported."""
    rows = KeptRows(tmp_path / "history")
    rows.mark_sent("a", HERE)
    rows.keep("a", REPLY)
    with sqlite3.connect(tmp_path / "history") as connection:
        connection.execute("UPDATE batch_row SET reply = '{\"text\": 5}'")
    connection.close()
    assert rows.get("a", HERE) == RowState()


def test_one_batch_uses_a_checkpoint_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl.pending"
    first, second = KeptRows(path, pending=True), KeptRows(path, pending=True)
    first.mark_sent("a", HERE)
    with pytest.raises(RecordingError, match="another batch"):
        second.get("a", HERE)
    first.close()
    assert second.get("a", HERE) == RowState()


def test_a_checkpoint_without_open_rows_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl.pending"
    rows = KeptRows(path, pending=True)
    assert rows.get("a", HERE) is None
    assert not path.exists()
    rows.mark_sent("a", HERE)
    rows.keep("a", REPLY)
    rows.close()
    assert list(tmp_path.iterdir()) == []
