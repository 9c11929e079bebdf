"""``%aeron help``."""

from __future__ import annotations

import re
import textwrap
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.help import help_text, option_help
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import PLAIN_WIDTH, Verbatim, show, strip_markup
from aeron_magic.markdown_text import escape_cell
from aeron_magic.services.catalog import SERVICES

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.sandbox.answers.pages import Page


SAME = {"tables": "many-prompts", "table": "many-prompts", **dict.fromkeys(SERVICES, "connecting")}
"""Pages of topics that have another name in the README."""

MIN_BEGINNING = 4
"""Characters of a page's name that stand for it."""

MAX_OTHERS = 3
"""Other pages that are named if the topic is not the name of a page."""


class Block(NamedTuple):
    """A paragraph, heading, list, table or code block of a page."""

    markdown: str

    @property
    def plain(self) -> str:
        """The block without Markdown's characters."""
        first, *rest = self.markdown.split("\n")
        if first.startswith("```"):
            return textwrap.indent("\n".join(rest[:-1]), "    ")
        if first.startswith("#"):
            title = strip_markup(first.lstrip("# "))
            return f"{title}\n{('=' if first[1] == ' ' else '-') * len(title)}"
        if first.startswith("|"):
            return _plain_table([first, *rest[1:]])
        return strip_markup(re.sub("^- ", "* ", self.markdown, flags=re.MULTILINE))


def _plain_table(lines: list[str]) -> str:
    """The rows of a Markdown table in columns; long cells are wrapped."""
    rows = [
        [strip_markup(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    wrap = partial(textwrap.wrap, break_on_hyphens=False)  # not inside an option
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > PLAIN_WIDTH:
        widths[widths.index(max(widths))] -= 1
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(map(str.ljust, parts, widths)).rstrip()
        for row in rows
        for parts in zip_longest(*map(wrap, row, widths), fillvalue="")
    )


def help(app: App, command: Command) -> None:  # noqa: A001 - a command's function has its name
    """Show all commands and options, or the page of the handbook about a topic."""
    topic = command["topic"]
    if topic is None:
        show(app.shell, Verbatim(help_text()))
        return
    if topic.startswith("-"):
        if not (text := option_help(topic)):
            raise UsageError(f"There is no option {topic[:30]}.", hint="`%aeron help` lists all.")
        show(app.shell, Verbatim(text))
        return
    from aeron_magic.sandbox.answers.pages import handbook
    from aeron_magic.sandbox.answers.search import index

    note, page = "", handbook().get(topic)
    if page is None:
        if (named := _page_named(topic)) is not None:
            found = [named]
        else:
            found = [hit.page for hit in index().search(topic)]
        if not found:
            raise UsageError(
                "The handbook has no page on this topic.",
                hint=f"Its pages: {', '.join(handbook())}.",
            )
        page, *others = found[: 1 + MAX_OTHERS]
        note = f"There is no page “{escape_cell(topic, 60)}”; this is `{page.name}`."
        if others:
            note += f" Others: {', '.join(f'`{other.name}`' for other in others)}."
    sections = [
        block for title, blocks in page.sections.items() for block in (f"## {title}", *blocks)
    ]
    blocks = (f"# {page.title}", page.lead, *page.blocks, *sections)
    show(app.shell, note, *map(Block, blocks))


def _page_named(topic: str) -> Page | None:
    """The page that a word for a command or a section of the README means, if it is one."""
    from aeron_magic.sandbox.answers.pages import handbook

    word = topic.strip().lower()
    if word in SAME:
        return handbook()[SAME[word]]
    begun = [page for name, page in handbook().items() if name.startswith(word)]
    return begun[0] if len(word) >= MIN_BEGINNING and len(begun) == 1 else None


def topics() -> list[str]:
    """The names of the handbook's pages."""
    from aeron_magic.sandbox.answers.pages import handbook

    return list(handbook())
