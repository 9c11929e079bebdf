"""The handbook as data: each page's title, lead, paragraphs, example and sections.

A page is a Markdown file in ``handbook/``. It begins with two lines of metadata, ``keywords``
(words a reader might use that the text does not) and ``related`` (names of pages), then a title,
a lead that answers, paragraphs and fenced examples, and at the end, where there is something to
say, the sections *In Python* and *Why*.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

__all__ = ["Page", "handbook", "questions"]

_PAGE = re.compile(
    r"---\nkeywords: (?P<keywords>.+)\nrelated: (?P<related>.+)\n---\n"
    r"# (?P<title>.+)\n(?P<rest>(?s:.+))"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the handbook.

    Parameters
    ----------
    name
        The file's name without its ending.
    title, lead
        The heading, and the first paragraph, which answers the page's question.
    blocks
        Paragraphs, lists, tables and fenced examples after the lead, in order.
    sections
        Blocks under further headings, by heading.
    keywords
        Words for the search only.
    related
        Names of pages to read next.
    """

    name: str
    title: str
    lead: str
    blocks: tuple[str, ...]
    sections: Mapping[str, tuple[str, ...]]
    keywords: str
    related: tuple[str, ...]

    @property
    def examples(self) -> tuple[str, ...]:
        """The fenced examples, those of the sections last."""
        every = [*self.blocks, *(block for some in self.sections.values() for block in some)]
        return tuple(block for block in every if block.startswith("```"))

    @property
    def body(self) -> str:
        """Everything but title and lead."""
        every = [*self.blocks, *(block for some in self.sections.values() for block in some)]
        return "\n\n".join(every)


@functools.cache
def handbook() -> Mapping[str, Page]:
    """All pages by name, in the order of their names.

    Raises
    ------
    ValueError
        A page has not the form described above.
    """
    folder = resources.files(__package__) / "handbook"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda f: f.name
    )
    return {page.name: page for page in (_parsed(f.name, f.read_text("utf-8")) for f in files)}


def _parsed(file_name: str, text: str) -> Page:
    found = _PAGE.fullmatch(text)
    if found is None:
        raise ValueError(f"handbook page {file_name} lacks its metadata, title or text")
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
        keywords=found["keywords"],
        related=tuple(found["related"].split(", ")),
    )


def _blocks(text: str) -> list[str]:
    """Blocks between empty lines; a fence is one block, empty lines and all."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in text.splitlines():
        if not line and not fenced:
            blocks.append([])
            continue
        blocks[-1].append(line)
        if line.startswith("```"):
            fenced = not fenced
    return ["\n".join(block) for block in blocks if block]


@functools.cache
def questions() -> tuple[tuple[str, str], ...]:
    """The questions people ask, each with the name of the page that answers it."""
    text = (resources.files(__package__) / "questions.md").read_text("utf-8")
    _, *others = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return tuple(
        (name, question)
        for name, section in zip(others[::2], others[1::2], strict=True)
        for question in re.findall(r"^- (.+)$", section, re.MULTILINE)
    )
