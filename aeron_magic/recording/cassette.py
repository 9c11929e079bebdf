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
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from aeron_magic.errors import RecordingError
from aeron_magic.recording.private_lock import private_lock, refuse_foreign_link
from aeron_magic.recording.record import Record

BEGINNING = b'{"key":"'
KEY_LENGTH = 24
BOM = b"\xef\xbb\xbf"
AFTER = b',"after":"'
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
        self._repeated: set[str] = set()
        self._stamp: tuple[int, int, int] | None = None
        self._release: Callable[[], object] = int
        self._end = (0, 0)
        self._thread = threading.RLock()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def argument(self) -> str:
        """The file as ``%aeron record`` takes it."""
        try:
            is_here = self.path.parent == Path.cwd()
        except OSError:  # the working folder was deleted
            is_here = False
        file = self.name if is_here else str(self.path)
        return f'"{file}"' if any(map(str.isspace, file)) else file

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
            for _ in range(2):  # again, if the file was replaced meanwhile
                self._refresh()
                if key not in self._positions:
                    return None
                number = self._positions[key][1]
                line = self._line(key)
                if line.startswith(BEGINNING + key.encode()):
                    break
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
                        self._rewrite([(record.key, _encoded(record))])
            except OSError as error:
                raise RecordingError(
                    f"The recording {self.path} cannot be written: {error.strerror or error}.",
                    hint="Check the path, its permissions and the space on the disk.",
                ) from None

    def arrange(self, keys: Iterable[str]) -> None:
        """Put the records of these keys into this order, in the places that they have together.

        Nothing is lost if that fails: the file is as before then. A record of which the file has
        older lines stays where it is, because the last line counts; so does one that others
        continue, because it is read before them.
        """
        with self._thread, suppress(OSError, RecordingError), private_lock(LOCK_TIMEOUT):
            self._refresh()
            found = [one for one in dict.fromkeys(keys) if one in self._positions]
            found = [one for one in found if one not in self._repeated]
            if found == sorted(found, key=self._positions.__getitem__):
                return
            continued = {
                rest[:KEY_LENGTH].decode(errors="replace") for _, rest in self._after(AFTER)
            }
            found = [one for one in found if one not in continued]
            places = sorted(found, key=self._positions.__getitem__)
            if found != places:
                lines = (self._line(key) for key in found)
                self._rewrite(zip(places, lines, strict=True))

    def _line(self, key: str) -> bytes:
        """The line of a record, with its end."""
        with self._open() as file:
            file.seek(self._positions[key][0])
            line = file.readline(MAX_LINE_LENGTH)
        return line if line.endswith(b"\n") else line + b"\n"

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

    def _rewrite(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """Write these lines, in the order of the file, in place of those of the keys."""
        path = self.path.resolve()  # keep a symbolic link
        with (
            self.path.open("rb") as old,
            tempfile.NamedTemporaryFile(
                "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as new,
        ):
            try:
                for key, line in lines:
                    begin = self._positions[key][0]
                    while (left := begin - old.tell()) > 0 and (
                        data := old.read(min(left, BUFFER))
                    ):
                        new.write(data)
                    new.write(line)
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
            self._positions, self.damaged, self._repeated, self._stamp = {}, {}, set(), None
            self._release()
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
        if _stamp(status) == self._stamp:
            return
        places: dict[str, tuple[int, int]] = {}
        damaged: dict[int, str] = {}
        repeated: set[str] = set()
        offset, number, begun = 0, 0, False
        with self._open() as file:
            stamp = _stamp(os.fstat(file.fileno()))  # that of a new file, if it was replaced now
            if self._stamp and self._stamp[0] == stamp[0] and self._stamp[1] < stamp[1]:
                # It has grown: scan only the new lines.
                places, damaged, repeated = self._positions, self.damaged, self._repeated
                offset, number = self._end
            file.seek(offset)
            while line := file.readline(MAX_LINE_LENGTH):
                number += 1
                if number > MAX_LINES:
                    raise self._too_large(f"{MAX_LINES:,} lines")
                if not offset and line.startswith(BOM):  # added by some editors
                    offset, line = len(BOM), line[len(BOM) :]
                key = line[len(BEGINNING) : len(BEGINNING) + KEY_LENGTH].decode(errors="replace")
                begun = begun or line.startswith(BEGINNING) or BEGINNING.startswith(line)
                if len(line) == MAX_LINE_LENGTH and not line.endswith(b"\n"):
                    while (more := file.readline(BUFFER)) and not more.endswith(b"\n"):
                        pass
                    offset = file.tell() - len(line)
                    reason = f"longer than {MAX_LINE_LENGTH >> 20} MiB"
                    _note(damaged, number, reason)
                elif line.startswith(BEGINNING) and line.rstrip().endswith(b"}"):
                    if key in places:
                        repeated.add(key)
                    places[key] = (offset, number)
                elif line.strip():
                    _note(damaged, number, "not a recorded turn")
                offset += len(line)
            self._hold(file)
        if damaged and not (places or begun):
            raise RecordingError(
                f"{self.path} is not a recording: no line of it is a recorded turn.",
                hint="Name a new file, or a recording: nothing is written into another file.",
            )
        self._end = (offset, number)
        self._positions, self.damaged, self._repeated = places, damaged, repeated
        self._stamp = stamp

    def _hold(self, file: IO[bytes]) -> None:
        """Keep the scanned file open: no new file gets its number, if it is replaced."""
        self._release()
        if os.name == "posix":
            self._release = weakref.finalize(self, os.close, os.dup(file.fileno()))

    def _too_large(self, limit: str) -> RecordingError:
        return RecordingError(
            f"The recording {self.path} has more than {limit}.",
            hint="Divide it into several files.",
        )


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _note(damaged: dict[int, str], number: int, reason: str) -> None:
    if len(damaged) < MAX_DAMAGED:
        damaged.setdefault(number, reason)


def _encoded(record: Record) -> bytes:
    data = (record.to_json_line() + "\n").encode()
    if len(data) > MAX_LINE_LENGTH:
        raise OSError(f"the turn takes more than {MAX_LINE_LENGTH >> 20} MiB")
    return data
