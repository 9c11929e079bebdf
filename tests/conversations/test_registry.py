"""Which conversation a question belongs to, and what has to be said of where it was answered."""

from __future__ import annotations

import itertools

import pytest

from aeron_magic.conversations.registry import (
    MAIN,
    AssignedToken,
    ConversationRegistry,
    divergence_notes,
)
from aeron_magic.conversations.tree import Turn
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply, Status


class Asking:
    """Asks questions of a book as cells do."""

    def __init__(self, service: str = "aeronpay") -> None:
        clock = itertools.count(1.0)
        self.book = ConversationRegistry(service, clock=lambda: next(clock))
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
        position = self.book.position_for(
            cell=cell, name=name, new=new, conversation=conversation, after=after, assigned=assigned
        )
        pending = self.book.start(position, "why?")
        reply = Reply("because", status, f"token-{next(self._tokens):020}")
        return self.book.complete(pending, reply)

    @property
    def shape(self) -> dict[str, list[str]]:
        """Of each conversation, its turns as ``number<parent``."""
        return {
            tree.name: [
                f"{t.number}<{t.parent.number}" if t.parent else str(t.number) for t in tree
            ]
            for tree in self.book
        }


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_a_conversation_that_nobody_named_is_main(asking: Asking) -> None:
    """And it is there from the start."""
    asking.ask()
    asking.ask()
    assert asking.shape == {MAIN: ["1", "2<1"]}


def test_looking_changes_nothing(asking: Asking) -> None:
    """A place in a conversation that is not there does not make it."""
    asking.ask("a")
    before = asking.book.current
    asking.book.position_for(conversation="plots")
    asking.book.position_for(new=True)
    assert asking.shape == {MAIN: ["1"]}
    assert asking.book.current is before


def test_a_named_conversation_is_begun_and_used(asking: Asking) -> None:
    """It becomes the current one: what follows without a name continues it."""
    asking.ask("a")
    asking.ask("b", conversation="plots")
    asking.ask("c")
    assert asking.shape == {MAIN: ["1"], "plots": ["1", "2<1"]}


def test_a_question_that_fails_does_not_switch(asking: Asking) -> None:
    """The conversation of the newest reply stays the current one."""
    asking.ask("a")
    asking.ask("b", conversation="plots", status="failed")
    assert asking.book.current.name == MAIN
    assert asking.shape["plots"] == ["1"]


def test_a_cell_asks_again_in_the_conversation_where_it_stands(asking: Asking) -> None:
    """Whatever the current one is."""
    asking.ask("a", conversation="one")
    asking.ask("b")
    asking.ask("c", conversation="two")
    turn = asking.ask("b")
    assert asking.book.current.name == "one"
    assert (turn.number, turn.revision) == (2, 2)


@pytest.mark.parametrize("runs", [2, 3])
def test_run_all_with_several_conversations_adds_nothing(asking: Asking, runs: int) -> None:
    """Options, -n and %aeron new included."""
    for _ in range(runs):
        asking.ask("a")
        asking.ask("b", conversation="plots")
        asking.ask("c")
        asking.ask("d", new=True)
        asking.ask("e")
        asking.book.new(by="new f")
        asking.ask("g")
        asking.ask("h", name="x")
    assert asking.shape == {
        MAIN: ["1"],
        "plots": ["1", "2<1"],
        "conversation-2": ["1", "2<1"],
        "conversation-3": ["1", "2<1"],
    }
    assert not any(tree.stale() for tree in asking.book)


def test_without_cells_each_new_begins_another_conversation(asking: Asking) -> None:
    """Nothing says that it is the same question."""
    for _ in range(2):
        asking.ask(new=True)
    assert asking.shape == {MAIN: ["1"], "conversation-2": ["1"]}


def test_a_name_takes_the_place_of_the_cell(asking: Asking) -> None:
    """Where front ends send no cell ids, asking under the same name replaces."""
    for _ in range(2):
        asking.ask(name="start", new=True)
        asking.ask(name="more")
    assert asking.shape == {MAIN: ["1", "2<1"]}


def test_new_in_an_empty_conversation_does_not_add_another(asking: Asking) -> None:
    """The first cell of a notebook may say -n."""
    asking.ask("a", new=True)
    asking.book.new()
    asking.book.new()
    assert list(asking.book.conversations) == [MAIN, "conversation-2"]


def test_old_cells_build_a_conversation_that_is_begun_anew(asking: Asking) -> None:
    """After %aeron new, the cells of before are taken in, and stay where they were too."""
    for cell in "ab":
        asking.ask(cell)
    asking.book.new("again")
    for cell in "aba":
        asking.ask(cell)
    assert asking.shape == {MAIN: ["1", "2<1"], "again": ["1", "2<1"]}
    asking.book.use(MAIN)
    asking.ask("b")
    assert asking.book.current.name == MAIN


def test_a_question_of_its_own_ends_the_taking_in(asking: Asking) -> None:
    """From then on each cell asks where it stands."""
    asking.ask("a")
    asking.book.new("other")
    asking.ask("b")
    asking.ask("a")
    assert asking.shape == {MAIN: ["1"], "other": ["1"]}
    assert asking.book.current.name == MAIN


def test_new_with_the_name_of_one_begins_it_anew(asking: Asking) -> None:
    """Its turns stay; a question of a new cell begins."""
    asking.ask("a", conversation="plots")
    tree = asking.book.new("plots")
    assert tree.head is None
    asking.ask("b")
    assert asking.shape["plots"] == ["1", "2"]


def test_use_finds_the_newest_reply_again(asking: Asking) -> None:
    """Also after it was begun anew and nothing was asked."""
    turn = asking.ask("a")
    asking.book.new(MAIN)
    assert asking.book.use(MAIN).head is turn


def test_use_of_a_name_that_is_not_there_is_an_error(asking: Asking) -> None:
    """It names those that are."""
    asking.ask(conversation="plots")
    with pytest.raises(UsageError, match="no conversation 'nope'") as caught:
        asking.book.use("nope")
    assert "main, plots" in caught.value.hint


def test_a_token_assigned_by_hand_wins_over_the_cell(asking: Asking) -> None:
    """The cell's turn moves to where the token says."""
    first = asking.ask("a")
    asking.ask("b")
    asking.ask("c")
    turn = asking.ask("c", assigned=AssignedToken(first.token))
    assert (turn.number, turn.parent) == (3, first)


def test_none_assigned_by_hand_begins_anew_in_the_conversation(asking: Asking) -> None:
    """A second beginning of the same conversation."""
    asking.ask("a")
    assert asking.ask("b", assigned=AssignedToken(None)).parent is None
    assert asking.shape == {MAIN: ["1", "2"]}


def test_a_token_of_another_conversation_switches_to_it(asking: Asking) -> None:
    """The question continues that one."""
    first = asking.ask("a")
    asking.ask("b", conversation="plots")
    asking.ask("c", assigned=AssignedToken(first.token))
    assert asking.shape == {MAIN: ["1", "2<1"], "plots": ["1"]}
    assert asking.book.current.name == MAIN


def test_after_a_token_of_another_conversation_continues_that_one(asking: Asking) -> None:
    """The same by option."""
    first = asking.ask("a")
    asking.ask("b", conversation="plots")
    asking.ask("c", after=first.token)
    assert asking.shape == {MAIN: ["1", "2<1"], "plots": ["1"]}


def test_a_conversation_from_the_history_gets_a_free_name(asking: Asking) -> None:
    """The one that has its name keeps it."""
    asking.ask("a")
    other = Asking()
    other.ask("a")
    assert asking.book.add(other.book.current).name == "main-2"
    assert asking.book.current.name == "main-2"


def test_a_conversation_from_the_history_takes_the_place_of_an_empty_one(asking: Asking) -> None:
    """The usual case after a restart."""
    other = Asking()
    other.ask("a")
    assert asking.book.add(other.book.current).name == MAIN
    assert asking.shape == {MAIN: ["1"]}


def test_forgetting_the_current_conversation_begins_anew(asking: Asking) -> None:
    """Forgetting another one changes nothing."""
    asking.ask("a", conversation="plots")
    asking.ask("b", conversation="maps")
    assert not asking.book.forget("plots")
    assert asking.book.forget("maps")
    assert asking.shape == {MAIN: []}


def test_a_dropped_question_leaves_no_conversation_behind(asking: Asking) -> None:
    """Nothing was sent, so nothing was begun."""
    pending = asking.book.start(asking.book.position_for(conversation="plots"), "why?")
    asking.book.cancel(pending)
    assert asking.shape == {MAIN: []}


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 61])
def test_a_name_is_one_line(asking: Asking, name: str) -> None:
    """For conversations as for turns."""
    with pytest.raises(UsageError, match="no name"):
        asking.book.position_for(conversation=name)
    with pytest.raises(UsageError, match="no name"):
        asking.book.position_for(name=name)


def test_a_turn_is_not_named_by_a_number(asking: Asking) -> None:
    """Turns have numbers."""
    with pytest.raises(UsageError, match="not a number"):
        asking.book.position_for(name="3")


def test_another_parent_than_the_one_asked_for_is_told(asking: Asking) -> None:
    """Shown, not hidden."""
    first = asking.ask("a")
    pending = asking.book.start(asking.book.position_for(cell="b"), "why?")
    said = divergence_notes(pending, Reply("because", "complete", "mine", "another"))
    assert said == [
        f"The service says that this reply follows another; the question continued from "
        f"{first.token}."
    ]
    assert asking.book.complete(pending, Reply("", "complete", "mine", "another")).parent_mismatch


@pytest.mark.parametrize("theirs", ["the one that was sent", None])
def test_the_same_parent_or_none_is_not_worth_a_word(asking: Asking, theirs: str | None) -> None:
    """Services need not say it."""
    first = asking.ask("a")
    pending = asking.book.start(asking.book.position_for(cell="b"), "why?")
    assert divergence_notes(pending, Reply("", "complete", "mine", theirs and first.token)) == []


def test_one_token_for_all_is_told_where_it_matters() -> None:
    """A turn asked again behind others, when its reply has the token that was sent."""
    asking = Asking()
    for cell in "ab":
        pending = asking.book.start(asking.book.position_for(cell=cell), "why?")
        assert divergence_notes(pending, Reply("because", "complete", "one")) == []
        asking.book.complete(pending, Reply("because", "complete", "one"))
    pending = asking.book.start(asking.book.position_for(cell="b"), "why?")
    assert (
        "up to turn 2, and not after turn 1"
        in divergence_notes(pending, Reply("", "complete", "one"))[0]
    )
    assert divergence_notes(pending, Reply("", "complete", "two")) == []


def test_a_question_that_chatzy_may_have_twice_is_told() -> None:
    """An interrupted one, asked again."""
    asking = Asking("chatzy")
    for status in ("complete", "interrupted"):
        pending = asking.book.start(asking.book.position_for(cell=status), "why?")
        asking.book.complete(pending, Reply("", status, "conversation"))
    pending = asking.book.start(asking.book.position_for(cell="interrupted"), "why?")
    assert (
        "may have this question twice" in divergence_notes(pending, Reply("", "complete", "c"))[0]
    )
