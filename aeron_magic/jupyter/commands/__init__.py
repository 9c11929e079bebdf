"""The commands of ``%aeron``: one function each, imported when it first runs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.jupyter.command_line.parser import Command

_MODULES = {
    "connect": ("status", "connect", "login", "logout"),
    "conversations": ("use", "history", "tree", "export", "forget"),
    "record": ("record", "replay"),
    "replies": ("fetch", "last"),
}
"""The commands of each module; any other command is in the module of its name."""


def find_command(name: str) -> Callable[[App, Command], None]:
    """The function that runs the command ``name``; it has the same name, or ``status``."""
    name = name or "status"
    module = next((module for module, names in _MODULES.items() if name in names), name)
    function = getattr(import_module(f"{__name__}.{module}"), name)
    return cast("Callable[[App, Command], None]", function)
