"""The help of ``%aeron`` and ``%%aeron``, generated from ``QUESTION`` and ``COMMANDS``."""

from __future__ import annotations

import textwrap

from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION, STATUS

WIDTH = 84
"""Most characters in a line of the help: JupyterLab has room for little more beside its file
browser, and wraps longer lines."""

_INDENT = 26
"""The column at which the help of an option begins."""


def help_text() -> str:
    """Return the help as plain text: for ``%aeron help``, ``%aeron?`` and ``%%aeron?``."""
    lines = [f"{QUESTION.usage}    {QUESTION.help}", ""]
    for option in QUESTION.options:
        flags = f"  {option.syntax}"
        if len(flags) >= _INDENT:  # too long for its column: on a separate line
            lines.append(flags)
            flags = ""
        lines += _wrapped(f"{flags:<{_INDENT}}{option.full_help}", _INDENT)
    lines += ["", "%aeron    one line, one command", ""]
    for spec in (STATUS, *COMMANDS.values()):
        lines += [f"  {spec.usage}", *_wrapped(f"      {spec.help}", 6)]
        if not spec.asks:
            for option in spec.options:
                lines += _wrapped(f"      {option.syntax}: {option.full_help}", 10)
    return "\n".join(lines) + "\n"


def option_help(flag: str) -> str:
    """The help of an option, of each command that has it; empty if there is none."""
    found: dict[str, list[str]] = {}
    for spec in (QUESTION, *COMMANDS.values()):
        if (option := spec.flags.get(flag)) is not None and not (spec.asks and spec.arguments):
            found.setdefault(f"{option.syntax}: {option.full_help}", []).append(spec.label)
    return "\n".join(
        "\n".join(_wrapped(f"{', '.join(labels)}  {text}", 4)) for text, labels in found.items()
    )


def _wrapped(line: str, indent: int) -> list[str]:
    text, lead = line.replace("`", ""), " " * indent
    return textwrap.wrap(text, WIDTH, subsequent_indent=lead, break_on_hyphens=False)
