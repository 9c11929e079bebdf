from __future__ import annotations

import ast
import re
from importlib import resources
from itertools import chain

from each_case import each_case
from markdown_it import MarkdownIt

from aeron_magic.sandbox import answers
from aeron_magic.sandbox.answers.pages import handbook
from aeron_magic.sandbox.answers.vocabulary import tokenize

each_page = each_case("page", handbook().values())


@each_page
def test_a_page_answers_explains_and_shows(page):
    """Title, a lead of one or two lines, a reason and an example."""
    assert page.title
    assert 5 <= len(page.lead.split()) <= 45
    assert page.examples
    assert page.sections["Why"]


@each_page
def test_a_page_is_short(page):
    """100 to 250 words, so that an answer can be read while it streams. Details may follow."""
    sections = (page.sections.get(name, ()) for name in ("In Python", "Why"))
    words = " ".join((page.title, page.lead, *page.blocks, *chain(*sections))).split()
    assert 100 <= len(words) <= 250


@each_page
def test_related_pages_exist(page):
    """And a page is not related to itself."""
    assert set(page.related) <= set(handbook()) - {page.name}


@each_page
def test_examples_are_closed_and_python_examples_parse(page):
    """Those with await, too."""
    for example in page.examples:
        found = re.fullmatch(r"```(text|python)\n(.+)\n```", example, re.DOTALL)
        assert found, example
        if found[1] == "python":
            compile(found[2], page.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@each_page
def test_phrasings_are_distinct(page):
    """A page has at least 20, because the search finds it by them."""
    assert len({tuple(tokenize(one)) for one in page.phrasings}) == len(page.phrasings) >= 20


@each_page
def test_phrasings_are_never_shown(page):
    """Not in an answer, and not on a code host, which hides a comment."""
    source = (resources.files(answers) / "handbook" / f"{page.name}.md").read_text("utf-8")
    shown = MarkdownIt("commonmark").render(source).split("<!--")[0]
    for text in (shown, "\n".join((page.title, page.lead, *page.body))):
        assert "phrasings:" not in text
        assert ", ".join(page.phrasings[:2]) not in text
    assert shown.startswith(f"<h1>{MarkdownIt().renderInline(page.title)}</h1>")
