"""The help of ``%aeron`` and ``%%aeron``, generated from ``QUESTION`` and ``COMMANDS``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION, Option, long_form

__all__ = ["help_text", "reference_markdown"]

WIDTH = 84
"""Most characters in a line of the help: JupyterLab has room for little more beside its file
browser, and wraps longer lines."""

_INDENT = 26
"""The column at which the help of an option begins."""


def _explained(option: Option) -> str:
    return f"{option.help}: {', '.join(option.choices)}" if option.choices else option.help


def _all_flags(option: Option) -> list[str]:
    return [f"{flag} {option.metavar}".strip() for flag in option.flags]


def help_text() -> str:
    """Return the help as plain text: for ``%aeron help``, ``%aeron?`` and ``%%aeron?``."""
    lines = [f"{QUESTION.usage}    {QUESTION.help}", ""]
    for option in QUESTION.options:
        flags = f"  {', '.join(_all_flags(option))}"
        if len(flags) >= _INDENT:  # too long for its column: on a separate line
            lines.append(flags)
            flags = ""
        lines += _wrapped(f"{flags:<{_INDENT}}{_explained(option)}", _INDENT)
    lines += ["", "%aeron    one line, one command", ""]
    for spec in COMMANDS.values():
        lines += [f"  {spec.usage}", *_wrapped(f"      {spec.help}", 6)]
        if not spec.asks:
            for option in spec.options:
                flags = ", ".join(_all_flags(option))
                lines += _wrapped(f"      {flags}: {_explained(option)}", 10)
    return "\n".join(lines) + "\n"


def _wrapped(line: str, indent: int) -> list[str]:
    return textwrap.wrap(line.replace("`", ""), WIDTH, subsequent_indent=" " * indent)


def reference_markdown() -> str:
    """Return the help as the two Markdown tables of the README."""

    def row(*cells: str) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def code(texts: Iterable[str]) -> str:
        return ", ".join(f"`{text}`" for text in texts)

    lines = [row("option of `%%aeron`", "meaning"), "|---|---|"]
    lines += [row(code(_all_flags(o)), _explained(o)) for o in QUESTION.options]
    lines += ["", row("line", "effect"), "|---|---|"]
    for spec in COMMANDS.values():
        options = () if spec.asks else spec.options
        explained = [f"{code([long_form(o)])}: {o.help}" for o in options]
        lines.append(row(code([spec.usage]), "; ".join([spec.help, *explained])))
    return "\n".join(lines) + "\n"
