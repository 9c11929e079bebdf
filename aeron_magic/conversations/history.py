"""The local history: conversations as they were, kept for the time after a restart.

A question is written before it is sent (an *attempt*, without a token), again when its token is
known, and as a turn when it has ended. So whenever a kernel is killed, the file says what was on
its way; what the service still has can be fetched by the token, and nothing is asked again.

A conversation is written by one kernel, its ``owner``. Where another one has taken it up, the
first goes on with a copy; where it was forgotten, the first begins a new one with its next turn.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from aeron_magic.conversations.history_db import ORDER_BY_RECENT, open_file, translating_errors
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.replies.reply import Reply

__all__ = ["HistoryScope", "HistoryStore", "StoredConversation", "stable_cell_id"]

SHORT_BUSY_TIMEOUT = 50
"""Milliseconds to wait for another kernel's write once the history has failed."""

_STORED = (
    "SELECT id, name, notebook, service, address, sandbox, used, owner,"
    " (SELECT count(*) FROM turn WHERE conversation = id)"
    " + (SELECT count(*) FROM attempt a WHERE a.conversation = id AND NOT EXISTS"
    " (SELECT 1 FROM turn t WHERE t.conversation = id AND t.number = a.number))"
    ", coalesce((SELECT substr(question, 1, 200) FROM turn WHERE conversation = id"
    " ORDER BY number DESC LIMIT 1), '') FROM conversation c"
)
_TURN = (
    "number, question, images, parent, parent_revision, started_from, tokens, cell, name, asked,"
    " status, text, context_token, parent_context_token, msg_id, seconds, first_chunk_seconds,"
    " replayed"
)
_OUTLINE = (  # as _TURN
    "number, '', '', parent, parent_revision, NULL, tokens, NULL, name, asked" + 8 * ", NULL"
)
_SELECT = (
    "SELECT {} FROM turn WHERE conversation = ?1 AND number {} ifnull((SELECT number FROM turn"
    " WHERE conversation = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2), 0) ORDER BY number"
)
_PENDING = (
    "number, question, images, parent, parent_revision, started_from, cell, name, asked, token"
)


class StoredConversation(NamedTuple):
    """A conversation in the history."""

    id: int
    name: str
    notebook: str
    service: str
    address: str
    sandbox: bool
    used: float  # when it was asked something last, in seconds since the epoch
    owner: str
    turns: int
    question: str = ""  # of the newest turn, its beginning


class HistoryScope(NamedTuple):
    """Who writes, and about what."""

    notebook: str
    address: str
    sandbox: bool


def stable_cell_id(cell: str | None) -> str | None:
    """The cell's key if it survives a restart, else None: VS Code's does not."""
    return None if cell is None or cell.startswith("vscode-notebook-cell:") else cell


class HistoryStore:
    """The conversations in one file; the connection is opened with the first use.

    Parameters
    ----------
    path
        The file; made where it is missing.

    Raises
    ------
    HistoryError
        From every method: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kernel = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._dirty: set[int] = set()
        """The conversations of which a write has failed: they are written whole next time."""

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translating_errors(self.path):
            if self._connection is not None and not self.path.exists():
                self._connection.close()  # it was deleted: what is written to it now is lost
                self._connection = None
            if self._connection is None:
                self._connection = open_file(self.path)
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def shorten_busy_timeout(self) -> None:
        """Wait no longer for other kernels."""
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {SHORT_BUSY_TIMEOUT}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # Writing -------------------------------------------------------------------------------

    def save_pending(self, pending: PendingTurn, owner: HistoryScope) -> None:
        """Keep a question that is about to be sent."""
        turn = pending.turn
        with self._writing() as connection:
            stored = self._conversation_id(connection, pending.position.tree, owner, turn.asked_at)
            connection.execute(
                f"INSERT OR REPLACE INTO attempt (conversation, {_PENDING})"  # noqa: S608
                f" VALUES ({_marks(11)})",
                (stored, *self._question(turn), *self._names(turn), turn.asked_at, None),
            )

    def save_token(self, pending: PendingTurn, token: str) -> None:
        """Keep the token by which the reply can be fetched from now on."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE attempt SET token = ? WHERE conversation = ? AND number = ?",
                (token, pending.position.tree.history_id, pending.turn.number),
            )

    def save_turn(self, pending: PendingTurn, turn: Turn, owner: HistoryScope) -> None:
        """Keep a turn as it stands after an attempt."""
        tree = pending.position.tree
        with self._writing() as connection:
            stored = self._conversation_id(connection, tree, owner, pending.turn.asked_at)
            self._delete_pending(connection, stored, turn.number)
            self._write(connection, stored, [turn])
            for column, key in zip(("cell", "name"), self._names(turn), strict=True):
                if key is not None:  # it may have been another turn's before
                    connection.execute(
                        f"UPDATE turn SET {column} = NULL"  # noqa: S608
                        f" WHERE conversation = ? AND number != ? AND {column} = ?",
                        (stored, turn.number, key),
                    )

    def mark_lost(self, pending: PendingTurn, turn: Turn) -> None:
        """Keep a turn of this kernel's, and that no end of ``pending`` will be known."""
        stored = pending.position.tree.history_id
        if stored is None:
            return
        with self._writing() as connection:
            self._delete_pending(connection, stored, turn.number)
            self._write(connection, stored, [turn])

    def delete_pending(self, pending: PendingTurn) -> None:
        """Forget an attempt of which nothing was sent; a conversation without turns goes too."""
        stored = pending.position.tree.history_id
        if stored is None:
            return
        with self._writing() as connection:
            self._delete_pending(connection, stored, pending.turn.number)
            empty = connection.execute(
                "DELETE FROM conversation WHERE id = ? AND NOT EXISTS"
                " (SELECT 1 FROM turn WHERE conversation = ?1) AND NOT EXISTS"
                " (SELECT 1 FROM attempt WHERE conversation = ?1)",
                (stored,),
            ).rowcount
        if empty:
            pending.position.tree.history_id = None

    def _conversation_id(
        self,
        connection: sqlite3.Connection,
        tree: ConversationTree,
        owner: HistoryScope,
        used: float,
    ) -> int:
        """The id of the row that this kernel may write ``tree`` to."""
        known = tree.history_id
        if known is not None:
            found = connection.execute(
                "UPDATE conversation SET used = ?, name = ?, begun_by = ?"
                " WHERE id = ? AND owner = ?",
                (used, tree.name, stable_cell_id(tree.created_by), known, self.kernel),
            )
            if found.rowcount:
                if known in self._dirty:
                    self._write(connection, known, tree.turns)
                    self._dirty.discard(known)
                return known
        look = "SELECT 1 FROM conversation WHERE id = ?"
        forgotten = known is not None and not connection.execute(look, (known,)).fetchone()
        stored = connection.execute(
            "INSERT INTO conversation (notebook, name, service, address, sandbox, owner,"
            " begun_by, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                owner.notebook,
                tree.name,
                tree.service,
                owner.address,
                owner.sandbox,
                self.kernel,
                stable_cell_id(tree.created_by),
                used,
            ),
        ).fetchone()[0]
        if not forgotten:
            self._write(connection, stored, tree.turns)
        tree.history_id = stored
        return int(stored)

    @staticmethod
    def _delete_pending(connection: sqlite3.Connection, stored: int, number: int) -> None:
        connection.execute(
            "DELETE FROM attempt WHERE conversation = ? AND number = ?", (stored, number)
        )

    @staticmethod
    def _names(turn: Turn) -> tuple[str | None, str | None]:
        return stable_cell_id(turn.cell), turn.name

    @staticmethod
    def _question(turn: Turn) -> tuple[Any, ...]:
        return (
            turn.number,
            turn.question,
            json.dumps(turn.images) if turn.images else "",
            turn.parent.number if turn.parent else None,
            turn.parent_revision,
            turn.parent_token,
        )

    def _write(self, connection: sqlite3.Connection, stored: int, turns: list[Turn]) -> None:
        connection.executemany(
            f"INSERT OR REPLACE INTO turn (conversation, {_TURN}) VALUES ({_marks(19)})",  # noqa: S608
            [
                (
                    stored,
                    *self._question(turn),
                    "".join(f"{token or ''}\n" for token in turn.tokens),
                    *self._names(turn),
                    turn.asked_at,
                    *_reply_row(turn.reply),
                )
                for turn in turns
            ],
        )

    # Reading -------------------------------------------------------------------------------

    def conversations(self, notebook: str | None = None) -> list[StoredConversation]:
        """All conversations, or those of one notebook: the last first, but unanswered ones last."""
        with self._open() as connection:
            where = "" if notebook is None else " WHERE notebook = ?"
            rows = connection.execute(
                f"{_STORED}{where} ORDER BY {ORDER_BY_RECENT}",
                () if notebook is None else (notebook,),
            )
            return [StoredConversation._make(row) for row in rows]

    def load(self, stored: StoredConversation, last: int | None = None) -> ConversationTree:
        """A conversation with its turns; with texts only the ``last`` so many, to look at them."""
        with self._open() as connection:
            parameters = (stored.id, sys.maxsize if last is None else last)
            outlines = connection.execute(_SELECT.format(_OUTLINE, "<="), parameters)
            rows = connection.execute(_SELECT.format(_TURN, ">"), parameters)
            turns = _turns(chain(outlines, rows), stored.service)
            other = connection.execute(
                "SELECT begun_by, (SELECT max(number) FROM attempt WHERE conversation = id)"
                " FROM conversation WHERE id = ?",
                (stored.id,),
            ).fetchone()
        tree = ConversationTree(stored.name, stored.service, history_id=stored.id)
        tree.turns = list(turns.values())
        tree.head = tree.newest
        if other is not None:
            tree.created_by, tree.last_number = other[0], other[1] or 0
        return tree

    def unfinished(self, tree: ConversationTree) -> list[tuple[PendingTurn, str | None]]:
        """The questions of ``tree`` of which the file knows no end, oldest first.

        Each comes with the token of its reply, None where the service had not said it.
        """
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {_PENDING} FROM attempt WHERE conversation = ? ORDER BY asked",  # noqa: S608
                (tree.history_id,),
            ).fetchall()
        found = []
        for number, question, images, parent, revision, sent, cell, name, asked, token in rows:
            before = tree.by_number(parent)
            position = Position(tree, sent, before, revision, tree.by_number(number))
            turn = Turn(number, question, _images(images), before, revision, sent)
            turn.cell, turn.name, turn.asked_at = cell, name, asked
            found.append((PendingTurn(position, turn), token))
        return found

    def claim(self, stored: StoredConversation) -> None:
        """Write to this conversation from now on, whoever did before."""
        with self._writing() as connection:
            take = "UPDATE conversation SET owner = ? WHERE id = ?"
            connection.execute(take, (self.kernel, stored.id))

    def forget(self, stored: int) -> None:
        """Delete a conversation, from the file and from its log."""
        with self._writing() as connection:
            connection.execute("DELETE FROM conversation WHERE id = ?", (stored,))
        with self._open() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def mark_dirty(self, tree: ConversationTree) -> None:
        """Write the conversation whole next time: a write of it has failed."""
        if tree.history_id is not None:
            self._dirty.add(tree.history_id)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _images(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _reply_row(reply: Reply | None) -> tuple[Any, ...]:
    if reply is None:
        return (None,) * 8
    return (
        reply.status,
        reply.text,
        reply.context_token,
        reply.parent_context_token,
        reply.msg_id,
        reply.seconds,
        reply.first_chunk_seconds,
        reply.replayed,
    )


def _turns(rows: Iterable[tuple[Any, ...]], service: str) -> dict[int, Turn]:
    """The turns of rows with the columns ``_TURN``, by number.

    One loop that calls little and keeps no rows, since there may be ten thousand.
    """
    turns: dict[int, Turn] = {}
    later: list[tuple[Turn, int]] = []
    for row in rows:
        (number, question, images, parent, revision, sent, tokens, cell, name, asked) = row[:10]
        (status, text, token, told, msg_id, seconds, first, replayed) = row[10:]
        turn = Turn(number, question, _images(images), turns.get(parent), revision, sent)
        turn.tokens = [one or None for one in tokens.split("\n")[:-1]]
        turn.cell, turn.name, turn.asked_at = cell, name, asked
        if status is not None:
            turn.reply = Reply(
                text, status, token, told, msg_id, service, seconds, first, bool(replayed)
            )
        turns[number] = turn
        if turn.parent is None and parent is not None:
            later.append((turn, parent))
    for turn, parent in later:  # asked again elsewhere, it may follow one with a higher number
        turn.parent = turns.get(parent)
    return turns
