"""The file of a recording: JSON lines, one turn per line, suitable for git.

The file is scanned for the offset of each line, and a line is parsed and validated when its turn
is needed. A new turn is appended; a changed turn is replaced by rewriting the file atomically. A
lock of the user serializes the writers on one machine.

A recording may come from another person. Its limits: ``MAX_FILE_SIZE``, ``MAX_LINES`` and
``MAX_LINE_LENGTH``. An invalid line is left out and its number reported; a file of
nothing else is refused and not changed.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aeron_magic.errors import RecordingError
from aeron_magic.recording.private_lock import private_lock, refuse_foreign_link
from aeron_magic.recording.record import Record

BEGINNING = b'{"key":"'
KEY_LENGTH = 24
BOM = b"\xef\xbb\xbf"
SERVICE = b',"service":"'
QUESTION = b',"question":"'
LOCK_TIMEOUT = 20.0
MAX_FILE_SIZE = 1 << 30
"""Bytes of a recording."""

MAX_LINES = 200_000
MAX_LINE_LENGTH = 16 << 20
"""Bytes of a line, from which at most 256 MiB of objects are made; a longer one is invalid."""

MAX_DAMAGED = 1_000
"""Invalid lines that are remembered."""

BUFFER = 1 << 20

MAX_QUESTION = 10_000
"""Characters of a question in :meth:`Cassette.questions`."""

_DECODER = json.JSONDecoder()


class Cassette:
    """The records in one file.

    * ``path``: the file; it is created with the first record.

    Attributes:
    * ``damaged``: the numbers (from 1) of invalid lines, and the reasons; they are ignored.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self.path = Path(path).expanduser().absolute()
        except TypeError:
            raise RecordingError(
                f"The path of a recording is a text or a Path, not {type(path).__name__}.",
                hint="Name a file, such as 'answers.jsonl'.",
            ) from None
        except RuntimeError as error:
            raise RecordingError(f"{error}", hint="Name the file by its whole path.") from None
        self.damaged: dict[int, str] = {}
        self._positions: dict[str, tuple[int, int]] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._end = (0, 0)
        self._thread = threading.RLock()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def exists(self) -> bool:
        """Whether the file is there; as the other methods, it raises RecordingError."""
        with self._thread:
            self._refresh()
            return self._stamp is not None

    def __len__(self) -> int:
        with self._thread:
            self._refresh()
            return len(self._positions)

    def __iter__(self) -> Iterator[Record]:
        """Yield the records in the order of the file."""
        with self._thread:
            self._refresh()
            keys = list(self._positions)
        for key in keys:
            if (record := self.find(key)) is not None:
                yield record

    def find(self, key: str) -> Record | None:
        """The record with this key; None if there is none, or its line is invalid."""
        with self._thread:
            self._refresh()
            if key not in self._positions:
                return None
            offset, number = self._positions[key]
            with self._open() as file:
                file.seek(offset)
                line = file.readline(MAX_LINE_LENGTH)
        try:
            record = Record.from_line(line)
        except RecordingError as error:
            _note(self.damaged, number, error.message.partition(": ")[2].rstrip("."))
            return None
        return record if record.key == key else None

    def questions(self) -> Iterator[tuple[str, str]]:
        """The key and the start of the question of each record, without parsing the replies."""
        for key, rest in self._after(QUESTION):
            try:
                text = _DECODER.raw_decode('"' + rest.decode(errors="replace"))[0]
            except ValueError:
                continue  # an invalid line; `find` reports it
            yield key, text[:MAX_QUESTION]

    def services(self) -> set[str]:
        """The services that the questions were sent to, without parsing the replies."""
        found = {rest.partition(b'"')[0] for _, rest in self._after(SERVICE)}
        return {service.decode(errors="replace") for service in found}

    def _after(self, beginning: bytes) -> Iterator[tuple[str, bytes]]:
        """The key of each record, and its line after ``beginning``."""
        with self._thread:
            self._refresh()
            places = list(self._positions.items())
        if not places:
            return
        with self._open() as file:
            for key, (begin, _) in places:
                file.seek(begin)
                _, found, rest = file.readline(MAX_LINE_LENGTH).partition(beginning)
                if found:
                    yield key, rest

    def save(self, record: Record) -> None:
        """Save ``record``, replacing one with the same key and a different result.

        Raises RecordingError if the file cannot be written.
        """
        with self._thread:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with private_lock(LOCK_TIMEOUT):
                    self._refresh()
                    before = self.find(record.key)
                    if before is None and record.key not in self._positions:
                        self._append(record)
                    elif before is None or not before.matches(record):
                        self._replace(record)
            except OSError as error:
                raise RecordingError(
                    f"The recording {self.path} cannot be written: {error.strerror or error}.",
                    hint="Check the path, its permissions and the space on the disk.",
                ) from None

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> RecordingError:
        reason = getattr(error, "strerror", None) or error
        return RecordingError(
            f"The recording {self.path} cannot be read: {reason}.",
            hint="Check the path and its permissions.",
        )

    def _append(self, record: Record) -> None:
        data = _encoded(record)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    data = b"\n" + data  # after a line that a killed writer left unfinished
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _replace(self, record: Record) -> None:
        begin, _ = self._positions[record.key]
        path = self.path.resolve()  # keep a symbolic link
        with (
            self.path.open("rb") as old,
            tempfile.NamedTemporaryFile(
                "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as new,
        ):
            try:
                while (left := begin - old.tell()) > 0 and (data := old.read(min(left, BUFFER))):
                    new.write(data)
                new.write(_encoded(record))
                old.readline()
                shutil.copyfileobj(old, new)
                new.flush()
                os.fsync(new.fileno())
                Path(new.name).chmod(stat.S_IMODE(path.stat().st_mode))
                Path(new.name).replace(path)
            except BaseException:
                Path(new.name).unlink(missing_ok=True)
                raise

    def _refresh(self) -> None:
        """Scan the file for the offsets of its lines, if it has changed."""
        try:
            refuse_foreign_link(self.path)
            status = self.path.stat()
        except FileNotFoundError:
            self._positions, self.damaged, self._stamp = {}, {}, None
            return
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(status.st_mode):
            raise RecordingError(
                f"The recording {self.path} cannot be read: it is not a file.",
                hint="Name a file, such as analysis.jsonl.",
            )
        if status.st_size > MAX_FILE_SIZE:
            raise self._too_large(f"{MAX_FILE_SIZE >> 20:,} MiB")
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        places: dict[str, tuple[int, int]] = {}
        damaged: dict[int, str] = {}
        offset, number, begun = 0, 0, False
        if self._stamp and self._stamp[0] == stamp[0] and self._stamp[1] < stamp[1]:
            # It has grown: scan only the new lines.
            places, damaged, offset, number = self._positions, self.damaged, *self._end
        with self._open() as file:
            file.seek(offset)
            while line := file.readline(MAX_LINE_LENGTH):
                number += 1
                if number > MAX_LINES:
                    raise self._too_large(f"{MAX_LINES:,} lines")
                if not offset and line.startswith(BOM):  # added by some editors
                    offset, line = len(BOM), line[len(BOM) :]
                key = line[len(BEGINNING) : len(BEGINNING) + KEY_LENGTH]
                begun = begun or line.startswith(BEGINNING) or BEGINNING.startswith(line)
                if len(line) == MAX_LINE_LENGTH and not line.endswith(b"\n"):
                    while (more := file.readline(BUFFER)) and not more.endswith(b"\n"):
                        pass
                    offset = file.tell() - len(line)
                    reason = f"longer than {MAX_LINE_LENGTH >> 20} MiB"
                    _note(damaged, number, reason)
                elif line.startswith(BEGINNING) and line.rstrip().endswith(b"}"):
                    places[key.decode(errors="replace")] = (offset, number)
                elif line.strip():
                    _note(damaged, number, "not a recorded turn")
                offset += len(line)
        if damaged and not (places or begun):
            raise RecordingError(
                f"{self.path} is not a recording: no line of it is a recorded turn.",
                hint="Name a new file, or a recording: nothing is written into another file.",
            )
        self._end = (offset, number)
        self._positions, self.damaged, self._stamp = places, damaged, stamp

    def _too_large(self, limit: str) -> RecordingError:
        return RecordingError(
            f"The recording {self.path} has more than {limit}.",
            hint="Divide it into several files.",
        )


def _note(damaged: dict[int, str], number: int, reason: str) -> None:
    if len(damaged) < MAX_DAMAGED:
        damaged.setdefault(number, reason)


def _encoded(record: Record) -> bytes:
    data = (record.to_json_line() + "\n").encode()
    if len(data) > MAX_LINE_LENGTH:
        raise OSError(f"the turn takes more than {MAX_LINE_LENGTH >> 20} MiB")
    return data
