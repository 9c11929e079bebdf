"""Cells run again, out of order, edited, failed: the tree that is left, and what was sent.

Each under both readings of the vendor's page: a token for each reply, or one for the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_notebook import Cell, FakeNotebook, shape

from aeron_magic.client.client import make_question
from aeron_magic.errors import FailedReply, TokenError, Unreachable, UsageError, ValueRefused
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.faults import Refusal
from aeron_magic.session.session import Session


@pytest.fixture(params=["new", "same"])
def rule(request: pytest.FixtureRequest) -> str:
    """How the service gives tokens."""
    value: str = request.param
    return value


@pytest.fixture
def notebook(rule: str) -> Iterator[FakeNotebook]:
    """A notebook on a service of that rule."""
    with Sandbox(token_rule=rule) as sandbox:  # type: ignore[arg-type]
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
    """And the variable holds its token."""
    assert notebook.context_token is None
    notebook.run_all(*"abc")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens == [None, notebook.received(0), notebook.received(1)]
    assert notebook.context_token == notebook.received(2)
    assert notebook.remote == questions(*"abc")


@pytest.mark.parametrize("where", ["question", "token"])
def test_half_a_character_is_refused_before_anything_is_kept_of_it(
    sandbox: Sandbox, tmp_path: Path, where: str
) -> None:
    """The local history could not write it either."""
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
    for text in ("my secret-of-the-house", "x=secret-of-the-house\n"):
        with pytest.raises(ValueRefused) as caught:
            session.ask(make_question(text), session.position_for())
        assert "secret-of-the-house" not in "".join(caught.value.lines())
    session.connect("aeronpay", client_secret="anything", **here)
    session.validate(make_question("Ask me anything"))
    session.close()


def test_what_brought_no_text_is_not_the_last_reply(notebook: FakeNotebook) -> None:
    """``%aeron last`` has something to show."""
    notebook.run("a")
    last = notebook.session.last
    notebook.namespace["context_token"] = "unknown"
    notebook.fails("b")
    assert notebook.session.last is last


# Running cells again -------------------------------------------------------------------------


def test_run_all_twice_is_the_same_conversation_twice(notebook: FakeNotebook) -> None:
    """Never a doubled one: the service has each question once in the second, too."""
    notebook.run_all(*"abc")
    notebook.run_all(*"abc")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[3:] == [None, notebook.received(3), notebook.received(4)]
    assert notebook.remote == questions(*"abc")
    assert notebook.notes == []


def test_a_cell_run_again_leaves_later_turns_stale(notebook: FakeNotebook, rule: str) -> None:
    """It starts where it started before."""
    notebook.run_all(*"abc")
    notebook.run("b")
    assert shape(notebook.tree) == ["1", "2<1*", "3<2 stale"]
    assert notebook.tokens[3] == notebook.received(0)
    assert notebook.context_token == notebook.received(3)
    if rule == "new":
        assert notebook.remote == questions(*"ab")


def test_one_token_for_the_conversation_cannot_go_back_and_the_cell_says_so(
    notebook: FakeNotebook, rule: str
) -> None:
    """It turns out by the token that comes back; the other reading has nothing to tell."""
    notebook.run_all(*"abc")
    notebook.run("b")
    assert [note.split(":")[0] for note in notebook.notes] == (
        ["The service has one token for the whole conversation"] if rule == "same" else []
    )


def test_the_cell_after_continues_from_the_newest_reply_of_the_one_it_followed(
    notebook: FakeNotebook,
) -> None:
    """So the line is made whole again, cell by cell."""
    notebook.run_all(*"abc")
    notebook.run_all("b", "c")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]
    assert notebook.tokens[3:] == [notebook.received(0), notebook.received(3)]


def test_cells_out_of_order_stand_where_they_stood(notebook: FakeNotebook) -> None:
    """Running upwards: each replaces its own reply, and what follows it is stale."""
    notebook.run_all(*"abc")
    notebook.run_all("c", "a")
    assert shape(notebook.tree) == ["1*", "2<1 stale", "3<2 stale"]
    assert notebook.tokens[3:] == [notebook.received(1), None]


def test_a_first_run_out_of_order_is_the_order_of_the_conversation(notebook: FakeNotebook) -> None:
    """A cell follows the newest reply that there was when it was run first."""
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
    """Question and reply both."""
    notebook.run_all("a", "b")
    notebook.run(Cell("b", "a better question"))
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert [turn.question for turn in notebook.tree] == ["question of a", "a better question"]
    assert notebook.sent[2] == ("a better question", notebook.received(0))


def test_a_cell_inserted_in_the_middle_is_a_branch(notebook: FakeNotebook) -> None:
    """Run All leaves the cells after it where they were."""
    notebook.run_all("a", "c")
    notebook.run_all("a", "b", "c")
    assert shape(notebook.tree) == ["1", "2<1*", "3<1"]
    assert notebook.tokens[2:] == [None, notebook.received(2), notebook.received(2)]


def test_where_cells_have_no_id_each_run_is_a_new_turn(notebook: FakeNotebook) -> None:
    """Nothing says that it is the same question."""
    cells = [Cell(None, text) for text in questions(*"ab")]
    notebook.run_all(*cells, *cells)
    assert shape(notebook.tree) == ["1", "2<1", "3<2", "4<3*"]
    assert notebook.remote == questions(*"abab")


def test_where_cells_have_no_id_names_replace(notebook: FakeNotebook) -> None:
    """Asking again under the same name."""
    cells = [Cell(None, "one", {"name": "one"}), Cell(None, "two", {"name": "two"})]
    notebook.run_all(*cells, *cells)
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.remote == ["one", "two"]


# Failures ------------------------------------------------------------------------------------


def refuse_next(notebook: FakeNotebook, status: int = 500) -> None:
    notebook.sandbox.set_faults(refuse=(Refusal("create-response", status),))


def test_a_cell_that_fails_moves_nothing(notebook: FakeNotebook) -> None:
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
    """The turns after it are not stale by that."""
    notebook.run_all(*"ab")
    refuse_next(notebook)
    notebook.fails("a")
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.tree.turns[0].reply == notebook.replies[0]
    assert notebook.context_token == notebook.received(1)


def test_a_reply_that_the_service_could_not_give_is_kept_as_failed(notebook: FakeNotebook) -> None:
    """With its token; nothing else moves."""
    notebook.run("a")
    notebook.sandbox.set_faults(generation="fails-with-event")
    assert isinstance(notebook.fails("b"), FailedReply)
    assert shape(notebook.tree) == ["1*", "2<1 failed"]


def test_an_interrupted_cell_keeps_what_came_and_moves_nothing(notebook: FakeNotebook) -> None:
    """Asked again, it continues from where it did."""
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


def test_a_server_that_is_gone_leaves_the_conversation(notebook: FakeNotebook) -> None:
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
    assert error.hint.startswith("Nothing has changed here.")
    assert shape(notebook.tree) == ["1", "2<1*"]
    assert notebook.context_token == notebook.received(1)
    notebook.sandbox.set_faults(expired=())
    notebook.run("d")
    assert shape(notebook.tree) == ["1", "2<1", "3<2*"]


def test_a_question_of_which_nothing_was_sent_leaves_no_turn(chat: FakeNotebook) -> None:
    """Chatzy takes no images."""
    session = chat.session
    question = make_question("look", images=("https://example.org/a.png",))
    asked = session.ask(question, session.position_for())
    assert asked.done.wait(5)
    assert isinstance(asked.error, UsageError)
    assert shape(chat.tree) == []


# Branches and names --------------------------------------------------------------------------


def test_a_branch_run_again_stays_a_branch(notebook: FakeNotebook) -> None:
    """Both branches stand after the same turn."""
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
    """Each has its own line at the service."""
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
    """The variable is the current conversation's."""
    notebook.run("a")
    notebook.session.new("plots")
    assert notebook.context_token is None
    notebook.run("b")
    notebook.session.use("main")
    assert notebook.context_token == notebook.received(0)
    notebook.run("c")
    assert notebook.tokens == [None, None, notebook.received(0)]


def test_a_conversation_begun_anew_is_built_by_the_old_cells(notebook: FakeNotebook) -> None:
    """The first one stays as it was."""
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


def test_a_token_that_is_there_at_the_start_is_used(notebook: FakeNotebook) -> None:
    """The first turn continues from elsewhere; run again, it does so again."""
    notebook.run("a")
    other = FakeNotebook(notebook.sandbox)
    other.context_token = notebook.received(0)
    other.run("x")
    other.run("x")
    assert shape(other.tree) == ["1*"]
    assert notebook.tokens == [None, notebook.received(0), notebook.received(0)]
    other.close()


def test_a_token_assigned_by_hand_wins_over_the_cell(notebook: FakeNotebook) -> None:
    """The cell's turn moves; afterwards the rule holds again."""
    notebook.run_all(*"abc")
    notebook.context_token = notebook.received(0)
    notebook.run("c")
    assert notebook.tokens[3] == notebook.received(0)
    assert notebook.context_token == notebook.received(3)


@pytest.mark.parametrize("how", ["assigned", "deleted"])
def test_none_begins_anew(notebook: FakeNotebook, how: str) -> None:
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
    """A failed question moves nothing, the variable included."""
    notebook.run_all(*"ab")
    notebook.context_token = notebook.received(0)
    refuse_next(notebook)
    notebook.fails("c")
    notebook.run("d")
    assert notebook.tokens[2:] == [notebook.received(0), notebook.received(0)]


# Another address -----------------------------------------------------------------------------


def test_each_address_has_conversations_of_its_own(notebook: FakeNotebook) -> None:
    """Connecting to the first one again finds them as they were."""
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
    """The questions that went over the wire, each with its conversation."""
    return [
        (seen.body["messages"]["content"], seen.body["conversation_id"])
        for seen in chat.sandbox.log.of("get_inference")
    ]


def test_chatzy_keeps_one_conversation_for_a_line(chat: FakeNotebook) -> None:
    """Its token is the conversation's id."""
    chat.run_all(*"ab")
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 1
    assert chat.context_token == asked_of_chatzy(chat)[0][1]


def test_chatzy_run_all_twice_makes_two_conversations_at_the_service(chat: FakeNotebook) -> None:
    """In each the questions stand once; here it is one conversation still."""
    chat.run_all(*"ab")
    chat.run_all(*"ab")
    first, second, third, fourth = (conversation for _, conversation in asked_of_chatzy(chat))
    assert (first, third) == (second, fourth)
    assert first != third
    assert shape(chat.tree) == ["1", "2<1*"]


@pytest.mark.parametrize(
    "cell", ["b", Cell("d", "a branch", {"after": "1"})], ids=["again", "branch"]
)
def test_chatzy_cannot_go_back_and_says_so(chat: FakeNotebook, cell: Cell | str) -> None:
    """Nothing is sent, nothing changes, and a new conversation is offered."""
    chat.run_all(*"abc")
    error = chat.fails(cell)
    assert "keeps one line for each conversation" in str(error)
    assert "-n begins a new conversation" in error.hint
    assert len(asked_of_chatzy(chat)) == 3
    assert shape(chat.tree) == ["1", "2<1", "3<2*"]


def test_chatzy_begins_another_conversation_where_asked_to(chat: FakeNotebook) -> None:
    """The way out that the error names."""
    chat.run_all(*"ab")
    chat.run(Cell("b", "question of b", {"new": True}))
    assert len({conversation for _, conversation in asked_of_chatzy(chat)}) == 2


def test_chatzy_asks_an_interrupted_question_again_and_says_what_that_means(
    chat: FakeNotebook,
) -> None:
    """The service may have it twice."""
    chat.run("a")
    chat.sandbox.set_faults(say="one two three four", stall_after=150)
    chat.run("b", interrupt=True)
    chat.sandbox.set_faults(say=None)
    chat.run("b")
    assert shape(chat.tree) == ["1", "2<1*"]
    assert "may have this question twice" in chat.notes[0]


# What the service says of the parent ---------------------------------------------------------


def test_a_parent_that_is_another_than_ours_is_shown(
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
