"""Resuming a conversation after its kernel was killed.

Each round kills a kernel with SIGKILL between a question and its end, starts another one for the
same notebook, and resumes the conversation. By default there are three
rounds: before the reply, within it and after it. ``AERON_TEST_KILLS=100`` adds rounds at random
moments, up to a hundred.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from credentials import credentials
from live_kernel import Kernel, Run, start_kernel

from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.faults import Refusal

pytestmark = pytest.mark.jupyter

KILLS = int(os.environ.get("AERON_TEST_KILLS", "3"))

AGENT = "725e1f05-6142-467e-bdec-47862d50da79"
TEXT = " ".join(f"word{number}" for number in range(40))


class Notebook:
    """A notebook in the shared kernel; a restart unloads the extension and loads it again."""

    def __init__(self, kernel: Kernel, home: Path, **environment: str) -> None:
        self.kernel = kernel
        self.home = home
        self.environment = {"JPY_SESSION_NAME": str(home / "work.ipynb"), **environment}
        self.start()

    def start(self) -> None:
        """Load the extension; ``loaded`` is the run of the cell that did it."""
        self.loaded = self.kernel.reset(self.home, **self.environment)

    def stop(self) -> None:
        """End the session."""
        self.kernel.execute("%unload_ext aeron_magic", None)

    def restart(self) -> None:
        """End the session and begin another one of the same notebook."""
        self.stop()
        self.start()

    def rename(self, path: Path) -> None:
        """Restart as a notebook with another path."""
        self.environment["JPY_SESSION_NAME"] = str(path)
        self.restart()

    def ask(self, question: str, cell: str) -> Run:
        return self.kernel.execute(f"%%aeron\n{question}", cell)

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The turns in an export."""
        assert self.kernel.execute("%aeron export all.json", "x").status == "ok"
        turns: list[dict[str, Any]] = json.loads((self.home / "all.json").read_text())["turns"]
        return turns


class KilledNotebook(Notebook):
    """A notebook with a kernel of its own, which each restart kills with SIGKILL."""

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(start_kernel(home), home, **environment)

    def stop(self) -> None:
        self.kernel.kill()

    def restart(self) -> None:
        self.stop()
        self.kernel = start_kernel(self.home)
        self.start()


@pytest.fixture
def notebook(shared_kernel: Kernel, sandbox: Sandbox, tmp_path: Path) -> Iterator[Notebook]:
    """A notebook in the shared kernel, which asks ``sandbox``."""
    running = Notebook(shared_kernel, tmp_path, **credentials(sandbox.aeronpay_url))
    yield running
    running.stop()


@pytest.fixture
def killed_notebook(sandbox: Sandbox, tmp_path: Path) -> Iterator[KilledNotebook]:
    """A notebook whose kernels are killed; ``sandbox`` takes a second or two for a reply."""
    sandbox.set_faults(latency=0.15, pause=0.03, say=TEXT)
    running = KilledNotebook(tmp_path, **credentials(sandbox.aeronpay_url))
    yield running
    running.stop()


def asked(sandbox: Sandbox) -> list[str]:
    """The questions that were sent, each as often as it was sent."""
    return [seen.body["user"]["text"] for seen in sandbox.log.of("create-response")]


def test_after_a_kill_the_reply_is_fetched_without_asking_again(
    killed_notebook: KilledNotebook, sandbox: Sandbox
) -> None:
    """Completely; a question without a token is stored, and reported as lost."""
    notebook = killed_notebook
    chance = random.Random(20261122)
    found: Counter[str] = Counter()
    for number in range(KILLS):
        question = f"question {number} of {KILLS}"
        sandbox.set_faults(latency=1.0 if number == 0 else 0.15)
        run = notebook.kernel.start(f"%%aeron\n{question}", f"cell {number}")
        if number == 0:  # before the reply
            assert sandbox.log.wait(bool, 20)
        elif number == 1:  # in the middle of it
            notebook.kernel.wait(run, lambda now: "word9" in str(now.outputs))
        elif number == 2:  # after it
            notebook.kernel.finish(run)
        else:
            killed = time.monotonic() + chance.uniform(0.0, 2.8)
            while time.monotonic() < killed and run.reply is None:
                notebook.kernel._take("iopub", 0.005) or notebook.kernel._take("shell", 0)
        notebook.restart()
        sent = asked(sandbox).count(question)
        stored = set(found) - {"not begun"} or "This notebook has" in notebook.loaded.text
        if not sent and not stored:
            found["not begun"] += 1  # killed before the cell ran: nothing was stored
            continue
        resumed = notebook.kernel.execute("%aeron resume", f"resume {number}", 60)
        assert resumed.status == "ok", resumed.reply
        mine = [turn for turn in notebook.turns if turn["question"] == question]
        if not mine:
            assert sent == 0, "a question was sent and not stored"
            found["not begun"] += 1
            continue
        (turn,) = mine
        assert asked(sandbox).count(question) == sent <= 1, "it was sent again"
        if turn["reply"] is None:
            assert f"{question}) is lost" in resumed.text
            found["lost"] += 1
            continue
        assert sent == 1
        assert turn["reply"]["text"] == TEXT
        assert turn["reply"]["status"] in ("complete", "recovered")
        found["fetched" if "has been fetched" in resumed.text else "was whole"] += 1
        token = notebook.kernel.value("context_token")
        assert token == turn["reply"]["context_token"]
    print(f"{KILLS} kills: {dict(found)}, {len(asked(sandbox))} questions sent")
    assert sum(found.values()) == KILLS
    assert min(found["fetched"], found["lost"], found["was whole"]) > 0


def test_after_a_kill_no_row_of_a_batch_is_asked_again(
    killed_notebook: KilledNotebook, sandbox: Sandbox
) -> None:
    """Finished rows are kept, those under way are fetched, and those in doubt are named."""
    cell = "%%aeron --each range(24) -o found\nrow {{row}}"
    run = killed_notebook.kernel.start(cell, "cell 1")
    assert sandbox.log.wait(lambda seen: sum(one.done for one in seen) >= 8, 40)
    assert run.reply is None
    killed_notebook.restart()
    sandbox.set_faults(latency=0, pause=0)
    again = killed_notebook.kernel.execute(cell, "cell 1", 60)
    assert "kept" in again.text
    assert "24 rows: 0 kept" not in again.text
    assert Counter(asked(sandbox)).most_common(1)[0][1] == 1
    statuses = killed_notebook.kernel.value("list(found.status)")
    assert set(statuses) <= {"complete", "recovered", "incomplete"}
    assert statuses.count("incomplete") <= 8
    assert killed_notebook.kernel.execute(cell, "cell 1", 60).status == again.status
    assert Counter(asked(sandbox)).most_common(1)[0][1] == 1


def test_loading_names_the_earlier_conversation_and_resume_continues_it(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    """The next question continues the conversation, and a repeated cell replaces its turn."""
    assert notebook.loaded.text == ""
    notebook.ask("first of two", "a")
    notebook.ask("second of two", "b")
    notebook.restart()
    assert "(first of two, 2 turns): %aeron resume loads it." in notebook.loaded.text
    assert "<p>This notebook has" in str(notebook.loaded.of("display_data"))  # wraps at words
    resumed = notebook.kernel.execute("%aeron resume --check", "r")
    assert "Resumed the conversation main: 2 turns, the newest is turn 2." in resumed.text
    assert (
        "The service has the same 2 questions of this branch and the same earlier replies. "
        "It does not list the newest reply, so that is not compared." in resumed.text
    )
    notebook.ask("third of three", "c")
    notebook.ask("second, again", "b")
    assert [(turn["number"], turn["parent"], turn["stale"]) for turn in notebook.turns] == [
        (1, None, False),
        (2, 1, False),
        (3, 2, True),
    ]


def test_a_reply_that_is_not_ready_is_fetched_later(
    killed_notebook: KilledNotebook, sandbox: Sandbox
) -> None:
    """Resume says that the reply is unfinished; run again, it fetches the reply."""
    notebook = killed_notebook
    run = notebook.kernel.start("%%aeron\nlate one", "a")
    notebook.kernel.wait(run, lambda now: bool(now.messages))
    notebook.restart()
    sandbox.set_faults(processing_fetches=10**6)
    notebook.kernel.execute("%config AeronMagics.fetch_timeout = 1.5", "t")
    first = notebook.kernel.execute("%aeron resume", "r")
    assert first.status == "ok"
    assert "is still unfinished" in first.text
    assert not re.search(r"waiting for|\.\)", str(first.outputs))
    sandbox.set_faults(processing_fetches=0)
    notebook.kernel.execute("%config AeronMagics.fetch_timeout = 30", "t")
    assert "has been fetched" in notebook.kernel.execute("%aeron resume", "r").text
    (turn,) = notebook.turns
    assert turn["reply"]["text"] == TEXT
    assert asked(sandbox).count("late one") == 1


def test_a_cell_that_resumes_chooses_the_same_conversation_when_run_again(
    notebook: Notebook,
) -> None:
    """Also with a name and a number; and without a name, if all cells are run."""
    notebook.ask("older", "a")
    notebook.kernel.execute("%aeron use plots", "n")
    notebook.ask("newer", "b")
    notebook.restart()
    for wanted, name in (("", "plots"), ("main#1", "main"), ("plots", "plots"), ("main#1", "main")):
        run = notebook.kernel.execute(f"%aeron resume {wanted}", "r")
        assert f"Resumed the conversation {name}:" in run.text
    notebook.kernel.execute("%reload_ext aeron_magic", "first")
    for _ in range(2):
        notebook.kernel.execute("pass", "first")
        resumed = notebook.kernel.execute("%aeron resume", "r").text
        assert "Resumed the conversation plots:" in resumed
        notebook.ask("newer", "b")
        notebook.ask("older", "a")
        assert len(notebook.turns) == 2
        notebook.kernel.execute("%aeron use side", "s")
        notebook.ask("aside", "d")


def test_a_stored_conversation_with_its_number_is_no_name_of_a_new_one(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    """Neither of ``use`` nor of ``-c``; a stored name with such a sign is still read."""
    notebook.ask("older", "a")
    notebook.restart()
    notebook.ask("newer", "b")
    listed = notebook.kernel.execute("%aeron use", "u").text
    for line in ("%aeron use main#1", "%%aeron -c main#1\nWhy?", "%%aeron -n -c main#1\nWhy?"):
        (error,) = notebook.kernel.execute(line, "n").of("error")
        assert "'main#1' is a stored conversation." in str(error)
        assert "%aeron resume main#1` loads it." in str(error)
    for line in ("%aeron use main#9", "%aeron use C#", "%%aeron -c C#\nWhy?"):
        (error,) = notebook.kernel.execute(line, "n").of("error")
        assert "A new conversation's name cannot contain #." in str(error), line
    assert notebook.kernel.execute("%aeron use", "u").text == listed
    assert asked(sandbox) == ["older", "newer"]
    assert notebook.kernel.execute("%aeron resume main#1", "r").status == "ok"
    assert "`%aeron use main-2` continues it" in str(
        notebook.kernel.execute("%aeron use main#1", "n").of("error")
    )
    notebook.stop()
    with sqlite3.connect(notebook.home / "history.sqlite3") as file:
        file.execute("UPDATE conversation SET name = 'paper#2' WHERE id = 1")
    notebook.start()
    stored = notebook.kernel.execute("%aeron use paper#2", "n").of("error")
    assert "`%aeron resume paper#2` loads it." in str(stored)
    assert "older" in notebook.kernel.execute("%aeron history paper#2", "h").text
    resumed = notebook.kernel.execute("%aeron resume paper#2", "r").text
    assert "Resumed the conversation paper#2: 1 turn" in resumed
    assert notebook.kernel.execute("%aeron use main", "n").status == "ok"
    assert "continues the conversation paper#2" in (
        notebook.kernel.execute("%aeron use paper#2", "n").text
    )
    run = notebook.kernel.execute("%%aeron -c paper#2\nmore", "c")
    assert run.status == "ok"
    assert len(notebook.turns) == 2


def test_resume_says_why_the_conversation_has_another_name(notebook: Notebook) -> None:
    """Each time the line is run, as long as the name is taken."""
    notebook.ask("older", "a")
    notebook.restart()
    notebook.ask("newer", "b")
    for _ in range(2):
        said = notebook.kernel.execute("%aeron resume main", "r").text
        assert (
            "Resumed the conversation main-2: 1 turn, the newest is turn 1. "
            "The name main is taken by another conversation of this kernel." in said
        )
    notebook.kernel.execute("%aeron forget main", "f")
    said = notebook.kernel.execute("%aeron resume main", "r").text
    assert "Resumed the conversation main-2" in said
    assert "is taken" not in said


@pytest.mark.parametrize("asked", [False, True])
def test_forget_keeps_the_conversation_of_another_notebook(
    notebook: Notebook, tmp_path: Path, asked: bool
) -> None:
    """Which was loaded by its number; a question to it makes a copy."""
    notebook.ask("of the first", "a")
    notebook.rename(tmp_path / "second.ipynb")
    notebook.ask("of the second", "b")
    notebook.kernel.execute("%aeron resume main#1", "r")
    if asked:
        notebook.ask("more", "c")
    said = notebook.kernel.execute("%aeron forget", "f").text
    assert "Deleted the conversation main-2 here" in said
    assert ("main#1 of another notebook stays stored; %aeron forget main#1 deletes" in said) is (
        not asked
    )
    assert "The next question continues the conversation main after turn 1 (1 turn)." in said
    notebook.kernel.execute("%aeron resume main#1", "r")
    assert [turn["question"] for turn in notebook.turns] == ["of the first"]
    notebook.kernel.execute("%aeron forget", "f")
    assert notebook.kernel.execute("%aeron forget main#1", "f").status == "ok"
    assert notebook.kernel.execute("%aeron resume main#1", "r").status == "error"


def test_resume_does_not_leave_a_conversation_in_use(notebook: Notebook) -> None:
    """It names the others, of this kernel and stored."""
    notebook.ask("of main", "a")
    notebook.kernel.execute("%%aeron -c plots\nof plots", "b")
    notebook.restart()
    notebook.kernel.execute("%aeron resume", "r")
    notebook.kernel.execute("%%aeron -c side\naside", "c")
    token = notebook.kernel.value("context_token")
    said = notebook.kernel.execute("%aeron resume --check", "r").text
    assert "the conversation side is in use in this kernel (1 turn, the newest is turn 1)" in said
    assert "Also in this kernel: plots; %aeron use NAME switches." in said
    assert "Stored: main#1; %aeron resume NAME loads one." in said
    assert "The service has the same 1 question" in said
    assert notebook.kernel.value("context_token") == token
    assert "Resumed the conversation main" in notebook.kernel.execute(
        "%aeron resume main#1", "r"
    ).text  # fmt: skip
    notebook.kernel.execute("%aeron use new", "n")
    assert "new is in use" in notebook.kernel.execute("%aeron resume", "r").text


def test_a_failed_question_is_no_conversation_in_use(notebook: Notebook, sandbox: Sandbox) -> None:
    """The stored conversation is resumed; the failed one is not listed as stored later."""
    notebook.ask("older", "a")
    for _ in range(2):
        notebook.restart()
        sandbox.set_faults(refuse=(Refusal(status=400),))
        assert notebook.ask("Hello", "b").status == "error"
        sandbox.set_faults(refuse=())
    resumed = notebook.kernel.execute("%aeron resume", "r").text
    assert "Resumed the conversation main" in resumed
    listed = notebook.kernel.execute("%aeron use", "u").text
    assert listed.count("Hello") == 1, "that of this kernel"
    assert "1 stored conversation without an answer not shown" in listed
    assert "Hello" in notebook.kernel.execute("%aeron history --find hello", "h").text


def test_a_first_question_of_chatzy_that_is_continued_is_a_conversation_in_use(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    """It has no complete reply."""
    connect = (
        f"%aeron connect chatzy --chatbot-id {AGENT} --base-url {sandbox.chatzy_url} "
        f"--stream-url {sandbox.chatzy_stream_url}"
    )
    notebook.kernel.execute(connect, "c")
    notebook.ask("older", "a")
    notebook.restart()
    notebook.kernel.execute(connect, "c")
    sandbox.set_faults(say=TEXT, cut_after=150, cut_times=9)
    assert notebook.ask("Hello", "b").status == "error"
    token = notebook.kernel.value("context_token")
    said = notebook.kernel.execute("%aeron resume", "r").text
    assert "is in use in this kernel (1 turn, none has a complete reply)" in said
    assert notebook.kernel.value("context_token") == token is not None


def test_a_renamed_notebook_shows_the_conversations_that_can_be_resumed(
    notebook: Notebook, tmp_path: Path
) -> None:
    """Its conversations are stored under its earlier name."""
    notebook.ask("one", "a")
    notebook.rename(tmp_path / "renamed.ipynb")
    assert notebook.kernel.execute("%aeron last", "l").text.startswith("No reply yet")
    run = notebook.kernel.execute("%aeron resume", "r")
    assert "Nothing to load: this notebook has no earlier conversation." in run.text
    assert "the newest: main#1; %aeron use lists them with their questions." in run.text
    assert notebook.kernel.execute("%aeron resume main", "r").status == "error"
    assert notebook.kernel.execute("%aeron resume main#1", "r").status == "ok"


def test_resume_prefers_a_reachable_conversation_to_a_newer_one(
    notebook: Notebook,
) -> None:
    """A conversation with the sandbox in between is skipped."""
    notebook.ask("one", "a")
    notebook.restart()
    notebook.kernel.execute("%aeron connect sandbox", "c")
    notebook.ask("in between", "b")
    notebook.restart()
    notebook.kernel.execute("%aeron connect aeronpay", "c")
    assert "Resumed the conversation main" in notebook.kernel.execute("%aeron resume", "r").text
    assert [turn["question"] for turn in notebook.turns] == ["one"]


def test_a_conversation_of_another_service_is_not_resumed(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    """The error says where to connect."""
    notebook.ask("one", "a")
    notebook.restart()
    notebook.kernel.execute("%aeron connect sandbox", "c")
    run = notebook.kernel.execute("%aeron resume", "r")
    shown = "\n".join(run.of("error")[0].content["traceback"])
    assert "connected to another address" in shown
    assert f"`%aeron connect aeronpay --base-url {sandbox.aeronpay_url}`" in shown
    assert "%aeron connect aeronpay" in str(run.of("error"))


def test_resume_finds_the_sandbox_after_a_reload(shared_kernel: Kernel, tmp_path: Path) -> None:
    """It runs on, so `resume` connects to it, fetches what is unfinished, and continues."""
    notebook = Notebook(shared_kernel, tmp_path)
    notebook.kernel.execute("%aeron connect sandbox", "c")
    assert notebook.ask("What is a branch?", "a").status == "ok"
    notebook.restart()
    resumed = notebook.kernel.execute("%aeron resume --check", "r")
    assert "`context_token` is set" in str(resumed.of("display_data"))
    assert notebook.ask("And in Python?", "b").status == "ok"
    assert notebook.turns[1]["parent"] == 1
    notebook.stop()


def test_resume_reports_that_the_sandbox_of_another_kernel_has_ended(
    shared_kernel: Kernel, tmp_path: Path
) -> None:
    """Its turns can be read, and the next question starts the conversation again."""
    notebook = Notebook(shared_kernel, tmp_path)
    for start in (False, True):
        if start:
            notebook.kernel.execute(
                "from aeron_magic.sandbox import embedded_sandbox; embedded_sandbox().stop()"
            )
            notebook.restart()
        else:
            notebook.kernel.execute("%aeron connect sandbox", "c")
        if start:
            resumed = notebook.kernel.execute("%aeron resume --check", "r")
            assert "sandbox of another kernel" in resumed.text
            last = notebook.kernel.execute("%aeron last", "l")
            assert "token" in last.text
            assert last.outputs[-1]["metadata"]["aeron_magic"]["turn"] == "2"
            fetched = str(notebook.kernel.execute("%aeron fetch", "f").of("error"))
            assert "sandbox that has this conversation has ended" in fetched
            assert "cannot be compared: the sandbox that has this one has ended" in resumed.text
            assert len(notebook.turns) == 2
            assert notebook.kernel.value("context_token is None")
            again = notebook.kernel.execute("%aeron resume", "another")
            assert "Nothing to load" in again.text
            assert "sandbox of another kernel" in again.text, "the panel may have loaded it"
            status = notebook.kernel.execute("%aeron", "s").text
            assert "their sandbox has ended, so the next question starts anew" in status
        first = notebook.ask("What is a branch?", "a")
        assert first.status == "ok"
        assert ("This question starts anew" in first.text) is start
        second = notebook.ask("What is a token?", "b")
        assert second.status == "ok"
        assert "starts anew" not in second.text
    assert [(turn["number"], turn["parent"], turn["stale"]) for turn in notebook.turns] == [
        (1, None, False),
        (2, 1, False),
    ]
    assert "starts anew" not in notebook.ask("What is a branch?", "a").text
    notebook.stop()


def test_no_conversation_of_an_ended_sandbox_is_continued(
    shared_kernel: Kernel, tmp_path: Path
) -> None:
    """Asking in one of them does not make another one live again; an unfinished turn is named."""
    notebook = Notebook(shared_kernel, tmp_path)
    execute = notebook.kernel.execute
    execute("%aeron connect sandbox\nfrom aeron_magic.sandbox import embedded_sandbox", "c")
    assert notebook.ask("What is a turn?", "a").status == "ok"
    assert execute("%%aeron -c plots --as p\nWhat is a branch?", "p").status == "ok"
    execute(
        "%config AeronMagics.fetch_timeout = 0.2\n"
        "embedded_sandbox().set_faults(cut_after=900, processing_fetches=10**6)"
    )
    assert "IncompleteReply" in str(execute("%%aeron -c plots\nWhat is a token?", "q").of("error"))
    execute("embedded_sandbox().stop()\n%config AeronMagics.fetch_timeout = 30")
    notebook.restart()
    resumed = execute("%aeron resume plots", "r").text
    assert "sandbox of another kernel" in resumed
    assert "%aeron connect aeronpay --base-url http://127.0.0.1:8765/aeronpay" in resumed
    assert "(What is a token?) is lost: the sandbox that was asked has ended" in resumed
    execute("%aeron resume main", "r")
    assert notebook.ask("What is a reply?", "n").status == "ok"
    for line in ("%aeron use plots", "%aeron resume plots"):
        assert "The next question starts a new conversation" in execute(line, "u").text, line
        assert notebook.kernel.value("context_token is None"), line
    after = str(execute("%%aeron --after p\nWhy?", "w").of("error"))
    assert "Turn p is of a sandbox that has ended" in after
    assert execute("%%aeron -c plots\nWhat is a fault?", "v").status == "ok"
    assert notebook.turns[-1]["parent"] is None
    assert "after turn" in execute("%aeron use plots", "u").text
    assert notebook.kernel.value("context_token is not None")
    notebook.stop()


@pytest.mark.parametrize("earlier", [["one"], []])
def test_an_unfinished_reply_of_chatzy_is_lost_and_the_conversation_continues(
    sandbox: Sandbox, tmp_path: Path, earlier: list[str]
) -> None:
    """The service has no call that returns it."""
    notebook = KilledNotebook(
        tmp_path,
        CHATZY_BASE_URL=sandbox.chatzy_url,
        CHATZY_STREAM_URL=sandbox.chatzy_stream_url,
        CHATZY_CHATBOT_ID=AGENT,
    )
    notebook.kernel.execute("%aeron connect chatzy", "c")
    for question in earlier:
        notebook.ask(question, "a")
    sandbox.set_faults(pause=0.2, say=TEXT)
    run = notebook.kernel.start("%%aeron\ntwo", "b")
    notebook.kernel.wait(run, lambda now: bool(now.messages))
    notebook.restart()
    sandbox.set_faults(pause=0, say="three")
    resumed = notebook.kernel.execute("%aeron resume --check", "r")
    assert "(two) is lost: the service has no call" in resumed.text
    assert "to compare" in resumed.text or "cannot be compared" in resumed.text
    assert notebook.ask("three", "c").status == "ok"
    assert [turn["question"] for turn in notebook.turns] == [*earlier, "two", "three"]
    asked = [seen.body["conversation_id"] for seen in sandbox.log.of("get_inference")]
    assert len(asked) == len(earlier) + 2
    assert len(set(asked)) == 1
    notebook.stop()


def test_without_a_notebook_resume_requires_a_name(
    kernel: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """As in a terminal: loading prints nothing. In CI the cell must not stop a run of all cells."""
    kernel.execute("%%aeron -c plots\none of plots", None)
    kernel.execute("%unload_ext aeron_magic", None)
    assert kernel.reset(tmp_path, **credentials(sandbox.aeronpay_url)).text == ""
    run = kernel.execute("%aeron resume", None)
    assert run.status == "ok"
    assert "does not send the notebook's path. %aeron resume NAME loads" in run.text
    assert "the newest: plots; %aeron use lists them" in run.text
    assert "plots: 1 turn" in kernel.execute("%aeron resume plots", None).text


def test_a_conversation_that_was_found_is_resumed_by_the_name_in_the_table(
    notebook: Notebook,
) -> None:
    """Kernels of one notebook that were not resumed have one conversation of the same name each."""
    for number in range(3):
        notebook.ask(f"refund {number}", "a")
        notebook.restart()
    found = notebook.kernel.execute("%aeron history --find refund", "f").text.splitlines()[2:5]
    names = [row.split()[0] for row in found]
    assert names == ["main", "main#2", "main#1"]
    for number, name in enumerate(names):
        notebook.kernel.execute(f"%aeron resume {name}", "r")
        assert f"refund {2 - number}" in notebook.kernel.execute("%aeron tree", "t").text


def test_vs_code_sends_the_path_of_the_notebook_and_new_cell_ids(notebook: Notebook) -> None:
    """Its cell ids are valid only while the notebook is open, so they are not stored."""
    del notebook.environment["JPY_SESSION_NAME"]
    for start in (False, True):
        notebook.restart()
        notebook.kernel.execute("__vsc_ipynb_file__ = '/home/me/work.ipynb'", None)
        notebook.kernel.execute("%reload_ext aeron_magic", None)
        if start:
            notebook.kernel.execute("%aeron resume", None)
        notebook.ask("one of two", "vscode-notebook-cell:/home/me/work.ipynb#W0")
    assert [(turn["number"], turn["parent"]) for turn in notebook.turns] == [(1, None), (2, 1)]


def test_a_reply_that_was_interrupted_by_a_restart_is_fetched(
    notebook: Notebook, sandbox: Sandbox
) -> None:
    """A front end interrupts the cell before it restarts the kernel; also of a cell run again."""
    notebook.ask("one", "a")
    for cell in ("b", "a"):
        sandbox.set_faults(chunks=tuple(f"drip{n} " for n in range(200)), pause=0.05)
        run = notebook.kernel.start(f"%%aeron\ninterrupted in {cell}", cell)
        notebook.kernel.wait(run, lambda now: "drip3" in str(now.outputs))
        notebook.kernel.interrupt()
        notebook.kernel.finish(run)
        sandbox.set_faults(chunks=(), pause=0)
        notebook.restart()
        resumed = notebook.kernel.execute("%aeron resume", "r")
        assert "was unfinished; its reply has been fetched" in resumed.text
        assert asked(sandbox).count(f"interrupted in {cell}") == 1
        turn = next(one for one in notebook.turns if one["question"] == f"interrupted in {cell}")
        assert turn["reply"]["text"].endswith("drip199 ")
        assert notebook.kernel.value("context_token") == turn["reply"]["context_token"]


def test_a_copied_notebook_does_not_take_over_the_conversation_of_the_other(
    notebook: Notebook, tmp_path: Path
) -> None:
    """It continues a copy, and only if the conversation is named with its number."""
    notebook.ask("one", "a")
    notebook.rename(tmp_path / "copy.ipynb")
    for line in ("%aeron resume", "%aeron resume main", "%aeron history --find one"):
        run = notebook.kernel.execute(line, "r")
        assert "main#1" in run.text + str(run.of("error"))
    listed = notebook.kernel.execute("%aeron use", "u").text
    assert "main#1" in listed
    assert "work.ipynb" in listed
    assert notebook.kernel.execute("%aeron resume main#1", "r").status == "ok"
    notebook.ask("two", "b")
    assert [turn["question"] for turn in notebook.turns] == ["one", "two"]
    notebook.rename(tmp_path / "work.ipynb")
    assert notebook.kernel.execute("%aeron resume", "r").status == "ok"
    assert [turn["question"] for turn in notebook.turns] == ["one"]


def test_use_does_not_continue_a_stored_conversation_but_names_it(notebook: Notebook) -> None:
    """A restart and a run of all cells then give what the first run gave."""
    notebook.kernel.execute("%aeron use plots", "u")
    notebook.ask("one", "a")
    notebook.restart()
    said = notebook.kernel.execute("%aeron use plots", "u").text
    assert "starts the conversation plots" in said
    assert "%aeron resume plots" in said


def test_the_history_of_all_notebooks_is_searched(notebook: Notebook, tmp_path: Path) -> None:
    """All words, in any case and order, in question or reply, newest first."""
    notebook.ask("The REFUND of a fee: ₹500 für Größe?", "a")
    notebook.ask("Something else", "b")
    notebook.rename(tmp_path / "other.ipynb")
    notebook.ask("refund again", "a")
    find = "%aeron history --find"
    rows = notebook.kernel.execute(f"{find} refund", "h").text.splitlines()
    assert [row.split()[0] for row in rows[2:4]] == ["main", "main#1"]
    rows = notebook.kernel.execute(f"{find} GRÖSSE fee", "h").text.splitlines()
    assert "REFUND" in rows[2]
    notebook.kernel.execute("%%aeron --as titled\nfind this by its name", "c")
    assert " 2 (titled) " in notebook.kernel.execute(f"{find} find this by its name", "h").text
    assert "No stored turn" in notebook.kernel.execute(f"{find} refund nowhere", "h").text
    assert notebook.kernel.execute("%aeron history main --find refund", "h").status == "error"
