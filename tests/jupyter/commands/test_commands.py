"""Each command of the magic line has a function."""

from __future__ import annotations

from typing import get_type_hints

from aeron_magic.jupyter.app import App
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.command_line.spec import COMMANDS
from aeron_magic.jupyter.commands import find_command


def test_every_command_has_a_function_that_takes_the_app_and_the_command() -> None:
    for name in COMMANDS.keys() - {"ask"}:  # the magics call that one
        function = find_command(name)
        assert function.__name__ == name
        hints = get_type_hints(function, localns={"App": App, "Command": Command})
        assert hints == {"app": App, "command": Command, "return": type(None)}, name
