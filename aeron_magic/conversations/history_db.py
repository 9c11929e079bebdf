"""The file of the local history: its path, its permissions, its schema.

An SQLite file in the user's data folder that only the user can read. Its write-ahead log lets
several kernels use it at once, and leaves it consistent when a kernel is killed.

The extension imports this module when it is loaded, so it imports little.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from aeron_magic.errors import HistoryError
from aeron_magic.markdown_text import one_line, plural, truncate
from aeron_magic.recording.private_lock import make_private_folder, refuse_foreign_link

VARIABLE = "AERON_HISTORY"

OFF = ("off", "0", "no", "false")
"""Values of the setting that disable the history."""

ON = ("", "on", "1", "yes", "true")
"""Values of the setting that mean the file in the user's data folder."""

BUSY_TIMEOUT = 2.0
"""Seconds to wait for another kernel's write, which takes milliseconds."""

SCHEMA_VERSION = 3
"""SQLite's ``user_version`` of the files that this version reads and writes."""

# "IF NOT EXISTS", because another kernel may create the same file at the same time.
SCHEMA = """
CREATE TABLE IF NOT EXISTS conversation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notebook TEXT NOT NULL,         -- its path, or the name set instead; '' if neither is known
    name TEXT NOT NULL,
    service TEXT NOT NULL,
    address TEXT NOT NULL,
    sandbox INTEGER NOT NULL,       -- whether the service ended with its kernel
    kernel TEXT NOT NULL,           -- the one that writes to it
    created_by TEXT,                -- the cell that started it
    used REAL NOT NULL              -- seconds since the epoch
);
CREATE INDEX IF NOT EXISTS conversation_of_notebook ON conversation (notebook, used);
CREATE TABLE IF NOT EXISTS turn (
    conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
    number INTEGER NOT NULL,
    content TEXT,                   -- the turn as JSON; NULL until its first reply has ended
    pending TEXT,                   -- the turn that is being asked now, as JSON
    pending_token TEXT,             -- NULL until the service has sent it
    PRIMARY KEY (conversation, number)
);
CREATE INDEX IF NOT EXISTS turn_of_cell ON turn (conversation, json_extract(content, '$.cell'));
CREATE INDEX IF NOT EXISTS turn_of_name ON turn (conversation, json_extract(content, '$.name'));
CREATE TABLE IF NOT EXISTS batch_row (
    key TEXT PRIMARY KEY,           -- a hash of the service and the question
    address TEXT NOT NULL,
    token TEXT NOT NULL,            -- '' until the service has sent it
    reply TEXT,                     -- as JSON; NULL until it is complete
    used REAL NOT NULL
);
"""

BEFORE = " before"
"""Added to the key of a row for the reply that it had before it was asked again."""

SUMMARY = """
SELECT {} FROM (SELECT
    *,
    (SELECT count(*) FROM turn WHERE conversation = id) AS turns,
    (SELECT CASE WHEN json_valid(coalesce(content, pending))
            THEN substr(json_extract(coalesce(content, pending), '$.question'), 1, 200) END
        FROM turn WHERE conversation = id ORDER BY number LIMIT 1) AS question,
    EXISTS (SELECT 1 FROM turn WHERE conversation = id
        AND (pending IS NOT NULL OR CASE WHEN json_valid(content)
            THEN json_array_length(content, '$.tokens') END)) AS answered
    FROM conversation) WHERE :notebook IS NULL OR notebook = :notebook
    ORDER BY answered DESC, used DESC, id DESC
"""
"""Conversations of a notebook (NULL: of all): the newest first, but those without answer last."""

PAGE_SIZE = 16_384

MAX_LOG = 2 << 20
"""Bytes of the write-ahead log after which its content goes to the file; then it begins again."""

MAX_VALUE = 32 << 20
"""Bytes of one value or row."""

MAX_HINTED = 4
"""Conversations that the hint at loading names."""

MAX_SECONDS = 10.0
"""Seconds of one operation on the file; the hint at loading gets a twentieth of it."""

STEPS = 20_000
"""Instructions of SQLite between two looks at the clock: some milliseconds."""


class Deadline:
    """Ends the statements of a connection at a time: a hostile file can make one endless."""

    def __init__(self, connection: sqlite3.Connection, seconds: float = MAX_SECONDS) -> None:
        self._seconds = seconds
        self.started = time.monotonic()
        """When the present operation started; each has the full time."""
        connection.set_progress_handler(self._passed, STEPS)

    def _passed(self) -> bool:
        return time.monotonic() > self.started + self._seconds


def history_path(configured: str = "", environ: Mapping[str, str] | None = None) -> Path | None:
    """The file to use; None if the history is disabled.

    ``AERON_HISTORY`` has precedence over ``configured``; each is a path, or one of ``OFF`` or
    ``ON``. The default is a file in the user's data folder.

    Raises HistoryError: the setting is a bare word, such as a misspelt ``off``, which would create
    a file in the working folder; or the user has no home folder.
    """
    setting = (os.environ if environ is None else environ).get(VARIABLE) or configured
    setting = setting.strip()  # `set AERON_HISTORY=off && …` of Windows keeps the space
    if setting.lower() in OFF:
        return None
    if re.fullmatch(r"\w+", setting) and setting.lower() not in ON:
        raise HistoryError(
            f"The setting of the local history, {setting!r}, is neither `off` nor a file.",
            hint=f"Set {VARIABLE} to `off` or to a path such as `./history.sqlite3`, or write "
            '`%config AeronMagics.history = "off"`.',
        )
    try:
        if setting.lower() not in ON:
            return Path(setting).expanduser()
        from platformdirs import user_data_path

        return user_data_path("aeron-magic", appauthor=False) / "history.sqlite3"
    except RuntimeError:
        raise HistoryError(
            "The local history has no place: this user has no home folder.",
            hint=f"{VARIABLE} names a file; {VARIABLE}=off disables the history.",
        ) from None


@contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Turn an error of SQLite or of the system into a :class:`HistoryError` with a remedy."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
        hint = "Another file can be named by AERON_HISTORY; AERON_HISTORY=off disables it."
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            reason = "it takes too long to read" if str(error) == "interrupted" else str(error)
            if (
                not isinstance(error, sqlite3.OperationalError)
                or "malformed" in reason
                or "too long" in reason
            ):
                hint = _move_away(path)
        raise HistoryError(f"The local history cannot be used: {reason}.", hint=hint) from error


def _check_files(path: Path) -> None:
    """Raise OSError if the history, or a file of SQLite beside it, is a pipe or the like.

    SQLite would wait for a pipe for ever.
    """
    path = path.resolve()  # SQLite's files are beside the file that a link leads to
    for ending in ("", "-journal", "-wal", "-shm"):
        file = path.with_name(path.name + ending)
        with suppress(FileNotFoundError):  # another kernel may just have deleted it
            if not stat.S_ISREG(file.stat().st_mode):
                raise OSError(f"{file} is not a file")


def _move_away(path: Path) -> str:
    return f"Move {path} away, and a new file is created."


def open_file(path: Path, busy_timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """Open the history at ``path``; create it if it does not exist.

    ``busy_timeout`` is the number of seconds to wait for another kernel's write, here and later.

    Raises HistoryError: the file cannot be read or written, is damaged, or has another schema
    version.
    """
    with translating_errors(path):
        make_private_folder(path.parent)
        refuse_foreign_link(path)
        # SQLite gives its log the mode of the file, so create the file first.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        _check_files(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        connection = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
    try:
        with translating_errors(path):
            protect(connection)
            # Turns are some kilobytes long: larger pages halve the time to read a conversation.
            # The page size affects only a new file.
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA cache_size = -32000")
            if (version := _version(connection)) not in (0, SCHEMA_VERSION):
                raise HistoryError(
                    "The local history was written by another version of aeron-magic "
                    f"(format {version}, not {SCHEMA_VERSION}).",
                    hint=f"{_move_away(path)} AERON_HISTORY can name another file.",
                )
            _check_schema(connection, path, new=not version)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA journal_size_limit = {MAX_LOG}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {MAX_LOG // PAGE_SIZE}")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            if not version:
                connection.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
    except BaseException:
        connection.close()
        raise
    return connection


def protect(connection: sqlite3.Connection, seconds: float = MAX_SECONDS) -> Deadline:
    """Limit what a file from another person can do to this process; call it before all else."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    connection.text_factory = lambda data: str(data, "utf-8", "replace")
    deadline = Deadline(connection, seconds)
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    return deadline


def _check_schema(connection: sqlite3.Connection, path: Path, *, new: bool = False) -> None:
    """Make sure that the file's tables and indexes are ours, and that it has no triggers.

    Reading the schema runs nothing of it, and after this check only ours can run. (The pragma
    ``trusted_schema`` would do less, and SQLite before 3.41 then rejects our indexes.) Views are
    never read, so they may be there: an earlier version made one.

    Raises HistoryError if they are not.
    """
    # What an entry is decides its SQL, not its type or name.
    query = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NULL OR NOT"
        " (sql GLOB 'CREATE VIEW *' OR sql GLOB 'CREATE TABLE sqlite_stat*') LIMIT 50"
    )
    with sqlite3.connect(":memory:") as own:
        own.executescript(SCHEMA)
        ours = set(own.execute(query))
    own.close()
    found = set(connection.execute(query))
    # A new file may be empty; another kernel may be about to create the tables.
    if found != ours and (found or not new):
        raise HistoryError(
            "The local history has tables, indexes or triggers that are not its own.",
            hint=f"{_move_away(path)} AERON_HISTORY can name another file.",
        )


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def resume_hint(path: Path, notebook: str) -> str:
    """One line about the conversations of ``notebook`` with an answer; empty if there are none.

    Raises HistoryError: the file cannot be read.
    """
    with translating_errors(path):
        if not path.exists():
            return ""
        _check_files(path)
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0.2, uri=True)
        try:
            protect(connection, MAX_SECONDS / 20)
            if _version(connection) != SCHEMA_VERSION:
                return ""  # the first question warns
            _check_schema(connection, path)
            rows = connection.execute(
                SUMMARY.format("name, used, turns, question, id, answered")
                + f" LIMIT {MAX_HINTED + 1}",
                {"notebook": notebook},
            ).fetchall()
        finally:
            connection.close()
    answered = [row[:5] for row in rows if row[5]]
    valid = all(map(_is_summary, answered))
    if not answered or not valid:
        return ""
    from aeron_magic.conversations.tree import title_of

    name, used, turns, question, _ = answered[0]
    title = truncate(one_line(title_of(name, question if isinstance(question, str) else "")), 60)
    facts = f"{format_time(used)} ({title}, {plural(turns, 'turn')})"
    if not answered[1:]:
        return f"This notebook has a conversation of {facts}: %aeron resume loads it."
    seen, others = {name}, []
    for other, _, _, _, number in answered[1:MAX_HINTED]:
        others.append(truncate(f"{other}#{number}" if other in seen else other, 60))
        seen.add(other)
    more = ", …" if answered[MAX_HINTED:] else ""
    return (
        f"This notebook has several conversations. The newest is of {facts}: %aeron resume "
        f"loads it. %aeron resume NAME loads another: {one_line(', '.join(others))}{more}."
    )


def _is_summary(row: tuple[object, ...]) -> bool:
    name, used, turns, _, number = row
    return (
        isinstance(name, str)
        and isinstance(used, float)
        and isinstance(turns, int)
        and isinstance(number, int)
    )


def format_time(seconds: float) -> str:
    """A time in this machine's time zone, as ``2026-11-22 01:50``."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
