"""Many prompts at once: each row is an independent question."""

from __future__ import annotations

from aeron_magic.batch.api import ask_many
from aeron_magic.batch.result import Row

__all__ = ["Row", "ask_many"]
