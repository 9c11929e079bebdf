"""The file of the local history: where it is, who may read it, its tables and their versions.

SQLite in the user's data folder, readable by the user alone, with a write-ahead log so that
several kernels can use it at once and a killed one leaves nothing half written. The version of
the tables is SQLite's ``user_version``: the number of ``MIGRATIONS`` that have been run.

This module is loaded with the extension where the file exists, so it imports little.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from aeron_magic.errors import HistoryError
from aeron_magic.markdown_text import plural

__all__ = [
    "MIGRATIONS",
    "OFF",
    "ORDER_BY_RECENT",
    "VARIABLE",
    "format_time",
    "history_path",
    "open_file",
    "resume_hint",
    "translating_errors",
]

VARIABLE = "AERON_HISTORY"

OFF = ("off", "0", "no", "false")
"""Values of the setting that switch the history off."""

BUSY_TIMEOUT = 2.0
"""Seconds to wait for another kernel's write, which takes milliseconds."""

MIGRATIONS = (
    """
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        notebook TEXT NOT NULL,         -- its path, or the name set instead; '' where neither is
        name TEXT NOT NULL,
        service TEXT NOT NULL,
        address TEXT NOT NULL,
        sandbox INTEGER NOT NULL,       -- whether the service ended with its kernel
        owner TEXT NOT NULL,            -- the kernel that writes to it
        begun_by TEXT,                  -- the cell that began it
        used REAL NOT NULL              -- seconds since the epoch
    );
    CREATE INDEX conversation_of_notebook ON conversation (notebook, used);
    CREATE TABLE turn (
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        number INTEGER NOT NULL,
        question TEXT NOT NULL,
        images TEXT NOT NULL,           -- a JSON list, or ''
        parent INTEGER,                 -- the number of the turn it follows
        parent_revision INTEGER NOT NULL,
        started_from TEXT,
        tokens TEXT NOT NULL,           -- of each whole reply, a line each
        cell TEXT,
        name TEXT,
        asked REAL NOT NULL,
        status TEXT,                    -- of the reply; NULL where nothing is known of it
        text TEXT,
        context_token TEXT,
        parent_context_token TEXT,
        msg_id TEXT,
        seconds REAL,
        first_chunk_seconds REAL,
        replayed INTEGER,
        PRIMARY KEY (conversation, number)
    );
    CREATE INDEX turn_of_cell ON turn (conversation, cell) WHERE cell IS NOT NULL;
    CREATE INDEX turn_of_name ON turn (conversation, name) WHERE name IS NOT NULL;
    CREATE TABLE attempt (              -- a question on its way: deleted when it has ended
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        number INTEGER NOT NULL,
        question TEXT NOT NULL,
        images TEXT NOT NULL,
        parent INTEGER,
        parent_revision INTEGER NOT NULL,
        started_from TEXT,
        cell TEXT,
        name TEXT,
        asked REAL NOT NULL,
        token TEXT,                     -- NULL until the service has said it
        PRIMARY KEY (conversation, number)
    );
    """,
)
"""What makes each version of the tables out of the one before; only ever appended to."""

ORDER_BY_RECENT = (
    "(EXISTS (SELECT 1 FROM turn WHERE conversation = c.id AND tokens != '')"
    " OR EXISTS (SELECT 1 FROM attempt WHERE conversation = c.id)) DESC, used DESC, id DESC"
)
"""The order in which the conversations ``c`` are offered: those in which nothing was ever answered
come last, since a question that failed at once is not what anybody wants to go on from."""


def history_path(configured: str = "", environ: Mapping[str, str] | None = None) -> Path | None:
    """The file to use; None where the history is switched off.

    The variable ``AERON_HISTORY`` counts first, then ``configured``: each is a path, or one of
    ``OFF``. Without both it is a file in the user's data folder.
    """
    wanted = (os.environ if environ is None else environ).get(VARIABLE) or configured
    if wanted.lower() in OFF:
        return None
    if wanted:
        return Path(wanted).expanduser()
    from platformdirs import user_data_path

    return user_data_path("aeron-magic", appauthor=False) / "history.sqlite3"


@contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a :class:`HistoryError` with a remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        damaged = not isinstance(error, sqlite3.OperationalError) or "malformed" in str(error)
        remedy = (
            f"Move {path} away, and a new one is begun."
            if damaged
            else "Another file can be named by AERON_HISTORY; AERON_HISTORY=off switches it off."
        )
        raise HistoryError(f"The local history cannot be used: {error}.", hint=remedy) from error
    except OSError as error:
        raise HistoryError(
            f"The local history cannot be used: {error.strerror or error}.",
            hint="Another file can be named by AERON_HISTORY; AERON_HISTORY=off switches it off.",
        ) from error


def open_file(path: Path, scripts: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open the history at ``path``, make it where it is missing, and bring it up to date.

    Raises
    ------
    HistoryError
        It cannot be read or written, is damaged, or was written by a later version.
    """
    with translating_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log the mode of the file, so the file comes first.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if not path.is_file():
            raise OSError(f"{path} is no file")
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
    try:
        with translating_errors(path):
            # Turns are some kilobytes long: with larger pages a conversation is read in half the
            # time. It counts for a new file only.
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA cache_size = -32000")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            _migrate(connection, scripts)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection, scripts: Sequence[str]) -> None:
    if _version(connection) == len(scripts):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another kernel may have been quicker
        if version > len(scripts):
            raise HistoryError(
                "The local history was written by a later version of aeron-magic.",
                hint="Update aeron-magic, or name another file by AERON_HISTORY.",
            )
        for script in scripts[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(scripts)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script: ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def resume_hint(path: Path, notebook: str) -> str:
    """One line on what ``notebook`` talked about last; empty if nothing, or without a file.

    Raises
    ------
    HistoryError
        The file cannot be read.
    """
    if not path.exists():
        return ""
    with translating_errors(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=0.2, uri=True)
        try:
            if not _version(connection):
                return ""
            row = connection.execute(
                "SELECT name, used, (SELECT count(*) FROM turn WHERE conversation = c.id)"  # noqa: S608
                " + (SELECT count(*) FROM attempt a WHERE conversation = c.id AND NOT EXISTS"
                " (SELECT 1 FROM turn t WHERE t.conversation = c.id AND t.number = a.number))"
                f" FROM conversation c WHERE notebook = ? ORDER BY {ORDER_BY_RECENT} LIMIT 1",
                (notebook,),
            ).fetchone()
        finally:
            connection.close()
    if row is None:
        return ""
    name, used, turns = row
    return (
        f"This notebook has a conversation of {format_time(used)} ({name}, "
        f"{plural(turns, 'turn')}): %aeron resume takes it up."
    )


def format_time(seconds: float) -> str:
    """A time as a person reads it, by the clock of this machine."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
