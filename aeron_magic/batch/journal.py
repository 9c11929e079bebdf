"""Which rows of a batch may have been charged: a file beside the checkpoint, ``FILE.pending``.

JSON lines, which are only appended: ``["sent", key]`` before the request of a row leaves this
machine, ``["token", key, token]`` when its reply can be fetched, ``["ended", key]`` when it is
recorded or was surely not accepted. A mark ``sent`` is on the disk before the request leaves, so it
outlives a killed process and a power failure; the other two outlive a killed process, and are only
repeated work where a power failure takes them.

The file is locked while its batch runs, readable only by the user, and deleted when no row is open.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import IO

from aeron_magic.errors import RecordingError
from aeron_magic.protocol.json_values import decode_as
from aeron_magic.recording.private_lock import lock_file

SUFFIX = ".pending"
MAX_SIZE = 256 << 20
MAX_TOKEN = 10_000
"""Bytes of the file and characters of a token that are read."""


class Journal:
    """The open rows of the checkpoint ``path``; each is a key with its token, or ``""``.

    With ``forget_sent``, rows of earlier runs without a token are dropped, and so asked again.

    Raises
    ------
    RecordingError
        From every method: the file cannot be read or written, or another batch is using it.
    """

    def __init__(self, path: Path, *, forget_sent: bool = False) -> None:
        self.path = path.with_name(path.name + SUFFIX)
        self._file: IO[bytes] | None = None
        self._open_rows: dict[str, str] = {}
        if self.path.exists():
            self._open()
        if forget_sent:
            for key in [key for key, token in self._open_rows.items() if not token]:
                self.end(key)

    def state(self, key: str) -> str | None:
        """The token of an open row, empty if it is not known; None for any other row."""
        return self._open_rows.get(key)

    def mark_sent(self, key: str) -> None:
        """The request of this row is about to leave."""
        if key not in self._open_rows:
            self._write(["sent", key], durable=True)
            self._open_rows[key] = ""

    def mark_token(self, key: str, token: str) -> None:
        """The reply of this row can be fetched by ``token``."""
        self._write(["token", key, token])
        self._open_rows[key] = token

    def end(self, key: str) -> None:
        """This row is recorded, or was surely not accepted."""
        if key in self._open_rows:
            self._write(["ended", key])
            del self._open_rows[key]

    def close(self) -> None:
        """Close the file; delete it if no row is open."""
        if self._file is None:
            return
        if not self._open_rows:
            self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _write(self, mark: list[str], *, durable: bool = False) -> None:
        try:
            file = self._file or self._open()
            file.write((json.dumps(mark) + "\n").encode())
            if durable:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable("written", error.strerror or str(error)) from None

    def _open(self) -> IO[bytes]:
        """Open, lock and read the file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)  # not on Windows
        while True:
            try:
                file = os.fdopen(os.open(self.path, flags, 0o600), "ab+", buffering=0)
            except OSError as error:
                raise self._unusable("opened", error.strerror or str(error)) from None
            try:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SIZE:
                    raise self._unusable("read", "it is too large, or not a file")
                if not lock_file(file.fileno()):
                    raise self._unusable("used", "another batch is using this checkpoint")
                if not os.fstat(file.fileno()).st_nlink:
                    file.close()  # the batch before deleted it meanwhile
                    continue
                self._read(file)
            except BaseException:
                file.close()
                raise
            self._file = file
            return file

    def _read(self, file: IO[bytes]) -> None:
        file.seek(0)
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.write(b"\n")  # after a mark that a killed batch left unfinished
        for line in data.splitlines():
            try:
                mark = decode_as(line, tuple[str, ...])
            except ValueError:
                continue  # an unfinished mark: its request did not leave
            match mark:
                case ["sent", key]:
                    self._open_rows.setdefault(key, "")
                case ["token", key, token] if 0 < len(token) <= MAX_TOKEN:
                    self._open_rows[key] = token
                case ["ended", key]:
                    self._open_rows.pop(key, None)

    def _unusable(self, done: str, reason: str) -> RecordingError:
        return RecordingError(
            f"{self.path}, which keeps what may have been charged, cannot be {done}: {reason}.",
            hint="Nothing more is sent. Check the path, or name another checkpoint.",
        )
