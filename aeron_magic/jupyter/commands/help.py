"""``%aeron help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.help import help_text
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import Verbatim, show

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def help(app: App, command: Command) -> None:  # noqa: A001 - a command's function has its name
    """Show all commands and options, or the page of the handbook about a topic."""
    topic = command["topic"]
    if topic is None:
        show(app.shell, Verbatim(help_text()))
        return
    from aeron_magic.sandbox.answers.pages import handbook
    from aeron_magic.sandbox.answers.search import index

    page = handbook().get(topic)
    if page is None:
        found = index().search(topic)
        if not found:
            raise UsageError(
                "The handbook has no page on this topic.",
                hint=f"Its pages: {', '.join(handbook())}.",
            )
        page = found[0].page
    sections = [
        block for title, blocks in page.sections.items() for block in (f"## {title}", *blocks)
    ]
    show(app.shell, f"# {page.title}", page.lead, *page.blocks, *sections)


def topics() -> list[str]:
    """The names of the handbook's pages."""
    from aeron_magic.sandbox.answers.pages import handbook

    return list(handbook())
