"""Which parts of a reply are math, and which dollars are money.

Jupyter's front ends typeset ``$…$``, ``$$…$$``, ``\\(…\\)``, ``\\[…\\]`` and ``\\begin{…}``
wherever they find them in the text of an HTML output, except in code. So two things are needed:
what is math must reach the page letter for letter, untouched by Markdown's own escapes and
emphasis; and what only looks like math must not. The rules for markdown-it here do the first,
`inert` does the second: MathJax looks for a pair of delimiters within one run of text, and an
element between them ends the run.

A single dollar opens math where no letter or digit stands before it and no space after it, and
closes it the other way round; a sum such as ``$5 for two and 10$`` is money.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

__all__ = ["inert", "may_be_typeset", "use_math"]

BLOCK_LINES = 200
"""Lines a block of math may have; so that an opener without its end costs little."""

# Lengths are bounded for the same reason. No code span can begin within math.
_INLINE = {
    "$": re.compile(
        r"\$\$(?!\$)(?:[^`$\\]|\\.){1,4000}?\$\$"
        r"|(?<![A-Za-z0-9$\\])\$(?![\s$])(?P<tex>(?:[^`$\\]|\\.){1,1000}?)(?<!\s)\$(?![A-Za-z0-9$])",
        re.DOTALL,
    ),
    "\\": re.compile(r"\\\([^`]{1,2000}?\\\)|\\\[[^`]{1,4000}?\\\]", re.DOTALL),
}
_MONEY = re.compile(r"\d[^\\^_={}]*\s[A-Za-z]{2,}[^\\^_={}]*")
_BLOCK = re.compile(r"\$\$|\\\[|\\begin\{[A-Za-z]{1,30}\*?\}")
_AFTER_BLOCK = re.compile(r"\s*[.,;:]?\s*")

# What TeX could do beyond its own formula: links, styles, classes and ids of the page, and
# definitions, which would stay and change the formulas of other cells.
_REACHING_OUT = re.compile(
    r"\\(?:href|url|style|class|cssId|data|require|includegraphics|[gex]?def|let|futurelet|global"
    r"|(?:re)?new(?:command|environment|tagform)|providecommand|usetagform|mmlToken"
    r"|Declare[A-Za-z]*|Newextarrow|mathtoolsset)(?![A-Za-z])"
)
_DELIMITER = re.compile(r"\$|\\(?=[\\$(\[]|begin|(?:eq)?ref|\Z)")


def use_math(parser: MarkdownIt) -> None:
    """Teach ``parser`` the tokens ``math_inline`` and ``math_block``."""
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    followers: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "math_block", _math_block, followers)


def may_be_typeset(tex: str) -> bool:
    """Whether ``tex`` keeps to itself: no links, styles or definitions that outlive it."""
    return not _REACHING_OUT.search(tex)


def inert(text: str) -> str:
    """Return ``text`` as HTML in which no front end finds math."""
    return _DELIMITER.sub(r"<span>\g<0></span>", escapeHtml(text))


def _math_inline(state: StateInline, silent: bool) -> bool:
    pattern = _INLINE.get(state.src[state.pos])
    if pattern is None:
        return False
    match = pattern.match(state.src, state.pos, state.posMax)
    if match is None or _MONEY.fullmatch(match.groupdict().get("tex") or ""):
        return False
    if not silent:
        state.push("math_inline", "", 0).content = match.group()
    state.pos = match.end()
    return True


def _math_block(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    opener = _BLOCK.match(state.src, begin, state.eMarks[first])
    if opener is None:
        return False
    closer = {"$$": "$$", "\\[": "\\]"}.get(
        opener.group(), opener.group().replace("begin", "end", 1)
    )
    begin = opener.end()
    for line in range(first, min(end, first + BLOCK_LINES)):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
        found = state.src.find(closer, begin, state.eMarks[line])
        if found >= 0:
            after = found + len(closer)
            break
        begin = state.eMarks[line]
    else:
        return False
    if not _AFTER_BLOCK.fullmatch(state.src, after, state.eMarks[line]):
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content = state.getLines(first, line + 1, state.blkIndent, False).strip()
        token.map = [first, line + 1]
        state.line = line + 1
    return True
