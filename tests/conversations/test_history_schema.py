"""Histories of another person: what is damaged is named and left out, and nothing of it runs."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from aeron_magic.conversations import history_db, history_schema
from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.history_db import resume_hint
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.errors import HistoryError
from aeron_magic.replies.reply import Reply

SCOPE = HistoryScope("/n.ipynb", "https://example.org/ai", False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history with one conversation of four turns in a row; the fourth is pending."""
    path = tmp_path / "history.sqlite3"
    ask(path, 3)
    return path


def ask(path: Path, answered: int, pending: int = 1) -> None:
    history, registry = HistoryStore(path), ConversationRegistry("aeronpay")
    for number in range(answered + pending):
        begun = registry.start(registry.position_for(cell=str(number)), f"why {number}?")
        history.save_pending(begun, SCOPE)
        history.save_token(begun, f"token-{number}")
        if number < answered:
            reply = Reply("yes " * 50, "complete", f"token-{number}", begun.turn.parent_token)
            history.save_turn(begun, registry.finish(begun, reply)[0], SCOPE)
    history.close()


@pytest.fixture
def history(path: Path) -> Iterator[HistoryStore]:
    """The same file, opened by another kernel."""
    history = HistoryStore(path)
    yield history
    history.close()


def execute(path: Path, script: str, values: tuple[Any, ...] = ()) -> None:
    """Change the file as an attacker does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if values:
            connection.execute(script, values)
        else:
            connection.executescript(script)


def change(path: Path, turn: int, **fields: Any) -> None:
    """Change fields of a turn."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        query = "SELECT content FROM turn WHERE number = ?"
        document = json.loads(connection.execute(query, (turn,)).fetchone()[0])
        connection.execute(
            "UPDATE turn SET content = ? WHERE number = ?",
            (json.dumps(document | fields), turn),
        )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"question": 5}, "Expected `str`, got `int`, at `$.question`"),
        ({"asked_at": 1e300}, "Expected `float` <= 32503680000.0, at `$.asked_at`"),
        ({"number": 7}, "the number is that of another turn"),
        ({"parent_revision": -1}, "Expected `int` >= 0, at `$.parent_revision`"),
        ({"tokens": "abc"}, "Expected `array`, got `str`, at `$.tokens`"),
        ({"name": "a\nimport os"}, "the name is not printable"),
        ({"name": "x" * 61}, "Expected `str` of length <= 60, at `$.name`"),
        ({"images": ["file:///etc/passwd"]}, "an image is not an http(s) address"),
        ({"images": ["http://a\nimport os"]}, "an image is not an http(s) address"),
        ({"reply": {"text": "x"}}, "Object missing required field `status`, at `$.reply`"),
        ({"evil\x1b": 1}, "unknown field"),
    ],
)
def test_a_damaged_turn_is_named_and_left_out(
    path: Path, history: HistoryStore, fields: dict[str, Any], reason: str
) -> None:
    change(path, 2, **fields)
    (stored,) = history.conversations()
    tree = history.load(stored)
    assert [turn.number for turn in tree] == [1, 3]
    assert [turn.parent for turn in tree] == [None, None]
    assert f"conversation 1, turn 2 ({reason})." in history.damage_note()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("name", "a\x1b]0;evil\x07", "the name is not printable"),
        ("name", b"\xff\xfe", "Expected `str`, got `bytes`"),
        ("service", "aeronpay\nimport os", "the service is unknown"),
        ("address", "https://a.example/ --insecure", "the address is invalid"),
        ("address", "file:///etc/passwd", "the address is invalid"),
        ("address", "https://user@a.example", "the address is invalid"),
        ("address", "https://a.example#'; import os", "the address is invalid"),
        ("used", "yesterday", "Expected `float`, got `str`"),
        ("used", 1e300, "Expected `float` <="),
        ("sandbox", 2, "Expected `int` <= 1"),
    ],
)
def test_a_damaged_conversation_is_named_and_left_out(
    path: Path, history: HistoryStore, column: str, value: object, reason: str
) -> None:
    ask(path, 1, 0)
    execute(path, f"UPDATE conversation SET {column} = ? WHERE id = 1", (value,))
    assert [stored.id for stored in history.conversations()] == [2]
    assert f"conversation 1 ({reason}" in history.damage_note()


def test_the_hint_at_loading_has_no_control_sequences(path: Path) -> None:
    """Neither from the question nor from the name."""
    change(path, 1, question="why \x1b]0;evil\x07\u202e0?")
    assert "(why 0?, " in resume_hint(path, SCOPE.notebook)
    execute(path, "UPDATE conversation SET name = ?", ("a\x1b]0;evil\x07\nb",))
    assert "(a b, " in resume_hint(path, SCOPE.notebook)


@pytest.mark.parametrize("parents", [{1: 1}, {1: 3}, {1: 2, 2: 1}, {2: 3, 3: 2}])
def test_turns_that_come_before_themselves_are_left_out(
    path: Path, history: HistoryStore, parents: dict[int, int]
) -> None:
    for number, parent in parents.items():
        change(path, number, parent=parent)
    (stored,) = history.conversations()
    tree = history.load(stored)
    assert all(len(turn.path()) <= 3 for turn in tree)
    assert len(tree.turns) < 3
    assert "the turns before it form a circle" in history.damage_note()
    for pending, _ in history.unfinished(tree):
        pending.turn.path()


def test_documents_that_are_no_json_do_not_hide_the_others(
    path: Path, history: HistoryStore
) -> None:
    execute(path, "UPDATE turn SET pending = '{' WHERE number = 4")
    ask(path, 1, 0)
    assert [stored.turns for stored in history.conversations()] == [1, 4]
    tree = history.load(history.conversations()[1])
    assert history.unfinished(tree) == []
    assert "turn 4 (not JSON)" in history.damage_note()


@pytest.mark.parametrize("number", ["'x'", "-1", "9223372036854775807", "1e10", "x'00'"])
def test_numbers_out_of_range_are_left_out(path: Path, history: HistoryStore, number: str) -> None:
    execute(path, f"UPDATE turn SET number = {number} WHERE number = 2")
    tree = history.load(history.conversations()[0])
    assert [turn.number for turn in tree] == [1, 3]
    registry = ConversationRegistry("aeronpay")
    registry.add(tree)
    history.save_pending(registry.start(registry.position_for(), "new"), SCOPE)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT"


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER evil AFTER INSERT ON turn BEGIN DELETE FROM turn; END",
        f"CREATE TRIGGER evil AFTER INSERT ON turn BEGIN {ENDLESS} sum(x) FROM n; END",
        "CREATE TABLE evil (x)",
        "CREATE INDEX evil ON turn (hex(content))",
        "ALTER TABLE turn ADD COLUMN evil AS (hex(content))",
        f"DROP TABLE turn; CREATE VIEW turn AS {ENDLESS} x AS conversation, x AS number,"
        " 'x' AS content, 'x' AS pending, 'x' AS pending_token FROM n",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_master VALUES ('view', 'x', 'turn', 0,"
        " 'CREATE TRIGGER x AFTER INSERT ON turn BEGIN DELETE FROM turn; END')",
    ],
)
def test_a_schema_that_is_not_ours_is_refused(
    path: Path, history: HistoryStore, script: str
) -> None:
    """At loading and at the first question, before a row is read."""
    execute(path, script)
    with pytest.raises(HistoryError, match=r"not its own|malformed") as caught:
        history.conversations()
    assert f"Move {path} away" in caught.value.hint
    with pytest.raises(HistoryError, match=r"not its own|malformed"):
        resume_hint(path, SCOPE.notebook)


def test_a_view_of_an_earlier_version_is_not_read(path: Path, history: HistoryStore) -> None:
    execute(path, f"CREATE VIEW summary AS {ENDLESS} sum(x) AS name FROM n")
    began = time.monotonic()
    assert "(why 0?, " in resume_hint(path, SCOPE.notebook)
    assert len(history.conversations()) == 1
    assert time.monotonic() - began < 2


def test_an_operation_that_takes_too_long_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a list of very many conversations."""
    monkeypatch.setattr(history_db, "STEPS", 1_000)
    with closing(history_db.open_file(path)) as connection:
        history_db.Deadline(connection, 0.1)
        began = time.monotonic()
        with (
            pytest.raises(HistoryError, match="takes too long"),
            history_db.translating_errors(path),
        ):
            connection.execute(f"{ENDLESS} sum(x) FROM n").fetchone()
        assert time.monotonic() - began < 2


def test_a_huge_value_is_an_error(path: Path, history: HistoryStore) -> None:
    execute(path, "UPDATE turn SET pending = zeroblob(50000000) WHERE number = 4")
    with pytest.raises(HistoryError):
        history.unfinished(history.load(history.conversations()[0]))


def test_the_log_does_not_grow_with_the_turns(tmp_path: Path) -> None:
    path, most = tmp_path / "history.sqlite3", 0
    history, registry = HistoryStore(path), ConversationRegistry("aeronpay")
    log = path.with_name(path.name + "-wal")
    for number in range(300):
        begun = registry.start(registry.position_for(cell=str(number)), "why?")
        history.save_pending(begun, SCOPE)
        reply = Reply("because " * 500, "complete", f"token-{number}", begun.turn.parent_token)
        history.save_turn(begun, registry.finish(begun, reply)[0], SCOPE)
        most = max(most, log.stat().st_size)
    history.close()
    assert most < 1.5 * history_db.MAX_LOG


def test_a_stored_reply_has_the_fields_of_a_reply_in_their_order() -> None:
    """They are passed by position: ten thousand replies are read when a history is opened."""
    names = tuple(field.name for field in fields(Reply))
    assert history_schema._Reply.__struct_fields__ == names
