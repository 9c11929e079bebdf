from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from aeron_magic.jupyter.command_line.help import help_text, reference_markdown
from aeron_magic.jupyter.command_line.spec import SPEC, CommandSpec, Option

EVERY = [option for entry in (SPEC.question, *SPEC.commands) for option in entry.options]


def test_the_help_names_every_command_option_and_choice() -> None:
    text = " ".join(help_text().split())  # it is wrapped
    for option in EVERY:
        for word in (*option.flags, *option.choices, option.help.replace("`", "")):
            assert word in text
    for entry in SPEC.commands:
        assert f"%aeron {entry.name}" in text
        assert entry.help.replace("`", "") in text


def test_what_an_option_does_stands_in_a_column() -> None:
    """Also where the option itself takes more room than there is before it."""
    lines = help_text().splitlines()
    options = lines[2 : lines.index("", 2)]
    assert {line[24:26].strip() for line in options if len(line) > 30} == {""}
    assert {line[26:27] == " " for line in options if len(line) > 30} == {False}


def test_the_help_fits_a_terminal() -> None:
    lines = help_text().splitlines()
    assert max(map(len, lines)) <= 84


def test_the_reference_names_every_command_and_option() -> None:
    text = reference_markdown()
    for option in EVERY:
        assert option.flags[-1] in text
    for entry in SPEC.commands:
        assert f"`%aeron {entry.name}" in text


def test_the_reference_is_made_of_rows_with_two_cells() -> None:
    for line in filter(None, reference_markdown().splitlines()):
        assert line.replace("\\|", "").count("|") == 3


def test_a_new_entry_is_in_the_help_and_in_the_reference() -> None:
    new = CommandSpec("tree", "turns as a tree", (Option(("--deep",), "deep", "all of them"),))
    table = SPEC._replace(commands=(*SPEC.commands, new))
    for text in (help_text(table), reference_markdown(table)):
        assert "%aeron tree [--deep]" in text
        assert "all of them" in text


def test_no_flag_and_no_command_stands_twice() -> None:
    for entry in (SPEC.question, *SPEC.commands):
        flags = [flag for option in entry.options for flag in option.flags]
        assert len(flags) == len(set(flags))
    assert len(SPEC.by_name) == len(SPEC.commands)


@pytest.mark.parametrize(
    ("option", "default"),
    [
        (Option(("-x",), "x", ""), False),
        (Option(("--no-x",), "x", "", const=False), True),
        (Option(("--x",), "x", "", "X"), None),
        (Option(("--x",), "x", "", "X", multiple=True), ()),
    ],
)
def test_an_option_that_is_not_given_has_the_default_of_its_kind(
    option: Option, default: object
) -> None:
    assert option.default == default


def test_the_readme_shows_the_reference() -> None:
    """It is made from the table, and pasted; a new option must not be missing there."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert reference_markdown().strip() in readme


def test_a_question_mark_after_the_magics_shows_the_manual() -> None:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "aeron_magic")
    try:
        for kind in ("line", "cell"):
            found = shell.object_inspect(f"{'%' * (1 + (kind == 'cell'))}aeron")
            assert found["docstring"].strip() == help_text().strip()
    finally:
        shell.run_line_magic("unload_ext", "aeron_magic")
        InteractiveShell.clear_instance()
