"""Math, money, and text that must not be typeset."""

from __future__ import annotations

import re
from html import unescape

import pytest
from cpu_time import least_cpu
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aeron_magic.rendering.tex_math import escape_math, install_math_rules, is_self_contained

PARSER = MarkdownIt("commonmark")
install_math_rules(PARSER)

# How MathJax, as Jupyter sets it up, finds math in one run of text.
MATHJAX = re.compile(
    r"\$\$.+?\$\$|\$.+?\$|\\\(.+?\\\)|\\\[.+?\\\]|\\begin\s*\{.+?\}|\\[\\$]|\\(?:eq)?ref\s*\{",
    re.DOTALL,
)


@given(st.text("$\\()[]{}abegin ref1<&\n", max_size=40))
def test_mathjax_finds_nothing_in_escaped_text(text: str) -> None:
    html = escape_math(text)
    assert unescape(html.replace("<span>", "").replace("</span>", "")) == text
    assert not [run for run in re.split("</?span>", html) if MATHJAX.search(unescape(run))]


@pytest.mark.parametrize("tex", [r"\frac{a}{b}", r"\left( x \right)", r"\defect", r"\text{href}"])
def test_usual_tex_is_typeset(tex: str) -> None:
    assert is_self_contained(tex)


@pytest.mark.parametrize(
    "tex", [r"\href{x}{y}", r"\style{a}{b}", r"\def\a{b}", r"\newcommand{\a}{b}", r"\let\a=b"]
)
def test_tex_with_effects_outside_its_formula_is_not_typeset(tex: str) -> None:
    assert not is_self_contained(tex)


def math(markdown: str) -> list[str]:
    tokens = PARSER.parse(markdown)
    inner = [child for token in tokens for child in token.children or ()]
    return [token.content for token in [*tokens, *inner] if token.type.startswith("math")]


@pytest.mark.parametrize("text", ["$x$", "($x_1$),", "变量$x$是", r"$a \$ b$", "$5$", "$5 + x$"])
def test_a_pair_of_dollars_is_math(text: str) -> None:
    assert len(math(text)) == 1


@pytest.mark.parametrize(
    "text", ["$5 and $10", "$5-$10", "US$5 or A$6", "$ x $", "$x $", "$a$1", "$5 for 10$", r"\$x\$"]
)
def test_money_is_not_math(text: str) -> None:
    assert math(text) == []


@pytest.mark.parametrize("piece", ["$", "$a ", "\\(", "\\[\n", "$$\n", "\\begin{a}\n", "$a$$"])
def test_unclosed_openers_take_linear_time(piece: str) -> None:
    """Ten times the text takes about ten times as long, not a hundred times."""

    def seconds(count: int) -> float:
        text = piece * count

        def parse() -> None:
            PARSER.block.parse(text, PARSER, {}, [])
            PARSER.inline.parse(text[:10_000], PARSER, {}, [])

        return least_cpu(parse)

    assert seconds(10_000) < 0.2 + 30 * seconds(1_000)
