"""The manual of ``%aeron`` and ``%%aeron``, made from the table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from aeron_magic.jupyter.command_line.spec import SPEC, MagicSpec, Option, as_typed
from aeron_magic.markdown_text import markdown_table

__all__ = ["help_text", "reference_markdown"]

WIDTH = 84
"""Characters of the longest line of the help: JupyterLab breaks lines that its cell has no room
for, and beside its file browser that is little more."""

_MARGIN = 26
"""Where the help of an option begins."""


def _explained(option: Option) -> str:
    return f"{option.help}: {', '.join(option.choices)}" if option.choices else option.help


def _all_flags(option: Option) -> list[str]:
    return [f"{flag} {option.value}".strip() for flag in option.flags]


def help_text(table: MagicSpec = SPEC) -> str:
    """Return the manual as plain text: for ``%aeron help``, ``%aeron?`` and ``%%aeron?``."""
    lines = [f"{table.question.usage}    {table.question.help}", ""]
    for option in table.question.options:
        flags = f"  {', '.join(_all_flags(option))}"
        if len(flags) >= _MARGIN:  # on a line of its own
            lines.append(flags)
            flags = ""
        lines += _wrapped(f"{flags:<{_MARGIN}}{_explained(option)}", _MARGIN)
    lines += ["", "%aeron    one line, one command", ""]
    for entry in table.commands:
        lines += [f"  {entry.usage}", *_wrapped(f"      {entry.help}", 6)]
        if not entry.asks:
            for option in entry.options:
                flags = ", ".join(_all_flags(option))
                lines += _wrapped(f"      {flags}: {_explained(option)}", 10)
    return "\n".join(lines) + "\n"


def _wrapped(line: str, indent: int) -> list[str]:
    return textwrap.wrap(line.replace("`", ""), WIDTH, subsequent_indent=" " * indent)


def reference_markdown(table: MagicSpec = SPEC) -> str:
    """Return the manual as the two Markdown tables of the README."""

    def row(*cells: str) -> list[str]:
        return [cell.replace("|", "\\|") for cell in cells]

    def code(texts: Iterable[str]) -> str:
        return ", ".join(f"`{text}`" for text in texts)

    options = [row(code(_all_flags(o)), _explained(o)) for o in table.question.options]
    commands = []
    for entry in table.commands:
        own = () if entry.asks else entry.options
        explained = [f"{code([as_typed(o)])}: {o.help}" for o in own]
        commands.append(row(code([entry.usage]), "; ".join([entry.help, *explained])))
    tables = [
        markdown_table(["option of `%%aeron`", "meaning"], options),
        markdown_table(["line", "does"], commands),
    ]
    return "\n\n".join(tables) + "\n"
