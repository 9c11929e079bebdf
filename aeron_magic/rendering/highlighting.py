"""Code coloured for Jupyter: Pygments decides what is what, and the front end has the colours.

Jupyter's style colours six kinds of token, so only those (and the two of a diff) get an element;
neighbours of one kind share it. That makes a third of the HTML of Pygments' own formatter, which
counts because it is sent while a reply grows.

The code is hostile text like the rest of a reply. With some input most lexers take a time that
grows with the square of what they read: so the languages are a list, code is lexed in slices, and
very long code stays plain. A slice ends where code most likely begins anew, at an empty line
before one without indentation, or else at a line; not in a string or comment of several lines, as
far as counting their marks can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it.common.utils import escapeHtml

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

__all__ = ["CLASSES", "CODE_LIMIT", "highlight", "highlight_slice", "split_code"]

CODE_LIMIT = 20_000
"""Characters of a code block beyond which it is not coloured."""

SLICE = 750
"""Characters from which on a slice may end; it has at most twice as many."""

_NAMES = """
bash c c# c++ console cpp cs csharp css diff docker dockerfile fortran go golang graphql haskell
html ini ipython java javascript jl js json jsx julia kotlin latex lua make makefile matlab
objective-c perl php powershell ps1 py py3 pycon python python3 r rb rs ruby rust scala sh shell
sql swift tex toml ts tsx typescript xml yaml yml zsh
"""
LANGUAGES = frozenset(_NAMES.split())
"""Names after a fence that are coloured."""

CLASSES = {
    "Comment": "c",
    "Generic.Deleted": "gd",
    "Generic.Inserted": "gi",
    "Keyword": "k",
    "Literal.Number": "m",
    "Literal.String": "s",
    "Operator": "o",
}
"""The kinds of token that get an element, and its class."""


_QUOTES = ('"""', "'''", "`")
_COMMENTS = (("/*", "*/"), ("<!--", "-->"))
_LINE_END = re.compile("\n")
_TOP_LEVEL_LINE = re.compile(r"(?<=\n\n)\S")
_LAST_LINE_END = re.compile(r"\n(</span>)?\Z")


def highlight(code: str, language: str) -> str:
    """Return ``code`` as HTML for the inside of ``<pre>``; plain where ``language`` is unknown."""
    return "".join(highlight_slice(part, language) for part in split_code(code, language))


def split_code(code: str, language: str) -> Iterator[str]:
    """The parts that ``code`` is coloured in, each by itself.

    All but the last stay the same however the code goes on, up to the limit.
    """
    if language.lower() not in LANGUAGES or len(code) > CODE_LIMIT:
        yield code
        return
    begin = 0
    while end := _end_of_slice(code, begin):
        yield code[begin:end]
        begin = end
    yield code[begin:]


def _end_of_slice(code: str, begin: int) -> int:
    """Where the slice that begins at ``begin`` ends; 0 where that depends on what is to come."""
    least, most = begin + SLICE, begin + 2 * SLICE
    for place in _TOP_LEVEL_LINE.finditer(code, least, most):
        if _outside_multiline_token(code, begin, place.start()):
            return place.start()
    if len(code) <= most:
        return 0
    ends = [line_end.end() for line_end in _LINE_END.finditer(code, least, most)]
    return next(
        (end for end in ends if _outside_multiline_token(code, begin, end)),
        ends[0] if ends else most,
    )


def _outside_multiline_token(code: str, begin: int, end: int) -> bool:
    """Whether no string or comment of several lines seems to be open at ``end``."""
    return all(code.count(quote, begin, end) % 2 == 0 for quote in _QUOTES) and all(
        code.count(opening, begin, end) == code.count(closing, begin, end)
        for opening, closing in _COMMENTS
    )


def highlight_slice(code: str, language: str) -> str:
    """The HTML of one slice of `split_code`."""
    name = language.lower()
    if name not in LANGUAGES or len(code) > 2 * SLICE:
        return escapeHtml(code)
    # Some lexers need the end of the last line.
    whole = code if code.endswith("\n") else f"{code}\n"
    tokens = [(_class(kind), value) for kind, value in _lexer(name).get_tokens(whole)]
    html = []
    for kind, run in groupby(tokens, key=lambda token: token[0]):
        text = escapeHtml("".join(value for _, value in run))
        html.append(f'<span class="{kind}">{text}</span>' if kind else text)
    if whole is not code:
        return _LAST_LINE_END.sub(r"\1", "".join(html))
    return "".join(html)


@cache
def _lexer(language: str) -> Lexer:
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(language, stripnl=False)


@cache
def _class(kind: _TokenType) -> str:
    for ancestor in reversed(kind.split()):
        name = CLASSES.get(str(ancestor).removeprefix("Token."))
        if name:
            return name
    return ""
