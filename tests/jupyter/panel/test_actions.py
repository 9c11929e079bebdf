"""What a reader can do: each wish does what it says in the conversation, and says so."""

from __future__ import annotations

import json

import pytest
from panel_harness import Ground

from aeron_magic.sandbox import Refusal, Sandbox


def test_ask_names_the_wish_that_began_it(ground: Ground) -> None:
    """So that a page knows that it was heard."""
    wish = ground.say("ask", text="Hello")
    assert ground.wait("begin")["request"] == wish
    assert ground.wait("end")["turn"]["status"] == "complete"


def test_an_empty_question_is_refused(ground: Ground) -> None:
    """Nothing is sent; the page's wish is named."""
    wish = ground.say("ask", text=" \n")
    assert ground.wait("trouble")["request"] == wish


def test_stop_keeps_what_came(ground: Ground, sandbox: Sandbox) -> None:
    """The turn is told as stopped, with what can be done; the next question works."""
    sandbox.set_faults(say="word " * 500, pause=0.01)
    ground.say("ask", text="Tell me")
    ground.wait("delta", count=2)
    ground.say("stop", request="")
    turn = ground.wait("end")["turn"]
    assert turn["status"] == "interrupted"
    assert turn["problem"]["kind"] == "stopped"
    assert turn["problem"]["actions"] == ["fetch", "again"]
    sandbox.set_faults(say="Short.", pause=0)
    assert ground.ask("And now?")["turn"]["status"] == "complete"


def test_a_stop_that_overtakes_its_question_holds(ground: Ground, sandbox: Sandbox) -> None:
    """Wishes are handled in two threads, and may change places."""
    sandbox.set_faults(first_chunk=20)
    ground.say("stop", request="wish-2")
    assert ground.say("ask", text="Hello") == "wish-2"
    assert ground.wait("end")["turn"]["status"] == "interrupted"


def test_edit_and_regenerate_stand_beside(ground: Ground) -> None:
    """Both ask at the place of the turn, and leave it alone."""
    ground.ask("One")
    ground.ask("Two")
    ground.say("edit", key="main#2", text="Two, edited")
    ground.wait("end", count=3)
    ground.say("regenerate", key="main#2")
    end = ground.wait("end", count=4)
    assert end["turn"]["question"] == "Two"
    assert end["turn"]["siblings"] == {"at": 2, "keys": ["main#2", "main#3", "main#4"]}
    tree = ground.session.tree
    assert {turn.parent.number for turn in tree.turns if turn.parent} == {1}


def test_choose_moves_the_token(ground: Ground) -> None:
    """The next question, of a cell too, continues from the chosen branch."""
    ground.ask("One")
    token = ground.session.token.read()
    ground.say("edit", key="main#1", text="Other")
    ground.wait("end", count=2)
    ground.forget()
    ground.say("choose", key="main#1")
    assert [turn["question"] for turn in ground.wait("state")["turns"]] == ["One"]
    assert ground.session.token.read() == token
    assert not ground.session.token.assigned_by_user


def test_retry_takes_the_place_of_what_failed(ground: Ground, sandbox: Sandbox) -> None:
    """There is one turn in the end, and it is whole."""
    sandbox.set_faults(refuse=(Refusal("create-response", 400),))
    ground.ask("One")
    ground.say("retry", key="main#1")
    assert ground.wait("end", count=2)["turn"]["status"] == "complete"
    assert len(ground.session.tree.turns) == 1


def test_retry_of_a_question_with_a_refused_token(ground: Ground, sandbox: Sandbox) -> None:
    """What was not taken into the conversation can be asked again from its card."""
    ground.ask("One")
    token = ground.session.token.read()
    assert token is not None
    sandbox.set_faults(expired=(token,))
    end = ground.ask("Two")
    assert end["turn"]["problem"]["title"]
    assert len(ground.session.tree.turns) == 1
    sandbox.set_faults(expired=())
    ground.say("retry", key=end["turn"]["key"])
    assert ground.wait("end", count=3)["turn"]["question"] == "Two"


def test_fetch_completes_a_turn(ground: Ground, sandbox: Sandbox) -> None:
    """The stored reply takes the place of the part; nothing is asked again."""
    sandbox.set_faults(
        say="word " * 300, cut_after=3_000, refuse=(Refusal("fetch-response", 400, times=1),)
    )
    end = ground.ask("One")
    assert end["turn"]["problem"]["actions"] == ["fetch", "again"]
    ground.say("fetch", key="main#1")
    turn = ground.wait("end", count=2)["turn"]
    assert turn["status"] in ("complete", "recovered")
    assert turn["problem"] is None
    assert len(sandbox.log.of("create-response")) == 1


def test_conversations(ground: Ground) -> None:
    """A new one is empty; the old one comes back when it is chosen."""
    ground.ask("One")
    ground.forget()
    ground.say("new")
    state = ground.wait("state")
    assert state["turns"] == []
    assert ground.session.token.read() is None
    ground.forget()
    ground.say("use", name="main")
    assert [turn["question"] for turn in ground.wait("state")["turns"]] == ["One"]


def test_who_comes_back_in_the_middle_of_a_reply_finds_it(ground: Ground, sandbox: Sandbox) -> None:
    """Another conversation was looked at meanwhile; the reply goes on, can be stopped, and ends."""
    ground.ask("One")
    sandbox.set_faults(say="word " * 500, pause=0.01)
    ground.say("ask", text="Two")
    ground.wait("delta", count=2)
    ground.forget()
    ground.say("new")
    assert ground.wait("state")["live"] is None
    ground.forget()
    ground.say("use", name="main")
    state = ground.wait("state")
    assert [turn["question"] for turn in state["turns"]] == ["One", "Two"]
    assert state["live"]["key"] == "main#2"
    ground.say("stop", request="")
    assert ground.wait("end")["turn"]["status"] == "interrupted"


@pytest.mark.parametrize("kind", ["md", "json", "ipynb"])
def test_export(ground: Ground, kind: str) -> None:
    """The text of the file goes to the page, which saves it."""
    ground.ask("How do I record?")
    wish = ground.say("export", kind=kind)
    word = ground.wait("file")
    assert word["request"] == wish
    assert word["name"] == f"main.{kind}"
    assert "How do I record?" in word["text"]
    if kind != "md":
        json.loads(word["text"])


def test_source_is_the_markdown(ground: Ground, sandbox: Sandbox) -> None:
    """Copying gives what the service wrote, not what the page shows."""
    sandbox.set_faults(say="Some *text*.")
    ground.ask("One")
    ground.say("source", key="main#1")
    assert ground.wait("source")["text"] == "Some *text*."


def test_a_turn_that_is_gone_is_said(ground: Ground) -> None:
    """A page may show what the kernel no longer has."""
    ground.say("regenerate", key="main#7")
    assert "no longer" in ground.wait("trouble")["title"]
