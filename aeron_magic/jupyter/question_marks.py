"""Lets a question on one line end with a question mark.

IPython reads a line that ends with ``name?`` as a request for help about ``name``, also after a
magic: ``%aeron ask what is a token?`` would show the help of ``token``. The transformer below
skips the lines that ask. It comes too late for the cell that loads the extension, which IPython
has read already: :func:`misread_questions` finds the questions in it.
"""

from __future__ import annotations

import re
from tokenize import TokenInfo
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import HelpEnd, make_tokens_by_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Also after an assignment or another magic (`%time %aeron ask …`), and as IPython's automagic.
_ASK = re.compile(r"\s*+(?:(?:[^#]*[\s=])?%aeron|aeron)\s+ask\s")


class _HelpOutsideQuestions(HelpEnd):
    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> HelpEnd | None:
        lines = [one for one in tokens_by_line if one and not _ASK.match(one[0].line)]
        found: HelpEnd | None = super().find(lines)  # type: ignore[no-untyped-call]
        return found


def _replace(ip: InteractiveShell, old: type[HelpEnd], new: type[HelpEnd]) -> None:
    transformers = ip.input_transformer_manager.token_transformers
    # By name: after a reload of this module the class is a different object.
    transformers[:] = [new if one.__name__ == old.__name__ else one for one in transformers]


def register(ip: InteractiveShell) -> None:
    """Replace IPython's transformer for help requests in ``ip``."""
    unregister(ip)
    _replace(ip, HelpEnd, _HelpOutsideQuestions)


def unregister(ip: InteractiveShell) -> None:
    """Restore IPython's transformer, if it was replaced."""
    _replace(ip, _HelpOutsideQuestions, HelpEnd)


def misread_questions(ip: InteractiveShell) -> list[str]:
    """The questions of the running cell that IPython has read as requests for help."""
    history = getattr(ip.history_manager, "input_hist_raw", [])
    lines = make_tokens_by_line(history[-1].splitlines(keepends=True)) if history else []
    return [
        line[0].line.strip()
        for line in lines
        if len(line) > 2 and line[-2].string == "?" and _ASK.match(line[0].line)
    ]
