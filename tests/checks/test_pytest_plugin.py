"""The pytest plug-in: what it collects, runs and reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fresh_process import modules_after
from raw_server import Asked, RawServer, head

from aeron_magic import Client
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Sandbox

Write = Callable[[str, str], Path]
Run = Callable[..., tuple[int, str]]

FAQ = "question,answer\nHow long does a refund take?,{} days.\nWhich fee is due?,2 percent.\n"
CHAT = """# Refunds

## Question

How long does a refund take?

## Reply

Five days.

## Question

Which fee is due?

```expect
contains: 2
```
"""


IMPORT = "import aeron_magic.checks.pytest_plugin"
PLUGIN = ("-p", "aeron_magic.checks.pytest_plugin")

pytest_plugins = ("pytester",)


@pytest.fixture
def run(folder: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest in the folder, with the plug-in and no other; its exit code and output."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_pytest(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        done = pytester.runpytest_inprocess(*PLUGIN, *arguments)
        return int(done.ret), f"{done.stdout}\n{done.stderr}"

    return run_pytest


def test_the_plug_in_imports_only_itself() -> None:
    found = modules_after("import pytest, shutil, tempfile\nbefore = set(sys.modules)\n" + IMPORT)
    assert {name for name in found if name.startswith("aeron_magic")} == {
        "aeron_magic",
        "aeron_magic.checks",
        "aeron_magic.checks.pytest_plugin",
    }
    assert not found & {"httpx", "markdown_it", "asyncio", "sqlite3"}


def test_turns_are_tests_with_readable_names(run: Run, write: Write) -> None:
    write("refund.chat.md", CHAT)
    write("faq.csv", FAQ.format("Five"))
    options = ("--aeron", "sandbox", "--aeron-answers", "faq.csv", "--aeron-repeat", "2", "-v")
    code, output = run(*options, "--junitxml", "junit.xml")
    assert code == 0, output
    for name in ("1-how-long-does-a-refund-take[1]", "2-which-fee-is-due[2]"):
        assert f"refund.chat.md::{name} PASSED" in output
    cases = ElementTree.parse("junit.xml").findall(".//testcase")
    assert [case.get("name") for case in cases] == [
        "1-how-long-does-a-refund-take[1]",
        "2-which-fee-is-due[1]",
        "1-how-long-does-a-refund-take[2]",
        "2-which-fee-is-due[2]",
    ]


def test_a_changed_answer_fails_and_says_how(run: Run, write: Write) -> None:
    write("refund.chat.md", CHAT)
    write("faq.csv", FAQ.format("Seven"))
    code, output = run(
        "--aeron=sandbox", "--aeron-answers=faq.csv", "--junitxml=junit.xml", "-k", "refund-take"
    )
    assert code == 1
    assert "1 failed, 1 deselected" in output
    assert "reference: [-Five-] days." in output
    assert "answer:    {+Seven+} days." in output
    assert "Traceback" not in output
    assert "pytest_items.py" not in output
    (failure,) = ElementTree.parse("junit.xml").findall(".//failure")
    assert (failure.get("message") or "").startswith("changed: differs from the reference")


def test_the_handbook_is_named_if_it_has_answered(run: Run, write: Write) -> None:
    """And its pages, which have nothing in common with the references, are short."""
    write("a.chat.md", "## Question\n\nHow do I export?\n\n## Reply\n\nTo a file.\n")
    write("faq.csv", "question,answer\nHow do I export?,By hand.\n")
    note = "The sandbox answered from its handbook; --aeron-answers FILE names another file."
    code, output = run("--aeron=sandbox")
    assert code == 1
    assert note in output
    assert "reference: To a file.\n" in output
    assert "answer:    ### Exporting a conversation `%aeron export FILE`" in output
    assert "{+" not in output
    assert max(map(len, output.splitlines())) < 220
    code, output = run("--aeron=sandbox", "--aeron-answers=faq.csv")
    assert code == 1
    assert "answer:    By hand." in output
    assert note not in output


def test_an_answer_that_equals_its_reference_is_shown_whole(run: Run, write: Write) -> None:
    """A rule does not hold for either: two equal ends would not say which."""
    words = " ".join(f"word{number}" for number in range(60))
    evil = "\x1b]0;owned\x07\x1b[2J"
    text = f"## Question\n\nWhy so?\n\n## Reply\n\n{words}\n\n```expect\ncontains: nope\n```\n"
    write("refund.chat.md", text)
    write("faq.csv", f"question,answer\nWhy so?,{evil}{words}\n")
    code, output = run("--aeron=sandbox", "--aeron-answers=faq.csv")
    assert code == 1
    assert f"answer:    {words}" in output
    assert "\x1b]" not in output
    assert "reference:" not in output


@pytest.mark.parametrize("options", [(), ("-q",), ("-rs",)])
def test_without_a_service_nothing_is_asked(
    run: Run, write: Write, options: tuple[str, ...]
) -> None:
    """One line says why, whether or not pytest shows the reasons of skipped tests."""
    write("refund.chat.md", CHAT)
    write("test_a.py", "import pytest\ndef test(): pytest.skip('why')\n")
    code, output = run(*options)
    assert code == 0
    assert "3 skipped" in output
    assert output.count("no service: add --aeron sandbox|") == 1
    assert ("2 checks skipped" in output) is (options != ("-rs",))


def completed(token: str) -> bytes:
    body = json.dumps(
        {
            "status": "SUCCESS",
            "response_status": "completed",
            "context_token": token,
            "system": {"msg_id": "m", "text": "Five days, 2 percent."},
        }
    ).encode()
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return head("200 OK", *lines) + body


@pytest.fixture
def service() -> Any:
    """A service that answers alike, and names a token for each question."""

    def answer(connection: Any, asked: Asked) -> bool:
        token = asked.json.get("context_token") or "t"
        connection.sendall(completed(f"{token}+{asked.question[:3]}"))
        return True

    with RawServer(answer) as server:
        yield server


def environment(server: RawServer) -> dict[str, str]:
    return {
        "AERON_BASE_URL": server.url,
        "AERON_CLIENT_ID": "me",
        "AERON_CLIENT_SECRET": "hush-4f1c-hush",
    }


CHAIN = "".join(
    f"## Question\n\nq{number}\n\n```expect\ncontains: days\n```\n\n" for number in range(6)
)


def test_a_selected_turn_asks_those_before_it_once(
    run: Run, write: Write, service: RawServer
) -> None:
    write("chain.chat.md", CHAIN)
    _, output = run("--aeron=aeronpay", "-k", "4-q3 or 3-q2", **environment(service))
    assert "2 passed, 4 deselected" in output, output
    assert [one.question for one in service.asked] == ["q0", "q1", "q2", "q3"]
    assert service.asked[3].json["context_token"] == "t+q0+q1+q2"


def test_the_name_of_a_question_in_hindi_has_its_vowels(run: Run, write: Write) -> None:
    write("a.chat.md", CHAT.replace("Which fee", "नमस्ते दुनिया"))
    assert "a.chat.md::2-नमस्ते-दुनिया-is-due" in run("--collect-only", "-q")[1]


@pytest.mark.campaign
def test_processes_of_xdist_ask_each_turn_once(
    folder: Path, write: Write, service: RawServer
) -> None:
    for name in ("a", "b"):  # the same file twice: two conversations
        (folder / name).mkdir()
        write(f"{name}/chain.chat.md", CHAIN)
    options = ("-p", "xdist", "-n3", "--aeron=aeronpay", "--aeron-repeat=2")
    env = {**os.environ, **environment(service), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        env=env,
    )
    assert "24 passed" in done.stdout, done.stdout
    assert Counter(one.question for one in service.asked) == {f"q{n}": 4 for n in range(6)}


def test_a_turn_after_one_without_an_answer_is_skipped(
    run: Run, write: Write, service: RawServer
) -> None:
    write("chain.chat.md", CHAIN)
    service.answer = lambda connection, asked: (
        connection.sendall(head("400 X", "Content-Length: 0")) or True
    )
    _, output = run("--aeron=aeronpay", "-rs", **environment(service))
    assert "1 failed, 5 skipped" in output, output
    assert "not asked: turn 1 before it was not answered" in output
    assert len(service.asked) == 1


def test_nothing_is_sent_where_only_replays_may_be(
    run: Run, write: Write, service: RawServer
) -> None:
    """The variable is that of notebooks in CI."""
    write("chain.chat.md", CHAIN)
    _, output = run("--aeron=aeronpay", AERON_RECORD_MODE="replay", **environment(service))
    assert "AERON_RECORD_MODE is replay" in output
    assert not service.asked


def test_a_replay_needs_no_service(run: Run, write: Write, folder: Path, sandbox: Sandbox) -> None:
    write("refund.chat.md", CHAT)
    sandbox.set_faults(say="Five days.")
    with Client(base_url=sandbox.aeronpay_url, client_id="a", client_secret="b") as client:
        client.recorder = Recorder(Cassette(folder / "a.jsonl"))
        reply = client.ask("How long does a refund take?")
        client.ask("Which fee is due?", reply.context_token)
    sandbox.log.clear()
    none = {
        "AERON_BASE_URL": "http://127.0.0.1:1",
        "AERON_CLIENT_ID": "",
        "AERON_CLIENT_SECRET": "",
    }
    _, output = run("--aeron-replay", "a.jsonl", **none)
    assert "1 failed, 1 passed" in output, output
    assert "does not contain “2”" in output
    write("other.chat.md", CHAT.replace("Which fee", "What fee"))
    _, output = run("--aeron-replay", "a.jsonl", "other.chat.md", **none)
    assert "RecordingError: a.jsonl does not contain this question" in output
    _, output = run("--aeron-replay", "none.jsonl", **none)
    assert "does not exist or is empty" in output
    write("answers.jsonl", "")
    assert "Did you mean `answers.jsonl`?" in run("--aeron-replay", "anwers.jsonl", **none)[1]
    assert not sandbox.log.of("create-response")


def test_values_and_functions_come_from_a_hook(run: Run, write: Write) -> None:
    write(
        "conftest.py",
        "def pytest_aeron_values():\n"
        "    return {'what': 'refund', 'short': lambda reply: len(reply.text) < 20}\n",
    )
    write("faq.csv", FAQ.format("Five"))
    text = "## Question\n\nHow long does a {{what}} take?\n\n```expect\npython: short\n```\n"
    write("a.chat.md", text)
    write("b.chat.md", text.replace("what", "nothing"))
    _, output = run("--aeron=sandbox", "--aeron-answers=faq.csv")
    assert "1 failed, 1 passed" in output
    assert "ValueRefused: b.chat.md, turn at line 1" in output
    assert "→ Values come from `pytest_aeron_values` in conftest.py." in output


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--aeron", "other"], "--aeron must be one of sandbox, aeronpay, chatzy"),
        (["--aeron", "sandbox", "--aeron-repeat", "0"], "whole number"),
        (["--aeron", "sandbox", "--aeron-answers", "none.csv"], "none.csv cannot be used"),
        (["--aeron", "aeronpay", "--aeron-answers", "faq.csv"], "needs --aeron sandbox"),
        (["--aeron-answers", "faq.csv"], "ERROR: --aeron-answers needs --aeron sandbox"),
        (["--aeron", "chatzy"], "CredentialsError"),
    ],
)
def test_a_wrong_option_says_so(arguments: list[str], part: str, run: Run, write: Write) -> None:
    write("refund.chat.md", CHAT)
    code, output = run(*arguments, CHATZY_CHATBOT_ID="")
    assert code
    assert part in output


def test_the_nearest_conftest_gives_the_values_of_its_folder(
    run: Run, write: Write, folder: Path
) -> None:
    chat = "## Question\n\nIs it {{what}}?\n\n```expect\npython: right\ncontains: "
    for name, answer in ((".", "root"), ("a", "root"), ("b", "beta")):
        (folder / name).mkdir(exist_ok=True)
        write(f"{name}/x.chat.md", f"{chat}{answer}\n```\n")
    hook = (
        "def pytest_aeron_values():\n    return dict(what='{0}', right=lambda r: '{0}' in r.text)"
    )
    write("conftest.py", hook.format("root"))
    write("b/conftest.py", hook.format("beta"))
    write("faq.csv", "question,answer\nIs it root?,root\nIs it beta?,beta\n")
    for arguments in ((), ("b", "a"), ("b",), ("a",)):
        code, said = run("--aeron", "sandbox", "--aeron-answers", "faq.csv", *arguments)
        assert code == 0, said


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return ['x']", "UsageError: pytest_aeron_values in conftest.py returned list"),
        ("raise ValueError('boom')", "1-how-long-does-a-refund-take - ValueError: boom"),
    ],
)
def test_a_hook_that_is_wrong_is_named(body: str, part: str, run: Run, write: Write) -> None:
    write("refund.chat.md", CHAT)
    write("conftest.py", f"def pytest_aeron_values():\n    {body}\n")
    code, output = run("--aeron=sandbox")
    assert code == 1
    assert part in output


def test_without_a_service_a_file_of_another_kind_is_no_error(run: Run, write: Write) -> None:
    """The plug-in is active wherever the package is installed."""
    write("notes.chat.md", "# Notes of a chat\n")
    write("test_a.py", "def test(): pass\n")
    code, output = run("-rs")
    assert code == 0, output
    assert "no check: notes.chat.md has no question" in output


def test_a_damaged_file_is_an_error_with_its_line(run: Run, write: Write) -> None:
    write("a.chat.md", CHAT.replace("contains: 2", "has: 2"))
    code, output = run("--aeron=sandbox")
    assert code == 2
    assert "a.chat.md, line 16: an expect block cannot say 'has: 2'" in output
