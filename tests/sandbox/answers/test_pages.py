from __future__ import annotations

import ast
import re

import pytest

from aeron_magic.sandbox.answers.pages import handbook, questions

PAGES = list(handbook().values())


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def one(request):
    return request.param


def test_the_handbook_is_there():
    """Every page can be read."""
    assert 15 <= len(PAGES) <= 25


def test_a_page_answers_explains_and_shows(one):
    """Title, a lead of one or two lines, a reason, and an example."""
    assert one.title
    assert 5 <= len(one.lead.split()) <= 45
    assert one.examples
    assert one.sections["Why"]


def test_a_page_is_short(one):
    """100 to 250 words, so that an answer can be read as it streams."""
    words = re.findall(r"\S+", f"{one.title} {one.lead} {one.body}")
    assert 100 <= len(words) <= 250


def test_related_pages_exist(one):
    """And a page is not related to itself."""
    assert set(one.related) <= set(handbook()) - {one.name}


def test_python_examples_are_python(one):
    """Each parses, those with await too."""
    for example in one.examples:
        if example.startswith("```python"):
            code = example.removeprefix("```python\n").removesuffix("\n```")
            compile(code, one.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_fences_are_closed(one):
    """No example runs on into the text."""
    for example in one.examples:
        assert re.fullmatch(r"```(?:text|python)\n.+\n```", example, re.DOTALL)


def test_every_question_belongs_to_a_page():
    """And every page has some."""
    assert {name for name, _ in questions()} == set(handbook())
