"""A question may end with a question mark.

IPython reads a line that ends with ``name?`` as a wish for help about ``name``, also where the
line begins with a magic: ``%aeron ask what is a token?`` would show what it knows about ``token``.
Here IPython's search for such wishes passes over the lines that ask.
"""

from __future__ import annotations

import re
from tokenize import TokenInfo
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import HelpEnd

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["register", "unregister"]

_ASK = re.compile(r"\s*(?:\w+\s*=\s*)?%aeron\s+ask\s")


class _HelpOutsideQuestions(HelpEnd):
    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> HelpEnd | None:
        lines = [one for one in tokens_by_line if one and not _ASK.match(one[0].line)]
        found: HelpEnd | None = super().find(lines)  # type: ignore[no-untyped-call]
        return found


def _replace(ip: InteractiveShell, old: type[HelpEnd], new: type[HelpEnd]) -> None:
    transformers = ip.input_transformer_manager.token_transformers
    # By name: after a reload of this module the class is another one.
    transformers[:] = [new if one.__name__ == old.__name__ else one for one in transformers]


def register(ip: InteractiveShell) -> None:
    """Let questions on a line of ``ip`` end with a question mark."""
    unregister(ip)
    _replace(ip, HelpEnd, _HelpOutsideQuestions)


def unregister(ip: InteractiveShell) -> None:
    """Take back what :func:`register` did; without it, do nothing."""
    _replace(ip, _HelpOutsideQuestions, HelpEnd)
