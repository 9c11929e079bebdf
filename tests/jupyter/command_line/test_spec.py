from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from reference import reference_markdown

from aeron_magic.jupyter.command_line.help import help_text
from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION, CommandSpec, option

EVERY = [one for spec in (QUESTION, *COMMANDS.values()) for one in spec.options]


def test_the_help_names_every_command_option_and_choice() -> None:
    text = " ".join(help_text().split())  # it is wrapped
    for one in EVERY:
        for word in (*one.flags, *one.choices, one.help.replace("`", "")):
            assert word in text
    for spec in COMMANDS.values():
        assert f"%aeron {spec.name}" in text
        assert spec.help.replace("`", "") in text


def test_the_help_of_options_is_one_column() -> None:
    """Also after flags that are longer than their column."""
    lines = help_text().splitlines()
    options = lines[2 : lines.index("", 2)]
    assert {line[24:26].strip() for line in options if len(line) > 30} == {""}
    assert {line[26:27] == " " for line in options if len(line) > 30} == {False}


def test_the_help_fits_a_terminal() -> None:
    lines = help_text().splitlines()
    assert max(map(len, lines)) <= 84


def test_the_reference_names_every_command_and_option() -> None:
    text = reference_markdown()
    for one in EVERY:
        assert one.flags[-1] in text
    for spec in COMMANDS.values():
        assert f"`%aeron {spec.name}" in text


def test_the_reference_is_made_of_rows_with_two_cells() -> None:
    for line in filter(None, reference_markdown().splitlines()):
        assert line.replace("\\|", "").count("|") == 3


def test_an_entry_in_commands_is_in_the_help_and_in_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = CommandSpec("tree", "turns as a tree", options=(option("--deep", "all of them"),))
    monkeypatch.setitem(COMMANDS, "tree", new)
    for text in (help_text(), reference_markdown()):
        assert "%aeron tree [--deep]" in text
        assert "all of them" in text


def test_flags_are_unique() -> None:
    for spec in (QUESTION, *COMMANDS.values()):
        flags = [flag for one in spec.options for flag in one.flags]
        assert len(flags) == len(set(flags)), spec.label


def test_an_option_that_is_not_given_has_the_default_of_its_kind() -> None:
    assert option("-x", "").default is False
    assert option("--no-x", "", const=False).default is True
    assert option("--x X", "").default is None
    assert option("--x X", "", multiple=True).default == ()


def test_the_readme_shows_the_reference() -> None:
    """A copy of what `python tests/support/reference.py` prints."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert reference_markdown().strip() in readme


def test_a_question_mark_after_the_magics_shows_the_help(plain_shell: InteractiveShell) -> None:
    plain_shell.run_line_magic("load_ext", "aeron_magic")
    for name in ("%aeron", "%%aeron"):
        assert plain_shell.object_inspect(name)["docstring"].strip() == help_text().strip()
    plain_shell.run_line_magic("unload_ext", "aeron_magic")
