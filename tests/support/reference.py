"""The README's reference of commands and options; run this file to print it."""

from __future__ import annotations

from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION

__all__ = ["reference_markdown"]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def reference_markdown() -> str:
    """Return the reference as two Markdown tables."""
    lines = [_row("option of `%%aeron`", "meaning"), "|---|---|"]
    for option in QUESTION.options:
        lines.append(_row(f"`{option.syntax}`".replace(", ", "`, `"), option.full_help))
    lines += ["", _row("line", "effect"), "|---|---|"]
    for spec in COMMANDS.values():
        options = () if spec.asks else spec.options
        effects = [spec.help, *(f"`{option.long_form}`: {option.help}" for option in options)]
        lines.append(_row(f"`{spec.usage}`", "; ".join(effects)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference_markdown(), end="")
