# ruff: noqa: RUF001
"""Math, money, and text that must not be typeset."""

from __future__ import annotations

import re
from html import unescape

import pytest
from cpu_time import least_cpu
from each_case import each_case
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aeron_magic.rendering.mimebundle import to_markdown
from aeron_magic.rendering.safe_html import to_html
from aeron_magic.replies.tex_math import escape_math, install_math_rules, is_self_contained

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


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{a}{b}",
        r"\left( x \right)",
        r"\text{href}",
        r"x\\href",
        r"\begin{bmatrix} a \\[1em] b \\* c \end{bmatrix}",
        r"\mathbf{\hat\beta}\,\%\{x\}",
        r"\bm{x} \in \R",
    ],
)
def test_usual_tex_is_typeset(tex: str) -> None:
    assert is_self_contained(tex)


@pytest.mark.parametrize(
    "tex",
    [
        r"\href{x}{y}",
        r"\style{a}{b}",
        r"\def\a{b}",
        r"\newcommand{\a}{b}",
        r"\let\a=b",
        r"\input{/etc/passwd}",
        r"\verbatiminput{a}",
        r"\write18{id}",
        r"\openin\f=a",
        "^^5cinput a",
        r"\begin{filecontents}{a}",
        r"\end{document}",
        r"\frac{a}{",
        "a}{b",
        r"\csname input\endcsname",
        r"\defect",
        r"\BVerbatimInput{a}",
        r"\filedump offset 0 length 9 {a}",
        r"\adjustimage{width=2cm}{a.png}",
        r"\XeTeXpdffile a.pdf",
        r"\globaldefs=1",
        r"\output={}",
        r"\loop\iftrue\repeat",
        r"\AddToHook{shipout/background}{a}",
        r"\PushButton[onclick={app.alert()}]{a}",
        r"\smash{\raise 9em{a}}",
        r"\begin{array}{c} a \\[-9em] b \end{array}",
        r"\begin{array}{c} a \\* [ -9em] b \end{array}",
    ],
)
def test_tex_with_effects_outside_its_formula_is_not_typeset(tex: str) -> None:
    assert not is_self_contained(tex)


def math(markdown: str) -> list[str]:
    tokens = PARSER.parse(markdown)
    inner = [child for token in tokens for child in token.children or ()]
    return [token.content for token in [*tokens, *inner] if token.type.startswith("math")]


MATH = r"""
$x$ ($x$) $(a+b)$ $-1$ ($x_1$), 变量$x$是 $5$ $.5$ $|x|$ $[0,1)$ $x$-axis $n$-th $n$th $k$NN $2^k$th
$\sigma$s 3$\sigma$ CO$_2$ 10$^{-3}$ 4$\times$4 $n-1$th $f'$s 2$x$ "$x$" **$x$** $p<0.05$ $$E=mc^2$$
"""
MORE_MATH = [
    r"$a \$ b$",
    "$5 + x$",
    "$n - 1$th",
    "$O(n log n)$",
    "$x =$ 5",
    "$2 + xy$",
    "$$ a + b $$",
    "$Ш(E/K)$",
    "*$x^*, y^*$*",
    "**$x^*$**",
    "_$x_1$_",
    "_$x_1, y$_",
    "*$a * b$*",
    "~~$a ~ b$~~",
    "$a<b>c$",
    "$س + ١٠$",
    r"$5 \text{ से } 10$",
]


@each_case("text", [*MATH.split(), *MORE_MATH])
def test_a_pair_of_dollars_is_math(text: str) -> None:
    assert len(math(text)) == 1


MONEY = """
$5 and $10
$5-$10
US$5 or A$6
$ x $
$x $
$a$1
$5 for 10$
\\$x\\$
US Dollar ($), Canadian Dollar (C$). Cost per hour ($/h), per day ($/day).
A "$"-prefixed name, not a "$".
83 ₹/$, 0.92 €/$.
dollars ($) only in the US ($)
in $, not in C$
In $; in C$
In $! Or C$
In $. Or C$
a $/h or C$
the '$' and the '$' sign
[US$] or [C$]
A plan is $5 and the other 7$ a month
$5 (or 7$)
$5/month, 10$
$5 = 4€ or 5$
价格$5到10$
“$5” – “6$”
«$5» – «6$»
💵$5 💵6$
$5 — 6$ a day
*$5* or *6$*
_$5_ – _6$_
__$5__ – __6$__
~~$5~~ – ~~6$~~
a $5<br>6$
<b>$5</b> – <b>6$</b>
__$9__ H<sub>2</sub>O <kbd>$</kbd>
कीमत $5 से 10$ तक है
Цена $5 или 10$ в день
السعر $5 أو 10$ فقط
המחיר $5 או 10$ ליום
ราคา $5 ถึง 10$
It costs $$ or $$$.
$$ (cheap), $$ (mid)
$HOME/bin:$PATH
$HOME$PATH
($HOME) and ($USER)
'$HOME' and '$PATH'
"$HOME" and "$PATH"
$A/$B
$env:PATH;$env:TEMP
$(pwd)/$(whoami)
df$x and df$y
df$a$b
$A1:$B1
$foo->bar($baz)
"""


@each_case("text", MONEY.strip().split("\n"))
def test_money_and_names_are_not_math(text: str) -> None:
    assert math(text) == []


@pytest.mark.parametrize("piece", ["$", "$a ", "\\(", "\\[\n", "$$\n", "\\begin{a}\n", "$a$$"])
def test_unclosed_openers_take_linear_time(piece: str) -> None:
    """Ten times the text takes about ten times as long, not a hundred times."""

    def seconds(count: int, enough: float = 0.0) -> float:
        text = piece * count

        def parse() -> None:
            PARSER.block.parse(text, PARSER, {}, [])
            PARSER.inline.parse(text[:10_000], PARSER, {}, [])

        return least_cpu(parse, enough)

    limit = 0.2 + 30 * seconds(1_000)
    assert seconds(10_000, limit) < limit


@pytest.mark.parametrize(
    ("markdown", "cells"),
    [
        ("| $|x|$ | b |\n|---|---|\n| $|y|$ | $P(A|B)$ |", ["$|x|$", "b", "$|y|$", "$P(A|B)$"]),
        ("| a | b |\n|---|---|\n| \\(|x|\\) | $a|b$, $c|d$ |", ["\\(|x|\\)", "$a|b$", "$c|d$"]),
        ("> | a | b |\n> |---|---|\n> | $|x|$ | y |", ["$|x|$"]),
        ("- | $|x|$ | b |\n  |---|---|\n  | $|y|$ | y |", ["$|x|$", "$|y|$"]),
        ("| `a|b` | or |\n|---|---|\n| ``x || `y` `` | z |", ["<code>a|b</code>", "x || `y`", "z"]),
        ("| a | b |\n|---|---|\n| `x|y`, `z | $|w|$ |", ["<code>x|y</code>, `z", "$|w|$"]),
        ("| a | b | c |\n|---|---|---|\n| `x | y` | z |", ["`x", "y`", "z"]),
        ("|$x|$y|\n|--|--|\n|$5|$6|", ["<span>$</span>x", "<span>$</span>y"]),
        ("| $5 | $6 |\n|--|--|\n| a | b | $c|d$ |", ["<span>$</span>5", ">a</td>", ">b</td>"]),
        ("```\n| a | b |\n|---|---|\n| $|x|$ | y |\n```", ["| $|x|$ | y |"]),
    ],
)
def test_a_bar_in_code_or_a_formula_does_not_end_a_cell_if_the_row_has_too_many(
    markdown: str, cells: list[str]
) -> None:
    """Cells beyond the last column are dropped; the copy in Markdown has no such bar."""
    html = to_html(markdown, highlight=False)
    assert [cell for cell in cells if cell not in html] == []
    assert to_html(to_markdown(markdown)).count("<td") == html.count("<td")
