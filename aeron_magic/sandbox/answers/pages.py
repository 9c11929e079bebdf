"""The handbook: each page's title, lead, blocks, sections and phrasings.

A page is a Markdown file in ``handbook/``: a title, a lead that answers, paragraphs and fenced
examples, and the sections *In Python* (if there is something to say) and *Why*. It ends with a
comment, for the search only: ``related`` (names of pages) and ``phrasings`` (what users ask or
search for, separated by commas).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_PAGE = re.compile(
    r"# (?P<title>.+)\n(?P<rest>(?s:.+))\n"
    r"<!--\nrelated: (?P<related>.+)\nphrasings:\n(?P<phrasings>(?:  .+\n)+)-->\n"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the handbook.

    * ``name``: the file's name without its suffix.
    * ``title``, ``lead``: the heading, and the first paragraph.
    * ``blocks``: paragraphs, lists, tables and fenced examples after the lead, in order.
    * ``sections``: blocks under further headings, by heading.
    * ``phrasings``: questions and keywords that this page answers.
    * ``related``: names of pages to read next.
    """

    name: str
    title: str
    lead: str
    blocks: tuple[str, ...]
    sections: Mapping[str, tuple[str, ...]]
    phrasings: tuple[str, ...]
    related: tuple[str, ...]

    @property
    def body(self) -> tuple[str, ...]:
        """All blocks after the lead, including those of the sections."""
        return self.blocks + tuple(block for some in self.sections.values() for block in some)

    @property
    def examples(self) -> tuple[str, ...]:
        """The fenced examples, including those of the sections."""
        return tuple(block for block in self.body if block.startswith("```"))


@functools.cache
def handbook() -> Mapping[str, Page]:
    """All pages by name, sorted by name.

    Raises ValueError: a page lacks its title, text or closing comment.
    """
    folder = resources.files(__package__) / "handbook"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {page.name: page for page in (_parsed(f.name, f.read_text("utf-8")) for f in files)}


def _parsed(file_name: str, text: str) -> Page:
    found = _PAGE.fullmatch(text)
    if found is None:
        raise ValueError(f"handbook page {file_name} lacks its title, text or closing comment")
    main, *others = re.split(r"^## (.+)\n", found["rest"], flags=re.MULTILINE)
    lead, *blocks = _blocks(main)
    return Page(
        name=file_name.removesuffix(".md"),
        title=found["title"],
        lead=lead,
        blocks=tuple(blocks),
        sections={
            heading: tuple(_blocks(section))
            for heading, section in zip(others[::2], others[1::2], strict=True)
        },
        phrasings=tuple(re.split(r",\s+", found["phrasings"].strip())),
        related=tuple(found["related"].split(", ")),
    )


def _blocks(text: str) -> list[str]:
    """Blocks between empty lines; a fenced example is one block, with its empty lines."""
    block = r"^```.*?^```$|(?:^[^\n]+\n?)+"
    return [found.strip() for found in re.findall(block, text, re.MULTILINE | re.DOTALL)]
