"""Turn views: which turns are shown, which are branches, and the problems of failed turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
    fetch_command,
)
from aeron_magic.jupyter.panel.turn_views import (
    DOUBLE_CHARGE_WARNING,
    TreeIndex,
    newest_leaf,
    problem_of,
    turn_views,
)
from aeron_magic.protocol.http_errors import maybe_accepted
from aeron_magic.replies.reply import Reply
from aeron_magic.services.chatzy import REPEAT

WHOLE = Reply("Yes.", context_token="t")
CUT = Reply("Ye", status="incomplete", context_token="t")
_clock = iter(range(1, 10_000))


def ask(
    tree: ConversationTree, text: str, position: Position | None = None, reply: Reply = WHOLE
) -> Turn:
    """Ask and answer."""
    pending = tree.start(position or tree.at_head(), text, now=next(_clock))
    return tree.complete(pending, reply)


def accepted(error: AeronError) -> AeronError:
    """The error of a question that the service had accepted."""
    error.was_accepted = True
    return error


def shown(tree: ConversationTree, leaf: Turn | None) -> list[str]:
    """The questions of a line."""
    return [turn.question for turn in TreeIndex(tree).visible_path(leaf)]


def test_a_dead_end_stays_where_it_was_asked() -> None:
    """It stands between the turns before and after it, and at the end while it is the newest."""
    tree = ConversationTree("main")
    ask(tree, "one")
    ask(tree, "cut", reply=CUT)
    assert shown(tree, tree.head) == ["one", "cut"]
    ask(tree, "two")
    assert shown(tree, tree.head) == ["one", "cut", "two"]
    ask(tree, "three")
    assert shown(tree, tree.head) == ["one", "cut", "two", "three"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=30))
def test_an_index_that_follows_the_tree_equals_a_new_one(steps: list[tuple[int, int]]) -> None:
    """Whatever is asked, asked again, cut, fetched later, chosen or looked at."""
    tree = ConversationTree("main", "aeronpay")
    unfinished: list[PendingTurn] = []  # of a kernel that has ended
    followed = TreeIndex(tree)
    leaf: Turn | None = None
    for action, choice in steps:
        turn = tree.turns[choice % len(tree.turns)] if tree.turns else None
        reply = CUT if action == 1 else WHOLE
        position = tree.at_head()
        if turn is not None and action == 2:
            position = tree.rerun(turn)
        elif turn is not None and action >= 3:
            position = Position(tree, turn.token, turn, turn.revision)
        if turn is not None and action == 6:
            tree.choose(turn)
        if turn is not None and action == 7:
            position = tree.rerun(turn)
        pending = tree.start(position, "?", now=next(_clock))
        if action == 8:
            unfinished.append(pending._replace(is_fetch=True))
            continue
        if turn is not None and action == 7:
            pending.turn.asked_at = turn.asked_at
            pending = pending._replace(is_fetch=True)
        if unfinished and action == 9:
            pending = unfinished.pop()
        if choice % 2:
            leaf = pending.turn  # as while its reply is read
        for path in (leaf, tree.head):
            assert followed.visible_path(path) == TreeIndex(tree).visible_path(path)
        leaf = tree.complete(pending, reply)
        new = TreeIndex(tree)
        for path in (tree.head, leaf, tree.head, None):
            assert followed.visible_path(path) == new.visible_path(path)
        assert turn_views(followed, tree.turns) == turn_views(new, tree.turns)
        assert followed.stale == tree.stale()


def test_branches_are_turns_that_were_answered() -> None:
    """A view has the index among its siblings; dead ends are not branches, and have no counter."""
    tree = ConversationTree("main", "aeronpay")
    first = ask(tree, "one")
    ask(tree, "two")
    cut = ask(tree, "cut", tree.after_turn(first), CUT)
    other = ask(tree, "two, edited", tree.after_turn(first))
    before, view = turn_views(TreeIndex(tree), [cut, other])
    assert view["siblings"] == {"at": 1, "keys": ["main#2", "main#4"]}
    assert before["siblings"] == {"at": 0, "keys": ["main#3"]}
    assert turn_views(TreeIndex(tree), [first])[0]["siblings"]["keys"] == ["main#1"]
    dropped = tree.start(tree.at_head(), "not sent").turn
    assert turn_views(TreeIndex(tree), [dropped])[0]["siblings"]["keys"] == ["main#5"]


def test_a_dead_end_is_marked() -> None:
    """Not while it is read again; the turn below it names the one that it continues."""
    tree = ConversationTree("main", "aeronpay")
    index = TreeIndex(tree)
    for text, reply in (("one", WHOLE), ("cut", CUT), ("two", WHOLE), ("three", WHOLE)):
        ask(tree, text, reply=reply)
    edited = ask(tree, "two, edited", tree.after_turn(tree.turns[0]))
    for leaf in (tree.turns[3], edited):
        views = turn_views(index, index.visible_path(leaf))
        assert [view["apart"] for view in views[:3]] == [False, True, False]
        assert views[2]["note"] == "Continues after turn 1."
        assert not any(view["note"] for view in (*views[:2], *views[3:]))
    cut = tree.turns[1]
    assert not turn_views(index, [cut], pending=[cut])[0]["apart"]


def test_a_one_line_service_keeps_a_cut_question() -> None:
    """So nothing is marked in its conversation."""
    tree = ConversationTree("main", "chatzy")
    for text, status in (("one", "complete"), ("cut", "incomplete"), ("two", "complete")):
        ask(tree, text, reply=Reply("a", status, "conversation"))
    views = turn_views(TreeIndex(tree), tree.turns)
    assert not any(view["apart"] or view["note"] for view in views)


def test_a_branch_is_followed_to_its_end() -> None:
    """At each fork the newest question counts; one without a complete reply is shown beside it."""
    tree = ConversationTree("main")
    first = ask(tree, "one")
    ask(tree, "old")
    new = ask(tree, "new", tree.after_turn(first))
    last = ask(tree, "last")
    assert newest_leaf(tree, first) is last
    assert newest_leaf(tree, new) is last
    ask(tree, "stopped", tree.after_turn(new), Reply("a part", "interrupted"))
    assert newest_leaf(tree, first) is last


def test_the_view_of_a_live_reply_is_empty() -> None:
    """The old reply of a turn that is asked again is not shown meanwhile."""
    tree = ConversationTree("main", "aeronpay")
    turn = ask(tree, "one")
    view = turn_views(TreeIndex(tree), [turn], pending=[turn])[0]
    assert (view["status"], view["blocks"], view["problem"]) == ("processing", [], None)


def test_one_line_services_have_no_branches() -> None:
    """A conversation that the service keeps as one line cannot be edited."""
    for service, branches in (("aeronpay", True), ("chatzy", False)):
        tree = ConversationTree("main", service)
        assert turn_views(TreeIndex(tree), [ask(tree, "one")])[0]["branches"] is branches


def test_the_opening_turn_of_a_one_line_service_is_on_the_path() -> None:
    """It has no complete reply; what follows is stale once it is asked again."""
    tree = ConversationTree("main", "chatzy")
    index = TreeIndex(tree)
    first = Reply("a", "incomplete", "conversation")
    opening = tree.complete(tree.start(tree.at_head(), "one"), first)
    assert index.visible_path(tree.head) == [opening]
    two, three = (
        tree.complete(tree.start(tree.at_head(), text), Reply("b", "complete", "conversation"))
        for text in ("two", "three")
    )
    assert index.visible_path(tree.head) == [opening, two, three]
    assert index.stale == set()
    tree.complete(tree.start(tree.rerun(opening), "one"), Reply("a", "incomplete", "other"))
    assert index.visible_path(three) == [opening, two, three]
    assert index.stale == {two, three}


@pytest.mark.parametrize(
    ("error", "actions"),
    [
        (Unreachable("no"), ["retry"]),
        (AuthenticationError("no", status_code=403), ["retry"]),
        (FailedReply("no"), ["retry"]),
        (IncompleteReply("no"), ["fetch", "again"]),
        (UnexpectedAnswer("no"), ["again"]),
        (ServiceError("no", status_code=400), ["retry"]),
        (ServiceError("no", status_code=502), ["again"]),
        (TokenError("no"), []),
        (accepted(TokenError("no")), ["again"]),
        (UsageError("no"), []),
        (AccessRestricted("frozen"), []),
        (accepted(AccessRestricted("frozen")), []),
        (None, ["fetch", "again"]),
    ],
)
def test_what_can_be_done(error: AeronError | None, actions: list[str]) -> None:
    """Retry is offered where nothing can be charged twice, fetching where there is a token."""
    fetchable = error is None or isinstance(error, IncompleteReply)
    reply = Reply("Ye", status="incomplete", context_token="t" if fetchable else None)
    problem = problem_of(error, reply, "aeronpay")
    assert problem is not None
    assert problem["actions"] == actions


def test_a_lost_reply_has_its_reason() -> None:
    """Such as one that a resume could not fetch; it can be asked again."""
    tree = ConversationTree("main", "aeronpay")
    turn = tree.mark_lost(tree.start(tree.at_head(), "Lost?"))
    view = turn_views(TreeIndex(tree), [turn])[0]
    assert view["problem"] is not None
    assert view["problem"]["title"].startswith("The reply is lost: its kernel ended")
    assert view["problem"]["actions"] == ["again"]


def test_the_warning_of_a_double_charge_appears_once() -> None:
    """What the service may have taken up is asked again by somebody who knows the price."""
    problem = problem_of(maybe_accepted("cut"), None, "aeronpay")
    assert problem is not None
    assert problem["hint"] == "Ask again if you want to; that may be charged a second time."
    silent = problem_of(UnexpectedAnswer("no", hint="Check the address."), None, "aeronpay")
    assert silent is not None
    assert silent["hint"] == f"Check the address. {DOUBLE_CHARGE_WARNING}"


def test_a_cut_reply_of_chatzy_has_a_hint_for_the_panel() -> None:
    """Without Python and a token, which it does not show."""
    problem = problem_of(IncompleteReply("cut", hint=REPEAT), CUT, "chatzy")
    assert problem is not None
    assert problem["hint"] == (
        "Ask the agent to repeat its answer: the next question continues the conversation. "
        "Asking again may be charged a second time."
    )


def test_the_panel_has_a_button_for_the_command_that_fetches() -> None:
    """So its hint is short, and without a token."""
    hint = f"{fetch_command('token')} (in Python `client.fetch`) requests it again."
    problem = problem_of(IncompleteReply("cut", hint=hint), CUT, "aeronpay")
    assert problem is not None
    assert "%aeron" not in problem["hint"]
    assert "charged a second time" in problem["hint"]


def test_an_expired_token_has_a_way_on_in_the_panel() -> None:
    """The options that a cell would take are nothing that a panel has."""
    problem = problem_of(TokenError("expired", hint="Begin anew with -n."), None, "aeronpay")
    assert problem is not None
    assert "-n" not in problem["hint"]
    assert "new chat" in problem["hint"]


def test_a_whole_reply_is_no_problem() -> None:
    """Neither is one that was recovered."""
    assert problem_of(None, WHOLE, "aeronpay") is None
    assert problem_of(None, Reply("Yes.", status="recovered"), "aeronpay") is None


def test_texts_cannot_act() -> None:
    """What a terminal or a page would act on is taken out or made harmless."""
    tree = ConversationTree("main", "aeronpay")
    turn = ask(tree, "a\x1b]0;title\x07b", reply=Reply("<script>x</script>", context_token="t"))
    view = turn_views(TreeIndex(tree), [turn])[0]
    assert view["question"] == "ab"
    assert "<script" not in "".join(view["blocks"])


def test_an_attempt_stands_for_the_turn_that_it_replaces() -> None:
    """A question that is tried again is shown once."""
    tree = ConversationTree("main")
    cut = ask(tree, "one", reply=CUT)
    pending = tree.start(tree.rerun(cut), "one")
    assert TreeIndex(tree).visible_path(pending.turn) == [pending.turn]
