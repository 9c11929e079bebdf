"""Code coloured for Jupyter: Pygments decides what is what, and the front end has the colours.

Jupyter's style colours six kinds of token, so only those (and the two of a diff) get an element;
neighbours of one kind share it. That makes a third of the HTML of Pygments' own formatter, which
counts because it is sent while a reply grows.

The code is hostile text like the rest of a reply. Some lexers take a time that grows with the
square of what they read, and nothing interrupts a regular expression: so the languages are a
list, and longer code stays plain.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it.common.utils import escapeHtml

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

__all__ = ["CLASSES", "CODE_LIMIT", "highlight"]

CODE_LIMIT = 20_000
"""Characters of a code block beyond which it is not coloured."""

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


_LAST_LINE_END = re.compile(r"\n(</span>)?\Z")


@lru_cache(maxsize=256)
def highlight(code: str, language: str) -> str:
    """Return ``code`` as HTML for the inside of ``<pre>``; plain where ``language`` is unknown.

    The last results are kept, since a piece of a growing reply is shown again in the whole.
    """
    name = language.lower()
    if name not in LANGUAGES or len(code) > CODE_LIMIT:
        return escapeHtml(code)
    # Some lexers need the last line's end too; it is taken off again.
    tokens = [(_class(kind), value) for kind, value in _lexer(name).get_tokens(f"{code}\n")]
    html = []
    for kind, run in groupby(tokens, key=lambda token: token[0]):
        text = escapeHtml("".join(value for _, value in run))
        html.append(f'<span class="{kind}">{text}</span>' if kind else text)
    return _LAST_LINE_END.sub(r"\1", "".join(html))


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
