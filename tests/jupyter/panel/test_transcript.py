"""The transcript: readable without the panel, and cheap beside it."""

from __future__ import annotations

from typing import Any

import pytest

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.jupyter.panel.transcript import Transcript, bundle, pages
from aeron_magic.replies.reply import Reply, Status


def conversation(turns: int, length: int = 40) -> ConversationTree:
    """A conversation of so many turns."""
    tree = ConversationTree("main", "aeronpay")
    for n in range(turns):
        pending = tree.start(tree.at_head(), f"Question {n}", now=float(n + 1))
        tree.complete(pending, Reply(f"Answer {n} " + "x" * length, context_token=f"t{n}"))
    return tree


def line(tree: ConversationTree) -> list[Turn]:
    """The turns to its head."""
    return tree.head.path() if tree.head is not None else []


def test_every_mime_type_has_the_conversation() -> None:
    """HTML is folded; Markdown and plain text are not."""
    tree = conversation(2)
    data = bundle(tree, line(tree))
    for text in data.values():
        assert "Question 1" in text
        assert "Answer 1" in text
    assert data["text/html"].count("<details>") == data["text/html"].count("</details>") == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("interrupted", "Stopped."),
        ("failed", "Failed."),
        ("incomplete", "The reply is incomplete."),
    ],
)
def test_a_turn_that_is_not_continued_has_a_mark(status: Status, said: str) -> None:
    """Also if it has no text; one with Chatzy is in the same conversation."""
    tree = conversation(1)
    for text in ("", "A part"):
        tree.complete(tree.start(tree.at_head(), "Cut"), Reply(text, status))
    empty, cut = tree.turns[1:]
    for data in bundle(tree, [empty]).values():
        assert f"{said} What follows does not continue from here." in data
    for data in bundle(tree, [cut]).values():
        assert "What follows does not continue from here." in data
    assert "What follows" not in bundle(tree, line(tree))["text/plain"]
    tree.service = "chatzy"
    for data in bundle(tree, [empty]).values():
        assert said in data
        assert "What follows" not in data


def test_a_reply_that_is_being_read_is_not_called_lost() -> None:
    """That of a question whose kernel has ended is."""
    tree = conversation(1)
    pending = tree.start(tree.at_head(), "And now?")
    text = bundle(tree, [*line(tree), pending.turn])["text/plain"]
    assert text.endswith("[There was no reply when this was saved.]")
    tree.mark_lost(pending, None)
    assert "The reply is lost" in bundle(tree, tree.turns)["text/plain"]


def test_the_known_part_of_a_reply_stays_while_it_is_fetched() -> None:
    tree = conversation(1)
    asked = tree.start(tree.at_head(), "And now?")
    known = tree.complete(asked, Reply("A part", "interrupted", "t9"))
    position = tree.rerun(known)
    fetch = tree.start(position, "And now?", asked_at=known.asked_at)
    text = bundle(tree, [*line(tree), fetch.turn])["text/plain"]
    assert "A part" in text
    assert "There was no reply" not in text
    again = tree.start(position, "Otherwise?")
    assert "A part" not in bundle(tree, [again.turn])["text/plain"], (
        "it belongs to the earlier question"
    )


def test_hostile_text_stays_text() -> None:
    """Questions and replies go through the same safe place as a cell's output."""
    tree = ConversationTree("main", "aeronpay")
    evil = "</details><script>x</script><img src=x onerror=y> ![i](http://h/i.png)"
    tree.complete(tree.start(tree.at_head(), evil), Reply(evil, context_token="t"))
    html = bundle(tree, line(tree))["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("</details>") == 1


def test_a_long_conversation_fits_into_a_cell() -> None:
    """JupyterLab shows fifty outputs of a cell; a thousand long turns are fewer, and in order."""
    turns = line(conversation(1_000, 1_000))
    cut = pages(turns)
    assert len(cut) < 45
    assert [turn for page in cut for turn in page] == turns


def test_only_what_changed_is_published() -> None:
    """After one more turn one output is sent; a shorter line empties what is left over."""
    sent: list[tuple[str, bool, str]] = []

    def publish(**display: Any) -> None:
        identity = display["transient"]["display_id"]
        sent.append((identity, display["update"], display["data"]["text/html"]))

    tree = conversation(30, 1_000)
    transcript = Transcript(publish, "p")
    transcript.show(tree, line(tree))
    count = len(sent)
    assert count > 2
    assert not any(update for _, update, _ in sent)
    sent.clear()
    transcript.show(tree, line(tree))
    assert sent == []
    tree.complete(tree.start(tree.at_head(), "One more"), Reply("Yes.", context_token="t"))
    transcript.show(tree, line(tree))
    assert [(identity, update) for identity, update, _ in sent] == [(f"p-{count - 1}", True)]
    sent.clear()
    transcript.show(tree, line(tree)[:1])
    assert [html for _, _, html in sent][1:] == [""] * (count - 1)


def test_a_mark_is_updated() -> None:
    """As of a stopped turn that was fetched late, and is continued now."""
    sent: list[str] = []
    transcript = Transcript(lambda **display: sent.append(display["data"]["text/plain"]), "p")
    tree = conversation(1)
    tree.complete(tree.start(tree.at_head(), "Cut"), Reply("A part", "interrupted", "t9"))
    tree.complete(tree.start(tree.at_head(), "Next"), Reply("Yes.", context_token="t2"))
    cut = tree.turns[1]
    fetch = tree.start(tree.rerun(cut), "Cut", asked_at=cut.asked_at)
    tree.complete(fetch, Reply("All of it", context_token="t9"))
    transcript.show(tree, tree.turns)
    assert "What follows does not continue from here." in sent[-1]
    tree.complete(tree.start(tree.after_turn(cut), "More"), Reply("Yes.", context_token="t3"))
    transcript.show(tree, tree.turns[:3])
    assert "What follows does not continue from here." not in sent[-1]


def test_full_outputs_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After thousands of turns one more costs a look at the last output."""
    tree = conversation(3_000)
    transcript = Transcript(lambda **_: None, "p")
    transcript.show(tree, line(tree))
    tree.complete(tree.start(tree.at_head(), "One more"), Reply("Yes.", context_token="t"))
    looked_at: list[Turn] = []
    monkeypatch.setattr(
        Turn, "status", property(lambda turn: looked_at.append(turn) or turn.reply.status)
    )
    transcript.show(tree, line(tree))
    assert tree.turns[-1] in looked_at
    assert len(looked_at) < 1_000


def test_a_turn_in_a_full_output_that_is_asked_again_is_shown() -> None:
    sent: list[str] = []
    tree = conversation(100, 1_000)
    transcript = Transcript(lambda **display: sent.append(display["data"]["text/plain"]), "p")
    turns = line(tree)
    transcript.show(tree, turns)
    transcript.show(tree, turns)
    sent.clear()
    again = tree.start(tree.rerun(turns[2]), "Again?", now=1e9)
    tree.complete(again, Reply("Otherwise.", context_token="u"))
    transcript.show(tree, turns)
    assert "Otherwise." in "".join(sent)


@pytest.mark.parametrize(
    ("numbers", "title"),
    [([1, 2, 3], "turns 1 to 3"), ([1, 2, 6], "turns 1, 2, 6"), ([4], "turn 4")],
)
def test_the_title_names_the_turns_of_the_branch(numbers: list[int], title: str) -> None:
    tree = ConversationTree("main", "aeronpay")
    turns = [Turn(number, "Why?") for number in numbers]
    assert bundle(tree, turns)["text/plain"].startswith(f"Transcript: {title}\n")
