"""Which conversation a question belongs to, and the notes on where it was answered."""

from __future__ import annotations

import itertools

import pytest

from aeron_magic.conversations.registry import (
    MAIN,
    AssignedToken,
    ConversationRegistry,
    divergence_notes,
)
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply, Status


class Notebook:
    """A registry whose questions are asked as cells do."""

    def __init__(self, service: str = "aeronpay") -> None:
        clock = itertools.count(1.0)
        self.registry = ConversationRegistry(service, clock=lambda: next(clock))
        self._tokens = itertools.count(1)

    def ask(
        self,
        cell: str | None = None,
        *,
        name: str | None = None,
        new: bool = False,
        conversation: str | None = None,
        after: str | None = None,
        assigned: AssignedToken | None = None,
        status: Status = "complete",
    ) -> Turn:
        position = self.registry.position_for(
            cell=cell, name=name, new=new, conversation=conversation, after=after, assigned=assigned
        )
        pending = self.registry.start(position, "why?")
        reply = Reply("because", status, f"token-{next(self._tokens):020}")
        return self.registry.finish(pending, reply)[0]

    @property
    def shape(self) -> dict[str, list[str]]:
        """The turns of each conversation as ``number<parent``."""
        return {
            tree.name: [
                f"{t.number}<{t.parent.number}" if t.parent else str(t.number) for t in tree
            ]
            for tree in self.registry
        }


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


def test_the_first_conversation_is_main(notebook: Notebook) -> None:
    notebook.ask()
    notebook.ask()
    assert notebook.shape == {MAIN: ["1", "2<1"]}


def test_position_for_changes_nothing(notebook: Notebook) -> None:
    """A position in a conversation that does not exist does not create it."""
    notebook.ask("a")
    before = notebook.registry.current
    notebook.registry.position_for(conversation="plots")
    notebook.registry.position_for(new=True)
    assert notebook.shape == {MAIN: ["1"]}
    assert notebook.registry.current is before


def test_position_for_does_not_end_a_run_of_all_cells(notebook: Notebook) -> None:
    """Not even without a cell, such as for the rows of ``--each --after``."""
    notebook.ask("a", name="first")
    notebook.registry.rebuild()
    notebook.registry.position_for(after="first")
    assert notebook.registry.is_rebuilding


def test_a_named_conversation_is_started_and_becomes_the_current_one(notebook: Notebook) -> None:
    """The next question without a name continues it."""
    notebook.ask("a")
    notebook.ask("b", conversation="plots")
    notebook.ask("c")
    assert notebook.shape == {MAIN: ["1"], "plots": ["1", "2<1"]}


def test_a_question_that_fails_does_not_switch(notebook: Notebook) -> None:
    """The conversation of the newest reply is still the current one."""
    notebook.ask("a")
    notebook.ask("b", conversation="plots", status="failed")
    assert notebook.registry.current.name == MAIN
    assert notebook.shape["plots"] == ["1"]


def test_a_cell_asks_again_in_its_own_conversation(notebook: Notebook) -> None:
    """Even if another one is current."""
    notebook.ask("a", conversation="one")
    notebook.ask("b")
    notebook.ask("c", conversation="two")
    turn = notebook.ask("b")
    assert notebook.registry.current.name == "one"
    assert (turn.number, turn.revision) == (2, 2)


@pytest.mark.parametrize("runs", [2, 3])
def test_run_all_with_several_conversations_adds_nothing(notebook: Notebook, runs: int) -> None:
    """Including options, -n and a conversation that was created."""
    for _ in range(runs):
        notebook.ask("a")
        notebook.ask("b", conversation="plots")
        notebook.ask("c")
        notebook.ask("d", new=True)
        notebook.ask("e")
        notebook.registry.new(by="new f")
        notebook.ask("g")
        notebook.ask("h", name="x")
    assert notebook.shape == {
        MAIN: ["1"],
        "plots": ["1", "2<1"],
        "conversation-2": ["1", "2<1"],
        "conversation-3": ["1", "2<1"],
    }
    assert not any(tree.stale() for tree in notebook.registry)


def test_without_cell_ids_each_new_starts_another_conversation(notebook: Notebook) -> None:
    for _ in range(2):
        notebook.ask(new=True)
    assert notebook.shape == {MAIN: ["1"], "conversation-2": ["1"]}


def test_without_cell_ids_a_turn_is_replaced_by_its_name(notebook: Notebook) -> None:
    for _ in range(2):
        notebook.ask(name="start", new=True)
        notebook.ask(name="more")
    assert notebook.shape == {MAIN: ["1", "2<1"]}


def test_new_in_an_empty_conversation_does_not_add_another(notebook: Notebook) -> None:
    """The first cell of a notebook may have -n."""
    notebook.ask("a", new=True)
    notebook.registry.new()
    notebook.registry.new()
    assert list(notebook.registry.conversations) == [MAIN, "conversation-2"]


def test_after_new_earlier_cells_ask_in_the_new_conversation(notebook: Notebook) -> None:
    """Their turns in the earlier conversation stay."""
    for cell in "ab":
        notebook.ask(cell)
    notebook.registry.new("again")
    for cell in "aba":
        notebook.ask(cell)
    assert notebook.shape == {MAIN: ["1", "2<1"], "again": ["1", "2<1"]}
    notebook.registry.use(MAIN)
    notebook.ask("b")
    assert notebook.registry.current.name == MAIN


def test_after_a_new_cell_earlier_cells_ask_in_their_own_conversation(notebook: Notebook) -> None:
    notebook.ask("a")
    notebook.registry.new("other")
    notebook.ask("b")
    notebook.ask("a")
    assert notebook.shape == {MAIN: ["1"], "other": ["1"]}
    assert notebook.registry.current.name == MAIN


def test_new_with_an_existing_name_restarts_that_conversation(notebook: Notebook) -> None:
    """Its turns stay; the question of a new cell has no parent."""
    notebook.ask("a", conversation="plots")
    tree = notebook.registry.new("plots")
    assert tree.head is None
    notebook.ask("b")
    assert notebook.shape["plots"] == ["1", "2"]


def test_use_continues_from_the_newest_reply(notebook: Notebook) -> None:
    """Even if the conversation was restarted and nothing was asked."""
    turn = notebook.ask("a")
    notebook.registry.new(MAIN)
    assert notebook.registry.use(MAIN).head is turn


def test_turns_of_a_service_that_has_ended_are_never_continued(notebook: Notebook) -> None:
    """Neither by ``use``, a cell, a name nor a token; each turn that is asked again is alive."""
    registry = notebook.registry
    first, second = notebook.ask("a", name="first"), notebook.ask("b")
    tree = registry.current
    tree.ended, tree.head = set(tree), None
    notebook.ask("p", conversation="plots")
    assert registry.use(MAIN).head is None
    assert tree.has_ended
    assert registry.position_for(cell="c").token is None
    assert registry.position_for(cell="c", conversation=MAIN).token is None
    for label in ("first", "1", str(first.token), str(second.token)):
        with pytest.raises(UsageError, match="sandbox that has ended"):
            registry.position_for(after=label)
    assigned = AssignedToken(str(second.token))
    with pytest.raises(UsageError, match="sandbox that has ended"):
        registry.position_for(cell="c", assigned=assigned)
    assert notebook.ask("b") is second
    assert (second.parent, tree.head, tree.has_ended) == (None, second, False)
    assert notebook.ask("a").parent is second
    assert registry.use("plots").head is not None
    assert registry.use(MAIN).head is first


def test_use_of_an_unknown_name_is_an_error(notebook: Notebook) -> None:
    """It lists the known names."""
    notebook.ask(conversation="plots")
    with pytest.raises(UsageError, match="no conversation 'nope'") as caught:
        notebook.registry.use("nope")
    assert "main, plots" in caught.value.hint


def test_an_assigned_token_has_precedence_over_the_cell(notebook: Notebook) -> None:
    """The cell's turn moves after the reply with the token."""
    first = notebook.ask("a")
    notebook.ask("b")
    notebook.ask("c")
    turn = notebook.ask("c", assigned=AssignedToken(first.token))
    assert (turn.number, turn.parent) == (3, first)


def test_an_assigned_none_adds_a_turn_without_parent(notebook: Notebook) -> None:
    """In the same conversation."""
    notebook.ask("a")
    assert notebook.ask("b", assigned=AssignedToken(None)).parent is None
    assert notebook.shape == {MAIN: ["1", "2"]}


def test_a_token_of_another_conversation_switches_to_it(notebook: Notebook) -> None:
    """The question continues that conversation."""
    first = notebook.ask("a")
    notebook.ask("b", conversation="plots")
    notebook.ask("c", assigned=AssignedToken(first.token))
    assert notebook.shape == {MAIN: ["1", "2<1"], "plots": ["1"]}
    assert notebook.registry.current.name == MAIN


def test_after_a_token_of_another_conversation_continues_that_one(notebook: Notebook) -> None:
    """The same as by assignment."""
    first = notebook.ask("a")
    notebook.ask("b", conversation="plots")
    notebook.ask("c", after=first.token)
    assert notebook.shape == {MAIN: ["1", "2<1"], "plots": ["1"]}


def test_a_conversation_from_the_history_gets_a_free_name(notebook: Notebook) -> None:
    """The conversation that has its name keeps it."""
    notebook.ask("a")
    other = Notebook()
    other.ask("a")
    assert notebook.registry.add(other.registry.current).name == "main-2"
    assert notebook.registry.current.name == "main-2"


def test_a_conversation_from_the_history_replaces_an_empty_one(notebook: Notebook) -> None:
    """The usual case after a restart."""
    other = Notebook()
    other.ask("a")
    assert notebook.registry.add(other.registry.current).name == MAIN
    assert notebook.shape == {MAIN: ["1"]}


def test_forgetting_the_current_conversation_switches_to_an_empty_one(notebook: Notebook) -> None:
    """Forgetting another one does not switch."""
    notebook.ask("a", conversation="plots")
    notebook.ask("b", conversation="maps")
    assert not notebook.registry.forget("plots")
    assert notebook.registry.forget("maps")
    assert notebook.shape == {MAIN: []}


def test_a_cancelled_question_leaves_no_conversation(notebook: Notebook) -> None:
    pending = notebook.registry.start(notebook.registry.position_for(conversation="plots"), "why?")
    notebook.registry.cancel(pending)
    assert notebook.shape == {MAIN: []}


NAMES = ["refunds 2026", "क्\u200dष", "می\u200cشود", "👩\u200d👧", "5 & <b>"]


@pytest.mark.parametrize("name", NAMES)
def test_joiners_are_a_part_of_words_and_emoji(notebook: Notebook, name: str) -> None:
    position = notebook.registry.position_for(conversation=name, name=name)
    assert (position.tree.name, position.name) == (name, name)


@pytest.mark.parametrize(
    "name", ["", "  ", "two\nlines", "x" * 61, "\u200d", "a\u200bb", "a\u202eb", "a\u00a0b"]
)
def test_invalid_names_are_rejected(notebook: Notebook, name: str) -> None:
    with pytest.raises(UsageError, match="Invalid conversation name"):
        notebook.registry.position_for(conversation=name)
    with pytest.raises(UsageError, match="Invalid turn name"):
        notebook.registry.position_for(name=name)


def test_a_new_name_has_no_number_sign_and_a_stored_one_can_have_it(notebook: Notebook) -> None:
    """``main#1`` is the stored conversation ``main`` with the number 1."""
    registry = notebook.registry
    for create in (
        lambda: registry.new("main#1"),
        lambda: registry.position_for(conversation="main#1"),
        lambda: registry.position_for(conversation="#", new=True),
    ):
        with pytest.raises(UsageError, match="cannot contain #"):
            create()
    assert list(registry.conversations) == ["main"]
    loaded = registry.add(ConversationTree("paper #2", "aeronpay"))
    assert registry.position_for(conversation="paper #2").tree is loaded
    assert registry.new("paper #2") is loaded
    assert registry.position_for(name="paper #2").name == "paper #2"  # of a turn


def test_a_turn_name_cannot_be_a_number(notebook: Notebook) -> None:
    with pytest.raises(UsageError, match="cannot be a number"):
        notebook.registry.position_for(name="3")


def test_a_note_says_that_the_reply_has_another_parent(notebook: Notebook) -> None:
    first = notebook.ask("a")
    pending = notebook.registry.start(notebook.registry.position_for(cell="b"), "why?")
    notes = divergence_notes(pending, Reply("because", "complete", "mine", "another"))
    assert notes == [
        f"The service says that this reply follows another; the question continued from "
        f"{first.token}."
    ]
    turn, _ = notebook.registry.finish(pending, Reply("", "complete", "mine", "another"))
    assert turn.parent_mismatch


@pytest.mark.parametrize("theirs", ["the one that was sent", None])
def test_the_same_parent_or_an_unknown_one_gives_no_note(
    notebook: Notebook, theirs: str | None
) -> None:
    """Services may omit the parent."""
    first = notebook.ask("a")
    pending = notebook.registry.start(notebook.registry.position_for(cell="b"), "why?")
    assert divergence_notes(pending, Reply("", "complete", "mine", theirs and first.token)) == []


def test_a_note_says_that_the_service_has_one_token_for_all_turns() -> None:
    """If a turn before the newest is asked again, and its reply has the token that was sent."""
    notebook = Notebook()
    for cell in "ab":
        pending = notebook.registry.start(notebook.registry.position_for(cell=cell), "why?")
        assert divergence_notes(pending, Reply("because", "complete", "one")) == []
        notebook.registry.finish(pending, Reply("because", "complete", "one"))
    pending = notebook.registry.start(notebook.registry.position_for(cell="b"), "why?")
    assert (
        "up to turn 2, and not after turn 1"
        in divergence_notes(pending, Reply("", "complete", "one"))[0]
    )
    assert divergence_notes(pending, Reply("", "complete", "two")) == []


def test_a_note_says_that_chatzy_may_have_a_question_twice() -> None:
    """After an interrupted question is asked again."""
    notebook = Notebook("chatzy")
    for status in ("complete", "interrupted"):
        pending = notebook.registry.start(notebook.registry.position_for(cell=status), "why?")
        notebook.registry.finish(pending, Reply("", status, "conversation"))
    pending = notebook.registry.start(notebook.registry.position_for(cell="interrupted"), "why?")
    assert (
        "may contain this question twice"
        in divergence_notes(pending, Reply("", "complete", "c"))[0]
    )
