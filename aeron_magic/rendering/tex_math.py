"""Which parts of a reply are math, and which dollars are money.

Jupyter's front ends typeset ``$…$``, ``$$…$$``, ``\\(…\\)``, ``\\[…\\]`` and ``\\begin{…}``
wherever they find them in the text of an HTML output, except in code. So two things are needed:
what is math must reach the page letter for letter, untouched by Markdown's own escapes and
emphasis; and what only looks like math must not. The rules for markdown-it here do the first,
`escape_math` does the second: MathJax looks for a pair of delimiters within one run of text, and an
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

__all__ = ["escape_math", "install_math_rules", "is_self_contained"]

BLOCK_LINES = 200
"""Lines a block of math may have; so that an opener without its end costs little."""

INLINE_LENGTH = 4_000
"""Characters that math within a paragraph may have, for the same reason."""

# Not beyond the next dollar, so that no opener is looked at twice; and no code span within.
_DOLLARS = re.compile(
    r"\$\$(?!\$)(?:[^`$\\]|\\.){1,4000}?\$\$"
    r"|(?<![A-Za-z0-9$\\])\$(?![\s$])(?P<tex>(?:(?!\*\*)[^`$\\]|\\.){1,1000}?)(?<!\s)\$(?![A-Za-z0-9$])",
    re.DOTALL,
)
_CURRENCY = re.compile(r"\d[^\\^_={}]*\s[A-Za-z]{2,}[^\\^_={}]*")
_BLOCK = re.compile(r"\$\$|\\\[|\\begin\{[A-Za-z]{1,30}\*?\}")
_AFTER_BLOCK = re.compile(r"\s*[.,;:]?\s*")

# What TeX could do beyond its own formula: links, styles, classes and ids of the page, and
# definitions, which would stay and change the formulas of other cells.
_UNSAFE_COMMANDS = re.compile(
    r"\\(?:href|url|style|class|cssId|data|require|includegraphics|[gex]?def|let|futurelet|global"
    r"|(?:re)?new(?:command|environment|tagform)|providecommand|usetagform|mmlToken"
    r"|Declare[A-Za-z]*|Newextarrow|mathtoolsset)(?![A-Za-z])"
)
_DELIMITER = re.compile(r"\$|\\(?=[\\$(\[]|begin|(?:eq)?ref|\Z)")


def install_math_rules(parser: MarkdownIt) -> None:
    """Teach ``parser`` the tokens ``math_inline`` and ``math_block``."""
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    followers: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "math_block", _math_block, followers)


def is_self_contained(tex: str) -> bool:
    """Whether ``tex`` keeps to itself: no links, styles or definitions that outlive it."""
    return not _UNSAFE_COMMANDS.search(tex)


def escape_math(text: str) -> str:
    """Return ``text`` as HTML in which no front end finds math."""
    return _DELIMITER.sub(r"<span>\g<0></span>", escapeHtml(text))


def _math_inline(state: StateInline, silent: bool) -> bool:
    is_dollar = state.src[state.pos] == "$"
    end = _end_of_dollars(state) if is_dollar else _end_of_brackets(state)
    if end is None:
        return False
    if not silent:
        state.push("math_inline", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end_of_dollars(state: StateInline) -> int | None:
    match = _DOLLARS.match(state.src, state.pos, state.posMax)
    if match is None or _CURRENCY.fullmatch(match["tex"] or ""):
        return None
    return match.end()


def _end_of_brackets(state: StateInline) -> int | None:
    begin = state.pos + 2
    closer = {"\\(": "\\)", "\\[": "\\]"}.get(state.src[state.pos : begin])
    if closer is None:
        return None
    found = state.src.find(closer, begin, min(state.posMax, begin + INLINE_LENGTH))
    if found <= begin or "`" in state.src[begin:found]:
        return None
    return found + 2


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
    # Up to which line there surely is no end: it need not be sought again.
    unclosed: dict[str, int] = state.env.setdefault("unclosed_math", {})
    if first < unclosed.get(closer, 0):
        return False
    line, after = _find_closer(closer, state, first, opener.end(), end)
    if after < 0 or not _AFTER_BLOCK.fullmatch(state.src, after, state.eMarks[line]):
        unclosed[closer] = line
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content = state.getLines(first, line + 1, state.blkIndent, False).strip()
        token.map = [first, line + 1]
        state.line = line + 1
    return True


def _find_closer(
    closer: str, state: StateBlock, first: int, begin: int, end: int
) -> tuple[int, int]:
    """Return the line of ``closer`` and the position after it; -1 where the block has none."""
    line = first
    for line in range(first, min(end, first + BLOCK_LINES)):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            break
        found = state.src.find(closer, begin, state.eMarks[line])
        if found >= 0:
            return line, found + len(closer)
        begin = state.eMarks[line]
    return line, -1
