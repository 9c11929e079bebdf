"""Recorded turns, made from the values of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import convert

from aeron_magic.recording.record import Record, turn_key


def make_record(
    service: str,
    question: str,
    *events: list[Any],
    after: str = "",
    images: Sequence[str] = (),
    **more: Any,
) -> Record:
    """The record of a turn with these events; ``more`` are other fields of its line."""
    key = turn_key(service, question, images, after)
    fields = {"key": key, "after": after, "service": service, "question": question}
    fields |= {"images": images, "status": "complete", "events": events, **more}
    return convert(fields, Record)
