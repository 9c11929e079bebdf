"""The tree of turns: all rules of asking again, without a service."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from aeron_magic.conversations.tree import MAX_MOMENT, ConversationTree, Position, Turn
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply, Status

_numbers = itertools.count(1)


def ask(
    tree: ConversationTree,
    position: Position,
    question: str = "why?",
    *,
    cell: str | None = None,
    name: str | None = None,
    status: Status = "complete",
    token: str | None = None,
) -> Turn:
    """Ask at ``position`` and complete the turn; by default each reply has another token."""
    number = next(_numbers)
    pending = tree.start(position, question, cell=cell, name=name, now=float(number))
    token = token or f"token-{number}"
    return tree.complete(pending, Reply(f"answer {number}", status, token))


@pytest.fixture
def tree() -> ConversationTree:
    return ConversationTree("main")


@pytest.fixture
def line(tree: ConversationTree) -> list[Turn]:
    """Three turns, one after the other, asked by the cells a, b and c."""
    return [ask(tree, tree.at_head(), f"question of {cell}", cell=cell) for cell in "abc"]


def test_the_first_question_sends_no_token(tree: ConversationTree) -> None:
    assert tree.at_head() == Position(tree)


def test_a_question_follows_the_newest_reply(tree: ConversationTree, line: list[Turn]) -> None:
    """Each turn's parent is the turn before it, whose token is sent."""
    assert [turn.parent for turn in line] == [None, *line[:-1]]
    assert [turn.parent_token for turn in line] == [None, line[0].token, line[1].token]
    assert tree.head is line[-1]


def test_a_turn_asked_again_keeps_its_position(tree: ConversationTree, line: list[Turn]) -> None:
    """It has the same parent, and no turn is added."""
    position = tree.rerun(line[1])
    assert (position.parent, position.token) == (line[0], line[0].token)
    turn = ask(tree, position, "better", cell="b")
    assert turn is line[1]
    assert (turn.question, turn.revision, len(tree.turns)) == ("better", 2, 3)
    assert tree.head is line[1]


def test_a_turn_continues_from_the_newest_reply_of_its_parent(
    tree: ConversationTree, line: list[Turn]
) -> None:
    """Not from the reply that it continued the first time."""
    before = line[0].token
    ask(tree, tree.rerun(line[0]), cell="a")
    assert tree.rerun(line[1]).token == line[0].token != before


def test_all_turns_after_one_that_is_asked_again_are_stale(
    tree: ConversationTree, line: list[Turn]
) -> None:
    """Until each of them is asked again."""
    ask(tree, tree.rerun(line[0]))
    assert tree.stale() == {line[1], line[2]}
    ask(tree, tree.rerun(line[1]))
    assert tree.stale() == {line[2]}
    ask(tree, tree.rerun(line[2]))
    assert tree.stale() == set()


@pytest.mark.parametrize("status", ["failed", "interrupted", "incomplete"])
def test_a_reply_that_could_not_be_fetched_keeps_its_text(
    tree: ConversationTree, status: Status
) -> None:
    """Of another reply it is not kept."""
    turn = ask(tree, tree.at_head(), status="interrupted", token="t")
    before = turn.reply
    assert before is not None
    again = tree.start(tree.rerun(turn), turn.question, now=9.0)
    assert tree.complete(again, Reply("", status, "t")).reply == Reply(before.text, status, "t")
    assert tree.complete(again, Reply("", status, "u")).reply == Reply("", status, "u")


@pytest.mark.parametrize("status", ["failed", "interrupted", "incomplete"])
def test_a_turn_that_fails_when_asked_again_keeps_its_reply(
    tree: ConversationTree, line: list[Turn], status: Status
) -> None:
    """Its question, its reply, the turns after it and the head do not change."""
    before = line[0].reply
    ask(tree, tree.rerun(line[0]), "worse", status=status)
    assert (line[0].question, line[0].reply, line[0].revision) == ("question of a", before, 1)
    assert tree.stale() == set()
    assert tree.head is line[2]


@pytest.mark.parametrize("status", ["failed", "interrupted", "incomplete"])
def test_a_new_turn_that_fails_is_kept_and_does_not_move_the_head(
    tree: ConversationTree, line: list[Turn], status: Status
) -> None:
    """The next question follows the newest complete reply."""
    turn = ask(tree, tree.at_head(), cell="d", status=status)
    assert tree.turns[-1] is turn
    assert (turn.token, turn.status) == (None, status)
    assert tree.at_head().parent is line[2]
    assert tree.rerun(turn) == Position(tree, line[2].token, line[2], 1, turn)


def test_a_turn_without_a_complete_reply_cannot_be_continued(tree: ConversationTree) -> None:
    """The error says what to do."""
    ask(tree, tree.at_head(), name="start", status="failed")
    with pytest.raises(UsageError, match="Turn start has no complete reply") as caught:
        tree.resolve("start")
    assert "Run its cell again" in caught.value.hint


def test_a_branch_does_not_change_the_other_one(tree: ConversationTree, line: list[Turn]) -> None:
    """Both have the same parent."""
    turn = ask(tree, tree.resolve("1"), cell="d")
    assert turn.parent is line[1].parent is line[0]
    assert tree.stale() == set()


def test_a_branch_whose_reply_is_fetched_again_stays_a_branch(
    tree: ConversationTree, line: list[Turn]
) -> None:
    """Only a turn without a reply is put aside, when its first one comes after other questions."""
    cut = ask(tree, tree.after_turn(line[1]), status="interrupted")
    other = ask(tree, tree.after_turn(line[1]))
    for turn in (line[2], cut):
        position = tree.rerun(turn)
        pending = tree.start(position, turn.question, asked_at=turn.asked_at)
        assert turn.reply is not None
        tree.complete(pending, Reply("fetched", "complete", turn.reply.context_token))
    assert tree.head is other
    assert tree.aside == {cut}


def test_after_takes_a_name_a_number_and_a_token(tree: ConversationTree, line: list[Turn]) -> None:
    """All three identify the same turn here."""
    turn = ask(tree, tree.rerun(line[1]), cell="b", name="plan")
    assert turn.token is not None
    assert tree.resolve("plan") == tree.resolve("2") == tree.resolve(turn.token)


def test_after_a_misspelt_name_suggests_the_nearest(tree: ConversationTree) -> None:
    ask(tree, tree.at_head(), name="plan")
    with pytest.raises(UsageError) as caught:
        tree.resolve("plna")
    assert "Did you mean `plan`? Its turns: plan. A turn's number" in caught.value.hint


def test_after_an_unknown_name_is_an_error(tree: ConversationTree, line: list[Turn]) -> None:
    """It lists the known turns."""
    with pytest.raises(UsageError, match="no turn 'plan'") as caught:
        tree.resolve("plan")
    assert "1, 2, 3" in caught.value.hint


def test_an_unknown_long_text_is_sent_as_a_token(tree: ConversationTree) -> None:
    assert tree.resolve("apay_0123456789abcdef") == Position(tree, "apay_0123456789abcdef")


def test_an_older_token_of_a_turn_continues_its_older_reply(
    tree: ConversationTree, line: list[Turn]
) -> None:
    """The turn has the same parent, and is stale from the start."""
    old = line[0].token
    ask(tree, tree.rerun(line[0]))
    position = tree.at_token(old)
    assert (position.parent, position.revision, position.token) == (line[0], 1, old)
    assert ask(tree, position) in tree.stale()


def test_one_token_for_the_whole_conversation_works_the_same() -> None:
    """Replies are identified by turn and revision, not by token."""
    tree = ConversationTree("main")
    line = [ask(tree, tree.at_head(), cell=cell, token="one") for cell in "abc"]
    ask(tree, tree.rerun(line[0]), cell="a", token="two")
    assert tree.stale() == {line[1], line[2]}
    assert tree.rerun(line[1]).token == "two"
    ask(tree, tree.rerun(line[1]), cell="b", token="two")
    assert tree.stale() == {line[2]}
    assert tree.at_token("two").parent is line[1]


def test_a_token_of_several_turns_identifies_the_newest_reply() -> None:
    """So an assigned token continues after all questions so far."""
    tree = ConversationTree("main")
    line = [ask(tree, tree.at_head(), token="one") for _ in range(3)]
    assert tree.at_token("one").parent is line[2]
    tree.head = None
    assert tree.at_token("one").parent is line[2]


def test_a_cell_has_one_turn(tree: ConversationTree, line: list[Turn]) -> None:
    """The one that it asked last."""
    ask(tree, tree.resolve("3"), cell="a")
    assert [turn.cell for turn in tree] == [None, "b", "c", "a"]


def test_a_name_belongs_to_one_turn(tree: ConversationTree, line: list[Turn]) -> None:
    """The one that got it last."""
    ask(tree, tree.rerun(line[0]), cell="a", name="plan")
    turn = ask(tree, tree.at_head(), name="plan")
    assert tree.by_name("plan") is turn
    assert line[0].name is None


def test_a_question_replaces_the_turn_that_has_its_name(
    tree: ConversationTree, line: list[Turn]
) -> None:
    """But a cell replaces its own turn, and not that of another cell that is still there."""
    ask(tree, tree.rerun(line[0]), cell="a", name="plan")
    assert tree.turn_for(None, "plan") is line[0]
    assert tree.turn_for("d", "plan") is None
    assert tree.turn_for("b", "plan") is line[1]
    line[0].deleted = True
    assert tree.turn_for("d", "plan") is line[0]
    line[0].deleted, line[0].cell = False, None
    assert tree.turn_for("d", "plan") is line[0]


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_question_without_a_complete_reply_takes_no_name(
    tree: ConversationTree, line: list[Turn], status: str
) -> None:
    ask(tree, tree.rerun(line[0]), cell="a", name="plan")
    other = ask(tree, tree.at_head(), cell="d", name="plan", status=status)
    assert (tree.by_name("plan"), other.name) == (line[0], None)
    ask(tree, tree.rerun(other), cell="d", name="plan")
    assert (tree.by_name("plan"), other.name, line[0].name) == (other, "plan", None)


def test_a_turn_cannot_follow_itself(tree: ConversationTree, line: list[Turn]) -> None:
    """A cell that asks after its own turn adds a new one."""
    position = tree.replacing(tree.resolve("3"), line[0])
    assert position.replaces is None
    assert tree.replacing(tree.resolve("1"), line[2]).replaces is line[2]


def test_numbers_are_unique(tree: ConversationTree) -> None:
    """Two questions that are pending at the same time have two numbers."""
    one, two = (tree.start(tree.at_head(), "why?") for _ in range(2))
    tree.complete(two, Reply("second"))
    tree.complete(one, Reply("first"))
    assert [turn.number for turn in tree] == [2, 1]
    assert [turn.question for turn in tree] == ["why?", "why?"]


def test_the_number_of_a_cancelled_turn_is_free_again(tree: ConversationTree) -> None:
    tree.cancel(tree.start(tree.at_head(), "why?"))
    assert ask(tree, tree.at_head()).number == 1


def test_a_path_of_ten_thousand_turns_does_not_exceed_the_recursion_limit(
    tree: ConversationTree,
) -> None:
    for _ in range(10_000):
        parent = tree.turns[-1] if tree.turns else None
        tree.add(Turn(len(tree.turns) + 1, "why?", parent=parent, parent_revision=1))
    for turn in tree:
        turn.tokens = ["token"]
    tree.turns[0].tokens = ["token", "newer"]
    assert len(tree.stale()) == 9_999
    assert len(tree.turns[-1].path()) == 10_000


class TestOneLine:
    """Chatzy: one token per conversation, and no branches."""

    @pytest.fixture
    def chat(self) -> ConversationTree:
        tree = ConversationTree("main", "chatzy")
        for cell in "abc":
            ask(tree, tree.at_head(), cell=cell, token="conversation")
        return tree

    def test_the_newest_turn_can_be_continued(self, chat: ConversationTree) -> None:
        assert ask(chat, chat.at_head(), token="conversation").number == 4

    @pytest.mark.parametrize("moment", [0.0, 1e9, MAX_MOMENT])
    def test_a_clock_that_is_set_back_changes_no_order(self, moment: float) -> None:
        """Else the newest turn would be an older one, and nothing could be asked."""
        chat = ConversationTree("main", "chatzy")
        for number in range(1, 4 if moment < MAX_MOMENT else 2):  # no moment is later
            pending = chat.start(chat.at_head(), "?", now=moment / number)
            turn = chat.complete(pending, Reply("a", context_token="conversation"))
            assert turn is chat.newest is chat.head is chat.by_token("conversation")
            assert turn.asked_at <= MAX_MOMENT

    @pytest.mark.parametrize("label", ["1", "2"])
    def test_a_branch_is_rejected_before_it_is_sent(
        self, chat: ConversationTree, label: str
    ) -> None:
        """The error names the only turn that can be continued, and offers a new conversation."""
        with pytest.raises(UsageError, match="can continue only after turn 3") as caught:
            chat.start(chat.resolve(label), "why?")
        assert "`-n` starts a new conversation" in caught.value.hint
        assert len(chat.turns) == 3

    @pytest.mark.parametrize("number", [2, 3])
    def test_a_later_turn_cannot_be_asked_again(self, chat: ConversationTree, number: int) -> None:
        """The service would have the question twice."""
        turn = chat.by_number(number)
        assert turn is not None
        with pytest.raises(UsageError, match="can continue only after turn 3"):
            chat.start(chat.rerun(turn), "better")

    def test_all_turns_can_be_asked_again_from_the_first(self, chat: ConversationTree) -> None:
        """The first starts a conversation at the service, in which the others follow."""
        for turn in list(chat.turns):
            ask(chat, chat.rerun(turn), token="another")
        assert [turn.parent_token for turn in chat] == [None, "another", "another"]
        assert chat.stale() == set()

    def test_a_turn_that_failed_may_be_asked_again(self, chat: ConversationTree) -> None:
        """It is unknown whether the service has the question, but there is no other way on."""
        turn = ask(chat, chat.at_head(), cell="d", status="interrupted", token="conversation")
        assert ask(chat, chat.rerun(turn), cell="d", token="conversation") is turn


def test_no_question_looks_at_all_turns(tree: ConversationTree) -> None:
    """Its time does not grow with the conversation."""
    for number in range(1, 5_001):
        parent = tree.turns[-1] if tree.turns else None
        turn = Turn(number, "why?", parent=parent, tokens=[f"t-{number}"], cell=f"c-{number}")
        tree.add(turn)
    tree.head = tree.turns[-1]
    seen: list[object] = []

    class Watched(list[Turn]):
        def __iter__(self) -> Iterator[Turn]:
            seen.append(self)
            return super().__iter__()

    tree.turns = Watched(tree.turns)
    pending = tree.start(tree.at_token("t-5000"), "and now?", cell="new", name="named")
    turn = tree.complete(pending, Reply("so", context_token="t-5001"))
    assert (turn.number, tree.by_cell("new"), tree.by_name("named")) == (5_001, turn, turn)
    assert tree.by_token("t-5001") is turn is tree.by_number(5_001)
    assert tree.find("t-17") is tree.turns[16]
    assert seen == []
