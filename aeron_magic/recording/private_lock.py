"""A lock among the processes of one user, which leaves no file behind.

What is locked is a folder that only the user can open, so that another user can neither take the
lock nor put something in its place. Without such a folder (no home, a read-only disk) or without
``fcntl`` (Windows), nothing is locked, and writers have to be serialized by the caller.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_INTERVAL = 0.01


@contextmanager
def private_lock(timeout: float) -> Iterator[None]:
    """Hold the user's lock.


    Raises TimeoutError: another process of the user holds it for longer.
    """
    folder = None if fcntl is None else _private_folder()
    if folder is None:
        yield
        return
    try:
        end = time.monotonic() + timeout
        while not lock_file(folder):
            if time.monotonic() > end:
                raise TimeoutError("another process of yours is writing")
            time.sleep(POLL_INTERVAL)
        yield
    finally:
        os.close(folder)  # releases the lock


def lock_file(handle: int) -> bool:
    """Lock an open file or folder until it is closed; False if another process has locked it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents with mode 0700, as the XDG specification requires.

    ``mkdir`` gives the parents the mode of the umask: under umask 000, another user could then put
    an own folder in place of this one.
    """
    if not path.is_dir():
        make_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def refuse_foreign_link(path: Path) -> None:
    """Raise OSError if ``path`` is a link of another user, who would choose the file to write."""
    with suppress(FileNotFoundError):
        status = path.lstat()
        users = (0, getattr(os, "geteuid", int)())
        if stat.S_ISLNK(status.st_mode) and status.st_uid not in users:
            raise OSError(errno.ELOOP, "it is a link of another user")


def _private_folder() -> int | None:
    """The user's data folder, opened, with mode 0700; None if there is none."""
    from platformdirs import user_data_path

    try:
        path = user_data_path("aeron-magic", appauthor=False)
        make_private_folder(path)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return None
    try:
        status = os.fstat(folder)
        if status.st_uid == os.geteuid():
            if stat.S_IMODE(status.st_mode) & 0o077:
                os.fchmod(folder, 0o700)
            return folder
    except OSError:
        pass
    os.close(folder)
    return None
