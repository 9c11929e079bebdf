"""Text from outside made harmless for a terminal, a log or an error message."""

from __future__ import annotations

__all__ = ["clean"]


def clean(text: str) -> str:
    """Return ``text`` without control characters (placeholder until the real scrubber lands)."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
