"""The actions of a reader: each changes the conversation, and the page is informed."""

from __future__ import annotations

import json

import pytest
from credentials import SECRET
from panel_harness import Message, PanelHarness, rebuilt

from aeron_magic.checks.chat_file import read_chat
from aeron_magic.client.client import make_question
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.actions import Action
from aeron_magic.sandbox import Refusal, Sandbox
from aeron_magic.session.session import PendingQuestion


def test_an_action_is_read() -> None:
    """Only its own fields are taken."""
    content = {"do": "edit", "id": "a-1", "key": "main#2", "text": "Why?", "end": "x"}
    assert Action.read(content) == Action("edit", "a-1", "main#2", "Why?")


@pytest.mark.parametrize("content", [None, [], {"do": []}, {"do": "edit", "key": 2, "text": ""}])
def test_anything_else_is_refused(content: object) -> None:
    """With a hint that says what to do."""
    with pytest.raises(UsageError) as caught:
        Action.read(content)
    assert "Reload" in caught.value.hint


def test_begin_has_the_id_of_the_action(harness: PanelHarness) -> None:
    """So that a page knows that its action was received."""
    action = harness.send("ask", text="Hello")
    assert harness.wait("begin")["request"] == action
    assert harness.wait("end")["turn"]["status"] == "complete"


def test_a_question_with_placeholders_is_sent_as_typed_and_says_so(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """Values are of cells; braces that a cell would leave alone get no note."""
    for text, noted in [("About {{topic}}?", True), ("And {{1}}, {a}?", False)]:
        turn = harness.ask(text)["turn"]
        assert ("as typed" in turn["note"]) == noted
    assert sandbox.log.of("create-response")[0].body["user"]["text"] == "About {{topic}}?"


def test_an_empty_question_is_refused(harness: PanelHarness) -> None:
    """Nothing is sent; the error has the id of the action."""
    action = harness.send("ask", text=" \n")
    assert harness.wait("error")["request"] == action


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_a_secret_in_the_environment_is_not_sent_to_another_service(
    harness: PanelHarness, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    monkeypatch.setenv("AERON_CLIENT_SECRET", SECRET)
    harness.session.connect(service, sandbox=True)
    harness.send("ask", text=f"my {SECRET}")
    assert "secret, which is never sent" in str(harness.wait("error"))
    assert SECRET not in str(harness.messages("error"))
    assert not harness.session.tree.turns


def test_stop_keeps_what_came(harness: PanelHarness, sandbox: Sandbox) -> None:
    """The turn is shown as stopped, with actions; the next question works."""
    sandbox.set_faults(say="word " * 500, pause=0.01)
    harness.send("ask", text="Tell me")
    harness.wait("delta", count=2)
    harness.send("stop", request="")
    turn = harness.wait("end")["turn"]
    assert turn["status"] == "interrupted"
    assert turn["problem"]["kind"] == "stopped"
    assert turn["problem"]["actions"] == ["fetch", "again"]
    sandbox.set_faults(say="Short.", pause=0)
    assert harness.ask("And now?")["turn"]["status"] == "complete"


def test_a_stop_that_overtakes_its_question_holds(harness: PanelHarness, sandbox: Sandbox) -> None:
    """Wishes are handled in two threads, and may change places."""
    sandbox.set_faults(first_chunk=20)
    harness.send("stop", request="action-2")
    assert harness.send("ask", text="Hello") == "action-2"
    assert harness.wait("end")["turn"]["status"] == "interrupted"


def test_edit_and_regenerate_stand_beside(harness: PanelHarness) -> None:
    """Both ask at the place of the turn, and leave it alone."""
    harness.ask("One")
    harness.ask("Two")
    harness.send("edit", key="main#2", text="Two, edited")
    harness.wait("end", count=3)
    harness.send("regenerate", key="main#2")
    end = harness.wait("end", count=4)
    assert end["turn"]["question"] == "Two"
    assert end["turn"]["siblings"] == {"at": 2, "keys": ["main#2", "main#3", "main#4"]}
    tree = harness.session.tree
    assert {turn.parent.number for turn in tree.turns if turn.parent} == {1}


def stopped(harness: PanelHarness, sandbox: Sandbox, action: str, **fields: str) -> Message:
    """Ask by an action, and stop the reply; the message ``end``."""
    sandbox.set_faults(pause=0.3, chunk_size=20)
    harness.clear()
    harness.send(action, **fields)
    harness.wait("delta")
    harness.send("stop", request="")
    end = harness.wait("end")
    sandbox.set_faults(pause=0)
    return end


def stopped_in_cell(
    harness: PanelHarness, sandbox: Sandbox, text: str, cell: str
) -> PendingQuestion:
    """Ask as a cell does, and stop the reply when it has text."""
    sandbox.set_faults(pause=0.3, chunk_size=20)
    position = harness.session.position_for(cell=cell)
    harness.clear()
    asked = harness.session.ask(make_question(text, position.token), position)
    harness.wait("delta")
    asked.stop()
    assert asked.notified.wait(5)
    sandbox.set_faults(pause=0)
    return asked


def test_it_is_shown_where_the_next_question_goes(harness: PanelHarness, sandbox: Sandbox) -> None:
    """If that is not after the last turn above the input box; a hidden turn can be shown."""
    assert stopped(harness, sandbox, "ask", text="Stopped")["next"] == {
        "text": "The next question continues no earlier turn.",
        "key": "",
    }
    assert harness.ask("One")["next"] is None
    after_one = {"text": "The next question continues after turn 2: One", "key": ""}
    assert stopped(harness, sandbox, "ask", text="Two")["next"] == after_one
    harness.clear()
    harness.send("sync")
    assert harness.wait("state")["about"]["next"] == after_one
    assert harness.ask("Two")["next"] is None

    end = stopped(harness, sandbox, "edit", key="main#4", text="Two, edited")
    hidden = {"text": "The next question continues after turn 4: Two", "key": "main#4"}
    assert end["next"] == hidden
    harness.clear()
    token = harness.session.token.read()
    harness.send("show", key="main#4")
    state = harness.wait("state")
    assert state["about"]["next"] == {**hidden, "key": ""}
    assert harness.session.token.read() == token
    assert [turn["key"] for turn in state["turns"]] == [f"main#{one}" for one in range(1, 6)]
    assert state["turns"][4]["apart"]


def test_a_reply_that_ends_out_of_sight_moves_the_next_question(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """As one of the panel, while a cell's is shown."""
    sandbox.set_faults(say="word " * 40, pause=0.1, chunk_size=10)
    harness.send("ask", text="Slow")
    harness.wait("delta")
    sandbox.set_faults(say="Short.", pause=0)
    harness.ask_in_cell("Quick", None)
    assert harness.wait("end")["turn"]["question"] == "Quick"
    harness.clear()
    text = harness.wait("about")["about"]["next"]["text"]
    assert text == "The next question continues after turn 1: Slow"


def test_an_assigned_token_is_where_the_next_question_goes(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """One of a known turn, or another one."""
    harness.ask("One")
    token = harness.session.token.read()
    harness.ask("Two")
    for assigned, place in (
        (token, "continues after turn 1: One"),
        (None, "continues no earlier turn."),
        ("another-token-of-the-service", "continues from the token in context_token."),
    ):
        harness.app.shell.user_ns["context_token"] = assigned
        harness.clear()
        harness.send("sync")
        text = harness.wait("state")["about"]["next"]["text"]
        assert text == f"The next question {place}"


def test_a_one_line_service_goes_on_after_a_stopped_reply(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """It keeps the question, so there is no other place to name."""
    harness.connect_chatzy(sandbox)
    harness.ask("One")
    end = stopped(harness, sandbox, "ask", text="Two")
    assert (end["turn"]["apart"], end["next"]) == (False, None)


def test_choose_moves_the_token(harness: PanelHarness) -> None:
    """The next question, of a cell too, continues from the chosen branch."""
    harness.ask("One")
    token = harness.session.token.read()
    harness.send("edit", key="main#1", text="Other")
    harness.wait("end", count=2)
    harness.clear()
    harness.send("choose", key="main#1")
    assert [turn["question"] for turn in harness.wait("state")["turns"]] == ["One"]
    assert harness.session.token.read() == token
    assert not harness.session.token.assigned_by_user


def test_retry_takes_the_place_of_what_failed(harness: PanelHarness, sandbox: Sandbox) -> None:
    """There is one turn in the end, and it is whole."""
    sandbox.set_faults(refuse=(Refusal("create-response", 400),))
    harness.ask("One")
    harness.send("retry", key="main#1")
    assert harness.wait("end", count=2)["turn"]["status"] == "complete"
    assert len(harness.session.tree.turns) == 1


def test_a_retry_in_the_panel_is_not_the_cells_question(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """It does not take the cell's id."""
    harness.ask("One")
    token = harness.session.token.read()
    assert token is not None
    sandbox.set_faults(expired=(token,))
    harness.ask_in_cell("Two", "a")
    key = harness.wait("end", count=2)["turn"]["key"]
    sandbox.set_faults(expired=())
    harness.send("retry", key=key)
    harness.wait("end", count=3)
    assert [turn.cell for turn in harness.session.tree] == [None, None]


def test_retry_of_a_question_with_a_refused_token(harness: PanelHarness, sandbox: Sandbox) -> None:
    """A question that was not added to the conversation can be asked again from its turn."""
    harness.ask("One")
    token = harness.session.token.read()
    assert token is not None
    sandbox.set_faults(expired=(token,))
    end = harness.ask("Two")
    assert end["turn"]["problem"]["title"]
    assert len(harness.session.tree.turns) == 1
    sandbox.set_faults(expired=())
    harness.send("retry", key=end["turn"]["key"])
    assert harness.wait("end", count=3)["turn"]["question"] == "Two"


def test_fetch_completes_a_turn(harness: PanelHarness, sandbox: Sandbox) -> None:
    """The stored reply takes the place of the part; nothing is asked again."""
    sandbox.set_faults(
        say="word " * 300, cut_after=3_000, refuse=(Refusal("fetch-response", 400, times=1),)
    )
    end = harness.ask("One")
    assert end["turn"]["problem"]["actions"] == ["fetch", "again"]
    harness.send("fetch", key="main#1")
    turn = harness.wait("end", count=2)["turn"]
    assert turn["status"] in ("complete", "recovered")
    assert turn["problem"] is None
    assert len(sandbox.log.of("create-response")) == 1


@pytest.mark.parametrize("in_panel", [True, False])
def test_a_fetched_reply_stays_where_it_was_asked(
    harness: PanelHarness, sandbox: Sandbox, in_panel: bool
) -> None:
    """Those asked since stay below it; a click continues after it, or a question."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    part = stopped(harness, sandbox, "ask", text="Two")["turn"]
    after = harness.ask("Three")["turn"]["token"]
    harness.clear()
    if in_panel:
        harness.send("fetch", key="main#2")
    else:
        assert harness.session.fetch_unfinished(part["token"])
    assert harness.wait("begin")["turn"]["key"] == "main#2"
    end = harness.wait("end")
    assert end["turn"]["apart"]
    assert end["turn"]["siblings"]["keys"] == ["main#2"]
    assert end["turn"]["note"] == (
        "The next question continues after turn 3; --after 2 asks it after this one."
    )
    state = harness.wait("state")
    assert [turn["key"] for turn in state["turns"]] == ["main#1", "main#2", "main#3"]
    assert state["about"]["next"] is None
    assert harness.session.token.read() == after

    harness.clear()
    harness.send("choose", key="main#2")
    turns = harness.wait("state")["turns"]
    assert [turn["key"] for turn in turns] == ["main#1", "main#2"]
    assert turns[1]["siblings"]["keys"] == ["main#2", "main#3"]
    assert not turns[1]["apart"]
    assert harness.session.token.read() == part["token"]


def test_a_reply_ends_on_the_pages_while_an_earlier_one_is_fetched(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    part = stopped(harness, sandbox, "ask", text="Two")["turn"]
    sandbox.set_faults(processing_fetches=10**6)
    fetched = harness.session.fetch_unfinished(part["token"])
    assert fetched is not None
    harness.wait("begin")
    harness.clear()
    harness.ask_in_cell("Three", "c")
    end = harness.wait("end")
    assert (end["turn"]["key"], end["turn"]["status"]) == ("main#3", "complete")
    harness.clear()
    sandbox.set_faults(processing_fetches=0)
    assert fetched.notified.wait(20)
    turns = harness.wait("state")["turns"]
    assert [turn["status"] for turn in turns] == ["complete", "complete", "complete"]


def test_of_several_stopped_replies_each_stays_when_one_is_fetched(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """Also if none is complete; only that of the newest question moves the conversation."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    tokens = [stopped(harness, sandbox, "ask", text=text)["turn"]["token"] for text in "abc"]

    def fetch(number: int) -> tuple[list[tuple[str, bool]], Message]:
        harness.clear()
        harness.send("fetch", key=f"main#{number}")
        note = harness.wait("end")["turn"]["note"]
        harness.clear()
        harness.send("sync")
        state = harness.wait("state")
        return [(turn["question"], turn["apart"]) for turn in state["turns"]], note

    shown, note = fetch(1)
    assert shown == [("a", True), ("b", True), ("c", True)]
    assert note == "The next question continues no earlier turn; --after 1 asks it after this one."
    assert harness.session.token.read() is None
    shown, _ = fetch(3)
    assert shown == [("a", True), ("b", True), ("c", False)]
    assert harness.session.token.read() == tokens[2]
    shown, note = fetch(2)
    assert shown == [("a", True), ("b", True), ("c", False)]
    assert note == "The next question continues after turn 3; --after 2 asks it after this one."


def test_a_stopped_reply_stays_when_an_earlier_turn_is_continued(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """Below it, also when others follow; the turn after it names the one that it continues."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    for text in ("Two", "Three"):
        stopped(harness, sandbox, "ask", text=text)
    harness.send("fetch", key="main#2")
    harness.wait("end", count=2)
    for last in (3, 4):
        harness.clear()
        harness.send("choose", key="main#2")
        if last == 4:
            assert harness.ask("Four")["turn"]["note"] == "Continues after turn 2."
            harness.clear()
            harness.send("sync")
        turns = harness.wait("state")["turns"]
        assert [turn["key"] for turn in turns] == [f"main#{one}" for one in range(1, last + 1)]
        assert [turn["apart"] for turn in turns] == [False, False, True, False][:last]
    assert turns[2]["problem"]["actions"] == ["fetch", "again"]


@pytest.mark.parametrize("complete", [False, True])
def test_an_earlier_reply_is_fetched_while_a_question_is_answered(
    harness: PanelHarness, sandbox: Sandbox, complete: bool
) -> None:
    """The pages keep the answer, which can be stopped; and the conversation does not move."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    after = harness.ask("One")["turn"]["token"]
    part = stopped(harness, sandbox, "ask", text="Two")["turn"]
    if complete:
        after = harness.ask("Three")["turn"]["token"]
    sandbox.set_faults(pause=0.5, chunk_size=10)
    harness.clear()
    action = harness.send("ask", text="Last")
    harness.wait("delta")
    fetched = harness.session.fetch_unfinished(part["token"])
    assert fetched is not None
    assert fetched.notified.wait(20)
    assert fetched.reply.is_complete
    state = harness.wait("state")
    last = "main#4" if complete else "main#3"
    assert state["turns"][-1]["key"] == last == state["live"]["key"]
    assert state["turns"][1]["apart"]
    harness.send("stop", request=action)
    end = harness.wait("end")["turn"]
    assert (end["key"], end["status"]) == (last, "interrupted")
    assert harness.session.token.read() == after
    assert [turn.number for turn in harness.session.tree.aside] == [2]


def test_a_turn_with_a_reply_that_is_asked_elsewhere_and_stopped_stays(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """The pages show the conversation as before."""
    harness.send("sync")
    harness.ask_in_cell("One", "a")
    harness.ask_in_cell("Two", "b")
    harness.send("choose", key="main#1")
    tree = harness.session.tree
    harness.session.select_branch(tree, tree.turns[0])
    harness.send("show", key="main#1")
    harness.ask("Three")
    stopped_in_cell(harness, sandbox, "Two", "b")
    shown = [turn["key"] for turn in harness.messages("state")[-1]["turns"]]
    harness.clear()
    harness.send("sync")
    state = harness.wait("state")
    assert shown == [turn["key"] for turn in state["turns"]] == ["main#1", "main#3"]
    assert state["about"]["next"] is None


def test_a_turn_that_leaves_the_page_at_its_end_is_not_shown_as_read(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """It has become another branch, as a cell has asked meanwhile."""
    sandbox.set_faults(cut_after=0)
    harness.ask("Dead")
    sandbox.set_faults(cut_after=None)
    harness.ask("Two")
    sandbox.set_faults(say="word " * 20, pause=0.05)
    harness.clear()
    harness.send("retry", key="main#1")
    harness.wait("delta")
    position = harness.session.position_for(cell="c")
    asked = harness.session.ask(make_question("Three", position.token), position)
    assert asked.notified.wait(10)
    retried = harness.panel._controller.asked
    assert retried is not None
    assert retried.notified.wait(10)
    shown = [turn["key"] for turn in harness.messages("state")[-1]["turns"]]
    harness.clear()
    harness.send("sync")
    turns = harness.wait("state")["turns"]
    assert shown == [turn["key"] for turn in turns] == ["main#2", "main#3"]


@pytest.mark.parametrize("stops", [False, True])
def test_a_cell_runs_again_while_its_earlier_reply_is_fetched(
    harness: PanelHarness, sandbox: Sandbox, stops: bool
) -> None:
    """The turn shows the new question and its reply, and the fetched one changes nothing."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask_in_cell("One", "a")
    old = stopped_in_cell(harness, sandbox, "Old", "b")
    sandbox.set_faults(latency=3)
    fetched = harness.session.fetch_unfinished(old.reply.context_token)
    assert fetched is not None
    assert sandbox.log.wait(lambda seen: seen[-1].endpoint == "fetch-response")
    sandbox.set_faults(latency=0, pause=0.3 if stops else 0, say="word " * 20)
    position = harness.session.position_for(cell="b")
    harness.clear()
    new = harness.session.ask(make_question("New", position.token), position)
    turn = harness.wait("state")["turns"][-1]
    assert (turn["question"], turn["status"], turn["blocks"]) == ("New", "processing", [])
    if stops:
        harness.wait("delta")
        new.stop()
    assert new.notified.wait(5)
    for _ in range(2):
        harness.clear()
        harness.send("sync")
        state = harness.wait("state")
        turn = state["turns"][-1]
        assert (turn["question"], turn["status"]) == ("New", "interrupted" if stops else "complete")
        assert (turn["problem"] is not None) is stops
        assert state["live"] is None
        assert fetched.notified.wait(10)


def test_a_fetch_that_moves_the_conversation_at_its_end_is_shown(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """It began while another question waited, which was stopped before it had text."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    part = stopped(harness, sandbox, "ask", text="Two")["turn"]
    sandbox.set_faults(first_chunk=20)
    asked = harness.send("ask", text="Three")
    harness.wait("begin", count=2)
    sandbox.set_faults(first_chunk=0, latency=2)
    harness.clear()
    action = harness.send("fetch", key="main#2")
    assert harness.wait("state")["request"] == action, "the page must not wait"
    harness.clear()
    harness.send("stop", request=asked)
    harness.wait("end")
    state = harness.wait("state")
    assert state["live"]["key"] == "main#2", "it can be stopped"
    harness.wait("end", count=2)
    harness.send("sync")
    state = harness.wait("state", count=2)
    assert "main#2" in [turn["key"] for turn in state["turns"]]
    assert harness.session.token.read() == part["token"]


@pytest.mark.parametrize("fetched_late", [False, True])
def test_a_stopped_turn_whose_cell_runs_again_is_shown_at_its_new_place(
    harness: PanelHarness, sandbox: Sandbox, fetched_late: bool
) -> None:
    """Once: it was shown before the end, and continues after that now."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask_in_cell("One", "a")
    asked = stopped_in_cell(harness, sandbox, "Two", "b")
    sandbox.set_faults(pause=0)
    harness.ask_in_cell("Three", "c")
    if fetched_late:
        fetched = harness.session.fetch_unfinished(asked.reply.context_token)
        assert fetched is not None
        assert fetched.notified.wait(5)
    harness.clear()
    harness.ask_in_cell("Two", "b")
    for message in harness.messages("state"):
        keys = [turn["key"] for turn in message["turns"]]
        assert len({*keys}) == len(keys)
    harness.clear()
    harness.send("sync")
    state = harness.wait("state")
    assert [turn["key"] for turn in state["turns"]] == ["main#1", "main#3", "main#2"]
    assert state["about"]["next"] is None


def test_a_reply_that_is_fetched_twice_leaves_what_follows(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """As by a page that was not updated: the turn has no newer reply."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    stopped(harness, sandbox, "ask", text="Two")
    harness.clear()
    harness.send("fetch", key="main#2")
    harness.wait("end")
    token = harness.ask("Three")["turn"]["token"]
    harness.clear()
    harness.send("fetch", key="main#2")
    harness.wait("end")
    harness.send("sync")
    turns = harness.wait("state")["turns"]
    assert [(turn["key"], turn["stale"]) for turn in turns][2:] == [("main#3", False)]
    assert harness.session.token.read() == token


@pytest.mark.parametrize("action", [{"do": "edit", "text": "Changed"}, {"do": "regenerate"}])
def test_a_question_to_an_agent_is_not_asked_as_a_branch(
    harness: PanelHarness, sandbox: Sandbox, action: dict[str, str]
) -> None:
    """A page can still show the turn of another service with this key."""
    harness.connect_chatzy(sandbox)
    harness.ask("One")
    harness.clear()
    harness.send(action.pop("do"), key="main#1", **action)
    assert "cannot branch: nothing was sent" in str(harness.wait("error"))
    assert len(harness.session.tree.turns) == 1


@pytest.mark.parametrize("elsewhere", ["branch", "conversation"])
def test_a_fetched_reply_that_is_not_shown_does_not_change_what_is(
    harness: PanelHarness, sandbox: Sandbox, elsewhere: str
) -> None:
    """It is in another branch, or a turn with the number of one that is shown."""
    sandbox.set_faults(say="one two three four five six seven eight nine ten")
    harness.ask("One")
    part = stopped(harness, sandbox, "ask", text="Two")["turn"]
    if elsewhere == "branch":
        harness.send("edit", key="main#1", text="One, edited")
        harness.wait("end", count=2)
    else:
        harness.send("new")
        harness.ask("One")
        harness.ask("Two")
    harness.clear()
    harness.send("sync")
    shown = harness.wait("state")["turns"]
    fetched = harness.session.fetch_unfinished(part["token"])
    assert fetched is not None
    assert fetched.notified.wait(5)
    harness.clear()
    harness.send("sync")
    assert harness.wait("state")["turns"] == shown
    assert shown[-1]["key"] == {"branch": "main#3"}.get(elsewhere, "conversation-2#2")


def test_what_is_known_of_a_reply_is_shown_while_it_is_fetched(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """In its place, to a page that was there and to a new one; also after a stop."""
    sandbox.set_faults(say="word " * 500, pause=0.01)
    harness.send("ask", text="Tell me")
    harness.wait("delta", count=2)
    harness.send("stop", request="")
    harness.wait("end")
    part = "".join(rebuilt(harness.messages("begin", "delta", "end")))
    assert part.startswith("<p>word word")
    harness.clear()
    sandbox.set_faults(latency=20)
    action = harness.send("fetch", key="main#1")
    begin = harness.wait("begin")
    assert begin["request"] == action
    assert begin["turn"]["status"] == "fetching"
    assert "".join(begin["turn"]["blocks"]) == part
    assert not harness.messages("state"), "what is on the page stays there"
    harness.send("sync")
    state = harness.wait("state")
    assert state["turns"] == [begin["turn"]]
    assert state["live"]["blocks"] == []
    harness.send("stop", request="")
    turn = harness.wait("end")["turn"]
    assert turn["status"] == "interrupted"
    assert "".join(turn["blocks"]) == part
    assert turn["problem"]["actions"] == ["fetch", "again"]


def test_a_turn_that_was_asked_again_fetches_its_newest_reply(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """The stopped one, not the complete one that the turn keeps until then."""
    sandbox.set_faults(say="The first reply.")
    first = harness.ask_in_cell("Tell me", "a").turn
    sandbox.set_faults(say="word " * 200, pause=0.01)
    position = harness.session.tree.rerun(first)
    again = harness.session.ask(make_question("Tell me", position.token), position)
    harness.wait("delta", count=len(harness.messages("delta")) + 2)
    again.stop()
    turn = harness.wait("end", count=2)["turn"]
    assert turn["problem"]["actions"] == ["fetch", "again"]
    harness.send("fetch", key=turn["key"])
    harness.wait("end", count=3)
    assert first.reply is not None
    assert first.reply.text == "word " * 200


def test_a_reply_that_is_gone_leaves_what_is_known_of_it(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """It cannot be fetched again; the question can be asked again."""
    sandbox.set_faults(say="word " * 500, pause=0.01)
    harness.send("ask", text="Tell me")
    harness.wait("delta", count=2)
    harness.send("stop", request="")
    token = harness.wait("end")["turn"]["token"]
    sandbox.set_faults(expired=(token,))
    harness.send("fetch", key="main#1")
    turn = harness.wait("end", count=2)["turn"]
    assert "".join(turn["blocks"]).startswith("<p>word word")
    assert turn["problem"]["actions"] == ["again"]
    harness.clear()
    harness.send("sync")
    assert harness.wait("state")["turns"] == [turn]


def test_conversations(harness: PanelHarness) -> None:
    """A new one is empty; the old one comes back when it is chosen."""
    harness.ask("One")
    harness.clear()
    harness.send("new")
    state = harness.wait("state")
    assert state["turns"] == []
    assert harness.session.token.read() is None
    harness.clear()
    harness.send("use", name="main")
    assert [turn["question"] for turn in harness.wait("state")["turns"]] == ["One"]


def test_who_comes_back_in_the_middle_of_a_reply_finds_it(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """Another conversation was looked at meanwhile; the reply goes on, can be stopped, and ends."""
    harness.ask("One")
    sandbox.set_faults(say="word " * 500, pause=0.01)
    harness.send("ask", text="Two")
    harness.wait("delta", count=2)
    harness.clear()
    harness.send("new")
    assert harness.wait("state")["live"] is None
    harness.clear()
    harness.send("use", name="main")
    state = harness.wait("state")
    assert [turn["question"] for turn in state["turns"]] == ["One", "Two"]
    assert state["live"]["key"] == "main#2"
    harness.send("stop", request="")
    assert harness.wait("end")["turn"]["status"] == "interrupted"


@pytest.mark.parametrize("kind", ["html", "md", "ipynb", "json", "chat.md"])
def test_export(harness: PanelHarness, kind: str) -> None:
    """The text of the file goes to the page, which saves it."""
    harness.ask("How do I record?")
    action = harness.send("export", kind=kind)
    message = harness.wait("file")
    assert message["request"] == action
    assert message["name"] == f"main.{kind}"
    assert "How do I record?" in message["text"]
    if kind in ("ipynb", "json"):
        json.loads(message["text"])
    if kind == "chat.md":
        assert [turn.question for turn in read_chat(message["text"], "")] == ["How do I record?"]


@pytest.mark.parametrize("kind", ["html", "chat.md"])
def test_an_empty_conversation_is_not_exported(harness: PanelHarness, kind: str) -> None:
    """As `%aeron export` refuses it."""
    harness.send("export", kind=kind)
    assert harness.wait("error")["title"].startswith("There is nothing to export")
    assert not harness.messages("file")


def test_source_is_the_markdown(harness: PanelHarness, sandbox: Sandbox) -> None:
    """Copying gives what the service wrote, not what the page shows."""
    sandbox.set_faults(say="Some *text*.")
    harness.ask("One")
    harness.send("source", key="main#1")
    assert harness.wait("source")["text"] == "Some *text*."


def test_an_unknown_turn_is_an_error(harness: PanelHarness) -> None:
    """A page may show what the kernel no longer has."""
    harness.send("regenerate", key="main#7")
    assert "does not exist" in harness.wait("error")["title"]
