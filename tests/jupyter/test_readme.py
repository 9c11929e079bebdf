"""The README's code blocks, run in the order of the page by one kernel; the handbook's examples."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
from credentials import credentials
from each_case import each_case
from markdown_it import MarkdownIt
from nbformat import NotebookNode

from aeron_magic.jupyter.command_line.parser import parse_command, parse_options
from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION
from aeron_magic.sandbox import Sandbox
from aeron_magic.sandbox.answers.pages import handbook

Executed = Callable[..., NotebookNode]

README = Path(__file__).parents[2] / "README.md"
SHELL_COMMANDS = (
    "python3 notebooks/",
    "python3 tests/run.py",
    "python -m aeron_magic.sandbox --port 8765",
    "curl ",
    "pip install",
    "pytest ",
    "voila ",
)
"""What ``sh`` blocks consist of; the whole suite and other tests run these."""


def blocks() -> list[tuple[str, str]]:
    """The language and the text of each block of code."""
    tokens = MarkdownIt().parse(README.read_text("utf-8"))
    return [(token.info, token.content) for token in tokens if token.type == "fence"]


def test_every_block_has_a_known_language() -> None:
    """A block without a language, or in Python, is a cell."""
    assert {language for language, _ in blocks()} <= {"", "python", "sh", "yaml", "markdown"}
    for language, text in blocks():
        for line in text.replace("\\\n", "").splitlines() if language == "sh" else ():
            assert not line or line.startswith(SHELL_COMMANDS), line


def test_the_curl_command_gets_a_reply(sandbox: Sandbox) -> None:
    command = next(text for _, text in blocks() if "\ncurl " in text).partition("\n")[2]
    assert "http://127.0.0.1:8765/" in command
    command = command.replace("http://127.0.0.1:8765", sandbox.url)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "context_token" in done.stdout


@pytest.mark.jupyter
def test_every_block_runs(executed: Executed, sandbox: Sandbox) -> None:
    """AeronPay's and Chatzy's addresses are those of a sandbox."""
    variables = {
        **credentials(sandbox.aeronpay_url),
        "CHATZY_BASE_URL": sandbox.chatzy_url,
        "CHATZY_STREAM_URL": sandbox.chatzy_stream_url,
        "CHATZY_CHATBOT_ID": "00000000-0000-4000-8000-000000000000",
    }
    setting = "\n".join(f"%env {name}={value}" for name, value in variables.items())
    cells = [text.rstrip() for language, text in blocks() if language in ("", "python")]
    assert len(cells) > 20
    executed(setting, *cells)


OPTIONS = {
    flag for spec in (QUESTION, *COMMANDS.values()) for one in spec.options for flag in one.flags
}
MAGIC = re.compile(r"^(%%?aeron)\b(.*)$", re.MULTILINE)


@each_case("name", handbook())
def test_the_magics_and_options_of_the_handbook_exist(name: str) -> None:
    body = "\n".join(handbook()[name].body)
    for magic, rest in MAGIC.findall(body):
        if magic == "%%aeron":
            parse_options(rest)
        elif rest and not rest.startswith(" ask "):
            parse_command(rest.strip())
    for flag in re.findall(r"^\| `(--?[a-z][a-z-]*)", body, re.MULTILINE):
        assert flag in OPTIONS


def runnable(name: str) -> list[str]:
    """The Python examples of a page that are complete; those of some pages need more."""
    if name in {"administration", "clusters"}:  # a configuration file; a cluster
        return []
    found = re.findall(r"```python\n(.*?)```", "\n".join(handbook()[name].body), re.DOTALL)
    return [code for code in found if not re.search(r'"[^"\n]*…[^"\n]*"', code.split("#")[0])]


SETTING = """
import os
import pandas as pd
from aeron_magic import *

os.makedirs("checks", exist_ok=True)
with open("checks/a.chat.md", "w") as file:
    file.write("## Question\\n\\nHi?\\n\\n## Reply\\n\\nHi.\\n")
client = Client("aeronpay")
reply = client.ask("What is a token?")
token = saved_token = reply.context_token
prompts, sales = ["What is a token?"], 3
reviews = pd.DataFrame({"text": ["Great, thanks.", "Too late."]})
"""
"""The variables that the pages assume."""


@pytest.mark.jupyter
def test_the_python_examples_of_the_handbook_run(executed: Executed, sandbox: Sandbox) -> None:
    variables = credentials(sandbox.aeronpay_url)
    setting = "\n".join(f"%env {name}={value}" for name, value in variables.items())
    pages = [[SETTING, *examples] for name in handbook() if (examples := runnable(name))]
    assert len(pages) > 15
    executed(setting, *chain.from_iterable(pages))
