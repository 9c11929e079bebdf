"""What the sandbox says to a question."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["answer"]


def answer(question: str, turns: Sequence[tuple[str, str]] = ()) -> str:
    """The answer to `question` after `turns`, pairs of an earlier question and its answer."""
    return f"This is answer **{len(turns) + 1}** of the sandbox.\n\n> {question}\n"
