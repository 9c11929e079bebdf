"""The README's reference of commands and options; run this file to print it."""

from __future__ import annotations

from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION, STATUS
from aeron_magic.markdown_text import markdown_table

__all__ = ["reference_markdown"]


def _row(*cells: str) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]


def reference_markdown() -> str:
    """Return the reference as two Markdown tables."""
    options = [
        _row(f"`{option.syntax}`".replace(", ", "`, `"), option.full_help)
        for option in QUESTION.options
    ]
    commands = []
    for spec in (STATUS, *COMMANDS.values()):
        own = () if spec.asks else spec.options
        effects = [spec.help, *(f"`{option.long_form}`: {option.help}" for option in own)]
        commands.append(_row(f"`{spec.usage}`", "; ".join(effects)))
    tables = (
        markdown_table(["option of `%%aeron`", "meaning"], options),
        markdown_table(["line", "effect"], commands),
    )
    return "\n\n".join(tables) + "\n"


if __name__ == "__main__":
    print(reference_markdown(), end="")
