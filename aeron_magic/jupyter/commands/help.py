"""``%aeron help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.jupyter.command_line.help import help_text
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import Verbatim, show

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def help(app: App, command: Command) -> None:  # noqa: A001 - a command's function has its name
    """Show all commands and options."""
    show(app.shell, Verbatim(help_text()))
