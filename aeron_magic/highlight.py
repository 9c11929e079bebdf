"""Code coloured for Jupyter: Pygments decides what is what, and the front end has the colours.

Jupyter's style colours six kinds of token, so only those (and the two of a diff) get an element;
neighbours of one kind share it. That makes a third of the HTML of Pygments' own formatter, which
counts because it is sent while a reply grows.

The code is hostile text like the rest of a reply. With some input most lexers take a time that
grows with the square of what they read: so the languages are a list, code is lexed in slices, and
very long code stays plain. A slice ends where code most likely begins anew, at an empty line
before one without indentation; a string or comment that goes on there may lose its colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it.common.utils import escapeHtml

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

__all__ = ["CLASSES", "CODE_LIMIT", "highlight", "highlight_ahead"]

CODE_LIMIT = 20_000
"""Characters of a code block beyond which it is not coloured."""

SLICE = 1_000
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


_BEGINS_ANEW = re.compile(r"(?<=\n\n)\S")
_LAST_LINE_END = re.compile(r"\n(</span>)?\Z")


def highlight(code: str, language: str) -> str:
    """Return ``code`` as HTML for the inside of ``<pre>``; plain where ``language`` is unknown."""
    name = language.lower()
    if name not in LANGUAGES or len(code) > CODE_LIMIT:
        return escapeHtml(code)
    return "".join(_highlight(part, name) for part in _slices(code))


def highlight_ahead(code: str, language: str) -> None:
    """Colour and keep the slices of ``code`` that stay the same however it goes on."""
    name = language.lower()
    if name in LANGUAGES and len(code) <= CODE_LIMIT:
        for part in list(_slices(code))[:-1]:
            _highlight(part, name)


def _slices(code: str) -> Iterator[str]:
    begin = 0
    while len(code) - begin > 2 * SLICE:
        least, most = begin + SLICE, begin + 2 * SLICE
        found = _BEGINS_ANEW.search(code, least, most)
        end = found.start() if found else code.find("\n", least, most) + 1 or most
        yield code[begin:end]
        begin = end
    yield code[begin:]


@lru_cache(maxsize=512)
def _highlight(code: str, language: str) -> str:
    # Some lexers need the end of the last line.
    whole = code if code.endswith("\n") else f"{code}\n"
    tokens = [(_class(kind), value) for kind, value in _lexer(language).get_tokens(whole)]
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
