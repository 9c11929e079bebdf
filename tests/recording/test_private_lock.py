"""The lock among the processes of one user."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from records import make_record

from aeron_magic.checks.journal import Journal
from aeron_magic.conversations.history_db import open_file
from aeron_magic.errors import HistoryError, RecordingError
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.private_lock import private_lock


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "aeron-magic"


def test_only_one_holds_it() -> None:
    """Also among threads; it is free after an error."""
    with private_lock(1), pytest.raises(TimeoutError), private_lock(0.05):
        pass
    with pytest.raises(ZeroDivisionError), private_lock(1):
        _ = 1 / 0
    taken = threading.Event()

    def take() -> None:
        with private_lock(5):
            taken.set()

    with private_lock(1):
        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.wait(0.05)
    assert taken.wait(5)
    thread.join()


def test_it_leaves_no_file_behind(data: Path) -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    with private_lock(1):
        pass
    assert not list(data.iterdir())
    assert not [
        path for path in set(Path(tempfile.gettempdir()).iterdir()) - before
        if "aeron" in path.name
    ]  # fmt: skip


def _lock(data: Path) -> None:
    with private_lock(1):
        assert data.is_dir()


def _check(data: Path) -> None:
    with Journal(data / "checks" / "a.jsonl"):
        pass


@pytest.mark.parametrize(
    "write",
    [
        _lock,
        lambda data: open_file(data / "history.sqlite3").close(),
        _check,
    ],
    ids=["lock", "history", "journal"],
)
def test_new_folders_of_the_user_are_private_under_any_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    """Also those above ours: another user could replace a folder in them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "local" / "share"))
    before = os.umask(0)
    try:
        write(tmp_path / "local" / "share" / "aeron-magic")
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_no_other_user_can_open_the_folder(data: Path, mode: int) -> None:
    data.mkdir()
    data.chmod(mode)
    with private_lock(1):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_not_used(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that user locks does not block."""
    data.mkdir()
    with private_lock(1):
        owner = data.stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        with private_lock(0):
            pass


def test_it_works_without_a_place_for_it(data: Path) -> None:
    """Such as a home that is a file, or a link."""
    data.parent.joinpath("other").mkdir()
    data.symlink_to(data.parent / "other")
    with private_lock(1):
        pass
    data.unlink()
    data.write_text("")
    with private_lock(1):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")
def test_a_link_of_another_user_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shared folder: another user would choose the file that is written."""
    target = tmp_path / "target"
    link = tmp_path / "link"
    link.symlink_to(target)
    record = make_record("aeronpay", "a")
    owner = os.geteuid()
    with monkeypatch.context() as patch:
        if owner:
            patch.setattr(os, "geteuid", lambda: owner + 1)
        else:
            os.chown(link, 4321, -1, follow_symlinks=False)
        with pytest.raises(RecordingError, match="link of another user"):
            Cassette(link).save(record)
        with pytest.raises(HistoryError, match="link of another user"):
            open_file(link)
        assert not target.exists()
    if not owner:
        os.chown(link, 0, -1, follow_symlinks=False)
    Cassette(link).save(record)
    assert target.exists()
