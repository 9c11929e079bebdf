"""``%aeron help``: the reference, and pages of the handbook."""

from __future__ import annotations

import re
from typing import Any

import pytest
from each_case import each_case
from IPython.core.interactiveshell import InteractiveShell

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line import help as command_line_help
from aeron_magic.jupyter.commands.help import Block
from aeron_magic.sandbox.answers.pages import handbook


@pytest.fixture
def shell(plain_shell: InteractiveShell) -> Any:
    plain_shell.run_line_magic("load_ext", "aeron_magic")
    yield plain_shell
    plain_shell.run_line_magic("unload_ext", "aeron_magic")


@each_case("name", handbook())
def test_a_topic_is_the_name_of_a_page(shell: Any, capsys: Any, name: str) -> None:
    """Its title and its lead are shown, and no search words."""
    shell.run_line_magic("aeron", f"help {name}")
    shown = capsys.readouterr().out
    assert handbook()[name].title in shown
    assert "phrasings" not in shown
    # As plain text: no fences, headings, rules of tables or back-ticks.
    for line in shown.splitlines():
        assert not line.startswith(("```", "#", "|")), line
        assert "`" not in line
        assert len(line) <= 110
    words = re.findall(r"\w+", "\n".join(handbook()[name].blocks).replace("```text", ""))
    assert set(words) - {"python", "sh", "bash", "json", "toml"} <= set(re.findall(r"\w+", shown))


@pytest.mark.parametrize(
    ("topic", "page"),
    [
        ("export", "exporting"),
        ("record", "recordings"),
        ("connect", "connecting"),
        ("tables", "many-prompts"),
        ("Tables", "many-prompts"),
        ("chatzy", "connecting"),
        ("ci", "recordings"),
        ("panel", "chat-panel"),
        ("how do I run a cell again", "running-again"),
        ("recrodings", "recordings"),
    ],
)
def test_another_topic_is_searched(shell: Any, capsys: Any, topic: str, page: str) -> None:
    """A command, a question, a misspelt word."""
    shell.run_line_magic("aeron", f"help {topic}")
    shown = capsys.readouterr().out
    assert handbook()[page].title in shown
    assert shown.startswith(f"There is no page “{topic}”; this is {page}.")


def test_a_topic_without_a_page_is_an_error_that_names_the_pages(shell: Any) -> None:
    with pytest.raises(UsageError, match="no page") as caught:
        shell.run_line_magic("aeron", "help zzzzzzzz")
    assert "recordings" in caught.value.hint


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--columns", ["%%aeron", "the columns to read"]),
        ("-o", ["%%aeron", "%aeron check", "-o NAME"]),
        ("--find", ["%aeron history", "--find"]),
    ],
)
def test_an_option_is_a_topic(shell: Any, capsys: Any, flag: str, said: list[str]) -> None:
    shell.run_line_magic("aeron", f"help {flag}")
    shown = capsys.readouterr().out
    assert [one for one in said if one not in shown] == [], shown
    assert max(map(len, shown.splitlines())) <= 84


def test_no_option_is_broken_over_two_lines(shell: Any, capsys: Any) -> None:
    """Not at its hyphens: neither in the reference nor in a column of a page."""
    row = f"| {'--at-most ' * 20}| {'word ' * 30}|"
    table = Block(f"| a | b |\n| --- | --- |\n{row}").plain
    for flag in ("--at-most", "--no-stream", "--each"):
        shell.run_line_magic("aeron", f"help {flag}")
    wrapped = command_line_help._wrapped(f"{'x' * 76} --at-most 5", 4)
    for line in (*table.splitlines(), *wrapped, *capsys.readouterr().out.splitlines()):
        assert not re.search(r"\w-( |$)", line), line


def test_an_unknown_option_is_no_topic(shell: Any) -> None:
    with pytest.raises(UsageError, match="no option --colums"):
        shell.run_line_magic("aeron", "help --colums")


def test_without_a_topic_the_reference_is_shown(shell: Any, capsys: Any) -> None:
    shell.run_line_magic("aeron", "help")
    assert "%aeron connect" in capsys.readouterr().out
