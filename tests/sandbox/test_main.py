from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys

import httpx
import pytest

from aeron_magic.sandbox.__main__ import main


@pytest.fixture
def running():
    """The command in a separate process, and its output."""
    command = [sys.executable, "-m", "aeron_magic.sandbox", "--port", "0", "--say", "Hello there."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while not lines or "init_conversation" not in lines[-1]:
            lines.append(process.stdout.readline())
        yield process, "".join(lines)
        process.kill()


def test_it_prints_addresses_and_examples_that_work(running):
    """A shell runs both curl commands."""
    _, text = running
    examples = re.findall(r"^ +(curl (?:.+\\\n)*.+)", text, re.MULTILINE)
    assert len(examples) == 2
    assert "client-secret: none-needed" in examples[0]  # no word that a question may contain
    asked, begun = (
        subprocess.run(["sh", "-c", example], capture_output=True, text=True, check=True).stdout
        for example in examples
    )
    assert '"text": "Hello there."' in asked
    assert '"conversation_id"' in begun


def test_ctrl_c_stops_it_cleanly(running):
    """Status 0, and one sentence."""
    process, text = running
    url, log = (re.search(rf"{name} +(\S+)", text)[1] for name in ("Control", "Log"))
    assert httpx.get(url).json()["say"] == "Hello there."
    assert httpx.get(log).json() == []
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert "stopped" in process.stdout.read()


def test_a_port_in_use(sandbox, capsys):
    """A sentence and status 1, without a traceback."""
    assert main(["--port", sandbox.url.rpartition(":")[2]]) == 1
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    ["--latency -1", "--framing xml", "--nonsense", "--port 65536", "--port=-1", "--port x"],
)
def test_invalid_arguments(arguments, capsys):
    """One line, and status 2."""
    with pytest.raises(SystemExit) as left:
        main(shlex.split(arguments))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.split("[ =]", arguments)[0].strip("-") in error
    assert "--help` lists the options" in error
