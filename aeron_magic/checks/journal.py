"""What a check has asked so far: a file, so that nothing is asked twice after an interrupt.

JSON lines, which are only appended; each is a list of texts that begins with a kind and the key of
a turn: ``["sent", key]`` before its request leaves this machine, ``["token", key, token]`` when
its reply can be fetched, ``["answer", key, token, status, text]``, and ``["failed", key, reason]``
without a complete reply. The file is locked while its check runs, readable only by the user, and
deleted when every turn has an answer.
"""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from aeron_magic.errors import UsageError
from aeron_magic.protocol.json_values import decode_as
from aeron_magic.recording.private_lock import POLL_INTERVAL, lock_file, make_private_folder
from aeron_magic.replies.reply import Reply

MAX_SIZE = 1 << 30
"""Bytes of a file that is read."""

MAX_AGE = 90 * 86_400
"""Seconds after which the file of a check that was not run again is deleted."""


def _delete_old(folder: Path) -> None:
    """Delete old files: relative to the newest, as a clock may be wrong today."""
    changed: dict[Path, float] = {}
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):
            changed[path] = path.stat().st_mtime
    now = min(time.time(), max(changed.values(), default=0.0))
    for path, when in changed.items():
        if when < now - MAX_AGE:
            with suppress(OSError):
                path.unlink()


class Journal:
    """The answers and the open turns of one check.

    Parameters
    ----------
    path
        The file; its folder is made, readable only by the user.
    wait
        Seconds to wait until another process has closed it.
    keep_failures
        Whether a turn that failed is not asked again.

    Attributes
    ----------
    resumed
        Whether an earlier check has left answers.
    answers, failures
        The replies, and the reasons why there is none, by key.
    open
        The turns whose requests may have left without a reply: their tokens, or ``""``, by key.

    Raises
    ------
    OSError
        The file cannot be used.
    UsageError
        Another process is using it.
    """

    def __init__(self, path: Path, *, wait: float = 0.0, keep_failures: bool = False) -> None:
        self._path = path
        self._keep_failures = keep_failures
        self.answers: dict[str, Reply] = {}
        self.failures: dict[str, str] = {}
        self.open: dict[str, str] = {}
        make_private_folder(path.parent)
        _delete_old(path.parent)
        self._file = self._locked(time.monotonic() + wait)
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise
        self.resumed = bool(self.answers or self.open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    def sent(self, key: str) -> None:
        """The request of this turn is about to leave; the mark outlives a power failure."""
        self._write("sent", key, sync=True)

    def token(self, key: str, token: str) -> None:
        """The reply of this turn can be fetched by ``token``."""
        self._write("token", key, token)

    def answer(self, key: str, reply: Reply) -> None:
        """This turn has a complete reply."""
        self._write("answer", key, reply.context_token or "", reply.status, reply.text)

    def failed(self, key: str, reason: str) -> None:
        """This turn has no complete reply, and none that can be fetched."""
        self._write("failed", key, reason)

    def discard(self) -> None:
        """Delete the file: every turn has an answer."""
        with suppress(OSError):  # an empty file is as good: Windows deletes no open file
            self._file.truncate(0)
            self._path.unlink(missing_ok=True)

    def _write(self, *mark: str, sync: bool = False) -> None:
        end, data = self._file.seek(0, os.SEEK_END), (json.dumps(mark) + "\n").encode()
        try:
            while data:  # a full disk can take a part of it, without an error
                data = data[self._file.write(data) :]
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):  # else the next mark would follow a part of this one
                self._file.truncate(end)
            raise
        self._apply(*mark)

    def _apply(self, kind: str = "", key: str = "", *rest: str) -> None:
        match kind, rest:
            case "sent", ():
                self.open[key] = ""
            case "token", (token,) if token:
                self.open[key] = token
            case "answer", (token, "complete" | "recovered" as status, text):
                self.open.pop(key, None)
                self.answers[key] = Reply(text, status, token or None)
            case "failed", (reason,):
                self.open.pop(key, None)
                if self._keep_failures:
                    self.failures[key] = reason

    def _locked(self, end: float) -> IO[bytes]:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)  # not on Windows
        while True:
            file = os.fdopen(os.open(self._path, flags, 0o600), "ab+", buffering=0)
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SIZE:
                file.close()
                raise OSError("it is too large, or not a file")
            if lock_file(file.fileno()):
                if os.fstat(file.fileno()).st_nlink:
                    return file
                file.close()  # the check before deleted it meanwhile
                continue
            file.close()
            if time.monotonic() > end:
                raise UsageError(
                    "The same check is running in another kernel or process.",
                    hint="Wait for it, or stop it; its answers are kept.",
                )
            time.sleep(POLL_INTERVAL)

    def _read(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")  # after a mark that a killed check left unfinished
        for line in data.split(b"\n"):
            try:
                mark = decode_as(line, tuple[str, ...])
            except ValueError:
                continue  # an unfinished mark: its request did not leave
            self._apply(*mark)
