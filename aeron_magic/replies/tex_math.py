"""Which parts of a reply are math, and which dollars are money.

Jupyter's front ends typeset ``$…$``, ``$$…$$``, ``\\(…\\)``, ``\\[…\\]`` and ``\\begin{…}``
anywhere in the text of an HTML output, except in code. So math must reach the page unchanged by
Markdown's escapes and emphasis: that is done by the rules for markdown-it here. Text that only
looks like math must not be typeset: `escape_math` puts an element around each delimiter, because
MathJax looks for a pair of delimiters within one text node.

Dollars are read as pandoc reads them: no space inside, and no digit after the second one. But what
reads as prose between them, such as ``$5 for two or 10$``, ``US ($) and C$ ($)`` or
``$HOME/bin:$PATH``, is text.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markupsafe import Markup

from aeron_magic.markdown_text import CJK
from aeron_magic.replies.tex_commands import MATHJAX_COMMANDS

BLOCK_LINES = 200
"""Maximum lines of a math block, which bounds the cost of an unclosed one."""

INLINE_LENGTH = 4_000
"""Maximum characters of inline math, for the same reason."""

# Neither dollars nor code spans inside, so the cost is linear.
_DOLLARS = re.compile(
    r"(?<!\$)\$\$(?!\$)(?P<display>(?:[^`$\\]|\\.){1,4000}?)\$\$(?!\$)"
    r"|(?<![$\\])\$(?![\s$)\],;:!?'\"/]|\.(?!\d))"
    r"(?P<tex>(?:(?!\*\*)[^`$\\]|\\.){1,1000}?)(?<!\s)\$(?![${])",
    re.DOTALL,
)
_NO_TEX = "[^^_={}|+*<>]*"
_NOT_IN_TEX = "€£¥₹₩₽₿“”„«»—\U0001f000-\U0001faff"
_PROSE = re.compile(
    rf"[^\"{_NOT_IN_TEX}{CJK}]*[\"{_NOT_IN_TEX}{CJK}]|.*?(?:(?!\d)[\u0400-\u1cff]){{2}}"
    r"|.*?<(?:br\s?/?|/(?:b|i|u|em|strong|sub|sup|kbd|li|p|td|th))>"
    rf"|\d{_NO_TEX}(?:\s|/)[A-Za-z]{{2,}}{_NO_TEX}\Z",
    re.DOTALL,
)
_WORDS = re.compile(rf"{_NO_TEX}[A-Za-z]{{3,}}{_NO_TEX}")
_AFTER_LETTER = re.compile(r"[\\^_]|\{\}|[A-Za-z]\$(?![A-Za-z])")
_NAME_BEGUN = re.compile("[A-Za-z_(]")
_SHELL = re.compile(r"[A-Za-z_]\w{2,}|.*(?:[^\w)\]}'!*|]|\s[A-Za-z]{2,}\W.*)", re.DOTALL)
_ENVIRONMENT = (
    r"(?:equation|align(?:at|ed|edat)?|flalign|x+alignat|gather(?:ed)?|multline(?:d)?|split|eqnarray"
    r"|[dr]?cases|[bBpvV]?(?:small)?matrix|subarray|array|math|displaymath|CD)"
)
_BLOCK = re.compile(rf"\$\$|\\\[|\\begin\{{{_ENVIRONMENT}\*?\}}")
_BAR = re.compile(r"(?<!\\)\|")
_HIDDEN = "\ue0ff"
"""Stands for a bar that does not end a cell."""
_CONTAINERS = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*+")
_DELIMITERS = re.compile(r"[ \t>]*+[-:|][-:| \t]*+")
_MAY_HIDE_BARS = re.compile(r"[$`]|\\\(")
_CODE = re.compile(r"(?<![`\\])(`++)(?!`)[^\n]{1,1000}?(?<!`)\1(?!`)")
_BRACKETS = re.compile(r"\\\([^`\n]{1,1000}?\\\)")
_AFTER_BLOCK = re.compile(r"\s*+[.,;:]?+\s*+")

_COMMAND = re.compile(
    rf"\\(?:(?:begin|end)\s*\{{{_ENVIRONMENT}\*?\}}|(?P<name>[A-Za-z]++)"
    r"|\\\*?(?P<back>\s*\[\s*-)?|.)",
    re.DOTALL,
)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_DELIMITER = re.compile(r"\$|\\(?=[\\$(\[]|begin|(?:eq)?ref|\Z)")


def install_math_rules(parser: MarkdownIt) -> None:
    """Add the tokens ``math_inline`` and ``math_block`` to ``parser``."""
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    followers: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "math_block", _math_block, followers)
    install_table_rules(parser)


def install_table_rules(parser: MarkdownIt) -> None:
    """Let the tables of ``parser`` have code and formulas with ``|`` in their cells."""
    parser.core.ruler.before("block", "hide_bars", _hide_bars)
    parser.core.ruler.after("block", "show_bars", _show_bars)


def is_self_contained(tex: str) -> bool:
    """Whether ``tex`` has no effects outside its formula, and its braces are balanced.

    It has only `MATHJAX_COMMANDS`, no characters of TeX that spell another one (``^^``), and no
    line that is moved up over the one before.
    """
    depth = 0
    for brace in _BRACE.findall(tex):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    names = (one for one in _COMMAND.finditer(tex) if one["name"] or one["back"])
    return not (depth or "^^" in tex) and all(one["name"] in MATHJAX_COMMANDS for one in names)


def escape_math(text: str) -> Markup:
    """Return ``text`` as HTML that is never typeset as math."""
    html = escapeHtml(text)
    if "$" in html or "\\" in html:
        html = _DELIMITER.sub(r"<span>\g<0></span>", html)
    return Markup(html)  # noqa: S704 - escaped


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
    if match is None:
        return None
    before = state.src[max(0, state.pos - 1) : state.pos]
    after = state.src[match.end() : min(state.posMax, match.end() + 1)]
    return match.end() if _is_math(match, before, after) else None


def _is_math(match: re.Match[str], before: str, after: str) -> bool:
    """Whether the text in dollars is a formula, not prose or a name of a shell."""
    tex = match["tex"]
    if tex is None:
        return "\\" in match["display"] or not _WORDS.fullmatch(match["display"])
    if (
        before.isalnum()
        and before.isascii()
        and not _AFTER_LETTER.match(match.string, match.start() + 1)
    ):
        return False
    if _NAME_BEGUN.match(after) and _SHELL.fullmatch(tex) and not before == after == "_":
        return False
    if before in ("*", "_", "~") and _ends_emphasis(match):
        return False
    if "\\" in tex or after.isdigit():
        return "\\" in tex
    depth = 0
    for bracket in tex:
        depth += (bracket in "([") - (bracket in ")]")
        if depth < 0:
            return False
    return not depth and not _PROSE.match(tex)


def _ends_emphasis(match: re.Match[str]) -> bool:
    """Whether the marker before the first dollar has its end between the dollars, as in *$5* 6$."""
    begun = match.string[: match.start()]
    marker = re.escape(begun[len(begun.rstrip(begun[-1])) :])
    return re.search(rf"(?<![\s^_\\]){marker}(?![\w{{]|\Z)", match["tex"]) is not None


def _hide_bars(state: StateCore) -> None:
    """Hide each ``|`` in code or a formula of a table's row that would have too many cells with it.

    On GitHub such a bar ends a cell, but replies contain ``| $|x|$ | a |`` and ``| `x|y` | b |``,
    and the cells beyond the last column would be lost.
    """
    if "|" not in state.src or _HIDDEN in state.src or not _MAY_HIDE_BARS.search(state.src):
        return
    lines = state.src.split("\n")
    columns = 0
    for place, line in enumerate(lines):
        if place and _DELIMITERS.fullmatch(line):
            columns = len(re.findall("-+", line))
            lines[place - 1] = _with_cells(lines[place - 1], columns)
        elif not line.strip(" \t>"):
            columns = 0
        elif columns:
            lines[place] = _with_cells(line, columns)
    hidden = "\n".join(lines)
    state.env["bars_are_hidden"] = hidden != state.src
    state.src = hidden


def _show_bars(state: StateCore) -> None:
    if state.env.pop("bars_are_hidden", False):
        for token in state.tokens:
            token.content = token.content.replace(_HIDDEN, "|")
            token.info = token.info.replace(_HIDDEN, "|")


def _with_cells(row: str, columns: int) -> str:
    """``row`` with the bars in its code and formulas hidden if only then it has so many cells."""
    if _cells(row) <= columns or not _MAY_HIDE_BARS.search(row):
        return row
    hidden = _CODE.sub(lambda match: _BAR.sub(_HIDDEN, match[0]), row)
    hidden = _BRACKETS.sub(lambda match: _BAR.sub(_HIDDEN, match[0]), hidden)
    hidden = _DOLLARS.sub(_without_bars, hidden)
    return hidden if _cells(hidden) == columns else row


def _without_bars(match: re.Match[str]) -> str:
    text, end = match.string, match.end()
    before = text[max(0, match.start() - 1) : match.start()]
    is_math = _is_math(match, before, text[end : end + 1])
    return _BAR.sub(_HIDDEN, match[0]) if is_math else match[0]


def _cells(row: str) -> int:
    return len(_BAR.findall(_CONTAINERS.sub("", row).strip().strip("|"))) + 1


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
    # The line before which no closer is left, from an earlier search.
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
