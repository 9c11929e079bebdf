"""The command that shows all options and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.jupyter.command_line.help import help_text
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show_markdown
from aeron_magic.markdown_text import fenced

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["help"]


def help(app: App, command: Command) -> None:  # noqa: A001 - a command's function has its name
    """Show the reference."""
    show_markdown(fenced(help_text(), "text"), app.shell, help_text())
