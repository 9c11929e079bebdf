"""The rows of batches in the local history: replies, and the tokens of what was under way.

A row is written before its request leaves (without a token), again when its token is known, and
with its reply when that is complete. After a kernel was killed, the file still has all three: a
reply is used again, a token is fetched, and a row with neither may have been charged. While an
answered row is asked again, its earlier reply is kept under another key, and used if no new one
comes.
"""

from __future__ import annotations

import json
import sqlite3
import time
import weakref
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.conversations.history_db import (
    BEFORE,
    BUSY_TIMEOUT,
    SCHEMA,
    Deadline,
    open_file,
    translating_errors,
)
from aeron_magic.errors import (
    AeronError,
    HistoryError,
    RecordingError,
    TokenError,
    is_safe_to_ask_again,
)
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder

MAX_AGE = 90 * 86_400
"""Seconds after which a row is deleted."""

OPEN_ROWS = "SELECT 1 FROM batch_row WHERE reply IS NULL LIMIT 1"

DELETE_OLD = """
DELETE FROM batch_row WHERE used < min(?, (SELECT max(used) FROM batch_row)) - ?
"""
"""Relative to the newest row, so that a clock that is wrong today deletes nothing."""

KEEP_BEFORE = """
INSERT OR REPLACE INTO batch_row (key, address, token, reply, used)
SELECT key || ?, address, token, reply, ? FROM batch_row
WHERE key = ? AND reply IS NOT NULL
"""

MAX_TOKEN = 10_000
"""Characters of a token."""


class RowState(NamedTuple):
    """What is known of a row: its reply, or its token. With neither, it may have been charged."""

    reply: Reply | None = None
    token: str = ""


class KeptRows:
    """Rows by key, in the history file ``path``; None keeps them in memory.

    Parameters
    ----------
    scope
        A part of the keys instead of the service's address, which differs for each sandbox.
    pending
        Whether ``path`` keeps the rows under way of a checkpoint: one batch uses it at a time,
        nothing may be sent if it cannot be written, a mark ``sent`` is on the disk before its
        request leaves, and the file is deleted when no row is open.

    Raises
    ------
    RecordingError
        With ``pending``, before a request leaves: the file cannot be used. A mark that cannot be
        made later is missing: the row stays under way. Without ``pending``, the first error is in
        ``warning`` and the rows are in memory from then on.
    """

    def __init__(self, path: Path | None, *, scope: str = "", pending: bool = False) -> None:
        self.scope = scope
        self.warning = ""
        self._path = path
        self._pending = pending
        self._connection: sqlite3.Connection | None = None
        self._deadline: Deadline

    def _execute(self, sql: str, *values: object, durable: bool = False) -> Any:
        """Execute a statement; the first row of its result, or None."""
        try:
            if self._path is None:
                connection = self._connection or self._use(_in_memory())
                return connection.execute(sql, values).fetchone()
            with translating_errors(self._path):
                connection = self._connection or self._use(self._opened(self._path))
                self._deadline.started = time.monotonic()
                if durable:
                    connection.execute("PRAGMA synchronous = FULL")
                row = connection.execute(sql, values).fetchone()
                if durable:
                    connection.execute("PRAGMA synchronous = NORMAL")
                return row
        except HistoryError as error:
            self._drop()
            if self._pending:
                raise self._unusable(error) from None
            self.warning = f"{error} Rows are asked, but not kept. {error.hint}"
            self._path = None
            return self._execute(sql, *values)

    def _use(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Use ``connection``; it is closed with this object at the latest."""
        # At its exit, a forked process would close the file of its parent.
        weakref.finalize(self, connection.close).atexit = False
        self._connection = connection
        return connection

    def _opened(self, path: Path) -> sqlite3.Connection:
        connection = open_file(path, 0 if self._pending else BUSY_TIMEOUT)
        self._deadline = Deadline(connection)
        if self._pending:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
            if not path.exists():  # the batch before deleted it meanwhile
                connection.close()
                return self._opened(path)
        else:
            connection.execute(DELETE_OLD, (time.time(), MAX_AGE))
        return connection

    def _unusable(self, error: HistoryError) -> RecordingError:
        reason = error.message.partition(": ")[2].rstrip(".")
        if "locked" in reason:
            reason = "another batch is using this checkpoint"
        return RecordingError(
            f"{self._path}, which keeps what may have been charged, cannot be used: {reason}.",
            hint="Nothing more is sent. Check the path, or name another checkpoint.",
        )

    def key(self, question: Question, settings: Settings) -> str:
        """The key of the row of ``question``."""
        from aeron_magic.recording.record import turn_key  # not with a session: it needs msgspec

        service = f"{settings.recording_id} {self.scope or settings.conversation_scope}"
        return turn_key(service, question.text, question.images, question.context_token or "")

    def get(self, key: str, address: str) -> RowState | None:
        """What is known of a row; None if it can be asked.

        Tokens of another ``address`` are those of a sandbox that has ended.
        """
        if self._pending and self._path is not None and not self._path.exists():
            return None  # the file is created with the first row
        select = "SELECT address, token, reply FROM batch_row WHERE key = ?"
        row = self._execute(select, key)
        if row is not None and row[2] is not None and (state := _answered(row[2])) is not None:
            return state
        is_here = row is not None and row[0] == address
        if is_here and row[1] and isinstance(row[1], str) and len(row[1]) <= MAX_TOKEN:
            return RowState(None, row[1])
        before = self._execute(select, f"{key}{BEFORE}")
        if before is not None and (state := _answered(before[2])) is not None:
            return state
        return RowState() if is_here else None

    def mark_sent(self, key: str, address: str, *, again: bool = True) -> bool:
        """The request of this row is about to leave.

        Without ``again``, False if another kernel has asked it, which it is not to be then.
        """
        sql = "INSERT OR {} INTO batch_row (key, address, token, used) VALUES (?, ?, '', ?)"
        values = (key, address, time.time())
        if not (again or self._pending):
            self._execute(sql.format("IGNORE"), *values)
            if self._execute("SELECT changes()")[0]:
                return True
            if self.get(key, address) is not None:
                return False
        self._execute(KEEP_BEFORE, BEFORE, values[-1], key)
        self._execute(sql.format("REPLACE"), *values, durable=self._pending)
        return True

    def mark_token(self, key: str, token: str) -> None:
        """The reply of this row can be fetched by ``token``; not at all, if it is empty."""
        self._mark("UPDATE batch_row SET token = ? WHERE key = ?", token, key)

    def keep(self, key: str, reply: Reply) -> None:
        """The reply of this row is complete."""
        document = json.dumps(asdict(reply))
        self._mark("UPDATE batch_row SET reply = ? WHERE key = ?", document, key)

    def release(self, key: str) -> None:
        """This row was surely not accepted; it can be asked again."""
        self._mark("DELETE FROM batch_row WHERE key = ? AND reply IS NULL", key)

    def end(self, key: str, reply: Reply | None, error: AeronError | None) -> bool:
        """The question of this row has ended; whether it is released, for any kernel."""
        if error is None and reply is not None and reply.is_complete:
            self.keep(key, reply)
        elif isinstance(error, TokenError) and error.was_accepted:
            self.mark_token(key, "")  # it cannot be fetched
        elif error is not None and is_safe_to_ask_again(error):
            self.release(key)
            return True
        return False

    def _mark(self, sql: str, *values: object) -> None:
        with suppress(RecordingError):
            self._execute(sql, *values)

    def close(self, *, recorded: bool = True) -> None:
        """Close the file; rows in memory are kept.

        The file of a checkpoint is deleted if its rows are ``recorded`` and none is open.
        """
        if self._path is None or self._connection is None:
            return
        with suppress(RecordingError):  # the file is left; the rows are known
            if self._pending and recorded and not self._execute(OPEN_ROWS):
                self._execute("PRAGMA journal_mode = DELETE")  # deletes the files beside it
                self._path.unlink(missing_ok=True)
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _answered(document: Any) -> RowState | None:
    """The state of a row with this stored reply; None if it is invalid."""
    from aeron_magic.conversations.history_schema import decode_reply

    with suppress(ValueError, TypeError):
        return RowState(decode_reply(document))
    return None


def kept_beside(recorder: Recorder | None) -> KeptRows | None:
    """The rows under way of a recording, in a file beside it; None if nothing is recorded."""
    if recorder is None or recorder.mode != "auto":
        return None
    file = recorder.store.path
    return KeptRows(file.with_name(f"{file.name}.pending"), pending=True)


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA)
    return connection
