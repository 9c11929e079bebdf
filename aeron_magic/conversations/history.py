"""The local history: conversations stored in a file, so that they survive a kernel restart.

A question is written before it is sent (a pending turn without a token), again when its token is
known, and as a turn when its reply has ended. After a kernel was killed, the file still has its
pending turns: a reply with a token can be fetched, and no question is sent twice.

Only one kernel writes to a conversation. If another kernel claims it, the first continues with a
copy. If another kernel deletes it, the first starts a new one with its next turn.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from aeron_magic.conversations.history_db import (
    BEFORE,
    BUSY_TIMEOUT,
    SUMMARY,
    Deadline,
    open_file,
    translating_errors,
)
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import HistoryError
from aeron_magic.forks import restart_after_fork

MAX_ROWS = 100_000
MAX_SIZE = 256 << 20
"""Turns and characters of a conversation that is loaded; conversations that are listed."""

MAX_NUMBER = 1_000_000
"""The highest number of a turn."""

MAX_TOKEN = 10_000
"""Characters of a token."""

MAX_DAMAGED = 1_000
MAX_SHOWN = 5
"""Invalid entries that are remembered, and that are named."""

SHORT_BUSY_TIMEOUT = 0.05
"""Seconds to wait for another kernel's write after a write has failed."""


class StoredConversation(NamedTuple):
    """A conversation in the file; the names are those of columns of ``SUMMARY``."""

    id: int
    name: str
    service: str
    address: str
    sandbox: bool
    used: float  # when its newest question was asked, in seconds since the epoch
    created_by: str | None
    turns: int
    notebook: str
    question: str = ""  # the first 200 characters of the first one
    answered: bool = True  # whether a question was answered, or its reply may be fetched


class HistoryScope(NamedTuple):
    """What a conversation is stored under: its notebook, and the service that has it."""

    notebook: str
    address: str
    sandbox: bool


def stable_cell_id(cell: str | None) -> str | None:
    """The cell's key if it survives a restart, else None: VS Code's does not."""
    return None if cell is None or cell.startswith("vscode-notebook-cell:") else cell


class HistoryStore:
    """The conversations in the file ``path``, which is opened or created with the first use.

    Every method raises HistoryError if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kernel = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._deadline: Deadline
        self._damaged: dict[tuple[int, int], str] = {}
        self._left: sqlite3.Connection | None = None
        self._busy_timeout = BUSY_TIMEOUT
        restart_after_fork(self)
        self._dirty: dict[int, set[int]] = {}
        """Conversations of which a write has failed: all their turns are written next time.

        The numbers are those of questions that have ended, which are pending no longer."""

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The connection to the file, for one operation on it."""
        with self._lock, translating_errors(self.path):
            if self._connection is not None and not self.path.exists():
                self._connection.close()  # the file was deleted: further writes would be lost
                self._connection = None
            if self._connection is None:
                self._connection = open_file(self.path, self._busy_timeout)
                self._deadline = Deadline(self._connection)
            self._deadline.started = time.monotonic()
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self.opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def after_fork(self) -> None:
        """Begin again in a forked process, which is another kernel.

        A connection of SQLite must not be used or closed there, so it is left as it is.
        """
        self._left, self._connection = self._connection, None
        self._lock = threading.Lock()
        self.kernel = uuid.uuid4().hex

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # Writing -------------------------------------------------------------------------------

    def save_pending(self, pending: PendingTurn, scope: HistoryScope) -> None:
        """Store a question that is about to be sent."""
        with self._writing() as connection:
            history_id = self._conversation_id(connection, pending, scope)
            connection.execute(
                "INSERT INTO turn (conversation, number, pending) VALUES (?, ?, ?)"
                " ON CONFLICT (conversation, number)"
                " DO UPDATE SET pending = excluded.pending, pending_token = NULL",
                (history_id, pending.turn.number, self._encode(pending.turn)),
            )

    def save_token(self, pending: PendingTurn, token: str) -> None:
        """Store the token by which the reply of a pending turn can be fetched."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE turn SET pending_token = ? WHERE conversation = ? AND number = ?",
                (token, pending.position.tree.history_id, pending.turn.number),
            )

    def save_turn(
        self,
        pending: PendingTurn,
        turn: Turn,
        scope: HistoryScope | None,
        *,
        unfinished: bool = False,
    ) -> None:
        """Store ``turn`` and delete its pending question, unless its reply can still be fetched.

        Without ``scope`` the conversation must be one that is stored already.
        """
        with self._writing() as connection:
            history_id = pending.position.tree.history_id
            if scope is not None:
                history_id = self._conversation_id(connection, pending, scope)
            # The cell or the name may have been another turn's before.
            for key, value in (("cell", stable_cell_id(turn.cell)), ("name", turn.name)):
                connection.execute(
                    f"UPDATE turn SET content = json_set(content, '$.{key}', NULL)"  # noqa: S608
                    f" WHERE conversation = ? AND json_extract(content, '$.{key}') = ?",
                    (history_id, value),
                )
            self._write(connection, history_id, [turn])
            if not unfinished:
                self._clear_pending(connection, history_id, turn.number)

    def delete_pending(self, pending: PendingTurn) -> None:
        """Delete a pending turn that was not sent, and the conversation if it is then empty."""
        tree = pending.position.tree
        if tree.history_id is None:
            return
        with self._writing() as connection:
            self._clear_pending(connection, tree.history_id, pending.turn.number)
            empty = connection.execute(
                "DELETE FROM conversation WHERE id = ?"
                " AND NOT EXISTS (SELECT 1 FROM turn WHERE conversation = conversation.id)",
                (tree.history_id,),
            ).rowcount
        if empty:
            tree.history_id = None

    def _conversation_id(
        self, connection: sqlite3.Connection, pending: PendingTurn, scope: HistoryScope
    ) -> int | None:
        """The id of the conversation that this kernel may write the pending turn's tree to."""
        tree = pending.position.tree
        used = max(tree.last_asked, pending.turn.asked_at)
        old, created_by = tree.history_id, stable_cell_id(tree.created_by)
        if old is not None:
            updated = connection.execute(
                "UPDATE conversation SET used = ?, name = ?, created_by = ?"
                " WHERE id = ? AND kernel = ?",
                (used, tree.name, created_by, old, self.kernel),
            )
            if updated.rowcount:
                if old in self._dirty:
                    self._write(connection, old, tree.turns)
                    for number in self._dirty.pop(old):
                        self._clear_pending(connection, old, number)
                return old
        exists = "SELECT 1 FROM conversation WHERE id = ?"
        deleted = old is not None and not connection.execute(exists, (old,)).fetchone()
        new = connection.execute(
            "INSERT INTO conversation (notebook, name, service, address, sandbox, kernel,"
            " created_by, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                scope.notebook,
                tree.name,
                tree.service,
                scope.address,
                scope.sandbox,
                self.kernel,
                created_by,
                used,
            ),
        ).lastrowid
        if not deleted:
            self._write(connection, new, tree.turns)
        tree.history_id = new
        return new

    def _write(
        self, connection: sqlite3.Connection, history_id: int | None, turns: list[Turn]
    ) -> None:
        connection.executemany(
            "INSERT INTO turn (conversation, number, content) VALUES (?, ?, ?)"
            " ON CONFLICT (conversation, number) DO UPDATE SET content = excluded.content",
            [(history_id, one.number, self._encode(one)) for one in turns if not one.private],
        )

    def _clear_pending(
        self, connection: sqlite3.Connection, history_id: int | None, number: int
    ) -> None:
        """Delete the pending question of a turn, and the turn if it has no content."""
        row = (history_id, number)
        connection.execute(
            "UPDATE turn SET pending = NULL, pending_token = NULL"
            " WHERE conversation = ? AND number = ?",
            row,
        )
        connection.execute(
            "DELETE FROM turn WHERE conversation = ? AND number = ? AND content IS NULL", row
        )

    def _encode(self, turn: Turn) -> str:
        return json.dumps(
            {
                "number": turn.number,
                "question": turn.question,
                "images": turn.images,
                "parent": turn.parent.number if turn.parent else None,
                "parent_revision": turn.parent_revision,
                "parent_token": turn.parent_token,
                "tokens": turn.tokens,
                "reply": asdict(turn.reply) if turn.reply else None,
                "cell": stable_cell_id(turn.cell),
                "name": turn.name,
                "asked_at": turn.asked_at,
            }
        )

    # Reading -------------------------------------------------------------------------------

    def conversations(self, notebook: str | None = None) -> list[StoredConversation]:
        """All conversations, or those of one notebook: newest first, those without answer last.

        Invalid ones are left out; :meth:`damage_note` names them.
        """
        from aeron_magic.conversations.history_schema import check_conversation

        found = []
        with self.opened() as connection:
            rows = connection.execute(
                SUMMARY.format(", ".join(StoredConversation._fields)) + f" LIMIT {MAX_ROWS}",
                {"notebook": notebook},
            ).fetchall()
        for row in rows:
            try:
                check_conversation(row)
            except ValueError as error:
                self._note(row[0], 0, error)
            else:
                stored = StoredConversation._make(row)
                found.append(
                    stored._replace(
                        sandbox=bool(stored.sandbox),
                        question=stored.question or "",
                        answered=bool(stored.answered),
                    )
                )
        return found

    def load(self, stored: StoredConversation) -> ConversationTree:
        """A conversation with its turns; invalid ones are left out, as by :meth:`conversations`."""
        from aeron_magic.conversations.history_schema import in_circles

        tree = ConversationTree(stored.name, stored.service, created_by=stored.created_by)
        tree.history_id = stored.id
        turns: dict[int, tuple[Turn, int | None]] = {}
        for number, decoded in self._decoded(stored.id, "content"):
            tree.last_number = max(tree.last_number, number)
            if decoded is not None:
                turns[number] = decoded
        for number in in_circles({key: parent for key, (_, parent) in turns.items()}):
            self._note(stored.id, number, ValueError("the turns before it form a circle"))
            del turns[number]
        for turn, parent in turns.values():
            turn.parent = turns[parent][0] if parent in turns else None
            tree.add(turn)
        tree.head = tree.newest_to_continue
        return tree

    def unfinished(self, tree: ConversationTree) -> list[tuple[PendingTurn, str | None]]:
        """The pending turns of ``tree``, oldest first.

        Each comes with the token of its reply, or None if the service had not sent it yet.
        """
        found = []
        for number, decoded in self._decoded(tree.history_id, "pending"):
            if decoded is None:
                continue
            turn, parent = decoded
            turn.parent, replaced = tree.by_number(parent), tree.by_number(turn.number)
            if turn.parent is replaced:
                turn.parent = None  # a turn does not follow itself
            position = Position(
                tree, turn.parent_token, turn.parent, turn.parent_revision, replaced
            )
            pending = PendingTurn(position, turn, is_fetch=True)
            found.append((pending, self._pending_token(tree, number)))
        return sorted(found, key=lambda one: one[0].turn.asked_at)

    def _documents(self, history_id: int | None, column: str) -> list[tuple[int, str | None]]:
        """The numbers of a conversation's turns and their JSON in ``column``, in order.

        Raises HistoryError: there is more than fits into memory.
        """
        found: list[tuple[int, str | None]] = []
        size = 0
        with self.opened() as connection:
            for number, document in connection.execute(
                f"SELECT number, {column} FROM turn WHERE conversation = ?"  # noqa: S608
                " ORDER BY number",
                (history_id,),
            ):
                size += len(document) if isinstance(document, str) else 0
                if len(found) >= MAX_ROWS or size > MAX_SIZE:
                    raise HistoryError(
                        f"The conversation has more than {MAX_ROWS:,} turns or "
                        f"{MAX_SIZE >> 20:,} MiB.",
                        hint="Start a new one with -n.",
                    )
                valid = isinstance(number, int) and 1 <= number <= MAX_NUMBER
                if valid and isinstance(document, str | None):
                    found.append((number, document))
                else:
                    self._note(history_id, 0, ValueError("a turn's number or type is invalid"))
        return found

    def _pending_token(self, tree: ConversationTree, number: int) -> str | None:
        with self.opened() as connection:
            row = connection.execute(
                "SELECT pending_token FROM turn WHERE conversation = ? AND number = ?",
                (tree.history_id, number),
            ).fetchone()
        token = row[0] if row is not None else None
        return token if isinstance(token, str) and len(token) <= MAX_TOKEN else None

    def _decoded(
        self, history_id: int | None, column: str
    ) -> Iterator[tuple[int, tuple[Turn, int | None] | None]]:
        """The numbers of a conversation's turns, each turn without its parent, and its number.

        None instead of a turn if the document is missing or invalid.
        """
        from aeron_magic.conversations.history_schema import decode_turn

        for number, document in self._documents(history_id, column):
            decoded = None
            if document is not None:
                try:
                    decoded = decode_turn(document, number)
                except ValueError as error:
                    self._note(history_id, number, error)
            yield number, decoded

    def _note(self, history_id: object, number: int, error: ValueError) -> None:
        key = (history_id if isinstance(history_id, int) else 0, number)
        if len(self._damaged) < MAX_DAMAGED:
            self._damaged.setdefault(key, str(error))

    def damage_note(self) -> str:
        """Which entries were found invalid and left out so far, and why; empty if none."""
        if not self._damaged:
            return ""
        shown = [
            f"conversation {history_id}{f', turn {number}' if number else ''} ({reason})"
            for (history_id, number), reason in list(self._damaged.items())[:MAX_SHOWN]
        ]
        more = len(self._damaged) - len(shown)
        rest = f" and {more:,} more" if more else ""
        return f"Damaged and left out in the local history: {'; '.join(shown)}{rest}."

    def claim(self, stored: StoredConversation) -> None:
        """Make this kernel the one that writes to the conversation."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE conversation SET kernel = ? WHERE id = ?", (self.kernel, stored.id)
            )

    def forget(self, history_id: int) -> None:
        """Delete a conversation, from the file and from its log."""
        self._delete("DELETE FROM conversation WHERE id = ?", history_id)

    def forget_rows(self) -> int:
        """Delete the answered rows of all batches, and return their number.

        Rows without a reply are left: they may have been charged, or are under way.
        """
        self._delete("DELETE FROM batch_row WHERE key LIKE '%' || ?", BEFORE)
        return self._delete("DELETE FROM batch_row WHERE reply IS NOT NULL")

    def _delete(self, sql: str, *values: object) -> int:
        with self._writing() as connection:
            count = connection.execute(sql, values).rowcount
        with self.opened() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return count

    def mark_dirty(self, pending: PendingTurn, *, ended: bool) -> None:
        """Write all turns of the conversation next time, because a write of it has failed.

        ``ended`` is whether the question has ended. From now on, writes wait only
        ``SHORT_BUSY_TIMEOUT`` for other kernels.
        """
        history_id = pending.position.tree.history_id
        if history_id is not None:
            numbers = self._dirty.setdefault(history_id, set())
            if ended:
                numbers.add(pending.turn.number)
        self._busy_timeout = SHORT_BUSY_TIMEOUT
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {SHORT_BUSY_TIMEOUT * 1000:.0f}")


class HistoryWriter:
    """Writes to ``history`` without ever failing a question: it keeps the first error.

    Without ``history``, nothing is written.
    """

    def __init__(self, history: HistoryStore | None) -> None:
        self.history = history
        self.error: HistoryError | None = None
        self._warned = False
        self._in_flight: set[PendingTurn] = set()

    def save_pending(self, pending: PendingTurn, scope: HistoryScope) -> None:
        self._in_flight.add(pending)
        self._write(pending, lambda history: history.save_pending(pending, scope))

    def save_token(self, pending: PendingTurn, token: str) -> None:
        self._write(pending, lambda history: history.save_token(pending, token))

    def save_turn(
        self,
        pending: PendingTurn,
        turn: Turn,
        scope: HistoryScope | None,
        *,
        unfinished: bool = False,
    ) -> None:
        self._in_flight.discard(pending)
        self._write(
            pending,
            lambda history: history.save_turn(pending, turn, scope, unfinished=unfinished),
        )

    def delete_pending(self, pending: PendingTurn) -> None:
        self._in_flight.discard(pending)
        self._write(pending, lambda history: history.delete_pending(pending))

    def unfinished(self, tree: ConversationTree) -> list[tuple[PendingTurn, str | None]]:
        """As :meth:`HistoryStore.unfinished`, without the questions that this kernel waits for."""
        if self.history is None or tree.history_id is None:
            return []
        own = {one.turn.number for one in self._in_flight if one.position.tree is tree}
        return [one for one in self.history.unfinished(tree) if one[0].turn.number not in own]

    def _write(self, pending: PendingTurn, write: Callable[[HistoryStore], None]) -> None:
        if self.history is None:
            return
        try:
            write(self.history)
        except HistoryError as error:
            self.error = self.error or error
            self.history.mark_dirty(pending, ended=pending not in self._in_flight)

    def warning(self) -> str:
        """A warning with a remedy after the first failed write; after that, an empty text."""
        if self.error is None or self._warned:
            return ""
        self._warned = True
        return f"{self.error} Questions work, but are not stored. {self.error.hint}"
