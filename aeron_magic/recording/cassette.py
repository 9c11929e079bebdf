"""The file of a recording: JSON lines, one turn a line, suitable for git.

The file is scanned for the offset of each line, and a line is parsed when its turn is needed. A
new turn is appended; a changed turn is replaced by rewriting the file atomically. A lock file
serializes the writers on one machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aeron_magic.errors import RecordingError
from aeron_magic.recording.record import Record

if TYPE_CHECKING:
    from filelock import BaseFileLock

BEGINNING = b'{"key":"'
KEY_LENGTH = 24
BOM = b"\xef\xbb\xbf"
QUESTION = ',"question":'
LOCK_TIMEOUT = 20.0

_DECODER = json.JSONDecoder()


class Cassette:
    """The records in one file.

    Parameters
    ----------
    path
        The file; it is created with the first record.

    Attributes
    ----------
    damaged
        The numbers (from 1) of invalid lines; they are ignored.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.damaged: list[int] = []
        self._positions: dict[str, tuple[int, int]] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._end = (0, 0)
        self._thread = threading.RLock()

    @property
    def name(self) -> str:
        return self.path.name

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
                line = file.readline()
        try:
            return Record.from_line(line.decode(errors="replace"))
        except RecordingError:
            if number not in self.damaged:
                self.damaged.append(number)
            return None

    def questions(self) -> Iterable[tuple[str, str]]:
        """The key and the question of every record, without parsing the replies."""
        found: list[tuple[str, str]] = []
        with self._thread:
            self._refresh()
            if not self._positions:
                return found
            with self._open() as file:
                for key, (offset, _) in self._positions.items():
                    file.seek(offset)
                    _, _, rest = file.readline().decode(errors="replace").partition(QUESTION)
                    try:
                        found.append((key, str(_DECODER.raw_decode(rest)[0])))
                    except ValueError:
                        continue  # an invalid line; `find` reports it
        return found

    def save(self, record: Record) -> None:
        """Save ``record``, replacing one with the same key and a different result.

        Raises RecordingError if the file cannot be written.
        """
        with self._thread:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self._lock():
                    self._refresh()
                    before = self.find(record.key)
                    if before is None and record.key not in self._positions:
                        self._append(record)
                    elif before is None or not before.matches(record):
                        self._replace(record)
            except OSError as error:
                raise RecordingError(
                    f"The recording {self.path} cannot be written: {error.strerror or error}.",
                    hint="The reply is not lost: `%aeron last` shows it.",
                ) from None

    def _lock(self) -> BaseFileLock:
        from filelock import FileLock

        # Not beside the recording, where git would have to ignore it.
        name = hashlib.sha256(str(self.path.absolute()).encode()).hexdigest()[:24]
        return FileLock(
            Path(tempfile.gettempdir()) / f"aeron-magic-{name}.lock", timeout=LOCK_TIMEOUT
        )

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise RecordingError(
                f"The recording {self.path} cannot be read: {error.strerror or error}.",
                hint="Check the path and its permissions.",
            ) from None

    def _append(self, record: Record) -> None:
        data = (record.to_json_line() + "\n").encode()
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    data = b"\n" + data  # after a line that a killed writer left unfinished
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _replace(self, record: Record) -> None:
        number = self._positions[record.key][1]
        path = self.path.resolve()  # keep a symbolic link
        with (
            self._open() as old,
            tempfile.NamedTemporaryFile(
                "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as new,
        ):
            for count, line in enumerate(old, 1):
                new.write((record.to_json_line() + "\n").encode() if count == number else line)
            new.flush()
            os.fsync(new.fileno())
        Path(new.name).chmod(path.stat().st_mode)
        Path(new.name).replace(path)

    def _refresh(self) -> None:
        """Scan the file for the offsets of its lines, if it has changed."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._positions, self.damaged, self._stamp = {}, [], None
            return
        if not stat.S_ISREG(status.st_mode):
            raise RecordingError(
                f"The recording {self.path} cannot be read: it is not a file.",
                hint="Name a file, such as analysis.jsonl.",
            )
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return
        positions: dict[str, tuple[int, int]] = {}
        damaged: list[int] = []
        offset, number = 0, 0
        if self._stamp and self._stamp[0] == stamp[0] and self._stamp[1] < stamp[1]:
            # It has grown: scan only the new lines.
            positions, damaged, offset, number = self._positions, self.damaged, *self._end
        with self._open() as file:
            file.seek(offset)
            for line in file:
                number += 1
                if not offset and line.startswith(BOM):  # added by some editors
                    offset, line = len(BOM), line[len(BOM) :]
                key = line[len(BEGINNING) : len(BEGINNING) + KEY_LENGTH]
                if line.startswith(BEGINNING) and line.rstrip().endswith(b"}"):
                    positions[key.decode(errors="replace")] = (offset, number)
                elif line.strip():
                    damaged.append(number)
                offset += len(line)
        self._end = (offset, number)
        self._positions, self.damaged, self._stamp = positions, damaged, stamp
