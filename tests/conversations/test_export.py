"""A conversation as a document, as JSON and as a notebook."""

from __future__ import annotations

import ast
import json
import os
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest

from aeron_magic.conversations.export import (
    SEAL,
    UNSEALED,
    as_json,
    as_markdown,
    as_notebook,
    write,
)
from aeron_magic.conversations.export_page import as_page
from aeron_magic.conversations.tree import ConversationTree, Position
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import parse_options
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
    assert "> Lost?\n\n*(lost)*" in as_markdown(tree)


def test_the_document_has_each_turn_and_its_position(tree: ConversationTree) -> None:
    """A heading names the parent unless that is the turn before."""
    headings = [line for line in as_markdown(tree).splitlines() if line.startswith("#")]
    assert headings == [
        "# shop",
        "## Turn 1 (the plan)",
        "## Turn 2, stale",
        "## Turn 3, after Turn 1 (the plan), stale",
        "## Turn 4, from the start",
        "## Turn 5",
    ]


def test_a_turn_that_continues_another_reply_is_not_from_the_start() -> None:
    """But after a token that is not of this conversation."""
    tree = ConversationTree("x", "aeronpay")
    ask(tree, tree.at_head(), "one")
    ask(tree, tree.at_token("another"), "two")
    assert "## Turn 2, after an earlier reply" in as_markdown(tree)
    assert "Turn 2, after an earlier reply" in as_page(tree)


def test_a_first_question_without_a_complete_reply_is_in_each_export() -> None:
    """The conversation with Chatzy that it began goes on; the notebook asks it, too."""
    tree = ConversationTree("x", "chatzy")
    for question, status in [("one", "incomplete"), ("two", "complete"), ("three", "failed")]:
        reply = Reply("a", cast(Status, status), "conversation")
        tree.complete(tree.start(tree.at_head(), question), reply)
    titles = [line for line in as_markdown(tree).splitlines() if line.startswith("## ")]
    assert titles == ["## Turn 1", "## Turn 2", "## Turn 3"]
    assert ", after" not in as_page(tree)
    assert [turn["parent"] for turn in as_json(tree)["turns"]] == [None, 1, 2]
    notebook = as_notebook(tree)
    assert sources(notebook)[3:] == [
        "%%aeron --as turn-1\none",
        "%%aeron\ntwo",
    ]
    first, second = (cell["outputs"][0]["data"] for cell in notebook["cells"][3:])
    assert all("incomplete" in "".join(data) for data in first.values())
    assert "".join(first["text/plain"]).endswith("[incomplete]")
    assert second["text/plain"] == ["a"]


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
    """In upper or lower case; an earlier export is replaced, and nothing else is left."""
    path = tmp_path / name
    longer = ConversationTree("before", "aeronpay")
    ask(longer, longer.at_head(), "before" * 100_000)
    write(longer, path)
    write(tree, path)
    text = path.read_text(encoding="utf-8")
    assert "Plan a small shop." in text
    assert "before" not in text
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["talk.md", "talk.json", "talk.ipynb"])
def test_only_an_unchanged_export_is_overwritten(
    tree: ConversationTree, tmp_path: Path, name: str
) -> None:
    """Neither another file nor an export that was changed, though by one character."""
    path = tmp_path / name
    write(tree, path)
    export = path.read_bytes()
    ends = (b"# mine\n", b"", b"{}", export.replace(b"small", b"large"), export + b"\n")
    for before in ends:
        path.write_bytes(before)
        with pytest.raises(UsageError, match="not overwritten"):
            write(tree, path)
        assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")
def test_an_export_of_another_user_is_not_overwritten(
    tree: ConversationTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, tmp_path / "talk.md")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(UsageError, match="not overwritten"):
        write(tree, tmp_path / "talk.md")


def test_an_export_that_quotes_an_export_is_recognised(tmp_path: Path) -> None:
    """The digest is behind the last seal, and that is the export's own."""
    tree = ConversationTree("x", "aeronpay")
    ask(tree, tree.at_head(), SEAL + "0" * 64, text=SEAL + UNSEALED)
    for name in ("talk.md", "talk.json", "talk.ipynb"):
        write(tree, tmp_path / name)
        write(tree, tmp_path / name)


def test_no_link_is_followed(tree: ConversationTree, tmp_path: Path) -> None:
    """Neither to a file nor to a place where there is none yet."""
    link, target = tmp_path / "link.md", tmp_path / "talk.md"
    link.symlink_to(target)
    for _ in range(2):
        with pytest.raises(UsageError, match="is a link"):
            write(tree, link)
        target.write_text("mine")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_mode_of_the_umask(
    tree: ConversationTree, tmp_path: Path, umask: int
) -> None:
    """An earlier export keeps its own."""
    path = tmp_path / "talk.md"
    before = os.umask(umask)
    try:
        write(tree, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
        path.chmod(0o640)
        write(tree, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["pipe.md", "folder.md"])
def test_what_is_not_a_file_is_not_opened(
    tree: ConversationTree, tmp_path: Path, kind: str
) -> None:
    """Reading a pipe would wait for ever."""
    path = tmp_path / kind
    os.mkfifo(path) if kind == "pipe.md" else path.mkdir()
    with pytest.raises(UsageError):
        write(tree, path)
    assert len(list(tmp_path.iterdir())) == 1


HOSTILE_NAMES = [
    "both ' and \"",
    "{get_ipython().system('id')}",
    "$HOME",
    "-n",
    "x --image http://a",
    "a\nimport os",
    "a\u2028import os",
    "a\rimport os",
    "x?",
    "!id",
    '"; import os; "',
    "\\",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_notebook_contains_no_code_from_data(name: str) -> None:
    """Each cell is a call of our magics with constants, and the line parses to what was asked."""
    from IPython.core.inputtransformer2 import TransformerManager

    tree = ConversationTree(name, "aeronpay")
    address = f"https://a.example/{name}.png"
    ask(tree, tree.at_head(), name, name=name, images=(address,), text=name)
    ask(tree, tree.at_root(), "other")
    ask(tree, tree.resolve("1"), f"%%bash\n{name}\n!id", text="```python\nimport os\n```")
    seen = []
    for cell in as_notebook(tree)["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = TransformerManager().transform_cell("".join(cell["source"]))
        (statement,) = ast.parse(source).body
        assert isinstance(statement, ast.Expr)
        assert isinstance(statement.value, ast.Call)
        assert isinstance(statement.value.func, ast.Attribute)
        assert statement.value.func.attr in ("run_line_magic", "run_cell_magic")
        values = [ast.literal_eval(one) for one in statement.value.args]
        assert values[0] in ("load_ext", "aeron")
        if statement.value.func.attr == "run_cell_magic":
            seen.append(parse_options(values[1]))
    assert [options.after for options in seen] == [None, None, seen[0].as_]
    assert seen[0].as_ in (name, "turn-1")
    assert [options.new for options in seen] == [False, True, False]
    assert len(seen[0].images) == 1


def test_a_notebook_of_an_unknown_service_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown service"):
        as_notebook(ConversationTree("x", "aeronpay\nimport os"))


def test_a_notebook_with_another_address_of_an_image_is_refused() -> None:
    tree = ConversationTree("main", "aeronpay")
    ask(tree, tree.at_head(), "What is this?", images=("file:///etc/passwd",))
    with pytest.raises(UsageError, match=r"no http\(s\) address"):
        as_notebook(tree)


def test_an_unknown_extension_is_an_error(tree: ConversationTree, tmp_path: Path) -> None:
    """It lists the known ones."""
    with pytest.raises(UsageError, match="Unknown file extension") as caught:
        write(tree, tmp_path / "talk.doc")
    assert ".md, .html, .json, .ipynb or .chat.md" in caught.value.hint
    with pytest.raises(UsageError, match="has no extension"):
        write(tree, tmp_path / "talk")
    assert list(tmp_path.iterdir()) == []


class Requests(HTMLParser):
    """Everything of a page that can make a request or run code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] * (tag in ("script", "img", "link", "iframe", "object", "base"))
        self.found += [
            name for name, _ in attrs if name.startswith("on") or name in ("src", "srcset", "style")
        ]


def test_an_exported_page_makes_no_request(tree: ConversationTree, tmp_path: Path) -> None:
    """Whatever its questions, replies and names contain; text stays text."""
    hostile = (
        "</style><script>x()</script><img src=//e.example onerror=x()> ![i](https://e.example)"
    )
    ask(tree, tree.at_head(), hostile, text=hostile, name="<b>name</b>")
    tree.name = "conversation-2"  # its title is the first question
    write(tree, tmp_path / "talk.html")
    page = (tmp_path / "talk.html").read_text(encoding="utf-8")
    requests = Requests()
    requests.feed(page)
    assert requests.found == []
    assert "default-src 'none'" in page
    assert "<title>Plan a small shop.</title>" in page
    assert "&lt;script&gt;" in page
    assert page.index("And {{then}}?") < page.index("Cheaper!") < page.index("Something else.")


def test_an_exported_page_may_be_overwritten_by_the_next(
    tree: ConversationTree, tmp_path: Path
) -> None:
    """Unless it was changed."""
    path = tmp_path / "talk.html"
    write(tree, path)
    write(tree, path)
    path.write_text(path.read_text(encoding="utf-8") + "mine", encoding="utf-8")
    with pytest.raises(UsageError, match="was changed since"):
        write(tree, path)
