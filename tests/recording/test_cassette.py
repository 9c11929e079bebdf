"""The file of a recording: contents, concurrent writers, invalid lines."""

from __future__ import annotations

import io
import multiprocessing
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import make_record

from aeron_magic.errors import RecordingError
from aeron_magic.recording import cassette as cassette_module
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.record import Record, turn_key


def turn(question: str, answer: str = "yes", milliseconds: int = 5) -> Record:
    return make_record("aeronpay", question, [milliseconds, answer], [0, {"event": "completed"}])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.jsonl"


def test_a_turn_is_found_again_by_its_key(path: Path) -> None:
    Cassette(path).save(turn("a"))
    Cassette(path).save(turn("b"))
    cassette = Cassette(path)
    assert cassette.find(turn("a").key) == turn("a")
    assert cassette.find(turn_key("aeronpay", "c")) is None
    assert len(cassette) == 2
    assert [record.question for record in cassette] == ["a", "b"]


def test_the_file_stays_the_same_to_the_byte_where_nothing_changed(path: Path) -> None:
    cassette = Cassette(path)
    cassette.save(turn("a"))
    before = path.read_bytes()
    cassette.save(turn("a", milliseconds=99))
    assert path.read_bytes() == before


def test_a_changed_reply_replaces_its_line(path: Path) -> None:
    cassette = Cassette(path)
    for question in "abc":
        cassette.save(turn(question))
    cassette.save(turn("b", "no"))
    assert [(record.question, record.text) for record in Cassette(path)] == [
        ("a", "yes"),
        ("b", "no"),
        ("c", "yes"),
    ]
    assert list(path.parent.iterdir()) == [path]


def test_damaged_lines_are_reported_and_ignored(path: Path) -> None:
    lines = [
        turn("a").to_json_line(),
        '{"key":"cut off',
        turn("b").to_json_line(),
        "",
        "<<<<<<< HEAD",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    cassette = Cassette(path)
    assert len(cassette) == 2
    assert list(cassette.damaged) == [2, 5]


def test_an_invalid_record_is_reported_when_it_is_read(path: Path) -> None:
    line = turn("a").to_json_line().replace('"events"', '"evnets"')
    path.write_text(line + "\n", encoding="utf-8")
    cassette = Cassette(path)
    assert cassette.find(turn("a").key) is None
    assert cassette.damaged == {1: "Object missing required field `events`"}


def test_a_damaged_line_is_replaced_when_its_question_is_recorded_again(path: Path) -> None:
    path.write_text(
        turn("a").to_json_line().replace('"events"', '"evnets"') + "\n", encoding="utf-8"
    )
    cassette = Cassette(path)
    cassette.save(turn("a"))
    assert Cassette(path).find(turn("a").key) == turn("a")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1


def test_a_line_left_by_a_killed_writer_does_not_damage_later_turns(path: Path) -> None:
    path.write_bytes((turn("a").to_json_line() + "\n" + turn("b").to_json_line()[:40]).encode())
    cassette = Cassette(path)
    cassette.save(turn("c"))
    assert [record.question for record in Cassette(path)] == ["a", "c"]
    assert Cassette(path).find(turn("c").key) is not None


def test_a_file_of_another_kind_is_not_changed(path: Path) -> None:
    """But what a killed writer has left is the beginning of a recording."""
    for content in ("text\nhello\n", '{"question": "a", "answer": "b"}\n', "version https://x\n"):
        path.write_text(content)
        cassette = Cassette(path)
        with pytest.raises(RecordingError, match="is not a recording"):
            len(cassette)
        with pytest.raises(RecordingError, match="is not a recording"):
            cassette.save(turn("a"))
        assert path.read_text() == content
    for content in ("\n\n", '{"k', '{"key":"abc', turn("b").to_json_line()[:-9]):
        path.write_text(content)
        Cassette(path).save(turn("a"))
        assert len(Cassette(path)) == 1


def test_turns_of_another_writer_are_found(path: Path) -> None:
    mine, other = Cassette(path), Cassette(path)
    mine.save(turn("a"))
    assert other.find(turn("a").key) is not None
    other.save(turn("b"))
    assert mine.find(turn("b").key) is not None
    other.save(turn("a", "no"))
    found = mine.find(turn("a").key)
    assert found is not None
    assert found.text == "no"


def _write(path: Path, name: str) -> None:
    cassette = Cassette(path)
    for number in range(25):
        cassette.save(turn(f"{name} {number}"))
        cassette.save(turn("the same for all"))
        cassette.arrange(record.key for record in reversed(list(cassette)))


def test_writers_in_threads_and_processes_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers: list[threading.Thread | multiprocessing.process.BaseProcess] = [
        *(context.Process(target=_write, args=(path, f"p{number}")) for number in range(2)),
        *(threading.Thread(target=_write, args=(path, f"t{number}")) for number in range(2)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cassette = Cassette(path)
    assert len(cassette) == 4 * 25 + 1
    assert not cassette.damaged
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4 * 25 + 1


def questions(path: Path) -> str:
    return "".join(record.question for record in Cassette(path))


def test_turns_are_put_into_an_order(path: Path) -> None:
    """In the places that they have together; damaged lines, others and the mode stay."""
    cassette = Cassette(path)
    lines = [turn(question).to_json_line() for question in "xcayb"]
    path.write_text("\ufeff" + "\n".join([*lines[:2], "{", *lines[2:]]), encoding="utf-8")
    path.chmod(0o640)
    cassette.arrange(turn(question).key for question in "abzca")
    assert questions(path) == "xabyc"
    text = path.read_text(encoding="utf-8")
    assert text == "\ufeff" + "\n".join([lines[0], lines[2], "{", lines[4], lines[3], lines[1], ""])
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]
    assert questions(path) == "".join(record.question for record in cassette)


def test_a_turn_with_older_lines_keeps_its_place(path: Path) -> None:
    """Before them, it would no longer be the one that counts."""
    cassette = Cassette(path)
    for question in "ba":
        cassette.save(turn(question))
    with path.open("ab") as file:
        file.write(turn("c", "old").to_json_line().encode() + b"\n")
        file.write(turn("c", "new").to_json_line().encode() + b"\n")
    cassette.arrange(turn(question).key for question in "cab")
    assert questions(path) == "abc"
    found = Cassette(path).find(turn("c").key)
    assert found is not None
    assert found.text == "new"


def test_a_turn_that_others_continue_stays_before_them(path: Path) -> None:
    """A check of the recording reads the turns in the order of the file."""
    cassette = Cassette(path)
    for question in "xba":
        cassette.save(turn(question))
    cassette.save(make_record("aeronpay", "after x", [5, "yes"], after=turn("x").key))
    for question in "dc":
        cassette.save(turn(question))
    cassette.arrange(turn(question).key for question in "abcdx")
    assert [record.question for record in cassette] == ["x", "a", "b", "after x", "c", "d"]


def test_an_order_that_cannot_be_written_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = Cassette(path)
    for question in "ba":
        cassette.save(turn(question))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        cassette.arrange(turn(question).key for question in "ab")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_deleted_file_is_closed(path: Path) -> None:
    """Its space on the disk is free then."""
    cassette = Cassette(path)
    cassette.save(turn("a"))
    assert len(cassette) == 1
    number = path.stat().st_ino

    def is_open() -> bool:
        files = (one for one in Path("/dev/fd").iterdir() if one.exists())
        return any(one.stat().st_ino == number for one in files)

    assert is_open()
    path.unlink()
    assert not cassette.exists
    assert not is_open()


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be"):
        Cassette(tmp_path).save(turn("a"))


def test_a_pipe_is_an_error(tmp_path: Path) -> None:
    """A device can be endless."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(RecordingError, match="not a file"):
        len(Cassette(pipe))


def test_a_byte_order_mark_is_ignored(path: Path) -> None:
    Cassette(path).save(turn("a"))
    Cassette(path).save(turn("b"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    cassette = Cassette(path)
    assert [record.question for record in cassette] == ["a", "b"]
    assert [question for _, question in cassette.questions()] == ["a", "b"]
    assert not cassette.damaged
    cassette.save(turn("b", "no"))
    cassette.save(turn("c"))
    assert [made.text for made in cassette] == ["yes", "no", "yes"]


def test_a_symbolic_link_is_kept(path: Path) -> None:
    """Also if a turn is replaced."""
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    Cassette(link).save(turn("a"))
    Cassette(link).save(turn("a", "no"))
    assert link.is_symlink()
    assert [record.text for record in Cassette(path)] == ["no"]


def test_questions_are_listed_without_parsing_the_replies(path: Path) -> None:
    """In the order of the file, without invalid lines."""
    assert not list(Cassette(path).questions())
    first, last = turn('say "hi" \u2028 \u00e4'), turn("b", ',"question":"c"')
    begun = turn("lost").to_json_line().partition(":")[0] + ':"' + "0" * 24 + '","question":"lo}'
    path.write_text(f"{first.to_json_line()}\n{begun}\n{last.to_json_line()}\n", encoding="utf-8")
    expected = [(record.key, record.question) for record in (first, last)]
    assert list(Cassette(path).questions()) == expected


def test_ten_thousand_turns_are_not_held_in_memory(path: Path) -> None:
    answer = "some words of an answer " * 40
    with path.open("w", encoding="utf-8") as file:
        for number in range(10_000):
            file.write(turn(str(number), answer).to_json_line() + "\n")
    tracemalloc.start()
    try:
        cassette = Cassette(path)
        assert cassette.find(turn("7777").key) is not None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < path.stat().st_size / 3


def test_a_turn_under_the_key_of_another_is_not_found(path: Path) -> None:
    """The key at the beginning of the line is not the one that counts."""
    wanted, other = turn("a").key, turn("b", "evil").to_json_line()
    path.write_text(f'{{"key":"{wanted}",{other[1:]}\n', encoding="utf-8")
    assert Cassette(path).find(wanted) is None


def test_a_line_that_is_too_long_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being held in memory; a turn that would be one is not written."""
    monkeypatch.setattr(cassette_module, "MAX_LINE_LENGTH", 1_000)
    monkeypatch.setattr(cassette_module, "BUFFER", 100)
    lines = [turn("a"), turn("b", "x" * 5_000), turn("c")]
    path.write_text("".join(one.to_json_line() + "\n" for one in lines), encoding="utf-8")
    cassette = Cassette(path)
    assert [record.question for record in cassette] == ["a", "c"]
    assert list(cassette.damaged) == [2]
    cassette.save(turn("c", "no"))
    assert [record.text for record in Cassette(path)] == ["yes", "no"]
    with pytest.raises(RecordingError, match="cannot be written"):
        cassette.save(turn("d", "x" * 5_000))


@pytest.mark.parametrize(("limit", "value"), [("MAX_LINES", 3), ("MAX_FILE_SIZE", 100)])
def test_a_file_that_is_too_large_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    path.write_bytes(b"\n" * 200)
    monkeypatch.setattr(cassette_module, limit, value)
    with pytest.raises(RecordingError, match="has more than"):
        len(Cassette(path))


def test_a_question_that_is_no_text_is_not_listed(path: Path) -> None:
    """Though it is nested thousands of levels deep."""
    begun = turn("a").to_json_line().partition('"question":')[0]
    path.write_text(f'{begun}"question":{"[" * 100_000}}}\n', encoding="utf-8")
    assert not list(Cassette(path).questions())


def test_a_write_that_fails_leaves_the_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette = Cassette(path)
    cassette.save(turn("a"))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match="No space"):
        cassette.save(turn("a", "no"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_circle_of_links_and_a_missing_home_are_errors(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.symlink_to(path.name)
    for use in (len, list, lambda cassette: cassette.exists, lambda c: c.save(turn("Well?"))):
        with pytest.raises(RecordingError) as caught:
            use(Cassette(path))
        assert caught.value.hint
    with pytest.raises(RecordingError, match="home"):
        Cassette("~no-such-user-here/made.jsonl")


def test_a_disk_that_fails_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens the file, and cannot read it."""
    cassette = Cassette(path)
    cassette.save(turn("a"))
    key = turn("a").key

    class Failing(io.BytesIO):
        def fileno(self) -> int:
            return 0

        def readline(self, _: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    uses: list[Callable[[Cassette], object]] = [
        lambda _: len(Cassette(path)),
        lambda known: known.find(key),
        lambda known: list(known.questions()),
    ]
    for use in uses:
        with pytest.raises(RecordingError, match="Input/output error"):
            use(cassette)


@pytest.mark.parametrize("path", [5, b"a.jsonl"])
def test_a_path_of_a_wrong_type_is_named(path: Any) -> None:
    with pytest.raises(RecordingError, match=f"a text or a Path, not {type(path).__name__}"):
        Cassette(path)
