"""Syntax highlighting for Jupyter: Pygments finds the tokens, the front end has the colours.

Jupyter's style sheet colours six kinds of token, so only those (and the two of a diff) get an
element, and neighbours of one kind share it. The HTML is a third of that of Pygments' formatter.

Code is untrusted, and with some input most lexers take quadratic time. So the languages are a
list, code is lexed in slices of bounded length, and very long code is not highlighted. A slice
ends before an unindented line after an empty one, or else at a line end; not inside a multi-line
string or comment, as far as counting their delimiters can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it.common.utils import escapeHtml
from markupsafe import Markup

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

CODE_LIMIT = 20_000
"""Characters of a code block beyond which it is not highlighted."""

SLICE = 750
"""Characters from which on a slice may end; it has at most twice as many."""

_NAMES = """
bash c c# c++ console cpp cs csharp css diff docker dockerfile fortran go golang graphql haskell
html ini ipython java javascript jl js json jsx julia kotlin latex lua make makefile matlab
objective-c perl php powershell ps1 py py3 pycon python python3 r rb rs ruby rust scala sh shell
sql swift tex toml ts tsx typescript xml yaml yml zsh
"""
LANGUAGES = frozenset(_NAMES.split())
"""Names after a fence that are highlighted."""

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


def highlight_code(code: str, language: str) -> Markup:
    """Return ``code`` as HTML for the inside of ``<pre>``.

    It is plain if ``language`` is unlisted, or unknown to this version of Pygments, or if its lexer
    fails.
    """
    with suppress(Exception):  # many lexers, of many authors: a paid reply must be shown
        if lexer := _lexer_for(code, language):
            parts = [_highlight_slice(part, lexer) for part in split_code(code)]
            return Markup("".join(parts))  # noqa: S704 - each token is escaped
    return Markup(escapeHtml(code))  # noqa: S704 - escaped


def highlight_ahead(code: str, language: str) -> None:
    """Highlight the slices that stay the same when ``code`` grows, for a later `highlight_code`."""
    with suppress(Exception):
        if lexer := _lexer_for(code, language):
            *finished, _ = split_code(code)
            for part in finished:
                _highlight_slice(part, lexer)


def _lexer_for(code: str, language: str) -> Lexer | None:
    language = language.lower()
    return _lexer(language) if language in LANGUAGES and len(code) <= CODE_LIMIT else None


def split_code(code: str) -> Iterator[str]:
    """Split ``code`` into the slices that are lexed separately."""
    begin = 0
    while len(code) - begin > 2 * SLICE:
        end = _end_of_slice(code, begin)
        yield code[begin:end]
        begin = end
    yield code[begin:]


def _end_of_slice(code: str, begin: int) -> int:
    least, most = begin + SLICE, begin + 2 * SLICE
    top_level = [match.start() for match in _TOP_LEVEL_LINE.finditer(code, least, most)]
    line_ends = [match.end() for match in _LINE_END.finditer(code, least, most)]
    for end in top_level + line_ends:
        if _outside_multiline_token(code[begin:end]):
            return end
    return line_ends[0] if line_ends else most


def _outside_multiline_token(code: str) -> bool:
    """Whether no multi-line string or comment seems to be open at the end of ``code``."""
    return all(code.count(quote) % 2 == 0 for quote in _QUOTES) and all(
        code.count(opening) == code.count(closing) for opening, closing in _COMMENTS
    )


@lru_cache(maxsize=256)
def _highlight_slice(code: str, lexer: Lexer) -> str:
    """Cached, because lexing is most of the cost of a reply, which is painted again as it grows."""
    # Some lexers need the end of the last line.
    whole = code if code.endswith("\n") else f"{code}\n"
    tokens = [(_class(kind), value) for kind, value in lexer.get_tokens(whole) if value]
    html = []
    for kind, run in groupby(tokens, key=lambda token: token[0]):
        text = escapeHtml("".join(value for _, value in run))
        html.append(f'<span class="{kind}">{text}</span>' if kind else text)
    if whole is not code:
        return _LAST_LINE_END.sub(r"\1", "".join(html))
    return "".join(html)


@cache
def _lexer(language: str) -> Lexer | None:
    """The lexer of a listed language; None where the installed Pygments does not know its name."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return None


@cache
def _class(kind: _TokenType) -> str:
    for ancestor in reversed(kind.split()):
        name = CLASSES.get(str(ancestor).removeprefix("Token."))
        if name:
            return name
    return ""
