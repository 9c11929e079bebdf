"""A conversation as a document, as JSON and as a notebook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from aeron_magic.conversations.export import as_json, as_markdown, as_notebook, write
from aeron_magic.conversations.tree import ConversationTree, Position
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply, Status


@pytest.fixture
def tree() -> ConversationTree:
    """Two turns, a branch, another first turn, and a question that failed."""
    tree = ConversationTree("shop", "aeronpay")
    ask(tree, tree.at_head(), "Plan a shop.", name="the plan")
    ask(tree, tree.at_head(), "And {{then}}?")
    ask(tree, tree.resolve("1"), "Cheaper!", images=("https://a.example/1.png",))
    ask(tree, tree.at_root(), "Something else.")
    ask(tree, tree.at_head(), "Fails.", status="failed")
    ask(tree, tree.rerun(tree.turns[0]), "Plan a small shop.")
    return tree


def ask(
    tree: ConversationTree,
    position: Position,
    question: str,
    images: tuple[str, ...] = (),
    name: str | None = None,
    status: Status = "complete",
    text: str = "**Yes.**",
) -> None:
    number = len(tree.turns) + 1
    pending = tree.start(position, question, images, name=name, now=1_763_776_200.0 + number)
    tree.complete(
        pending, Reply(text, status, f"token {number}", position.token, "m", "aeronpay", 1.5)
    )


def test_the_json_has_the_documented_keys(tree: ConversationTree) -> None:
    data = json.loads(json.dumps(as_json(tree)))
    assert {key: value for key, value in data.items() if key != "turns"} == {
        "format": "aeron-magic conversation",
        "version": 1,
        "conversation": "shop",
        "service": "aeronpay",
        "newest": 1,
    }
    assert data["turns"][1] == {
        "number": 2,
        "name": None,
        "parent": 1,
        "question": "And {{then}}?",
        "images": [],
        "asked": "2025-11-22T01:50:02Z",
        "started_from": "token 1",
        "stale": True,
        "reply": {
            "text": "**Yes.**",
            "status": "complete",
            "context_token": "token 2",
            "parent_context_token": "token 1",
            "msg_id": "m",
            "seconds": 1.5,
            "first_chunk_seconds": None,
            "replayed": False,
        },
    }
    assert [turn["reply"]["status"] for turn in data["turns"]].count("failed") == 1


def test_a_lost_question_has_no_reply(tree: ConversationTree) -> None:
    """In JSON it is null, in the document *lost*."""
    tree.mark_lost(tree.start(tree.at_head(), "Lost?"))
    assert as_json(tree)["turns"][-1]["reply"] is None
    assert as_markdown(tree).rstrip().endswith("> Lost?\n\n*(lost)*")


def test_the_document_has_each_turn_and_its_position(tree: ConversationTree) -> None:
    """A heading names the parent unless that is the turn before."""
    headings = [line for line in as_markdown(tree).splitlines() if line.startswith("#")]
    assert headings == [
        "# shop",
        "## Turn 1 (the plan)",
        "## Turn 2, stale",
        "## Turn 3, after Turn 1 (the plan), stale",
        "## Turn 4, a beginning",
        "## Turn 5",
    ]


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "![x](https://evil.example/x.png)", "<img src=x>"]
)
def test_the_document_has_no_active_content(hostile: str) -> None:
    """Neither from a question nor from a reply."""
    tree = ConversationTree(hostile)
    ask(tree, tree.at_head(), hostile, text=hostile)
    document = as_markdown(tree)
    assert hostile not in document.replace("\\<", "")


def test_an_unclosed_code_block_is_closed() -> None:
    tree = ConversationTree("x")
    ask(tree, tree.at_head(), "one", text="```python\nx = 1")
    ask(tree, tree.at_head(), "two")
    assert as_markdown(tree).count("```") == 2


def sources(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_the_notebook_asks_each_question_at_its_position(tree: ConversationTree) -> None:
    """Without failed ones; double braces are not filled in."""
    notebook = as_notebook(tree)
    nbformat.validate(nbformat.from_dict(notebook))
    assert sources(notebook)[1:] == [
        "%load_ext aeron_magic",
        "%aeron connect aeronpay",
        '%%aeron --as "the plan"\nPlan a small shop.',
        "%%aeron --raw\nAnd {{then}}?",
        '%%aeron --after "the plan" --image https://a.example/1.png\nCheaper!',
        "%%aeron -n\nSomething else.",
    ]


@pytest.mark.parametrize(
    ("service", "line"),
    [
        ("aeronpay", "%aeron connect sandbox"),
        ("chatzy", "%aeron connect sandbox --service chatzy"),
    ],
)
def test_the_notebook_of_a_sandbox_conversation_connects_to_the_sandbox(
    service: str, line: str
) -> None:
    assert sources(as_notebook(ConversationTree("x", service), sandbox=True))[2] == line


def test_a_turn_that_was_moved_after_a_later_one_is_asked_after_it() -> None:
    """The order of the numbers is not always the order of asking."""
    tree = ConversationTree("x")
    for question in ("one", "two", "three"):
        ask(tree, tree.at_root(), question)
    ask(tree, tree.replacing(tree.resolve("3"), tree.turns[0]), "one, after three")
    questions = [source.split("\n")[-1] for source in sources(as_notebook(tree))[3:]]
    assert questions == ["two", "three", "one, after three"]


@pytest.mark.parametrize("name", ["talk.md", "talk.JSON", "talk.ipynb"])
def test_the_extension_chooses_the_format(
    tree: ConversationTree, tmp_path: Path, name: str
) -> None:
    """In upper or lower case; an earlier file is replaced."""
    path = tmp_path / name
    path.write_text("before" * 100_000)
    write(tree, path)
    text = path.read_text(encoding="utf-8")
    assert "Plan a small shop." in text
    assert "before" not in text
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_notebook_that_is_not_an_export_is_not_overwritten(
    tree: ConversationTree, tmp_path: Path
) -> None:
    """An earlier export is."""
    work, export = tmp_path / "work.ipynb", tmp_path / "talk.ipynb"
    before = '{"cells": [{"cell_type": "markdown", "source": "mine"}], "metadata": {}}'
    work.write_text(before)
    with pytest.raises(UsageError, match="not an earlier export"):
        write(tree, work)
    assert work.read_text() == before
    write(tree, export)
    write(tree, export)


def test_the_target_of_a_link_is_written(tree: ConversationTree, tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to(tmp_path / "talk.md")
    write(tree, link)
    assert link.is_symlink()
    assert (tmp_path / "talk.md").read_text(encoding="utf-8") == as_markdown(tree)


def test_an_unknown_extension_is_an_error(tree: ConversationTree, tmp_path: Path) -> None:
    """It lists the known ones."""
    with pytest.raises(UsageError, match="Unknown file extension") as caught:
        write(tree, tmp_path / "talk.doc")
    assert ".md, .json or .ipynb" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
