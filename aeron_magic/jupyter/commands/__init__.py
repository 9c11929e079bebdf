"""The commands of ``%aeron``: one function each, imported when it first runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.jupyter.command_line.parser import Command

__all__ = ["COMMANDS", "find_command"]

COMMANDS = {
    "status": "connect",
    "connect": "connect",
    "login": "connect",
    "logout": "connect",
    "new": "conversations",
    "use": "conversations",
    "conversations": "conversations",
    "history": "conversations",
    "tree": "conversations",
    "export": "conversations",
    "forget": "conversations",
    "resume": "resume",
    "fetch": "replies",
    "last": "replies",
    "error": "replies",
    "record": "record",
    "panel": "panel",
    "help": "help",
}
"""The module of each command; the function in it has the command's name."""


def find_command(name: str) -> Callable[[App, Command], None]:
    """The function that runs the command ``name``."""
    module = import_module(f"{__name__}.{COMMANDS[name]}")
    return cast("Callable[[App, Command], None]", getattr(module, name))
