"""The local history: what is stored, who writes it, and what happens if a write fails."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import pytest
from fake_notebook import FakeNotebook, shape

from aeron_magic.conversations.history import (
    HistoryScope,
    HistoryStore,
    HistoryWriter,
    StoredConversation,
)
from aeron_magic.conversations.history_db import open_file, resume_hint
from aeron_magic.conversations.history_search import find_turns
from aeron_magic.conversations.kept_rows import KeptRows, RowState
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Turn
from aeron_magic.errors import HistoryError
from aeron_magic.replies.reply import Reply, Status
from aeron_magic.sandbox import Sandbox

SCOPE = HistoryScope("/home/me/work.ipynb", "https://example.org/ai", False)
OTHER_SCOPE = SCOPE._replace(notebook="/home/me/other.ipynb")

_numbers = itertools.count(1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[HistoryStore]:
    history = HistoryStore(path)
    yield history
    history.close()


@pytest.fixture
def again(path: Path) -> Iterator[HistoryStore]:
    """Another kernel on the same file."""
    history = HistoryStore(path)
    yield history
    history.close()


def start(registry: ConversationRegistry, question: str = "why?", **options: Any) -> PendingTurn:
    return registry.start(registry.position_for(**options), question)


def ask(
    history: HistoryStore,
    registry: ConversationRegistry,
    question: str = "why?",
    *,
    status: Status = "complete",
    scope: HistoryScope = SCOPE,
    **options: Any,
) -> Turn:
    """Ask a question and store each of its steps."""
    pending = start(registry, question, **options)
    token = f"token-{next(_numbers)}"
    history.save_pending(pending, scope)
    history.save_token(pending, token)
    reply = Reply("because", status, token, pending.turn.parent_token, "m1", "aeronpay", 1.5, 0.5)
    turn, _ = registry.finish(pending, reply)
    history.save_turn(pending, turn, scope)
    return turn


def only(history: HistoryStore) -> StoredConversation:
    (stored,) = history.conversations()
    return stored


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("words", ["CAFÉ", "ज़रूर", "\u095bरूर"])
def test_words_are_found_however_their_letters_are_composed(
    history: HistoryStore, words: str, form: Literal["NFC", "NFD"]
) -> None:
    """As by the keyboards of several systems."""
    ask(history, ConversationRegistry("aeronpay"), normalize(form, "the café, ज़रूर"))
    assert len(find_turns(history, words)) == 1


def test_a_loaded_conversation_equals_the_stored_one(
    history: HistoryStore, again: HistoryStore
) -> None:
    """Every field of every turn."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one", cell="a", name="start")
    ask(history, registry, "two", cell="b")
    ask(history, registry, "three", after="start", status="interrupted")
    ask(history, registry, "one again", cell="a")
    tree = again.load(only(again))
    before = registry.current
    assert tree.name == "main"
    assert [_facts(turn) for turn in tree] == [_facts(turn) for turn in before]
    assert {turn.number for turn in tree.stale()} == {turn.number for turn in before.stale()}
    assert tree.head is not None
    assert before.head is not None
    assert tree.head.number == before.head.number == 1


@pytest.mark.parametrize("later", [0, 2])
def test_a_conversation_with_chatzy_is_loaded_with_its_opening_turn(
    history: HistoryStore, again: HistoryStore, later: int
) -> None:
    """A first question without a complete reply, and what follows it."""
    registry = ConversationRegistry("chatzy")
    ask(history, registry, "one", cell="a", status="incomplete")
    for number in range(later):
        ask(history, registry, f"question {number}")
    tree = again.load(only(again))
    assert [_facts(turn) for turn in tree] == [_facts(turn) for turn in registry.current]
    assert [turn.number for turn in tree.turns[-1].path()] == list(range(1, later + 2))
    assert tree.head is tree.turns[-1]
    assert not tree.stale()
    position = tree.at_head()
    assert position.token == registry.current.current_token
    assert position.parent is tree.head


def _facts(turn: Turn) -> tuple[Any, ...]:
    parent = turn.parent.number if turn.parent else None
    return (
        turn.number,
        turn.question,
        turn.images,
        parent,
        turn.parent_revision,
        turn.parent_token,
        turn.tokens,
        turn.reply,
        turn.cell,
        turn.name,
        turn.asked_at,
    )


def test_images_are_stored(history: HistoryStore, again: HistoryStore) -> None:
    registry = ConversationRegistry("aeronpay")
    pending = registry.start(registry.position_for(), "what is it?", ("https://a.example/1.png",))
    history.save_pending(pending, SCOPE)
    again_tree = again.load(only(again))
    ((unfinished, _),) = again.unfinished(again_tree)
    assert unfinished.turn.images == ("https://a.example/1.png",)


# A kernel that is killed ---------------------------------------------------------------------


def test_a_question_is_stored_before_it_is_sent(history: HistoryStore, again: HistoryStore) -> None:
    """Without a token: its reply cannot be fetched."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, cell="a")
    history.save_pending(start(registry, "and then?", cell="b", name="next"), SCOPE)
    stored = only(again)
    assert stored.turns == 2
    tree = again.load(stored)
    ((pending, token),) = again.unfinished(tree)
    assert token is None
    turn = pending.turn
    assert (turn.question, turn.cell, turn.name, turn.number) == ("and then?", "b", "next", 2)
    assert turn.parent is tree.turns[0]


def test_a_token_is_stored_as_soon_as_it_is_known(
    history: HistoryStore, again: HistoryStore
) -> None:
    """The reply that is fetched by it completes the turn."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry)
    pending = start(registry, "and then?")
    history.save_pending(pending, SCOPE)
    history.save_token(pending, "its token")
    stored = only(again)
    tree = again.load(stored)
    ((unfinished, token),) = again.unfinished(tree)
    assert token == "its token"
    again.claim(stored)
    turn = tree.complete(unfinished, Reply("because", "recovered", token))
    again.save_turn(unfinished, turn, SCOPE)
    assert again.unfinished(tree) == []
    assert [turn.status for turn in again.load(stored)] == ["complete", "recovered"]


def test_a_turn_that_was_asked_again_keeps_its_reply(
    history: HistoryStore, again: HistoryStore
) -> None:
    """In addition to the pending question."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one", cell="a")
    history.save_pending(start(registry, "one again", cell="a"), SCOPE)
    stored = only(again)
    assert stored.turns == 1
    tree = again.load(stored)
    ((pending, _),) = again.unfinished(tree)
    assert pending.position.replaces is tree.turns[0]
    assert tree.turns[0].question == "one"


def test_a_lost_question_is_a_turn_without_a_reply(
    history: HistoryStore, again: HistoryStore
) -> None:
    """It is not pending any more."""
    registry = ConversationRegistry("aeronpay")
    history.save_pending(start(registry, "why?"), SCOPE)
    stored = only(again)
    tree = again.load(stored)
    ((pending, _),) = again.unfinished(tree)
    again.save_turn(pending, tree.mark_lost(pending), None)
    assert again.unfinished(tree) == []
    (turn,) = again.load(stored)
    assert (turn.question, turn.status, turn.token) == ("why?", "lost", None)


def test_the_number_of_a_pending_question_is_not_reused(
    history: HistoryStore, again: HistoryStore
) -> None:
    registry = ConversationRegistry("aeronpay")
    history.save_pending(start(registry), SCOPE)
    tree = again.load(only(again))
    assert tree.start(tree.at_head(), "why?").turn.number == 2


def test_a_question_that_was_not_sent_is_deleted(history: HistoryStore) -> None:
    """And so is its conversation, if it has no other turn."""
    registry = ConversationRegistry("aeronpay")
    pending = start(registry)
    history.save_pending(pending, SCOPE)
    history.delete_pending(pending)
    assert history.conversations() == []
    ask(history, registry)
    assert only(history).turns == 1


# Cells and names -----------------------------------------------------------------------------


def test_a_cell_and_a_name_belong_to_one_turn(history: HistoryStore, again: HistoryStore) -> None:
    """As in the tree."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, cell="a", name="start")
    ask(history, registry, cell="a", name="start", after="1")
    tree = again.load(only(again))
    assert [(turn.cell, turn.name) for turn in tree] == [(None, None), ("a", "start")]


def test_a_cell_id_that_does_not_survive_a_restart_is_not_stored(
    path: Path, again: HistoryStore
) -> None:
    """As VS Code's."""
    history = HistoryStore(path)
    ask(history, ConversationRegistry("aeronpay"), cell="vscode-notebook-cell:/a.ipynb#W1")
    history.close()
    assert [turn.cell for turn in again.load(only(again))] == [None]


# Notebooks and kernels -----------------------------------------------------------------------


def test_conversations_are_listed_by_notebook(history: HistoryStore) -> None:
    """The newest first."""
    for name, scope in (("one", SCOPE), ("two", SCOPE), ("three", OTHER_SCOPE)):
        registry = ConversationRegistry("aeronpay")
        ask(history, registry, conversation=name, scope=scope)
    assert [one.name for one in history.conversations(SCOPE.notebook)] == ["two", "one"]
    assert [one.name for one in history.conversations()] == ["three", "two", "one"]


def test_a_conversation_without_an_answer_is_listed_last(history: HistoryStore, path: Path) -> None:
    """Even if it is the newest; but not one that has a pending question."""

    def names() -> list[str]:
        return [stored.name for stored in history.conversations(SCOPE.notebook)]

    ask(history, ConversationRegistry("aeronpay"), conversation="answered")
    refused = start(registry := ConversationRegistry("aeronpay"), conversation="refused")
    history.save_pending(refused, SCOPE)
    history.save_turn(refused, registry.finish(refused, Reply("", "failed"))[0], SCOPE)
    assert names() == ["answered", "refused"]
    assert "(answered, 1 turn)" in resume_hint(path, SCOPE.notebook)
    history.save_pending(start(ConversationRegistry("aeronpay"), conversation="pending"), SCOPE)
    assert names() == ["pending", "answered", "refused"]
    assert "(pending, 1 turn)" in resume_hint(path, SCOPE.notebook)


def test_two_kernels_of_a_notebook_have_separate_conversations(
    history: HistoryStore, again: HistoryStore
) -> None:
    """Though both are called main."""
    registries = ConversationRegistry("aeronpay"), ConversationRegistry("aeronpay")
    for _ in range(3):
        for kernel, registry in zip((history, again), registries, strict=True):
            ask(kernel, registry)
    assert [stored.turns for stored in history.conversations()] == [3, 3]


def test_a_kernel_whose_conversation_was_claimed_continues_with_a_copy(
    history: HistoryStore, again: HistoryStore
) -> None:
    """Neither overwrites the other."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one")
    stored = only(again)
    tree = again.load(stored)
    again.claim(stored)
    other = ConversationRegistry("aeronpay")
    other.add(tree)
    ask(again, other, "two, there")
    ask(history, registry, "two, here")
    questions = [[turn.question for turn in again.load(one)] for one in again.conversations()]
    assert questions == [["one", "two, here"], ["one", "two, there"]]


def test_turns_that_another_kernel_deleted_are_not_written_again(
    history: HistoryStore, again: HistoryStore
) -> None:
    """Only the turns that follow."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "a secret")
    again.forget(only(again).id)
    ask(history, registry, "and then?")
    assert [turn.question for turn in again.load(only(again))] == ["and then?"]


def test_forgetting_deletes_the_texts_from_file_and_log(history: HistoryStore, path: Path) -> None:
    ask(history, ConversationRegistry("aeronpay"), "a very secret question")
    assert any(b"very secret" in file.read_bytes() for file in path.parent.iterdir())
    history.forget(only(history).id)
    assert history.conversations() == []
    assert not any(b"very secret" in file.read_bytes() for file in path.parent.iterdir())


def test_forgetting_rows_leaves_those_that_may_have_been_charged(
    history: HistoryStore, path: Path
) -> None:
    rows = KeptRows(path)
    for key in ("done", "begun", "sent"):
        rows.mark_sent(key, "http://here")
    rows.keep("done", Reply("a very secret reply", "complete", "t-1"))
    rows.mark_token("begun", "t-2")
    assert history.forget_rows() == 1
    assert rows.get("done", "http://here") is None
    assert rows.get("begun", "http://here") == RowState(None, "t-2")
    assert rows.get("sent", "http://here") == RowState()
    assert not any(b"very secret" in file.read_bytes() for file in path.parent.iterdir())


def test_only_the_user_can_read_it(history: HistoryStore, path: Path) -> None:
    """The file, its log and its folder."""
    ask(history, ConversationRegistry("aeronpay"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {f"{path.name}", f"{path.name}-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# Failures ------------------------------------------------------------------------------------


def test_a_turn_that_could_not_be_written_is_written_with_the_next_one(
    history: HistoryStore, path: Path, again: HistoryStore
) -> None:
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    pending = start(registry, "two")
    history.mark_dirty(pending, ended=False)
    with pytest.raises(HistoryError, match="locked"):
        history.save_pending(pending, SCOPE)
    registry.finish(pending, Reply("because", "complete", "two's token"))
    history.mark_dirty(pending, ended=True)
    blocker.execute("ROLLBACK")
    blocker.close()
    ask(history, registry, "three")
    tree: ConversationTree = again.load(only(again))
    assert [turn.question for turn in tree] == ["one", "two", "three"]


def test_a_full_disk_is_an_error_with_a_remedy(history: HistoryStore) -> None:
    """The earlier turns stay readable."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one")
    with history.opened() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HistoryError, match="full") as caught:
        ask(history, registry, "two" * 100_000)
    assert "AERON_HISTORY" in caught.value.hint
    assert [turn.question for turn in history.load(only(history))] == ["one"]


def test_a_file_that_is_not_a_history_is_an_error_with_a_remedy(path: Path) -> None:
    """It is not changed."""
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(HistoryError, match="not a database") as caught:
        HistoryStore(path).conversations()
    assert f"Move {path} away" in caught.value.hint
    assert path.read_bytes().startswith(b"this is not a database")


def test_a_damaged_file_is_an_error_with_a_remedy(history: HistoryStore, path: Path) -> None:
    """Pages in the middle are overwritten."""
    registry = ConversationRegistry("aeronpay")
    for _ in range(30):
        ask(history, registry, "why?" * 500)
    history.close()
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) - 4096] = b"\xff" * (len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(HistoryError) as caught:
        history.load(only(history))
    assert f"Move {path} away" in caught.value.hint


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """Here because its parent is a file; a read-only parent has the same effect."""
    (tmp_path / "home").write_text("")
    with pytest.raises(HistoryError, match="cannot be used") as caught:
        HistoryStore(tmp_path / "home" / "history.sqlite3").conversations()
    assert "AERON_HISTORY=off" in caught.value.hint


def test_a_file_that_was_deleted_is_created_again(history: HistoryStore, path: Path) -> None:
    """Without the deleted turns."""
    registry = ConversationRegistry("aeronpay")
    ask(history, registry, "one")
    shutil.rmtree(path.parent)
    ask(history, registry, "two")
    assert [turn.question for turn in history.load(only(history))] == ["two"]


# Questions work without the history, with one warning ----------------------------------------


def damaged(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    path.write_bytes(b"this is not a database" * 100)
    return path


def read_only_home(folder: Path) -> Path:
    home = folder / "home"
    home.write_text("")  # no folder can be created in it, as in a read-only home
    return home / "history.sqlite3"


def other_version(folder: Path) -> Path:
    path = folder / "history.sqlite3"
    connection = open_file(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    return path


def folder_instead(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize("broken", [damaged, read_only_home, other_version, folder_instead])
def test_questions_work_with_a_broken_history_and_one_warning(
    sandbox: Sandbox, tmp_path: Path, broken: Callable[[Path], Path]
) -> None:
    """Only the first question has the warning."""
    notebook = FakeNotebook(sandbox, history=broken(tmp_path))
    notes = []
    for cell in "abc":
        notebook.run(cell)
        notes.append(notebook.notes)
    notebook.close()
    assert [len(some) for some in notes] == [1, 0, 0]
    assert notes[0][0].startswith("The local history ")
    assert "Questions work, but are not stored." in notes[0][0]
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]


def test_a_locked_history_does_not_delay_questions(sandbox: Sandbox, tmp_path: Path) -> None:
    """Except the first; all turns are stored once the lock is released."""
    path = tmp_path / "history.sqlite3"
    notebook = FakeNotebook(sandbox, history=path)
    notebook.run("a")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    notebook.run("b")
    assert "locked" in notebook.notes[0]
    notebook.run("c")
    blocker.execute("ROLLBACK")
    blocker.close()
    notebook.run("d")
    notebook.close()
    history = HistoryStore(path)
    (stored,) = history.conversations()
    assert [turn.question[-1] for turn in history.load(stored)] == list("abcd")
    history.close()


def test_several_kernels_write_to_one_file_without_a_warning(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "history.sqlite3"

    def kernel(_: int) -> list[str]:
        notebook = FakeNotebook(sandbox, history=path, notebook="/same.ipynb")
        notes: list[str] = []
        for cell in "abcdef":
            notebook.run(cell)
            notes += notebook.notes
        notebook.close()
        return notes

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kernel, range(4))) == [[]] * 4
    history = HistoryStore(path)
    assert [stored.turns for stored in history.conversations("/same.ipynb")] == [6] * 4
    history.close()


def test_a_disabled_history_writes_nothing_and_gives_no_warning(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    notebook = FakeNotebook(sandbox)
    notebook.run("a")
    notebook.close()
    assert notebook.notes == []
    assert list(tmp_path.iterdir()) == []


def test_a_question_in_flight_does_not_hide_an_unfinished_one(tmp_path: Path) -> None:
    """Of the same number, in another conversation."""
    writer = HistoryWriter(HistoryStore(tmp_path / "history.sqlite3"))
    assert writer.history is not None
    scope = HistoryScope("/a.ipynb", "https://example.org/ai", False)
    first, second = (tree.start(tree.at_head(), "why?") for tree in map(ConversationTree, "ab"))
    writer.history.save_pending(first, scope)
    writer.save_pending(second, scope)
    found = [writer.unfinished(pending.position.tree) for pending in (first, second)]
    assert [len(one) for one in found] == [1, 0]
    writer.history.close()


def test_writing_all_turns_again_keeps_the_questions_in_flight(
    history: HistoryStore, again: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With or without a token; a question whose end could not be written is pending no longer."""
    writer, registry = HistoryWriter(history), ConversationRegistry("aeronpay")
    ask(history, registry, "one", cell="a")
    rerun = start(registry, "one again", cell="a")
    writer.save_pending(rerun, SCOPE)
    writer.save_token(rerun, "of the second run")
    ended = start(registry, "two", cell="b")
    writer.save_pending(ended, SCOPE)
    turn, _ = registry.finish(ended, Reply("because", "complete", "token of two"))
    with monkeypatch.context() as patch:
        patch.setattr(history, "save_turn", _fail)
        writer.save_turn(ended, turn, SCOPE)
    writer.save_pending(start(registry, "three", cell="c"), SCOPE)
    tree = again.load(only(again))
    assert [turn.question for turn in tree] == ["one", turn.question]
    found = [(pending.turn.question, token) for pending, token in again.unfinished(tree)]
    assert found == [("one again", "of the second run"), ("three", None)]


def _fail(*_: object, **_options: object) -> None:
    raise HistoryError("The local history is locked.", hint="")


def test_only_the_first_write_waits_for_a_file_that_is_locked(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """Not those of its token and its end, nor any of later questions."""
    path = tmp_path / "history.sqlite3"
    open_file(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    notebook = FakeNotebook(sandbox, history=path)
    began = time.monotonic()
    notebook.run("one")
    assert time.monotonic() - began < 3.5
    assert "not stored" in notebook.notes[0]
    began = time.monotonic()
    notebook.run("two")
    assert time.monotonic() - began < 1.0
    holder.close()
    notebook.run("three")
    notebook.close()
    with closing(HistoryStore(path)) as history:
        [stored] = history.conversations()
    assert stored.turns == 3
