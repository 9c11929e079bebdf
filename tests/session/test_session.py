"""Cells run again, out of order, edited or failed: the resulting tree, and what was sent.

Each under both readings of the vendor's page: a token for each reply, or one for the conversation.
"""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pandas
import pytest
from fake_notebook import Cell, FakeNotebook, shape

from aeron_magic.client.client import make_question
from aeron_magic.client.io_loop import ReplyTask
from aeron_magic.conversations.export import as_markdown
from aeron_magic.conversations.export_page import as_page
from aeron_magic.conversations.history import HistoryStore
from aeron_magic.errors import (
    FailedReply,
    ReplyError,
    TokenError,
    Unreachable,
    UsageError,
    ValueRefused,
)
from aeron_magic.jupyter.display.tables import tree_text, turns_table
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.faults import Faults, Refusal
from aeron_magic.session.session import PendingQuestion, Session, TokenVariable


@pytest.fixture(params=["new", "same"])
def rule(request: pytest.FixtureRequest) -> str:
    """Which tokens the service returns."""
    value: str = request.param
    return value


@pytest.fixture
def notebook(rule: str) -> Iterator[FakeNotebook]:
    """A notebook on a service with that rule."""
    faults = Faults(say="So it is.")
    with Sandbox(token_rule=rule, faults=faults) as sandbox:  # type: ignore[arg-type]
        notebook = FakeNotebook(sandbox)
        yield notebook
        notebook.close()


@pytest.fixture
def chat(sandbox: Sandbox) -> Iterator[FakeNotebook]:
    """A notebook on Chatzy."""
    notebook = FakeNotebook(sandbox, "chatzy")
    yield notebook
    notebook.close()


def questions(*cells: str) -> list[str]:
    return [f"question of {cell}" for cell in cells]


# Asking --------------------------------------------------------------------------------------


def test_each_question_continues_from_the_newest_reply(notebook: FakeNotebook) -> None:
    """``context_token`` is the token of the newest reply."""
    assert notebook.context_token is None
    notebook.run_all(*"abc")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens == [None, notebook.received(0), notebook.received(1)]
    assert notebook.context_token == notebook.received(2)
    assert notebook.remote == questions(*"abc")


@pytest.mark.parametrize("where", ["question", "token"])
def test_an_unpaired_surrogate_is_rejected_before_the_question_is_saved(
    sandbox: Sandbox, tmp_path: Path, where: str
) -> None:
    """The local history could not encode it either."""
    notebook = FakeNotebook(sandbox, history=tmp_path / "history.sqlite")
    if where == "token":
        notebook.namespace["context_token"] = "cut \ud83d"
    error = notebook.fails(Cell("a", "cut \ud83d" if where == "question" else "whole"))
    assert isinstance(error, UsageError)
    assert "unpaired surrogate" in str(error)
    notebook.namespace["context_token"] = None
    notebook.run("b")
    assert shape(notebook.tree) == ["1*"]
    notebook.close()


def test_a_question_with_a_secret_is_refused_and_not_repeated() -> None:
    """Anywhere in its text; a short secret may be a word of the question."""
    session, here = Session({}), {"base_url": "http://127.0.0.1:9", "client_id": "me"}
    session.connect("aeronpay", client_secret="secret-of-the-house", **here)
    encoded = (b64encode(b"me:secret-of-the-house").decode(), b"secret-of-the-house".hex())
    for text in ("my secret-of-the-house", "x=secret-of-the-house\n", *encoded):
        with pytest.raises(ValueRefused) as caught:
            session.ask(make_question(text), session.position_for())
        assert "secret-of-the-house" not in "".join(caught.value.lines())
    session.connect("aeronpay", client_secret="anything", **here)
    session.validate(make_question("Ask me anything"))
    session.close()


class Observer:
    """Records the calls of a session: name, thread, ``context_token`` and ``done`` at each."""

    def __init__(self, notebook: FakeNotebook) -> None:
        self.calls: list[tuple[str, str, Any, bool]] = []
        self._notebook = notebook

    def _note(self, name: str, asked: PendingQuestion) -> None:
        thread = threading.current_thread().name
        self.calls.append((name, thread, self._notebook.context_token, asked.done.is_set()))

    def question_started(self, asked: PendingQuestion) -> None:
        self._note("started", asked)

    def question_progressed(self, asked: PendingQuestion) -> None:
        pass

    def question_finished(self, asked: PendingQuestion) -> None:
        self._note("finished", asked)

    def conversation_changed(self) -> None:
        self.calls.append(("changed", "", None, False))


@pytest.mark.parametrize("end", ["complete", "recovered", "failed", "interrupted", "refused"])
def test_every_end_is_recorded_then_done_then_observed_once(sandbox: Sandbox, end: str) -> None:
    """On the loop's thread, however the question ends; an observer does not delay the cell."""
    notebook = FakeNotebook(sandbox)
    observer = Observer(notebook)
    notebook.session.observers.append(observer)
    if end == "recovered":
        sandbox.set_faults(cut_after=300)
    elif end == "failed":
        sandbox.set_faults(generation="fails-with-event")
    elif end == "interrupted":
        sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    elif end == "refused":
        sandbox.set_faults(refuse=(Refusal("create-response", 403),))
    if end in ("failed", "refused"):
        notebook.fails("a")
    else:
        assert notebook.run("a", interrupt=end == "interrupted").status == end
    token = notebook.context_token
    notebook.close()
    assert (token is not None) == (end in ("complete", "recovered"))
    assert observer.calls == [
        ("started", "aeron-magic", None, False),
        ("finished", "aeron-magic", token, True),
    ]


class FailingObserver:
    """Raises from every call."""

    def question_started(self, asked: PendingQuestion) -> None:
        raise OSError("the channel is closed")

    question_progressed = question_finished = question_started

    def conversation_changed(self) -> None:
        raise OSError("the channel is closed")


def test_an_error_of_an_observer_is_logged_and_changes_nothing(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the question nor the other observers."""
    notebook = FakeNotebook(sandbox)
    observer = Observer(notebook)
    notebook.session.observers += [FailingObserver(), observer]
    notebook.session.new()
    assert notebook.run("a").status == "complete"
    notebook.close()
    assert [call[0] for call in observer.calls] == ["changed", "started", "finished"]
    for event in ("question_started", "question_finished", "conversation_changed"):
        assert f"failed in {event}" in caplog.text


def test_an_interrupt_does_not_wait_for_a_blocked_loop(sandbox: Sandbox) -> None:
    """The text so far is kept in the reply."""
    notebook = FakeNotebook(sandbox)
    sandbox.set_faults(say="one two three four", stall_after=900)
    session, released = notebook.session, threading.Event()
    asked = session.ask(make_question("Count"), session.position_for())
    assert asked.changed.wait(5)
    session.io_loop.call_soon(lambda: released.wait(5))  # as a locked history does
    asked.cancel()
    assert not asked.done.is_set()
    assert (asked.reply.status, asked.reply.text[:3]) == ("interrupted", "one")
    released.set()
    assert asked.done.wait(5)
    notebook.close()


def test_a_reply_without_text_is_not_the_last_reply(notebook: FakeNotebook) -> None:
    """``%aeron last`` still shows the one before."""
    notebook.run("a")
    last = notebook.session.last
    notebook.namespace["context_token"] = "unknown"
    notebook.fails("b")
    assert notebook.session.last is last


# Running cells again -------------------------------------------------------------------------


def test_run_all_twice_is_the_same_conversation_twice(notebook: FakeNotebook) -> None:
    """The service has each question once in the second conversation, too."""
    notebook.run_all(*"abc")
    notebook.run_all(*"abc")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[3:] == [None, notebook.received(3), notebook.received(4)]
    assert notebook.remote == questions(*"abc")
    assert notebook.notes == []


def test_a_cell_run_again_leaves_later_turns_stale(notebook: FakeNotebook, rule: str) -> None:
    """It continues from the same turn as before."""
    notebook.run_all(*"abc")
    notebook.run("b")
    assert shape(notebook.tree) == ["1", "2<1*", "3<2 stale"]
    assert notebook.tokens[3] == notebook.received(0)
    assert notebook.context_token == notebook.received(3)
    if rule == "new":
        assert notebook.remote == questions(*"ab")


def test_a_note_warns_where_a_service_with_one_token_cannot_go_back(
    notebook: FakeNotebook, rule: str
) -> None:
    """The returned token shows it; with a token for each reply there is no note."""
    notebook.run_all(*"abc")
    notebook.run("b")
    assert [note.split(":")[0] for note in notebook.notes][:-2] == (
        ["The service has one token for the whole conversation"] if rule == "same" else []
    )


def test_the_cell_after_continues_from_the_newest_reply_of_the_one_it_followed(
    notebook: FakeNotebook,
) -> None:
    """So running the following cells makes the conversation consistent again."""
    notebook.run_all(*"abc")
    notebook.run_all("b", "c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[3:] == [notebook.received(0), notebook.received(3)]


def test_cells_run_out_of_order_keep_their_position(notebook: FakeNotebook) -> None:
    """Each replaces its own reply; the turns after it are stale."""
    notebook.run_all(*"abc")
    notebook.run_all("c", "a")
    assert shape(notebook.tree) == ["1*", "2<1 stale", "3<2 stale"]
    assert notebook.tokens[3:] == [notebook.received(1), None]


def test_a_first_run_out_of_order_is_the_order_of_the_conversation(notebook: FakeNotebook) -> None:
    """A cell follows the reply that was the newest at its first run."""
    notebook.run_all("b", "a")
    notebook.run_all("a", "b")
    assert shape(notebook.tree) == ["1*", "2<1 stale"]
    assert notebook.tokens == [None, notebook.received(0), notebook.received(0), None]


def test_a_copied_cell_is_a_new_turn(notebook: FakeNotebook) -> None:
    """The same source, another id."""
    notebook.run_all("a", Cell("copy", "question of a"))
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.sent == [("question of a", None), ("question of a", notebook.received(0))]


def test_an_edited_cell_replaces_its_turn(notebook: FakeNotebook) -> None:
    """Both the question and the reply."""
    notebook.run_all("a", "b")
    notebook.run(Cell("b", "a better question"))
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert [turn.question for turn in notebook.tree] == ["question of a", "a better question"]
    assert notebook.sent[2] == ("a better question", notebook.received(0))


def test_a_cell_inserted_in_the_middle_is_followed_by_the_others(notebook: FakeNotebook) -> None:
    """Running all cells gives the conversation that a new kernel gives."""
    notebook.run_all("a", "c")
    notebook.run_all("a", "b", "c")
    assert shape(notebook.tree) == ["1", "2<3*", "3<1"]
    assert notebook.tokens[2:] == [None, notebook.received(2), notebook.received(3)]
    assert notebook.remote == questions(*"abc")


def test_where_cells_have_no_id_each_run_is_a_new_turn(notebook: FakeNotebook) -> None:
    """Without an id, a cell cannot be recognized."""
    cells = [Cell(None, text) for text in questions(*"ab")]
    notebook.run_all(*cells, *cells)
    assert shape(notebook.tree) == ["1", "2<1", "3<2", "4<3*"]
    assert notebook.remote == questions(*"abab")


def test_where_cells_have_no_id_names_replace(notebook: FakeNotebook) -> None:
    """A question with the same name replaces the earlier one."""
    cells = [Cell(None, "one", {"name": "one"}), Cell(None, "two", {"name": "two"})]
    notebook.run_all(*cells, *cells)
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.remote == ["one", "two"]


# Failures ------------------------------------------------------------------------------------


def refuse_next(notebook: FakeNotebook, status: int = 500) -> None:
    notebook.sandbox.set_faults(refuse=(Refusal("create-response", status),))


def test_a_cell_that_fails_does_not_move_the_head(notebook: FakeNotebook) -> None:
    """Its question is kept; the next one follows the newest reply, and it can be asked again."""
    notebook.run("a")
    refuse_next(notebook)
    notebook.fails("b")
    assert shape(notebook.tree) == ["1*", "2<1 failed"]
    assert notebook.context_token == notebook.received(0)
    notebook.run_all("b", "c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[2:] == [notebook.received(0), notebook.received(1)]


def test_a_cell_that_fails_when_run_again_keeps_its_reply(notebook: FakeNotebook) -> None:
    """So the turns after it are not stale."""
    notebook.run_all(*"ab")
    refuse_next(notebook)
    notebook.fails("a")
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.tree.turns[0].reply == notebook.replies[0]
    assert notebook.context_token == notebook.received(1)


def test_a_failed_reply_is_kept_as_failed(notebook: FakeNotebook) -> None:
    """The head and the variable do not move."""
    notebook.run("a")
    notebook.sandbox.set_faults(generation="fails-with-event")
    assert isinstance(notebook.fails("b"), FailedReply)
    assert shape(notebook.tree) == ["1*", "2<1 failed"]


def test_an_interrupted_cell_keeps_its_text_and_does_not_move_the_head(
    notebook: FakeNotebook,
) -> None:
    """Asked again, it continues from the same turn."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    try:
        notebook.run("b", interrupt=True)
    finally:
        notebook.sandbox.set_faults(say=None)
    assert shape(notebook.tree) == ["1*", "2<1 interrupted"]
    notebook.replies.pop()
    notebook.run_all("b", "c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[2] == notebook.received(0)


@pytest.mark.usefixtures("short_delays")
def test_an_unreachable_server_does_not_change_the_conversation(notebook: FakeNotebook) -> None:
    """The question is kept as failed."""
    notebook.run("a")
    notebook.sandbox.stop()
    assert isinstance(notebook.fails("b"), Unreachable)
    assert shape(notebook.tree) == ["1*", "2<1 failed"]


def test_an_old_token_that_is_refused_changes_nothing(notebook: FakeNotebook) -> None:
    """The error says so; no turn is added, and the next question works."""
    notebook.run_all(*"ab")
    notebook.sandbox.set_faults(expired=(notebook.received(0),))
    error = notebook.fails(Cell("c", "a branch", {"after": "1"}))
    assert isinstance(error, TokenError)
    assert error.hint.startswith("Your conversation is unchanged.")
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.context_token == notebook.received(1)
    notebook.sandbox.set_faults(expired=())
    notebook.run("d")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]


def test_a_question_that_was_not_sent_leaves_no_turn(chat: FakeNotebook) -> None:
    """Chatzy accepts no images."""
    session = chat.session
    question = make_question("look", images=("https://example.org/a.png",))
    asked = session.ask(question, session.position_for())
    assert asked.done.wait(5)
    assert isinstance(asked.error, UsageError)
    assert shape(chat.tree) == []


@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_an_interrupted_reply_is_fetched_and_completes_its_turn(
    notebook: FakeNotebook, asked_before: bool, named: bool
) -> None:
    """By default, and by its token; also if the cell was run again and has an earlier reply."""
    notebook.run("a")
    if asked_before:
        notebook.run_all("b", "c")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("b", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    fetched = notebook.session.fetch_unfinished(token if named else None)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert fetched.reply.is_complete
    assert shape(notebook.tree)[:2] == ["1", "2<1*"]
    assert notebook.tree.turns[1].reply == fetched.reply
    assert notebook.context_token == fetched.reply.context_token == token
    assert notebook.session.fetch_unfinished() is None
    notebook.run("d")
    assert notebook.tokens[-1] == token


@pytest.mark.parametrize("deleted", [False, True])
def test_a_fetch_does_not_move_the_conversation_back(notebook: FakeNotebook, deleted: bool) -> None:
    """If a question was asked since, which continued from before, and whose cell is still there.

    If that has the same token, the service would return its reply instead.
    """
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("b", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    after = notebook.run("c").context_token
    if deleted:
        notebook.session.mark_deleted({"c"})
    fetched = notebook.session.fetch_unfinished(token)
    if after == token:
        assert fetched is None
        return
    assert fetched is not None
    assert fetched.done.wait(5)
    note = "The next question continues after turn 3; --after 2 asks it after this one."
    assert (note in fetched.notes) is not deleted
    assert shape(notebook.tree) == (["1", "2<1*", "3<1"] if deleted else ["1", "2<1", "3<1*"])
    assert notebook.context_token == (token if deleted else after)
    notebook.run("d")
    assert notebook.tokens[-1] == (token if deleted else after)


def test_a_late_fetch_leaves_the_newest_unfinished_question(notebook: FakeNotebook) -> None:
    """It is the one that is fetched without a token."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=2)
    first = notebook.run("b", interrupt=True).context_token
    second = notebook.run("c", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    if first == second:
        return
    for token in (first, None):
        fetched = notebook.session.fetch_unfinished(token)
        assert fetched is not None
        assert fetched.done.wait(5)
    assert [turn.status for turn in notebook.tree] == ["complete"] * 3
    assert notebook.context_token == second


@pytest.mark.parametrize("again", ["complete", "interrupted"])
def test_a_fetch_does_not_replace_the_reply_of_a_later_question(
    notebook: FakeNotebook, again: str
) -> None:
    """Of a cell that was run again; and the fetched reply of that is a newer one of its turn."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("b", interrupt=True).context_token
    if again == "interrupted":
        notebook.sandbox.set_faults(say=None)
        notebook.run("b")
        notebook.run("c")
        notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
        notebook.run(Cell("b", "Changed"), interrupt=True)
        fetched = notebook.session.fetch_unfinished()
        assert fetched is not None
        assert fetched.done.wait(5)
        assert "Turn 3 is stale now; run its cell again." in fetched.notes
        assert notebook.tree.by_number(2).revision == 2
        return
    notebook.sandbox.set_faults(latency=1)
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert notebook.sandbox.log.wait(lambda seen: seen[-1].endpoint == "fetch-response")
    notebook.sandbox.set_faults(latency=0, say="Newer.")
    after = notebook.run("b").context_token
    assert fetched.done.wait(5)
    turn = notebook.tree.by_number(2)
    assert (turn.reply.text, turn.revision) == ("Newer.", 1)
    assert notebook.context_token == after


def test_a_fetched_reply_that_is_not_taken_does_not_switch_the_conversation(
    notebook: FakeNotebook,
) -> None:
    """Its turn was asked again, and another conversation begun, while it was fetched."""
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("a", interrupt=True).context_token
    notebook.sandbox.set_faults(latency=1)
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert notebook.sandbox.log.wait(lambda seen: seen[-1].endpoint == "fetch-response")
    notebook.sandbox.set_faults(latency=0, say="Newer.")
    notebook.run("a")
    other = notebook.session.new("other")
    assert fetched.done.wait(5)
    assert notebook.session.tree is other
    assert notebook.context_token is None


def test_another_question_is_kept_instead_of_a_part_of_a_reply(
    notebook: FakeNotebook,
) -> None:
    """It may have been charged."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    notebook.run("b", interrupt=True)
    notebook.sandbox.set_faults(say=None, refuse=(Refusal("create-response", 500),))
    notebook.fails(Cell("b", "Changed"))
    assert notebook.tree.by_number(2).question == "Changed"


@pytest.mark.parametrize("first", ["two", "three"])
def test_questions_to_an_agent_at_the_same_time_are_one_line(
    chat: FakeNotebook, first: str
) -> None:
    """In the order in which they were asked, whichever is answered first; it goes on after them."""
    chat.run("one")
    waits = {"two": 0.05, "three": 0.0} if first == "three" else {"two": 0.0, "three": 0.05}
    asked = []
    for text, pause in waits.items():
        chat.sandbox.set_faults(say="word " * 20, pause=pause)
        position = chat.session.position_for(cell=text)
        asked.append(chat.session.ask(make_question(text, position.token), position))
        assert asked[-1].sent.wait(5)
        assert asked[-1].changed.wait(5)
    quick = asked[["two", "three"].index(first)]
    assert quick.done.wait(10)
    assert sum(one.done.is_set() for one in asked) == 1
    assert all(one.done.wait(10) for one in asked)
    chat.sandbox.set_faults(pause=0)
    chat.run("four")
    numbers = [turn.question for turn in chat.tree.head.path()]
    assert numbers == ["question of one", "two", "three", "question of four"]
    assert not chat.tree.stale()


def test_a_refused_question_does_not_replace_a_part_of_a_reply(notebook: FakeNotebook) -> None:
    """To the same question: it can still be fetched by its token, and stays where it is."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    reply = notebook.run("b", interrupt=True)
    notebook.sandbox.set_faults(say=None)
    notebook.run("c")
    notebook.sandbox.set_faults(refuse=(Refusal("create-response", 400),))
    notebook.fails("b")
    turn = notebook.tree.by_number(2)
    assert (turn.reply.text, turn.question) == (reply.text, "question of b")
    assert turn.parent is notebook.tree.by_number(1)
    if notebook.tree.by_number(3).token == reply.context_token:
        return
    fetched = notebook.session.fetch_unfinished(reply.context_token)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert fetched.turn.status == "complete"


def test_what_was_asked_while_the_history_was_off_is_never_stored(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Also when it is on again, and the conversation goes on."""
    path = tmp_path / "history.sqlite"
    notebook = FakeNotebook(sandbox, history=path)
    notebook.run("one")
    notebook.session.set_history_file(None)
    notebook.run(Cell("two", "About the platypus"))
    notebook.session.set_history_file(path)
    notebook.run("three")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    notebook.close()
    stored = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"question of three" in stored
    assert b"platypus" not in stored


def test_a_conversation_that_is_forgotten_during_a_reply_stays_forgotten(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """In the history, and for the next fetch."""
    path = tmp_path / "history.sqlite"
    notebook = FakeNotebook(sandbox, history=path)
    session, history = notebook.session, HistoryStore(path)
    notebook.run("a")
    for interrupted in (False, True):
        sandbox.set_faults(say="word " * 20, pause=0.05)
        position = session.position_for(cell="b")
        asked = session.ask(make_question("secret", position.token), position)
        assert asked.changed.wait(5)
        if session.tree.history_id is not None:
            history.forget(session.tree.history_id)
        session.forget(session.tree)
        if interrupted:
            asked.stop()
        assert asked.done.wait(5)
        assert list(history.conversations()) == []
        assert session.unfinished is session.lost is None
    sandbox.set_faults(pause=0, say=None, refuse=(Refusal("create-response", page="drop"),))
    notebook.fails(Cell("c", "question of c", {"conversation": "side"}))
    assert session.lost is not None
    session.forget(session.registry.conversations["side"])
    assert session.fetch_unfinished() is None
    history.close()
    notebook.close()


def test_an_agent_has_a_lost_question_in_its_line(chat: FakeNotebook) -> None:
    """As one whose kernel was killed; and only the newest one is asked again."""
    chat.run("one")
    chat.sandbox.set_faults(say="one two three four", stall_after=150, stall_times=1)
    stopped = chat.run("two", interrupt=True)
    chat.sandbox.set_faults(say=None)
    tree = chat.tree
    assert tree.can_rerun(tree.by_number(2))
    lost = tree.mark_lost(tree.start(tree.at_head(), "three"), stopped.context_token)
    assert not tree.can_rerun(tree.by_number(2))
    assert tree.can_rerun(lost)
    chat.run("four")
    assert "├" not in tree_text(tree)


def test_a_late_fetch_that_fails_is_not_the_newest_question(notebook: FakeNotebook) -> None:
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("b", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    after = notebook.run("c").context_token
    if after == token:
        return
    notebook.sandbox.set_faults(refuse=(Refusal("fetch-response", 400),))
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert fetched.error is not None
    assert notebook.session.unfinished is notebook.session.lost is None
    assert notebook.session.fetch_unfinished() is None


def test_a_reply_that_was_fetched_by_a_resume_is_not_fetched_again(notebook: FakeNotebook) -> None:
    """And what is shown of the conversation is told so."""
    notebook.run("a")
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    notebook.run("b", interrupt=True)
    session = notebook.session
    assert session.unfinished is not None
    pending, token = session.unfinished
    task = ReplyTask(session.io_loop, session.fetch_stream(token))
    assert task.done.wait(5)
    session.observers.append(observer := Observer(notebook))
    session.finish_fetched(pending, task.reply)
    assert session.fetch_unfinished() is None
    session.io_loop.submit(asyncio.sleep(0)).result(5)
    assert [name for name, *_ in observer.calls] == ["changed"]


def test_a_fetch_moves_the_conversation_if_what_was_asked_since_has_failed(
    notebook: FakeNotebook,
) -> None:
    """A failed question changes nothing."""
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("a", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None, refuse=(Refusal("create-response", 400),))
    notebook.fails("b")
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert notebook.context_token == token


def test_a_fetch_does_not_return_to_another_conversation(notebook: FakeNotebook) -> None:
    """If the current one was asked in since."""
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("a", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    other = notebook.session.new("other")
    after = notebook.run("b").context_token
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert notebook.session.tree is other
    assert notebook.context_token == after
    assert notebook.session.use("main").current_token == token


def test_a_late_fetch_does_not_make_its_conversation_the_newest(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A later kernel continues the one that was asked in last."""
    path = tmp_path / "history.sqlite"
    notebook = FakeNotebook(sandbox, history=path)
    sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("a", interrupt=True).context_token
    sandbox.set_faults(say=None)
    notebook.session.new("other")
    notebook.run("b")
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert fetched.done.wait(5)
    notebook.close()
    with closing(HistoryStore(path)) as history:
        found = [(stored.name, stored.answered) for stored in history.conversations()]
    assert found == [("other", True), ("main", True)]


@pytest.mark.parametrize("refusal", [Refusal(status=401, times=9), Refusal(page="drop", times=9)])
def test_a_reply_that_cannot_be_fetched_now_is_fetched_later(
    notebook: FakeNotebook, refusal: Refusal
) -> None:
    """Its text is kept, and its turn stays incomplete."""
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    text = notebook.run("a", interrupt=True).text
    notebook.sandbox.set_faults(say=None, refuse=(refusal,))
    failed = notebook.session.fetch_unfinished()
    assert failed is not None
    assert failed.done.wait(10)
    assert failed.error is not None
    assert shape(notebook.tree) == ["1 incomplete"]
    assert text
    assert notebook.tree.turns[0].reply is not None
    assert notebook.tree.turns[0].reply.text == text
    notebook.sandbox.set_faults(refuse=())
    fetched = notebook.session.fetch_unfinished()
    assert fetched is not None
    assert fetched.done.wait(5)
    assert shape(notebook.tree) == ["1*"]


def test_after_another_question_the_newest_reply_is_fetched(notebook: FakeNotebook) -> None:
    """The interrupted one is still known by its token."""
    notebook.sandbox.set_faults(say="one two three four", stall_after=900, stall_times=1)
    token = notebook.run("a", interrupt=True).context_token
    notebook.sandbox.set_faults(say=None)
    notebook.run("b")
    assert notebook.session.fetch_unfinished() is None
    fetched = notebook.session.fetch_unfinished(token)
    assert fetched is not None
    assert fetched.done.wait(5)
    assert notebook.tree.turns[0].reply == fetched.reply


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"cut_after": 0, "cut_times": 9}, "ended before its token came"),
        ({"generation": "fails"}, "failed"),
    ],
)
def test_no_reply_of_an_earlier_turn_is_fetched_for_a_question_that_failed(
    notebook: FakeNotebook, faults: dict[str, Any], why: str
) -> None:
    """The error names the token that can be fetched; a token that is assigned is fetched."""
    session = notebook.session
    notebook.sandbox.set_faults(**faults)
    notebook.fails("a")
    with pytest.raises(UsageError, match=rf"^Turn 1, the newest question, {why}") as caught:
        session.fetch_unfinished()
    assert "%aeron fetch" not in caught.value.hint
    notebook.sandbox.faults = Faults()
    token = notebook.run("b").context_token
    assert session.fetch_unfinished() is None
    notebook.sandbox.set_faults(**faults)
    notebook.fails("c")
    with pytest.raises(UsageError, match=r"^Turn 3, the newest question") as caught:
        session.fetch_unfinished()
    assert f"`%aeron fetch {token}` shows the reply of turn 2." in caught.value.hint
    notebook.namespace["context_token"] = "of another notebook"
    assert session.fetch_unfinished() is None
    notebook.namespace["context_token"] = token
    session.use("main")
    assert session.fetch_unfinished() is None


# Branches and names --------------------------------------------------------------------------


def test_a_branch_run_again_stays_a_branch(notebook: FakeNotebook) -> None:
    """Both branches follow the same turn."""
    cells = ["a", "b", Cell("c", "instead", {"after": "1"})]
    notebook.run_all(*cells)
    notebook.run_all(*cells)
    assert shape(notebook.tree) == ["1", "2<1", "3<1*"]
    assert notebook.tokens[:3] == [None, notebook.received(0), notebook.received(0)]
    assert notebook.tokens[3:] == [None, notebook.received(3), notebook.received(3)]


def test_names_of_turns_can_be_continued(notebook: FakeNotebook) -> None:
    """The name stays with the turn when its cell runs again."""
    notebook.run_all(Cell("a", "plan", {"name": "plan"}), "b")
    notebook.run(Cell("a", "plan better", {"name": "plan"}))
    notebook.run(Cell("c", "cheaper", {"after": "plan"}))
    assert shape(notebook.tree) == ["1", "2<1 stale", "3<1*"]
    assert notebook.tokens[3] == notebook.received(2)


def test_several_conversations_run_twice_add_nothing(notebook: FakeNotebook) -> None:
    """Each is a conversation at the service."""
    cells = [
        "a",
        Cell("b", "plots", {"conversation": "plots"}),
        "c",
        Cell("d", "new", {"new": True}),
    ]
    notebook.run_all(*cells)
    notebook.run_all(*cells)
    trees = notebook.session.registry.conversations
    assert {name: shape(tree) for name, tree in trees.items()} == {
        "main": ["1*"],
        "plots": ["1", "2<1*"],
        "conversation-2": ["1*"],
    }
    assert notebook.tokens[:4] == [None, None, notebook.received(1), None]
    assert notebook.tokens[4:] == [None, None, notebook.received(5), None]


def test_new_and_use_move_the_token(notebook: FakeNotebook) -> None:
    """The variable follows the current conversation."""
    notebook.run("a")
    notebook.session.new("plots")
    assert notebook.context_token is None
    notebook.run("b")
    notebook.session.use("main")
    assert notebook.context_token == notebook.received(0)
    notebook.run("c")
    assert notebook.tokens == [None, None, notebook.received(0)]


def test_the_old_cells_build_a_conversation_that_was_restarted(notebook: FakeNotebook) -> None:
    """The first conversation does not change."""
    notebook.run_all(*"ab")
    notebook.session.new("again")
    notebook.run_all(*"ab")
    assert {
        name: shape(tree) for name, tree in notebook.session.registry.conversations.items()
    } == {
        "main": ["1", "2<1*"],
        "again": ["1", "2<1*"],
    }
    assert notebook.tokens[2:] == [None, notebook.received(2)]


# The variable --------------------------------------------------------------------------------


def test_blanks_around_a_token_are_those_of_a_line_that_assigned_it() -> None:
    """A token of the service is sent back as it is."""
    token = TokenVariable({})
    token.write(" t-1 ")
    assert token.read() == " t-1 "
    assert not token.assigned_by_user
    token._namespace[token.NAME] = " t-2\n"
    assert token.read() == "t-2"
    assert token.assigned_by_user


class _ForeignText(str):
    """Its methods must not be called."""

    __slots__ = ()
    __hash__ = str.__hash__
    strip = __str__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class _Broken:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_any_object_may_be_assigned_as_token() -> None:
    """Also a table with a column ``context_token``."""
    token = TokenVariable({})
    for value, read in [
        (_ForeignText(" t "), "t"),
        ("  ", None),
        (Reply("", context_token="t"), "t"),
    ]:
        token._namespace[token.NAME] = value
        assert repr(token.read()) == repr(read)
    for value in (pandas.DataFrame({"context_token": ["t-1", "t-2"]}), _Broken(), 5, ["t-1"]):
        token._namespace[token.NAME] = value
        with pytest.raises(UsageError, match=f"not {type(value).__name__}"):
            token.read()


def test_a_token_that_is_there_at_the_start_is_used(notebook: FakeNotebook) -> None:
    """The first turn continues from that token, at each run."""
    notebook.run("a")
    other = FakeNotebook(notebook.sandbox)
    other.context_token = notebook.received(0)
    other.run("x")
    other.run("x")
    assert shape(other.tree) == ["1*"]
    assert notebook.tokens == [None, notebook.received(0), notebook.received(0)]
    other.close()


def test_a_token_assigned_by_hand_wins_over_the_cell(notebook: FakeNotebook) -> None:
    """The cell's turn moves; then the variable follows the replies again."""
    notebook.run_all(*"abc")
    notebook.context_token = notebook.received(0)
    notebook.run("c")
    assert notebook.tokens[3] == notebook.received(0)
    assert notebook.context_token == notebook.received(3)


@pytest.mark.parametrize("how", ["assigned", "deleted"])
def test_none_starts_a_conversation(notebook: FakeNotebook, how: str) -> None:
    """Assigned, or the variable deleted."""
    notebook.run("a")
    if how == "assigned":
        notebook.context_token = None
    else:
        del notebook.namespace["context_token"]
    notebook.run("b")
    assert notebook.tokens == [None, None]
    assert shape(notebook.tree) == ["1", "2*"]


def test_a_token_of_another_conversation_switches_to_it(notebook: FakeNotebook) -> None:
    """The question continues that one, and it becomes the current one."""
    notebook.run("a")
    notebook.session.new("plots")
    notebook.run("b")
    notebook.context_token = notebook.received(0)
    notebook.run("c")
    assert notebook.tree.name == "main"
    assert shape(notebook.tree) == ["1", "2<1*"]


def test_after_a_failure_the_assigned_token_still_counts(notebook: FakeNotebook) -> None:
    """A failed question does not change the variable."""
    notebook.run_all(*"ab")
    notebook.context_token = notebook.received(0)
    refuse_next(notebook)
    notebook.fails("c")
    notebook.run("d")
    assert notebook.tokens[2:] == [notebook.received(0), notebook.received(0)]


# Another address -----------------------------------------------------------------------------


def test_each_address_has_conversations_of_its_own(notebook: FakeNotebook) -> None:
    """Connecting to the first address again finds them unchanged."""
    notebook.run_all(*"ab")
    first = notebook.sandbox.aeronpay_url
    with Sandbox() as elsewhere:
        for url in (elsewhere.aeronpay_url, first):
            notebook.session.connect("aeronpay", base_url=url, client_id="me", client_secret="mine")
            notebook.run("a")
        assert [seen.body.get("context_token") for seen in elsewhere.log] == [None]
    assert shape(notebook.tree) == ["1*", "2<1 stale"]


# Chatzy --------------------------------------------------------------------------------------


def asked_of_chatzy(chat: FakeNotebook) -> list[tuple[str, str]]:
    """The questions that were sent, each with its conversation."""
    return [
        (seen.body["messages"]["content"], seen.body["conversation_id"])
        for seen in chat.sandbox.log.of("get_inference")
    ]


def test_chatzy_has_one_token_for_a_conversation(chat: FakeNotebook) -> None:
    """The token is the conversation's id."""
    chat.run_all(*"ab")
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 1
    assert chat.context_token == asked_of_chatzy(chat)[0][1]


def test_chatzy_run_all_twice_makes_two_conversations_at_the_service(chat: FakeNotebook) -> None:
    """Each has the questions once; the notebook has one conversation."""
    chat.run_all(*"ab")
    chat.run_all(*"ab")
    first, second, third, fourth = (conversation for _, conversation in asked_of_chatzy(chat))
    assert (first, third) == (second, fourth)
    assert first != third
    assert shape(chat.tree) == ["1", "2<1*"]


@pytest.mark.parametrize(
    "cell", ["b", Cell("d", "a branch", {"after": "1"})], ids=["again", "branch"]
)
def test_chatzy_cannot_go_back(chat: FakeNotebook, cell: Cell | str) -> None:
    """Nothing is sent or changed; the hint names a new conversation."""
    chat.run_all(*"abc")
    error = chat.fails(cell)
    assert "can continue only after turn 3" in str(error)
    assert "`-n` starts a new conversation" in error.hint
    assert len(asked_of_chatzy(chat)) == 3
    assert shape(chat.tree) == ["1", "2<1", "3<2*"]


def test_chatzy_starts_another_conversation_with_new(chat: FakeNotebook) -> None:
    """The remedy that the error names."""
    chat.run_all(*"ab")
    chat.run(Cell("b", "question of b", {"new": True}))
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 2


def test_chatzy_has_no_unfinished_reply_that_could_be_fetched(
    chat: FakeNotebook, tmp_path: Path
) -> None:
    """It stays as it is, also in the history: ``resume`` does not report it as lost."""
    chat.session.set_history_file(tmp_path / "history.sqlite3")
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("a", interrupt=True)
    assert chat.session.fetch_unfinished() is None
    assert chat.session.history_writer.unfinished(chat.tree) == []


def test_chatzy_asks_an_interrupted_question_again_with_a_note(
    chat: FakeNotebook,
) -> None:
    """The service may have it twice."""
    chat.run("a")
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("b", interrupt=True)
    chat.sandbox.set_faults(say=None)
    chat.run("b")
    assert shape(chat.tree) == ["1", "2<1*"]
    assert "may contain this question twice" in chat.notes[0]


ENDS_AFTER_THE_TOKEN: dict[str, dict[str, Any]] = {
    "cut": {"cut_after": 150, "cut_times": 9},
    "interrupted": {"stall_after": 150},
    "failed": {"signal": "__ERROR__: out of order"},
    "its temporary token refused": {"refuse": (Refusal("get-response", 401, 9),)},
}


@pytest.mark.parametrize("end", ENDS_AFTER_THE_TOKEN)
@pytest.mark.parametrize("place", ["first", "later", "new"])
def test_a_conversation_with_chatzy_continues_after_any_end_of_a_question(
    chat: FakeNotebook, end: str, place: str
) -> None:
    """It has one token, which came with the first question; a later one cannot be separated."""
    if place != "first":
        chat.run("a")
    last = Cell("x", "what?", {"new": True} if place == "new" else {})
    faults = ENDS_AFTER_THE_TOKEN[end]
    chat.sandbox.set_faults(say="one two three four", **faults)
    with suppress(ReplyError):
        chat.run(last, interrupt=end == "interrupted")
    chat.sandbox.set_faults(**{name: getattr(Faults(), name) for name in faults})
    asked = asked_of_chatzy(chat)
    assert chat.context_token == asked[-1][1]
    chat.run_all("y", "z")
    conversations = [conversation for _, conversation in asked_of_chatzy(chat)]
    assert set(conversations[len(asked) - 1 :]) == {asked[-1][1]}
    assert len(set(conversations)) == (2 if place == "new" else 1)


def test_a_first_question_to_chatzy_that_is_asked_again_starts_another_conversation(
    chat: FakeNotebook,
) -> None:
    """So that the service does not have it twice. A deleted one is not continued."""
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("a", interrupt=True)
    chat.sandbox.set_faults(say=None)
    chat.run_all("a", "b")
    conversations = [conversation for _, conversation in asked_of_chatzy(chat)]
    assert conversations[0] != conversations[1] == conversations[2]
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run(Cell("c", "another", {"new": True}), interrupt=True)
    chat.session.registry.mark_deleted({"c"})
    chat.sandbox.set_faults(say=None)
    chat.run("d")
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 4


def test_a_branch_of_chatzy_without_a_complete_reply_can_be_chosen(chat: FakeNotebook) -> None:
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("a", interrupt=True)
    chat.sandbox.set_faults(say=None)
    chat.context_token = ""
    chat.run("b")
    for turn in chat.tree.turns:
        chat.session.select_branch(chat.tree, turn)
        conversation = asked_of_chatzy(chat)[turn.number - 1][1]
        assert chat.context_token == conversation
        assert chat.session.position_for().token == conversation


def test_a_question_after_a_cut_one_of_chatzy_is_shown_in_one_line(chat: FakeNotebook) -> None:
    """The service answers after both: no branch, and no note that only the first is continued."""
    chat.run("a")
    chat.sandbox.set_faults(say="one two three four", **CUT)
    chat.fails("b")
    chat.sandbox.set_faults(**WHOLE)
    chat.run_all("c", "d")
    assert chat.notes == []
    assert not set("├└│") & set(tree_text(chat.tree))
    rows = turns_table(chat.tree, chat.tree.turns, set()).rows
    assert [row[1] for row in rows] == ["", "1", "2", "3"]
    assert ", after" not in as_markdown(chat.tree)
    assert "after turn" not in as_page(chat.tree)


def test_a_question_after_chatzys_first_one_was_asked_again_is_shown_after_that(
    chat: FakeNotebook,
) -> None:
    """The turns after the earlier reply are in another conversation of the service."""
    chat.run_all("a", "b", "c")
    chat.run("a")
    chat.run("d")
    rows = turns_table(chat.tree, chat.tree.turns, set()).rows
    assert [row[1] for row in rows] == ["", "1", "2", "1"]
    assert "after Turn 1" in as_markdown(chat.tree)


CUT: dict[str, Any] = {"cut_after": 150, "cut_times": 9}
WHOLE: dict[str, Any] = {name: getattr(Faults(), name) for name in CUT}


@pytest.fixture
def opened(chat: FakeNotebook) -> FakeNotebook:
    """A notebook on Chatzy whose first question has no complete reply, and two later ones."""
    chat.sandbox.set_faults(say="one two three four", **CUT)
    chat.fails("a")
    chat.sandbox.set_faults(**WHOLE)
    chat.run_all("b", "c")
    return chat


def test_a_question_after_the_opening_turn_of_chatzy_follows_it(opened: FakeNotebook) -> None:
    """With the opening turn, it is one line; its token finds the newest turn of it."""
    assert shape(opened.tree) == ["1 incomplete", "2<1", "3<2*"]
    assert opened.context_token == opened.tree.turns[1].parent_token
    assert opened.tree.by_token(opened.context_token or "") is opened.tree.turns[2]
    error = opened.fails(Cell("d", "a branch", {"after": "1"}))
    assert "can continue only after turn 3" in str(error)


STALE = "Turns 2 and 3 are stale now; run their cells again."


def test_the_turns_after_the_opening_turn_of_chatzy_are_stale_once_it_is_asked_again(
    opened: FakeNotebook,
) -> None:
    """It began another conversation, with a complete reply or not."""
    opened.sandbox.set_faults(**CUT)
    opened.fails("a")
    assert shape(opened.tree) == ["1* incomplete", "2<1 stale", "3<2 stale"]
    assert STALE in opened.notes
    assert opened.context_token == asked_of_chatzy(opened)[-1][1]
    opened.sandbox.set_faults(**WHOLE)
    opened.run("b")
    assert shape(opened.tree) == ["1 incomplete", "2<1*", "3<2 stale"]
    opened.run("a")
    assert shape(opened.tree) == ["1*", "2<1 stale", "3<2 stale"]
    assert "Turn 2 is stale now; run its cell again." in opened.notes
    assert opened.context_token == asked_of_chatzy(opened)[-1][1]
    opened.run_all("b", "c")
    assert shape(opened.tree) == ["1", "2<1", "3<2*"]
    assert len({conversation for _, conversation in asked_of_chatzy(opened)[-3:]}) == 1


def test_the_opening_turn_of_chatzy_asked_again_without_a_token_changes_no_other_turn(
    opened: FakeNotebook,
) -> None:
    """Its conversation is continued where it was."""
    before = opened.context_token
    opened.sandbox.set_faults(refuse=(Refusal("get_inference", 400, 9),))
    opened.fails("a")
    opened.sandbox.set_faults(refuse=())
    assert [one.split()[0] for one in shape(opened.tree)] == ["1", "2<1", "3<2*"]
    assert opened.context_token == before
    assert not opened.tree.stale()


@pytest.mark.parametrize("end", ["cut", "refused"])
def test_an_opening_turn_of_chatzy_keeps_its_place_if_it_fails_after_another_start(
    chat: FakeNotebook, end: str
) -> None:
    """There are two conversations then; the question is in the other one once."""
    chat.run("a")
    chat.context_token = None
    chat.sandbox.set_faults(say="one two three four", **CUT)
    chat.fails("b")
    chat.sandbox.set_faults(**WHOLE)
    chat.run_all("c", "a")
    before = chat.context_token
    faults = CUT if end == "cut" else {"refuse": (Refusal("get_inference", 400, 9),)}
    chat.sandbox.set_faults(**faults)
    chat.fails("b")
    assert shape(chat.tree) == ["1*", "2 incomplete", "3<2"]
    assert chat.context_token == before
    assert "question twice" not in str(chat.notes)


@pytest.mark.parametrize("between", ["", "a", "ab"])
def test_a_run_from_the_start_with_an_opening_turn_of_chatzy_is_as_in_a_new_kernel(
    opened: FakeNotebook, between: str
) -> None:
    """The first question has no complete reply again; also if it had one in between."""
    opened.run_all(*between)
    opened.session.rebuild()
    assert opened.context_token is None
    opened.sandbox.set_faults(**CUT)
    opened.fails("a")
    assert opened.context_token == asked_of_chatzy(opened)[-1][1]
    assert len(opened.tree.stale()) == 2
    opened.sandbox.set_faults(**WHOLE)
    opened.run_all("b", "c")
    opened.session.rebuilt()
    assert shape(opened.tree) == ["1" if between else "1 incomplete", "2<1", "3<2*"]
    assert len({conversation for _, conversation in asked_of_chatzy(opened)[-3:]}) == 1


def test_a_run_from_the_start_with_a_second_opening_turn_of_chatzy_is_as_in_a_new_kernel(
    chat: FakeNotebook,
) -> None:
    """After ``context_token = None``; the turn had a complete reply before."""
    chat.sandbox.set_faults(say="one two three four")
    for is_cut in (False, True):
        chat.session.rebuild()
        chat.run("a")
        chat.context_token = None
        if is_cut:
            chat.sandbox.set_faults(**CUT)
            chat.fails("b")
            chat.sandbox.set_faults(**WHOLE)
        else:
            chat.run("b")
        chat.run("c")
        chat.session.rebuilt()
        assert shape(chat.tree) == ["1", "2", "3<2*"]
        (_, second), (_, third) = asked_of_chatzy(chat)[-2:]
        assert second == third


@pytest.mark.parametrize("how", ["after", "assigned", "panel"])
def test_the_opening_turn_of_chatzy_can_be_named_to_continue(chat: FakeNotebook, how: str) -> None:
    """By its number, its token, or as the branch that the panel shows."""
    chat.sandbox.set_faults(say="one two three four", **CUT)
    chat.fails("a")
    chat.sandbox.set_faults(**WHOLE)
    options = {"after": "1"} if how == "after" else {}
    if how == "assigned":
        chat.namespace["context_token"] = str(chat.context_token)
    elif how == "panel":
        chat.session.select_branch(chat.tree, chat.tree.turns[0])
    chat.run(Cell("b", "next", options))
    assert shape(chat.tree) == ["1 incomplete", "2<1*"]
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 1


@pytest.mark.parametrize("done", ["before", "in the run"])
def test_a_run_from_the_start_forgets_a_first_question_to_chatzy(
    chat: FakeNotebook, done: str
) -> None:
    """Also one that is not asked again. If nothing is asked, its conversation continues."""
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("a", interrupt=True)
    chat.sandbox.set_faults(say=None)
    chat.session.rebuild()
    assert chat.context_token is None
    if done == "in the run":
        chat.run("b")
    chat.session.rebuilt()
    chat.run("c")
    (_, first), *others = asked_of_chatzy(chat)
    assert all((conversation == first) is (done == "before") for _, conversation in others)


# What the service says of the parent ---------------------------------------------------------


def test_another_parent_than_the_one_asked_for_is_shown(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the output's note and in its metadata."""
    notebook = FakeNotebook(sandbox)
    notebook.run("a")
    tokens = ReplyAccumulator._set_tokens
    monkeypatch.setattr(
        ReplyAccumulator, "_set_tokens", lambda self, token, _parent: tokens(self, token, "another")
    )
    notebook.run("b")
    assert "this reply follows another" in notebook.session.last_metadata["notes"][0]
    notebook.close()


@pytest.mark.parametrize("stored", [True, False])
def test_rows_of_batches_are_kept(tmp_path: Path, stored: bool) -> None:
    """In the history, for the next kernel; without one, until this kernel ends."""
    history = tmp_path / "history.sqlite" if stored else None
    with Sandbox() as sandbox:
        notebooks = [FakeNotebook(sandbox, history=history) for _ in range(2)]
        found = []
        for number, notebook in enumerate([notebooks[0], *notebooks]):
            rows = notebook.session.kept_rows()
            if not number:
                rows.mark_sent("a", "x")
            found.append(rows.get("a", "x") is not None)
            rows.close()
            assert rows.scope == ""
        for notebook in notebooks:
            notebook.close()
    assert found == [True, True, stored]


def test_rows_are_kept_for_the_answers_of_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file, or other content, is another agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    file = tmp_path / "answers.csv"
    session, keys = Session({}), []
    try:
        for content, answers in (
            ("One", "~/answers.csv"),
            ("", None),
            ("Two", str(file)),
            ("Three", ""),  # the sandbox reads a file again that has changed
        ):
            if content:
                file.write_text(f"question,answer\nHello,{content}")
            if answers != "":
                session.connect("aeronpay", sandbox=True, answers=answers)
            connection = session.ensure_connected()
            keys.append(session.kept_rows().key(make_question("Hello"), connection.settings))
    finally:
        session.close()
    assert len({*keys}) == 4


def test_a_relative_file_of_answers_does_not_depend_on_the_folder_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `%cd`; what is answered while it cannot be read is not used later."""
    (tmp_path / "answers.csv").write_text("question,answer\nHello,One")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    session, question = Session({}), make_question("Hello")
    try:
        settings = session.connect("aeronpay", sandbox=True, answers="answers.csv").settings
        before = session.kept_rows().key(question, settings)
        monkeypatch.chdir(tmp_path / "other")
        assert session.kept_rows().key(question, settings) == before
        asked = session.ask(question, session.position_for())
        assert asked.done.wait(5)
        assert asked.reply.text == "One"
        (tmp_path / "answers.csv").unlink()
        assert len({session.kept_rows().key(question, settings) for _ in range(2)}) == 2
    finally:
        session.close()
