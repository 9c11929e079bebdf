"""The table of commands: each command of the magic line has its function."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from aeron_magic.jupyter.app import App
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.command_line.spec import SPEC
from aeron_magic.jupyter.commands import COMMANDS, find_command


def test_every_command_of_the_line_has_a_function_and_the_reverse() -> None:
    assert set(COMMANDS) == set(SPEC.by_name) - {"ask"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_app_and_what_was_typed(name: str) -> None:
    function = find_command(name)
    assert function.__name__ == name
    hints = get_type_hints(function, localns={"App": App, "Command": Command})
    assert hints == {"app": App, "command": Command, "return": type(None)}
