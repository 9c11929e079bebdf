"""Messages to the pages: turns of cells and panels, each piece of text once, at a small cost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from panel_harness import PanelHarness, rebuilt

from aeron_magic.client.client import make_question
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.jupyter.panel.controller import DELTA_INTERVAL, PAGE_SIZE
from aeron_magic.jupyter.panel.transcript import bundle
from aeron_magic.jupyter.panel.turn_views import MAX_STEP, READ_ONLY, reply_html, utf16_safe
from aeron_magic.jupyter.panel.widget import ChatPanel
from aeron_magic.rendering.safe_html import to_html
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Refusal, Sandbox

TEXT = "".join(
    f"Paragraph {n} says *something* about `code` and 😀, in a sentence of usual length.\n\n"
    for n in range(60)
)


def size(messages: list[dict[str, object]]) -> int:
    """Bytes of messages on the wire, without their envelopes."""
    return sum(len(json.dumps(message, ensure_ascii=False).encode()) for message in messages)


def grow(harness: PanelHarness, turns: int) -> None:
    """Give the conversation so many turns."""
    tree = harness.session.tree
    for n in range(turns):
        pending = tree.start(tree.at_head(), f"Question {n}")
        tree.complete(pending, Reply(f"Answer {n}", context_token=harness.session.token.read()))
    harness.session.use(tree.name)


def test_a_reply_is_sent_piece_by_piece(harness: PanelHarness, sandbox: Sandbox) -> None:
    """A page builds the reply's HTML from the pieces; finished blocks are sent once."""
    sandbox.set_faults(say=TEXT, chunk_size=40, pause=0.005)
    harness.ask("Tell me")
    messages = harness.messages("begin", "delta", "end")
    assert messages[0]["turn"]["question"] == "Tell me"
    assert "".join(rebuilt(messages)) == utf16_safe(to_html(TEXT))
    assert messages[-1]["turn"]["blocks"] == []
    assert messages[-1]["patch"]["html"] == ""
    assert len(messages) > 5
    sent = "".join(message["add"] for message in messages[1:-1])
    assert sent.count("Paragraph 7 says") == 1


def test_the_end_counts_the_turns(harness: PanelHarness) -> None:
    """The whole list of conversations is sent only if one of them is gone."""
    harness.ask("One")
    harness.ask("Two")
    assert [message["count"] for message in harness.messages("end")] == [1, 2]
    assert not harness.messages("about")
    position = harness.session.position_for(conversation="other", after="apay_" + "0" * 48)
    asked = harness.session.ask(make_question("Refused", position.token), position)
    assert asked.notified.wait(10)
    state = harness.wait("state")
    assert [one["name"] for one in state["about"]["conversations"]] == ["main", "other"]
    about = harness.wait("about")["about"]
    assert [one["name"] for one in about["conversations"]] == ["main"]


def test_the_finished_reply_is_rendered_once(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the message ``end``, later snapshots and the transcript."""
    rendered: list[str] = []

    def record(markdown: str, **options: bool) -> str:
        rendered.append(markdown)
        return to_html(markdown, **options)

    monkeypatch.setattr("aeron_magic.rendering.safe_html.to_html", record)
    text = f"{TEXT}The end of {time.time()}.\n"
    sandbox.set_faults(say=text)
    harness.ask("Tell me")
    harness.send("sync")
    state = harness.wait("state")
    bundle(harness.session.tree, harness.session.tree.turns)
    assert "".join(state["turns"][-1]["blocks"]) == utf16_safe(to_html(text, cells=True))
    assert rendered.count(text) == 1


def test_pieces_cost_little_more_than_their_text(harness: PanelHarness, sandbox: Sandbox) -> None:
    """With the envelope, a piece is at most half as long again as the bare text would be."""
    sandbox.set_faults(say=TEXT, chunk_size=40, pause=0.01)
    harness.ask("Tell me")
    deltas = harness.messages("delta")
    envelope = 500
    bare = len(TEXT.encode()) + len(deltas) * envelope
    assert size(deltas) + len(deltas) * envelope <= 1.5 * bare


def test_pieces_cost_the_same_after_a_thousand_turns(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """The size of a message does not depend on the length of the conversation."""
    sandbox.set_faults(say=TEXT[:2_000])
    harness.ask("Begin")
    few = harness.messages("delta")
    grow(harness, 1_000)
    harness.wait("state")
    harness.clear()
    harness.ask("Go on")
    many = harness.messages("delta")
    for messages in (few, many):  # how many there are is a matter of the clock
        added = sum(len(message["add"].encode()) for message in messages)
        assert added < 3 * len(TEXT[:2_000])
        assert size(messages) - added < 200 * len(messages)


def test_a_question_costs_the_same_after_thousands_of_turns(
    harness: PanelHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU time of the panel for the begin and the end of a question."""
    controller = harness.app.panel_controller
    methods = ("question_started", "question_finished")
    costs: dict[str, list[float]] = {name: [] for name in methods}

    def timed(name: str, method: Callable[[object], None]) -> Callable[[object], None]:
        def call(asked: object) -> None:
            began = time.thread_time()
            method(asked)
            costs[name].append(time.thread_time() - began)

        return call

    for name in methods:
        monkeypatch.setattr(controller, name, timed(name, getattr(controller, name)))

    def cost(turns: int) -> float:
        grow(harness, turns - len(harness.session.tree.turns))
        harness.ask("Fill what is computed once")
        harness.clear()
        costs.update({name: [] for name in methods})  # the end of that question may still follow
        for _ in range(8):
            harness.ask("Go on")
            harness.clear()
        return sum(min(costs[name]) for name in methods)

    harness.ask("Begin")
    few = cost(300)
    assert cost(3_000) < 3 * few


def test_messages_are_paced(harness: PanelHarness, sandbox: Sandbox) -> None:
    """However many chunks come, there are about a dozen messages a second."""
    sandbox.set_faults(say=TEXT, chunk_size=1)
    began = time.monotonic()
    harness.ask("Tell me")
    assert len(harness.messages("delta")) <= 2 + (time.monotonic() - began) / DELTA_INTERVAL


def test_the_end_waits_for_no_clock(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text since the last message is sent as soon as the reply has ended."""
    monkeypatch.setattr("aeron_magic.jupyter.panel.controller.DELTA_INTERVAL", 3_600)
    sandbox.set_faults(say=TEXT, pause=0.001)
    harness.ask("Tell me")
    assert "".join(rebuilt(harness.messages("begin", "delta", "end"))) == utf16_safe(to_html(TEXT))
    assert len(harness.messages("delta")) <= 2


def test_a_cell_and_a_panel_share_the_conversation(harness: PanelHarness) -> None:
    """A cell's question is shown like a panel's; ``context_token`` follows both."""
    harness.ask("How do I continue a conversation?")
    first = harness.session.token.read()
    asked = harness.ask_in_cell("Why?", "a")
    end = harness.wait("end", count=2)
    assert end["turn"]["cell"]
    assert end["turn"]["key"] == "main#2"
    assert asked.pending.position.token == first
    assert end["turn"]["token"] == harness.session.token.read() != first


def test_a_cell_that_runs_again_is_answered_in_its_place(harness: PanelHarness) -> None:
    """The turn keeps its place; the turns after it are stale."""
    for text, cell in (("Hello", "a"), ("Why?", None), ("Hello again", "a")):
        harness.ask_in_cell(text, cell)
    assert harness.wait("end", count=3)["turn"]["key"] == "main#1"
    turns = harness.wait("state")["turns"]
    assert [(turn["question"], turn["stale"]) for turn in turns] == [
        ("Hello again", False),
        ("Why?", True),
    ]


def test_half_a_surrogate_pair_in_a_draft_stops_no_message(harness: PanelHarness) -> None:
    """Jupyter sends no text that cannot be encoded: pages would get nothing at all."""
    harness.send("draft", text="a \ud83d")
    harness.send("sync")
    state = harness.wait("state")
    assert json.dumps(state, ensure_ascii=False).encode()
    assert state["draft"] == "a \ufffd"


def test_a_page_that_comes_late_gets_all(harness: PanelHarness, sandbox: Sandbox) -> None:
    """The snapshot has the turns, the half reply and the draft, and what follows fits to it."""
    sandbox.set_faults(say=TEXT, chunk_size=40, pause=0.02)
    harness.send("ask", text="Tell me")
    harness.wait("delta", count=3)
    harness.send("draft", text="my thought")
    harness.clear()
    harness.send("sync")
    harness.wait("end", timeout=50)
    messages = harness.messages("state", "delta", "end")
    state = next(message for message in messages if message["type"] == "state")
    assert state["draft"] == "my thought"
    assert state["turns"][0]["status"] == "processing"
    assert "".join(rebuilt(messages[messages.index(state) :])) == utf16_safe(to_html(TEXT))


def test_a_question_of_the_panel_ends_a_run_of_all_cells(harness: PanelHarness) -> None:
    """It continues what is shown, as the cells after it do."""
    harness.ask("First")
    harness.app.session.rebuild()
    harness.ask("Second")
    first, second = harness.app.session.tree
    assert second.parent is first
    assert not harness.app.session.registry.is_rebuilding


def test_two_panels_get_the_same_messages(harness: PanelHarness) -> None:
    """Until one of them is closed."""
    other = ChatPanel(app=harness.app)
    harness.ask("Hello")
    harness.wait("end", panel=other)
    ours, theirs = harness.messages("begin", "end"), harness.messages("begin", "end", panel=other)
    assert ours == theirs
    harness.clear()
    closed = other.model_id
    other.close()
    harness.ask("Again")
    assert "custom" not in [data.get("method") for model, data in harness.sent if model == closed]


def test_what_failed_stays_where_it_was_asked(harness: PanelHarness, sandbox: Sandbox) -> None:
    """A failed question is shown with its error, and the next one stands below it."""
    sandbox.set_faults(refuse=(Refusal("create-response", 400, message="No such luck."),))
    end = harness.ask("First")
    assert end["turn"]["problem"]["said"] == "No such luck."
    assert end["turn"]["problem"]["actions"] == ["retry"]
    harness.ask("Second")
    harness.clear()
    harness.send("sync")
    turns = harness.wait("state")["turns"]
    assert [turn["question"] for turn in turns] == ["First", "Second"]
    assert turns[0]["problem"]["said"] == "No such luck."
    assert turns[1]["siblings"] == {"at": 0, "keys": ["main#2"]}


def read(harness: PanelHarness) -> ConversationTree:
    """Make the conversation one that can only be read, as ``%aeron resume`` does."""
    tree = harness.session.tree
    tree.ended = set(tree)
    harness.clear()
    harness.session.new(tree.name)
    harness.wait("state")
    return tree


def shown(harness: PanelHarness) -> list[dict[str, Any]]:
    """The turns of a new page."""
    harness.clear()
    harness.send("sync")
    turns: list[dict[str, Any]] = harness.wait("state")["turns"]
    return turns


def test_a_branch_can_be_chosen_where_the_service_has_ended(harness: PanelHarness) -> None:
    """It is read, not continued: there is no token, and the next question is another start."""
    harness.ask("One")
    harness.ask("Two")
    harness.send("edit", key="main#1", text="Other")
    harness.wait("end", count=3)
    tree = read(harness)
    assert [turn["question"] for turn in shown(harness)] == ["Other"]
    harness.send("choose", key="main#1")
    turns = shown(harness)
    assert [turn["question"] for turn in turns] == ["One", "Two"]
    assert turns[0]["siblings"] == {"at": 0, "keys": ["main#1", "main#3"]}
    assert [turn["branches"] for turn in turns] == [False, False]
    assert [turn["note"] for turn in turns] == ["", READ_ONLY]
    assert (tree.head, harness.session.token.read()) == (None, None)
    end = harness.ask("Three")
    assert end["turn"]["siblings"] == {"at": 2, "keys": ["main#1", "main#3", "main#4"]}
    harness.send("choose", key="main#1")
    assert [turn["branches"] for turn in shown(harness)] == [False, False]
    assert (tree.head, harness.session.token.read()) == (None, None)
    harness.send("choose", key="main#4")
    turn = shown(harness)[-1]
    assert (turn["question"], turn["branches"], turn["note"]) == ("Three", True, "")


def test_only_the_last_turn_says_that_it_can_only_be_read(harness: PanelHarness) -> None:
    """Not the last one of each page of older turns."""
    harness.ask("Begin")
    grow(harness, 50)
    read(harness)
    state = harness.wait("state")
    harness.send("older", end=state["first"])
    notes = [turn["note"] for turn in harness.wait("older")["turns"] + state["turns"]]
    assert [note for note in notes if note] == notes[-1:] == [READ_ONLY]


def test_a_question_that_fails_where_the_service_has_ended_is_shown(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """With its error, and it can be asked again."""
    harness.ask("One")
    read(harness)
    sandbox.set_faults(refuse=(Refusal("create-response", 400, message="No such luck."),))
    harness.ask("Two")
    turn = shown(harness)[-1]
    assert turn["problem"]["said"] == "No such luck."
    assert turn["problem"]["actions"] == ["retry"]


def test_a_cell_that_runs_again_where_the_service_has_ended_starts_again(
    harness: PanelHarness,
) -> None:
    harness.ask_in_cell("One", "a")
    harness.ask_in_cell("Two", "b")
    read(harness)
    harness.ask_in_cell("One", "a")
    turns = shown(harness)
    assert [(turn["question"], turn["branches"]) for turn in turns] == [("One", True)]


def test_older_turns_come_page_by_page(harness: PanelHarness) -> None:
    """A page gets the newest turns, and asks for those before."""
    harness.ask("Begin")
    grow(harness, 50)
    state = harness.wait("state")
    assert (state["first"], len(state["turns"])) == (51 - PAGE_SIZE, PAGE_SIZE)
    harness.send("older", end=state["first"])
    older = harness.wait("older")
    assert older["first"] == 51 - 2 * PAGE_SIZE
    assert older["turns"][-1]["question"] == f"Question {51 - PAGE_SIZE - 2}"


def test_an_agent_introduces_itself(harness: PanelHarness, sandbox: Sandbox) -> None:
    """Chatzy's introduction comes with its buttons, before anything was asked."""
    harness.connect_chatzy(sandbox)
    with harness._changed:
        harness._changed.wait_for(
            lambda: any(message["about"]["introduction"] for message in harness.messages("about")),
            10,
        )
    introduction = harness.messages("about")[-1]["about"]["introduction"]
    assert "Hello" in introduction["html"]
    assert introduction["buttons"]


def test_a_tool_of_a_chatzy_agent_is_shown_while_it_runs(harness: PanelHarness) -> None:
    """With the embedded sandbox as it is."""
    harness.session.connect("chatzy", sandbox=True)
    harness.ask("Look up how I add an image.")
    assert "using a tool …" in [one["notice"] for one in harness.messages("delta")]


def test_the_turns_after_the_opening_turn_of_chatzy_stay_when_it_is_asked_again(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """A first question without a complete reply, which is asked again in its place."""
    harness.connect_chatzy(sandbox)
    sandbox.set_faults(say="one two three four", cut_after=150, cut_times=9)
    harness.ask_in_cell("one", "a")
    harness.wait("end")
    sandbox.set_faults(cut_after=None)
    harness.ask_in_cell("two", "b")
    harness.wait("end", count=2)
    harness.ask_in_cell("one", "a")
    harness.wait("end", count=3)
    states = len(harness.messages("state"))
    harness.send("sync")
    turns = harness.wait("state", count=states + 1)["turns"]
    shown = [(turn["question"], turn["status"], turn["stale"]) for turn in turns]
    assert shown == [("one", "complete", False), ("two", "complete", True)]


@pytest.mark.parametrize("fault", [{"signal": "__ERROR__: out of order"}, {"signal": None}])
def test_an_opening_turn_of_chatzy_is_a_branch_as_soon_as_it_is_followed(
    harness: PanelHarness, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    """Also if the question after it fails; the pages then show the arrows to the other branch."""
    harness.connect_chatzy(sandbox)
    harness.ask("one")
    harness.app.shell.user_ns["context_token"] = None
    sandbox.set_faults(say="one two three four", cut_after=150, cut_times=9)
    assert harness.ask("two")["turn"]["siblings"]["keys"] == ["main#2"]
    sandbox.set_faults(cut_after=None, **fault)
    harness.clear()
    harness.ask("three")
    opening = harness.wait("state")["turns"][0]
    assert opening["siblings"] == {"at": 1, "keys": ["main#1", "main#2"]}


def test_a_failed_question_is_not_offered_again_where_the_service_would_refuse_it(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """Chatzy goes on at its newest turn only; the pages learn it when that has changed."""
    harness.connect_chatzy(sandbox)
    harness.ask("one")
    sandbox.set_faults(signal="__ERROR__: out of order")
    assert harness.ask("two")["turn"]["problem"]["actions"] == ["retry"]
    sandbox.set_faults(signal=None)
    harness.clear()
    harness.ask("three")
    turns = harness.wait("state")["turns"]
    assert [turn["question"] for turn in turns] == ["one", "two", "three"]
    assert turns[1]["problem"]["title"] == "The agent could not answer."
    assert turns[1]["problem"]["actions"] == []


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_stopped_first_question_to_chatzy_is_not_offered_again_once_others_were_asked(
    harness: PanelHarness, sandbox: Sandbox, is_cut: bool
) -> None:
    """It would begin another conversation, and leave them behind; an outdated page is told so."""
    harness.connect_chatzy(sandbox)
    sandbox.set_faults(say="one two three four", cut_after=150, cut_times=9)
    assert harness.ask("one")["turn"]["problem"]["actions"] == ["again"]
    sandbox.set_faults(cut_after=150 if is_cut else None)
    harness.clear()
    harness.ask("two")
    turns = harness.wait("state")["turns"]
    assert [turn["question"] for turn in turns] == ["one", "two"]
    assert (turns[1]["problem"] is not None) is is_cut
    assert turns[0]["problem"]["actions"] == []
    token = harness.session.token.read()
    harness.send("retry", key="main#1")
    assert "has gone on since" in str(harness.wait("error"))
    assert harness.session.token.read() == token
    assert len(harness.session.tree.turns) == 2


def test_of_several_cut_questions_to_chatzy_the_newest_is_offered_again(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    """An earlier one would be asked after those that the agent has got since."""
    harness.connect_chatzy(sandbox)
    harness.ask("one")
    sandbox.set_faults(say="one two three four", cut_after=150, cut_times=9)
    for text in ("two", "three"):
        harness.clear()
        harness.ask(text)
    turns = harness.wait("state")["turns"]
    assert [turn["problem"] and turn["problem"]["actions"] for turn in turns] == [
        None,
        [],
        ["again"],
    ]


@pytest.mark.parametrize(
    "signal", ["[FROZEN]", "[BLACKLISTED]", "close_connection_incomplete_content"]
)
def test_a_question_that_would_fail_again_is_not_offered_again(
    harness: PanelHarness, sandbox: Sandbox, signal: str
) -> None:
    """It would be refused, or cut at the same place, and may be charged."""
    harness.connect_chatzy(sandbox)
    sandbox.set_faults(signal=signal)
    problem = harness.ask("one")["turn"]["problem"]
    assert problem["actions"] == []
    assert problem["hint"]


def test_a_long_reply_is_rendered_beside_other_replies(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next question is asked, read and shown in order while the end is being rendered."""
    begun, released = threading.Event(), threading.Event()

    def render(text: str) -> str:
        begun.set()
        assert released.wait(10)
        return reply_html(text)

    monkeypatch.setattr("aeron_magic.jupyter.panel.controller.reply_html", render)
    long = "A sentence of a long reply.\n\n" * (MAX_STEP // 20)
    sandbox.set_faults(say=long)
    harness.ask_in_cell("Tell me all", "a")
    assert begun.wait(5)
    sandbox.set_faults(say="A short reply.")
    harness.ask_in_cell("And now?", "b")
    assert [message["type"] for message in harness.messages("begin", "end")] == ["begin"]
    released.set()
    harness.wait("end", count=2)
    shown = harness.messages("begin", "end")
    kinds = [(message["type"], message["turn"]["key"]) for message in shown]
    assert kinds == [(kind, key) for key in ("main#1", "main#2") for kind in ("begin", "end")]
    assert "".join(rebuilt(harness.messages("begin", "delta", "end"))) == utf16_safe(to_html(long))


def test_a_panel_that_fails_leaves_the_others_and_the_reply(
    harness: PanelHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose channel was closed; here it is the first."""

    def fail(_message: object) -> None:
        raise OSError("the channel is closed")

    monkeypatch.setattr(harness.panel, "post", fail)
    other = ChatPanel(app=harness.app)
    asked = harness.ask_in_cell("Why?", "a")
    assert asked.notified.wait(5)
    assert asked.error is None
    assert [message["type"] for message in harness.messages(panel=other)][-1] == "end"
    other.close()
    assert "A panel could not be updated: OSError" in caplog.text


@pytest.mark.parametrize("broken", ["end", "step"])
def test_the_panel_is_free_again_after_an_error_of_ours(
    harness: PanelHarness, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The pages get a snapshot in which no reply is coming in, and the next question works."""

    def fail(*_: object) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(f"aeron_magic.jupyter.panel.turn_views.HtmlStream.{broken}", fail)
        harness.ask_in_cell("Why?", "a")
        harness.wait("error")
        states = harness.messages("state")
        assert states
        assert states[-1]["live"] is None
    harness.ask("And now?")
