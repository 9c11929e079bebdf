"""Which parts of a reply are math, and which dollars are money.

Jupyter's front ends typeset ``$…$``, ``$$…$$``, ``\\(…\\)``, ``\\[…\\]`` and ``\\begin{…}``
anywhere in the text of an HTML output, except in code. So math must reach the page unchanged by
Markdown's escapes and emphasis: that is done by the rules for markdown-it here. Text that only
looks like math must not be typeset: `escape_math` puts an element around each delimiter, because
MathJax looks for a pair of delimiters within one text node.

A single dollar opens math if no letter or digit precedes it and no space follows it, and closes
math the other way round; an amount such as ``$5 for two and 10$`` is money.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markupsafe import Markup

BLOCK_LINES = 200
"""Maximum lines of a math block, which bounds the cost of an unclosed one."""

INLINE_LENGTH = 4_000
"""Maximum characters of inline math, for the same reason."""

# Neither dollars nor code spans inside, so the cost is linear.
_DOLLARS = re.compile(
    r"\$\$(?!\$)(?:[^`$\\]|\\.){1,4000}?\$\$"
    r"|(?<![A-Za-z0-9$\\])\$(?![\s$])(?P<tex>(?:(?!\*\*)[^`$\\]|\\.){1,1000}?)(?<!\s)\$(?![A-Za-z0-9$])",
    re.DOTALL,
)
_CURRENCY = re.compile(r"\d[^\\^_={}]*\s[A-Za-z]{2,}[^\\^_={}]*")
_BLOCK = re.compile(r"\$\$|\\\[|\\begin\{[A-Za-z]{1,30}\*?\}")
_AFTER_BLOCK = re.compile(r"\s*+[.,;:]?+\s*+")

# Commands with effects outside their formula: links, styles, classes, ids, and definitions, which
# would change the formulas of other cells.
UNSAFE_COMMANDS = re.compile(
    r"\\(?:href|url|style|class|cssId|data|require|includegraphics|[gex]?def|let|futurelet|global"
    r"|(?:re)?new(?:command|environment|tagform)|providecommand|usetagform|mmlToken"
    r"|Declare[A-Za-z]*|Newextarrow|mathtoolsset)(?![A-Za-z])"
)
_DELIMITER = re.compile(r"\$|\\(?=[\\$(\[]|begin|(?:eq)?ref|\Z)")


def install_math_rules(parser: MarkdownIt) -> None:
    """Add the tokens ``math_inline`` and ``math_block`` to ``parser``."""
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    followers: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "math_block", _math_block, followers)


def is_self_contained(tex: str) -> bool:
    """Whether ``tex`` has no effects outside its formula: links, styles or definitions."""
    return not UNSAFE_COMMANDS.search(tex)


def escape_math(text: str) -> Markup:
    """Return ``text`` as HTML that is never typeset as math."""
    return Markup(_DELIMITER.sub(r"<span>\g<0></span>", escapeHtml(text)))  # noqa: S704 - escaped


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
    # The line before which there is no closer, from an earlier search.
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
    """Return the line of ``closer`` and the position after it, or -1 if there is none."""
    line = first
    for line in range(first, min(end, first + BLOCK_LINES)):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            break
        found = state.src.find(closer, begin, state.eMarks[line])
        if found >= 0:
            return line, found + len(closer)
        begin = state.eMarks[line]
    return line, -1
