"""What pages are told: all turns of all who ask, each piece once, and little of it."""

from __future__ import annotations

import json
import time

import pytest
from panel_harness import Ground, rebuilt

from aeron_magic.jupyter.panel.controller import PACE, PAGE
from aeron_magic.jupyter.panel.html_stream import utf16_safe
from aeron_magic.jupyter.panel.widget import ChatPanel
from aeron_magic.rendering.mimebundle import to_html
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Refusal, Sandbox

TEXT = "".join(
    f"Paragraph {n} says *something* about `code` and 😀, in a sentence of usual length.\n\n"
    for n in range(60)
)


def size(words: list[dict[str, object]]) -> int:
    """Bytes of words on the wire, without their envelopes."""
    return sum(len(json.dumps(word, ensure_ascii=False).encode()) for word in words)


def grow(ground: Ground, turns: int) -> None:
    """Give the conversation so many turns."""
    tree = ground.session.tree
    for n in range(turns):
        attempt = tree.start(tree.at_head(), f"Question {n}")
        tree.complete(attempt, Reply(f"Answer {n}", context_token=ground.session.token.read()))
    ground.session.use(tree.name)


def test_a_reply_is_told_piece_by_piece(ground: Ground, sandbox: Sandbox) -> None:
    """What a page builds from the pieces is the reply's HTML; finished blocks came once."""
    sandbox.set_faults(say=TEXT, pause=0.001)
    ground.ask("Tell me")
    words = ground.words("begin", "delta", "end")
    assert words[0]["turn"]["question"] == "Tell me"
    assert "".join(rebuilt(words)) == utf16_safe(to_html(TEXT))
    assert words[-1]["turn"]["blocks"] == []
    assert words[-1]["patch"]["html"] == ""
    assert len(words) > 5
    sent = "".join(word["add"] for word in words[1:-1])
    assert sent.count("Paragraph 7 says") == 1


def test_pieces_cost_little_more_than_their_text(ground: Ground, sandbox: Sandbox) -> None:
    """With the envelope, a piece is at most half as long again as the bare text would be."""
    sandbox.set_faults(say=TEXT, pause=0.002)
    ground.ask("Tell me")
    deltas = ground.words("delta")
    envelope = 500
    bare = len(TEXT.encode()) + len(deltas) * envelope
    assert size(deltas) + len(deltas) * envelope <= 1.5 * bare


def test_pieces_cost_the_same_after_a_thousand_turns(ground: Ground, sandbox: Sandbox) -> None:
    """What a message holds does not depend on what was said before."""
    sandbox.set_faults(say=TEXT[:2_000])
    ground.ask("Begin")
    few = ground.words("delta")
    grow(ground, 1_000)
    ground.wait("state")
    ground.forget()
    ground.ask("Go on")
    many = ground.words("delta")
    for words in (few, many):  # how many there are is a matter of the clock
        added = sum(len(word["add"].encode()) for word in words)
        assert added < 3 * len(TEXT[:2_000])
        assert size(words) - added < 200 * len(words)


def test_messages_are_paced(ground: Ground, sandbox: Sandbox) -> None:
    """However many chunks come, there are about a dozen messages a second."""
    sandbox.set_faults(say=TEXT, chunk_size=1)
    began = time.monotonic()
    ground.ask("Tell me")
    assert len(ground.words("delta")) <= 2 + (time.monotonic() - began) / PACE


def test_the_end_waits_for_no_clock(
    ground: Ground, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came since the last message is told as soon as the reply has ended."""
    monkeypatch.setattr("aeron_magic.jupyter.panel.controller.PACE", 3_600)
    sandbox.set_faults(say=TEXT, pause=0.001)
    ground.ask("Tell me")
    assert "".join(rebuilt(ground.words("begin", "delta", "end"))) == utf16_safe(to_html(TEXT))
    assert len(ground.words("delta")) <= 2


def test_a_cell_and_a_panel_share_the_conversation(ground: Ground) -> None:
    """A question of a cell is told like one of the panel; the token follows both."""
    ground.ask("How do I continue a conversation?")
    first = ground.session.token.read()
    asked = ground.session.ask("Why?", ground.session.position_for(cell="a"), cell="a")
    asked.task.wait()
    ground.session.finish(asked)
    end = ground.wait("end", count=2)
    assert end["turn"]["cell"]
    assert end["turn"]["key"] == "main#2"
    assert asked.pending.position.token == first
    assert end["turn"]["token"] == ground.session.token.read() != first


def test_a_cell_that_runs_again_is_answered_in_its_place(ground: Ground) -> None:
    """The turn keeps its place; the turns after it are stale."""
    for text, cell in (("Hello", "a"), ("Why?", None), ("Hello again", "a")):
        asked = ground.session.ask(text, ground.session.position_for(cell=cell), cell=cell)
        asked.task.wait()
        ground.session.finish(asked)
    assert ground.wait("end", count=3)["turn"]["key"] == "main#1"
    turns = ground.wait("state")["turns"]
    shown = [(turn["question"], turn["stale"]) for turn in turns]
    assert shown == [("Hello again", False), ("Why?", True)]


def test_a_page_that_comes_late_gets_all(ground: Ground, sandbox: Sandbox) -> None:
    """The snapshot has the turns, the half reply and the draft, and what follows fits to it."""
    sandbox.set_faults(say=TEXT, pause=0.003)
    ground.say("ask", text="Tell me")
    ground.wait("delta", count=3)
    ground.say("draft", text="my thought")
    ground.forget()
    ground.say("hello")
    ground.wait("end")
    words = ground.words("state", "delta", "end")
    state = next(word for word in words if word["type"] == "state")
    assert state["draft"] == "my thought"
    assert state["turns"][0]["status"] == "processing"
    assert "".join(rebuilt(words[words.index(state) :])) == utf16_safe(to_html(TEXT))


def test_two_panels_hear_the_same(ground: Ground) -> None:
    """Whatever one of them is told, the other is told too."""
    other = ChatPanel(ground.session)
    ground.ask("Hello")
    ours, theirs = ground.words("begin", "end"), ground.words("begin", "end", panel=other)
    assert ours == theirs
    ground.forget()
    closed = other.model_id
    other.close()
    ground.ask("Again")
    assert "custom" not in [data.get("method") for model, data in ground.wire if model == closed]


def test_what_failed_stays_where_it_was_asked(ground: Ground, sandbox: Sandbox) -> None:
    """A failed question is shown with its error, and the next one stands below it."""
    sandbox.set_faults(refuse=(Refusal("create-response", 400, message="No such luck."),))
    end = ground.ask("First")
    assert end["turn"]["problem"]["said"] == "No such luck."
    assert end["turn"]["problem"]["actions"] == ["retry"]
    ground.ask("Second")
    ground.forget()
    ground.say("hello")
    turns = ground.wait("state")["turns"]
    assert [turn["question"] for turn in turns] == ["First", "Second"]
    assert turns[0]["problem"]["said"] == "No such luck."
    assert turns[1]["siblings"] == {"at": 0, "keys": ["main#2"]}


def test_older_turns_come_page_by_page(ground: Ground) -> None:
    """A page gets the newest turns, and asks for those before."""
    ground.ask("Begin")
    grow(ground, 50)
    state = ground.wait("state")
    assert (state["first"], len(state["turns"])) == (51 - PAGE, PAGE)
    ground.say("older", end=state["first"])
    older = ground.wait("older")
    assert older["first"] == 51 - 2 * PAGE
    assert older["turns"][-1]["question"] == f"Question {51 - PAGE - 2}"


def test_an_agent_introduces_itself(ground: Ground, sandbox: Sandbox) -> None:
    """Chatzy's introduction comes with its buttons, before anything was asked."""
    ground.session.connect(
        "chatzy",
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
        chatbot_id="00000000-0000-4000-8000-000000000000",
    )
    with ground._changed:
        ground._changed.wait_for(
            lambda: any(word["about"]["introduction"] for word in ground.words("about")), 10
        )
    said = ground.words("about")[-1]["about"]["introduction"]
    assert "Hello" in said["html"]
    assert said["buttons"]
