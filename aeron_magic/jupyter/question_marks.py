"""Lets a question on one line end with a question mark, and errors name the right magic.

IPython reads a line that ends with ``name?`` as a request for help about ``name``, also after a
magic: ``%aeron ask what is a token?`` would show the help of ``token``. The transformer below
skips the lines that ask. It comes too late for the cell that loads the extension, which IPython
has read already: :func:`misread_questions` finds the questions in it.

A cell of one line, ``%%aeron what is a token?``, never reaches the magic, because IPython rejects
it and proposes ``%aeron``, which is wrong. So it gets an empty second line.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from tokenize import TokenInfo
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import HelpEnd, make_tokens_by_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Also after an assignment or another magic (`%time %aeron ask …`), and as IPython's automagic.
_LINE = re.compile(r"\s*+(?:(?:[^#]*[\s=])?%aeron|aeron)\s+(?P<command>[^\s?]+)\s")
_CELL = re.compile(r"%%aeron(\s|$)")


def _with_body(lines: list[str]) -> list[str]:
    """Add an empty line to a cell of ours that has only its first line."""
    return [*lines, "\n"] if len(lines) == 1 and _CELL.match(lines[0]) else lines


def _asks(line: str) -> bool:
    """Whether a line asks, or seems to: without `ask`, the error of the magic names it."""
    found = _LINE.match(line)
    if found is None:
        return False
    from aeron_magic.jupyter.command_line.spec import COMMANDS

    command = found["command"]
    return command == "ask" or ("%" in found[0] and command not in COMMANDS)


class _HelpOutsideQuestions(HelpEnd):
    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> HelpEnd | None:
        lines = [one for one in tokens_by_line if one and not _asks(one[0].line)]
        found: HelpEnd | None = super().find(lines)  # type: ignore[no-untyped-call]
        return found


def _replace(ip: InteractiveShell, old: type[HelpEnd], new: type[HelpEnd]) -> None:
    transformers = ip.input_transformer_manager.token_transformers
    # By name: after a reload of this module the class is a different object.
    transformers[:] = [new if one.__name__ == old.__name__ else one for one in transformers]


def register(ip: InteractiveShell) -> None:
    """Change how ``ip`` reads the lines of our magics."""
    unregister(ip)
    _replace(ip, HelpEnd, _HelpOutsideQuestions)
    ip.input_transformer_manager.line_transforms.insert(0, _with_body)


def unregister(ip: InteractiveShell) -> None:
    """Undo :func:`register`, if it was called."""
    _replace(ip, _HelpOutsideQuestions, HelpEnd)
    transforms = ip.input_transformer_manager.line_transforms
    transforms[:] = [one for one in transforms if getattr(one, "__name__", "") != "_with_body"]


def _running_source(ip: InteractiveShell) -> str:
    """The source of the running cell, or of the script, which IPython runs as one cell."""
    script = str(ip.user_ns.get("__file__", ""))
    if script.endswith(".ipy"):
        with suppress(OSError, ValueError):
            return Path(script).read_text("utf-8")
    history: list[str] = getattr(ip.history_manager, "input_hist_raw", [])
    return history[-1] if history else ""


def misread_questions(ip: InteractiveShell) -> list[str]:
    """The questions of the running cell or script that IPython has read as requests for help."""
    lines = make_tokens_by_line(_running_source(ip).splitlines(keepends=True))
    return [
        line[0].line.strip()
        for line in lines
        if len(line) > 2 and line[-2].string == "?" and _asks(line[0].line)
    ]
