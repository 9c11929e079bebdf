"""Conversations in real kernels: what front ends send, and what the commands show."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import nbformat
import pytest
from credentials import credentials
from live_kernel import Kernel, Run, running_kernel
from nbclient import NotebookClient
from private_home import private_environment

from aeron_magic.sandbox import Refusal, Sandbox

pytestmark = pytest.mark.jupyter

SHAPE = """
def shape():
    tree = get_ipython().magics_manager.registry["AeronMagics"].app.session.tree
    stale = tree.stale()
    return [
        f"{t.number}<{t.parent.number if t.parent else ''}" + " stale" * (t in stale) for t in tree
    ]
"""


@pytest.fixture
def lab(kernel: Kernel) -> Kernel:
    """The kernel, with a function ``shape``."""
    kernel.execute(SHAPE, "shape")
    return kernel


def run_all(kernel: Kernel, cells: dict[str, str]) -> None:
    for cell, source in cells.items():
        run = kernel.execute(source, cell)
        assert run.status == "ok", run.reply


def tokens(sandbox: Sandbox) -> list[str | None]:
    return [seen.body.get("context_token") for seen in sandbox.log.of("create-response")]


def bundle(run: Run) -> dict[str, Any]:
    """The one display of a cell."""
    (output,) = run.outputs
    data: dict[str, Any] = output["data"]
    return data


NOTEBOOK = {
    "one": "%%aeron --as start\nWhat is a branch?",
    "two": "%%aeron\nWhat is a stale turn?",
    "three": "%%aeron -c other -o x\nHow do I export?",
    "four": "%aeron ask What is a recording?",
}

IDS = {
    "JupyterLab and Notebook": "8f7c1d2e-{}",
    "VS Code": "vscode-notebook-cell:/home/me/work.ipynb#{}sZmlsZQ%3D%3D",
}


@pytest.mark.parametrize("ids", IDS.values(), ids=list(IDS))
def test_run_all_twice_gives_the_same_conversation(lab: Kernel, sandbox: Sandbox, ids: str) -> None:
    """With the cell ids of both kinds of front ends."""
    cells = {ids.format(name): source for name, source in NOTEBOOK.items()}
    for count in (1, 2):
        run_all(lab, cells)
        assert lab.value("shape()") == ["1<", "2<1"]
        assert len(tokens(sandbox)) == 4 * count
    first, second = tokens(sandbox)[:4], tokens(sandbox)[4:]
    assert [token is None for token in first] == [token is None for token in second]
    assert [token is None for token in first] == [True, False, True, False]
    lab.execute("%aeron use main")
    assert lab.value("shape()") == ["1<", "2<1"]


def test_one_cell_can_ask_several_times(lab: Kernel) -> None:
    """The n-th question of a run replaces the n-th of the run before."""
    source = "for topic in ('branch', 'token'):\n    get_ipython().run_line_magic('aeron', "
    source += "f'ask What is a {topic}?')"
    for _ in range(2):
        run_all(lab, {"loop": source})
        assert lab.value("shape()") == ["1<", "2<1"]


def test_the_metadata_of_an_output_have_conversation_and_turn(lab: Kernel) -> None:
    run = lab.execute("%%aeron -c plots --as start\nWhat is a branch?", "one")
    (output,) = run.outputs
    said = output["metadata"]["aeron_magic"]
    assert (said["conversation"], said["turn"], said["status"]) == ("plots", "start", "complete")
    assert "notes" not in said


def test_a_reply_to_another_turn_is_reported_in_the_output(new_kernel: Kernel) -> None:
    """Below the reply and in the metadata; the cell still has one output."""
    new_kernel.execute("%%aeron\nWhat is a branch?", "one")
    new_kernel.execute("%%aeron\nWhat is a token?", "two")
    patch = (
        "from aeron_magic.replies.accumulator import ReplyAccumulator\n"
        "reply = ReplyAccumulator.reply\n"
        "ReplyAccumulator.reply = lambda self, **known: "
        "(setattr(self, 'parent_context_token', 'another'), "
        "reply(self, **known))[1]"
    )
    new_kernel.execute(patch, "service")  # the reply follows another turn than requested
    data = bundle(new_kernel.execute("%%aeron\nWhat is stale?", "three"))
    for kind in ("text/html", "text/plain"):
        assert "this reply follows another" in data[kind]
    assert "answered elsewhere" in new_kernel.execute("%aeron history", "h").text


def test_without_cell_ids_the_status_says_so_once(lab: Kernel) -> None:
    assert "sends no cell ids" in lab.execute("%aeron", None).text
    assert "sends no cell ids" not in lab.execute("%aeron", None).text


def test_with_cell_ids_the_status_does_not_mention_them(lab: Kernel) -> None:
    assert "sends no cell ids" not in lab.execute("%aeron", "status").text


def test_before_the_first_question_the_status_names_the_next_step(lab: Kernel) -> None:
    """It does not ask for credentials that exist."""
    shown = lab.execute("%aeron", "s").text
    assert "the first question connects to AeronPay" in shown
    assert "AERON_CLIENT_ID" not in shown


def test_a_dry_run_changes_nothing(lab: Kernel, sandbox: Sandbox) -> None:
    """It starts neither a conversation nor a turn."""
    lab.execute("%%aeron -c plots -n --dry-run\nWhat is a branch?", "one")
    assert tokens(sandbox) == []
    assert "plots" not in lab.execute("%aeron use").text


# The commands --------------------------------------------------------------------------------


def test_the_tree_shows_branches_names_and_stale_turns(lab: Kernel) -> None:
    """The text is the same in a notebook and in a terminal."""
    run_all(lab, {**NOTEBOOK, "five": "%%aeron -c main --after start\nWhat is a token?"})
    lab.execute("%%aeron --as start\nWhat is a fork?", "one")
    assert lab.execute("%aeron tree", "tree").text.splitlines() == [
        "1 (start) [newest]  What is a fork?",
        "├─ 2 [stale]  What is a stale turn?",
        "└─ 3 [stale]  What is a token?",
    ]


def test_the_history_shows_questions_and_replies(lab: Kernel) -> None:
    """Newest first, and of another conversation."""
    run_all(lab, NOTEBOOK)
    lines = lab.execute("%aeron history main", "h").text.splitlines()
    assert [line.partition("  ")[0] for line in lines[2:4]] == ["1 (start)", "2"]
    lines = lab.execute("%aeron history main --order desc", "h").text.splitlines()
    assert [line.partition("  ")[0] for line in lines[2:4]] == ["2", "1 (start)"]


def test_use_creates_switches_and_lists(lab: Kernel) -> None:
    """It says which it does."""
    run_all(lab, {"one": NOTEBOOK["one"]})
    assert "starts the conversation plots" in lab.execute("%aeron use plots", "new").text
    assert lab.value("context_token is None")
    run_all(lab, {"two": NOTEBOOK["two"]})
    listed = lab.execute("%aeron use", "c").text
    assert re.search(r"main +1 +What is a branch\? +in this kernel", listed)
    assert re.search(r"plots +1 +What is a stale turn\? +current", listed)
    assert "after turn start (1 turn)" in lab.execute("%aeron use main", "u").text
    assert lab.value("context_token is not None")
    assert "Similar names: plots" in lab.execute("%aeron use plot", "p").text


def test_a_cell_that_asks_in_its_own_conversation_says_that_this_is_the_current_one_now(
    lab: Kernel,
) -> None:
    """Once; not with an option that says so, nor after an assigned token."""
    run_all(lab, {"one": "%%aeron -c intr\nWhy?", "two": "%%aeron\nWhat is a fork?"})
    note = "Asked in intr, where this cell belongs; the next question continues there. "
    use = {"u": "%aeron use 'the other'", "three": "%%aeron\nWhat is a turn?"}
    run_all(lab, use)
    run = lab.execute("%%aeron\nWhat is a branch?", "two")
    assert note + '%aeron use "the other" goes back.' in run.text
    assert "belongs" not in lab.execute("%%aeron\nWhat is a token?", "two").text
    run_all(lab, use)
    assert "belongs" not in lab.execute("%%aeron -c intr\nWhat is a token?", "two").text
    run_all(lab, use)
    session = "get_ipython().magics_manager.registry['AeronMagics'].app.session"
    token = f"{session}.registry.conversations['intr'].turns[0].token"
    assert lab.execute(f"context_token = {token}", "t").status == "ok"
    assert "belongs" not in lab.execute("%%aeron\nWhat is a token?", "two").text


def test_a_run_from_the_start_says_nothing_of_the_conversation_of_a_cell(lab: Kernel) -> None:
    """There, each cell asks in the current one."""
    cells = {"one": "%%aeron\nWhy?", "two": "%aeron use other", "three": "%%aeron\nWhat is a turn?"}
    session = "get_ipython().magics_manager.registry['AeronMagics'].app.session"
    for _ in range(2):
        assert lab.execute(f"{session}.rebuild()", "start").status == "ok"
        for cell, source in cells.items():
            assert "belongs" not in lab.execute(source, cell).text


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%aeron history nope", "no conversation 'nope'"),
        ("%aeron forget nope", "no conversation 'nope'"),
        ("%aeron resume nope", "no conversation 'nope'"),
        ("%aeron export empty.md", "nothing to export"),
        ("%aeron ask --after nope why?", "no turn 'nope'"),
        ("%aeron ask --as 3 why?", "cannot be a number"),
    ],
)
def test_a_mistake_fails_the_cell_with_a_message_and_a_hint(
    lab: Kernel, line: str, error: str
) -> None:
    """Without a traceback."""
    run = lab.execute(line, "x")
    assert run.status == "error"
    (failed,) = run.of("error")
    assert any(error in line for line in failed.content["traceback"])
    assert any("→" in line for line in failed.content["traceback"])


def test_hostile_questions_are_escaped_in_lists(lab: Kernel, sandbox: Sandbox) -> None:
    """In the table, the tree, the list and the export."""
    hostile = "<script>alert(1)</script> | ![x](https://evil.example/x.png) \x1b[31m"
    sandbox.set_faults(say=hostile)
    lab.execute(f"%%aeron --as '<b>x</b>'\n{hostile}", "one")
    for command in ("history", "tree", "use"):
        data = bundle(lab.execute(f"%aeron {command}", "x"))
        assert not re.search(r"<(script|img|b)\b", data["text/html"])
        assert "\x1b" not in "".join(data.values())
    lab.execute("%aeron export x.md", "x")
    document = lab.value("open('x.md').read()")
    assert "&lt;script>" in document
    assert "![" not in document


def test_forget_deletes_a_conversation_here_and_in_the_file(lab: Kernel) -> None:
    """The next question starts a new one."""
    lab.execute("%%aeron\nWhat is a branch?", "one")
    assert "Deleted the conversation main" in lab.execute("%aeron forget", "f").text
    assert lab.value("context_token is None")
    assert lab.value("shape()") == []
    assert "no conversation" in str(lab.execute("%aeron resume main", "r").of("error"))
    again = str(lab.execute("%aeron forget", "f").of("error"))
    assert "has no turns in this kernel; nothing was deleted" in again


def test_after_forget_the_main_conversation_continues(lab: Kernel, sandbox: Sandbox) -> None:
    """Where it was; the cell says so."""
    lab.execute("%%aeron\nWhat is a branch?", "one")
    before = lab.value("context_token")
    lab.execute("%aeron use plots", "u")
    lab.execute("%%aeron\nOf plots", "two")
    said = lab.execute("%aeron forget", "f").text
    assert "The next question continues the conversation main after turn 1 (1 turn)." in said
    assert lab.value("context_token") == before
    lab.execute("%%aeron\nMore", "three")
    assert lab.value("shape()") == ["1<", "2<1"]
    assert sandbox.log.of("create-response")[-1].body["context_token"] == before
    said = lab.execute("%aeron forget", "f").text
    assert "The next question starts the conversation main." in said


def test_a_conversation_that_cannot_be_deleted_from_the_file_stays_in_the_kernel(
    lab: Kernel, tmp_path: Path
) -> None:
    lab.execute("%%aeron\nWhat is a branch?", "one")
    blocker = sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert "database is locked" in str(lab.execute("%aeron forget", "f").of("error"))
    assert lab.value("shape()") == ["1<"]
    assert lab.value("context_token is not None")
    blocker.close()
    assert "Deleted the conversation main" in lab.execute("%aeron forget", "f").text
    assert "no conversation" in str(lab.execute("%aeron resume main", "r").of("error"))


def test_the_history_can_be_switched_off_by_the_traitlet(lab: Kernel) -> None:
    """Nothing is stored, and resume says why."""
    lab.execute("import os; del os.environ['AERON_HISTORY']")  # it comes before the traitlet
    lab.execute("%config AeronMagics.history = 'off'", "c")
    for _ in range(2):
        assert "switched off" in lab.execute("%aeron resume", "r").text
        lab.execute("%%aeron\nWhat is a branch?", "one")
    error = str(lab.execute("%aeron resume main", "r").of("error"))
    assert "switched off" in error
    assert '`%config AeronMagics.history = ""`' in error
    said = str(lab.execute("%aeron history maim", "h").of("error"))
    assert "Did you mean `main`? The local history is switched off." in said


def test_the_status_says_that_the_history_cannot_be_written(kernel: Kernel, tmp_path: Path) -> None:
    """The question that noticed it can be a quiet one."""
    kernel.execute(f"%env AERON_HISTORY={tmp_path}", None)
    assert kernel.execute("%%aeron -q\nWhat is a branch?", "one").text == ""
    assert "history: not stored. The local history" in kernel.execute("%aeron", "s").text


# Export --------------------------------------------------------------------------------------


def test_an_exported_notebook_is_valid_and_executes(
    lab: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It asks the same questions, with a token where the original had one."""
    cells = {
        "one": "%%aeron --as 'the start'\nWhat is a branch?",
        "two": "%%aeron\nWhat is a stale turn?",
        "three": "%%aeron --after 'the start' --image https://a.b/1.png --raw\nWhat is {{this}}?",
        "four": "%%aeron\nHow do I export?",
        "five": "context_token = None\n%aeron ask What is a recording?",
    }
    run_all(lab, cells)
    sent = [
        (seen.body["user"], "context_token" in seen.body)
        for seen in sandbox.log.of("create-response")
    ]
    run_all(lab, {"export": "%aeron export talk.ipynb"})
    notebook = nbformat.read(tmp_path / "talk.ipynb", as_version=4)
    nbformat.validate(notebook)
    shown = [cell.outputs[0].data["text/plain"] for cell in notebook.cells if cell.get("outputs")]
    sandbox.log.clear()
    NotebookClient(notebook, timeout=60).execute(
        env={**private_environment(tmp_path / "elsewhere"), **credentials(sandbox.aeronpay_url)},
        cwd=str(tmp_path),
    )
    again = [
        (seen.body["user"], "context_token" in seen.body)
        for seen in sandbox.log.of("create-response")
    ]
    assert again == sent
    assert shown == [
        cell.outputs[0].data["text/plain"] for cell in notebook.cells[3:] if cell.get("outputs")
    ]


def test_an_export_does_not_overwrite_the_running_notebook(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """It fails, and the file is unchanged."""
    path = tmp_path / "work.ipynb"
    path.write_text("mine")
    with running_kernel(
        tmp_path, JPY_SESSION_NAME=str(path), **credentials(sandbox.aeronpay_url)
    ) as kernel:
        kernel.execute("%load_ext aeron_magic", "load")
        assert kernel.execute("%aeron export work.ipynb", "x").status == "error"
    assert path.read_text() == "mine"


def test_an_exported_json_has_its_format_and_version(lab: Kernel, tmp_path: Path) -> None:
    """And all turns."""
    run_all(lab, {"one": NOTEBOOK["one"], "two": NOTEBOOK["two"], "x": "%aeron export talk.json"})
    data = json.loads((tmp_path / "talk.json").read_text())
    assert (data["format"], data["version"]) == ("aeron-magic conversation", 1)
    assert [(turn["number"], turn["parent"]) for turn in data["turns"]] == [(1, None), (2, 1)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%aeron export nope.txt", "Unknown file extension"),
        ("%aeron export no/such/folder.md", "cannot be written"),
        ("%aeron export nul\0.md", "cannot be written"),
    ],
)
def test_an_export_that_cannot_be_written_fails_the_cell(
    lab: Kernel, line: str, error: str
) -> None:
    """The error names the cause."""
    lab.execute(NOTEBOOK["one"], "one")
    (failed,) = lab.execute(line, "x").of("error")
    assert any(error in line for line in failed.content["traceback"])


def test_an_empty_conversation_does_not_overwrite_an_export(lab: Kernel, tmp_path: Path) -> None:
    """The file of an earlier kernel is unchanged."""
    (tmp_path / "talk.md").write_text("worth keeping")
    assert lab.execute("%aeron export talk.md", "x").status == "error"
    assert (tmp_path / "talk.md").read_text() == "worth keeping"


def test_another_conversation_is_asked_from_the_service(lab: Kernel) -> None:
    """It is found by the token of its newest turn."""
    lab.execute("%%aeron -c plots\nWhat is a branch?", "one")
    lab.execute("%aeron use main", "use")
    shown = lab.execute("%aeron history plots --remote", "x").text
    assert "What is a branch?" in shown
    assert (
        "The service has the same 1 question of this branch. "
        "It does not list the newest reply, so that is not compared." in shown
    )


def test_an_earlier_conversation_is_listed_with_its_question(lab: Kernel) -> None:
    lab.execute("%%aeron -c plots\nWhat is a branch?", "one")
    lab.execute("%reload_ext aeron_magic", "again")
    listed = lab.execute("%aeron use", "x").text
    assert re.search(r"plots +1 +What is a branch\? +\d{4}-\d\d-\d\d", listed)
    lab.execute("from aeron_magic.jupyter.commands import conversations as c", "x")
    lab.execute("most, c.MAX_EARLIER = c.MAX_EARLIER, 0", "x")
    listed = lab.execute("%aeron use\nc.MAX_EARLIER = most", "x").text
    assert "1 older one not shown: Tab after %aeron resume lists all names" in listed


def test_the_ten_newest_conversations_of_each_notebook_are_listed(
    lab: Kernel, tmp_path: Path
) -> None:
    """A notebook that is run often does not hide the others; several are deleted by one line."""
    lab.execute("%%aeron -c plots\nWhat is a branch?", "one")
    lab.execute("%%aeron -c main\nWhat is a branch?", "one")
    lab.execute("%unload_ext aeron_magic", None)
    with sqlite3.connect(tmp_path / "history.sqlite3") as file:
        ((main,),) = file.execute("SELECT id FROM conversation WHERE name = 'main'")
        rest = "name, service, address, sandbox, kernel"
        for used in range(1, 14):
            new = file.execute(
                f"INSERT INTO conversation (notebook, used, {rest}) "
                f"SELECT '/x/often.ipynb', used + ?, {rest} FROM conversation WHERE id = ?",
                (used, main),
            ).lastrowid
            file.execute(
                "INSERT INTO turn (conversation, number, content) "
                "SELECT ?, number, content FROM turn WHERE conversation = ?",
                (new, main),
            )
    lab.execute("%load_ext aeron_magic", "load")
    listed = lab.execute("%aeron use", "u").text
    often = re.findall(r"(main#\d+) .*often\.ipynb", listed)
    assert len(often) == 10
    assert int(often[0][5:]) - int(often[-1][5:]) == 9
    assert re.search(r"^plots ", listed, re.MULTILINE)
    assert "3 older ones not shown: Tab after %aeron resume lists all names" in listed
    missing = lab.execute(f"%aeron forget {often[0]} nope#99", "f")
    assert "no conversation 'nope#99'" in str(missing.of("error"))
    names = f"{often[0]}, {often[1]}"
    said = lab.execute(f"%aeron forget {often[0]} {often[1]} {often[0]}", "f").text
    assert f"Deleted the conversations {names} here (2 turns)" in said
    assert "1 older one not shown" in lab.execute("%aeron use", "u").text


@pytest.mark.parametrize("command", ["resume", "forget", "history"])
def test_a_misspelt_conversation_has_a_suggestion(lab: Kernel, command: str) -> None:
    """Of this kernel or a stored one, with its number where that is necessary."""
    lab.execute("%%aeron -c plots\nWhat is a branch?", "one")
    lab.execute("import os; name = os.environ.get('JPY_SESSION_NAME')", "x")
    try:
        for near, prepare in {
            "plots": "pass",
            "plots`": "%reload_ext aeron_magic",
            "plots#": "os.environ['JPY_SESSION_NAME'] = '/x/y.ipynb'\n%reload_ext aeron_magic",
        }.items():
            lab.execute(prepare, "again")
            for wrong in ("plost", "Plot", "plost#7"):
                said = str(lab.execute(f"%aeron {command} {wrong}", "x").of("error"))
                assert f"Did you mean `{near}" in said, wrong
        assert "Did you mean" not in str(lab.execute(f"%aeron {command} other", "x").of("error"))
    finally:
        lab.execute("os.environ.pop('JPY_SESSION_NAME', None)", "x")
        lab.execute("if name: os.environ['JPY_SESSION_NAME'] = name", "x")


def test_use_names_the_line_that_loads_a_stored_conversation(lab: Kernel) -> None:
    """Of another notebook with its number."""
    lab.execute("%%aeron -c plots\nWhat is a branch?", "one")
    lab.execute("import os; name = os.environ.get('JPY_SESSION_NAME')", "x")
    for notebook in ("", "os.environ['JPY_SESSION_NAME'] = '/elsewhere/other.ipynb'\n"):
        lab.execute(f"{notebook}%reload_ext aeron_magic", "again")
        used = lab.execute("%aeron use plots", "x").text
        line = re.search(r"%aeron resume plots(#\d+)? loads it", used)
        assert line is not None
        assert (line[1] is None) == (not notebook)
    forgotten = lab.execute(f"%aeron forget plots{line[1]}", "x").text
    assert f"Deleted the conversation plots{line[1]} here (1 turn)" in forgotten
    lab.execute("os.environ.pop('JPY_SESSION_NAME')", "x")
    lab.execute("if name: os.environ['JPY_SESSION_NAME'] = name", "x")


def test_the_status_names_stale_turns_and_where_the_next_question_continues(lab: Kernel) -> None:
    """Both; nothing after a run from top to bottom."""
    cells = {name: f"%%aeron\nThanks {name}" for name in ("one", "two", "three", "four")}
    run_all(lab, cells)
    assert "stale" not in lab.execute("%aeron", "s").text
    run = lab.execute(cells["two"], "two")
    assert "Turns 3 and 4 are stale now; run their cells again." in run.text
    status = lab.execute("%aeron", "s").text
    assert "Turns 3 and 4 are stale; run their cells again" in status
    assert "the next question continues after turn 2" in status
    assert "Continues after turn 2." in lab.execute("%%aeron\nThanks five", "five").text
    lab.execute(cells["three"], "three")
    assert "Turn 4 is stale; run its cell again" in lab.execute("%aeron", "s").text


def test_run_all_is_seen_by_the_cell_that_loaded_the_extension(lab: Kernel) -> None:
    """Cells that are run one right after the other; after a pause it is one cell alone."""
    lab.execute("%unload_ext aeron_magic", None)
    lab.execute("from aeron_magic.jupyter.frontend import RunOrder; RunOrder.MAX_PAUSE = 60", None)
    load = {"load": "%load_ext aeron_magic"}
    cells = {name: f"%%aeron\nThanks {name}" for name in ("one", "two")}
    run_all(lab, {**load, **cells})
    run_all(lab, {**load, "first": "%%aeron\nThanks first", **cells})
    assert lab.value("shape()") == ["1<3", "2<1", "3<"]
    run_all(lab, {**load, "pause": "RunOrder.MAX_PAUSE = 0", "last": "%%aeron\nThanks last"})
    lab.execute("RunOrder.MAX_PAUSE = 1.0", None)
    assert lab.value("shape()") == ["1<3", "2<1", "3<", "4<2"]


def test_a_run_that_fails_at_its_first_question_changes_nothing(
    lab: Kernel, sandbox: Sandbox
) -> None:
    """The token and the status are as before, at once."""
    lab.execute("%unload_ext aeron_magic", None)
    load = {"load": "%load_ext aeron_magic"}
    cells = {name: f"%%aeron\nThanks {name}" for name in ("one", "two")}
    run_all(lab, {**load, **cells})
    before = lab.value("context_token")
    sandbox.set_faults(refuse=[Refusal("create-response", 403)])
    run_all(lab, load)
    assert lab.execute(cells["one"], "one").status == "error"
    assert lab.value("context_token") == before
    assert "2 turns, the newest is 2" in lab.execute("%aeron", "status").text
    assert "[newest]" in lab.execute("%aeron tree", "tree").text
    lab.execute("%%aeron\nThanks three", "three")
    assert lab.value("shape()") == ["1<", "2<1", "3<2"]


def test_a_deleted_cell_is_noticed_with_whatever_cell_is_run_next(lab: Kernel) -> None:
    """JupyterLab names it once, in a request that asks nothing, too."""
    run_all(lab, {name: f"%%aeron\nThanks {name}" for name in ("one", "two", "three")})
    lab.finish(lab.start("1 + 1", "other", deleted=["three"]))
    lab.execute("%%aeron\nThanks four", "four")
    assert lab.value("shape()") == ["1<", "2<1", "3<2", "4<2"]


def test_the_order_is_sent_to_the_service(lab: Kernel, sandbox: Sandbox) -> None:
    """Its answer is shown in that order, and compared."""
    run_all(lab, {"one": "%%aeron\nThanks one", "two": "%%aeron\nThanks two"})
    for order in ("asc", "desc"):
        shown = lab.execute(f"%aeron history --remote --order {order}", "h").text
        assert sandbox.log.of("list-input")[-1].body["data_order"] == order
        assert (shown.index("Thanks one") < shown.index("Thanks two")) == (order == "asc")
        assert "The service has the same" in shown
