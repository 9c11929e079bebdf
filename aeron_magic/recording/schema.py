"""What a line of a recording may hold. It comes from others: msgspec validates it on reading."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, to_builtins

MAX_EVENTS = 2_000_000
MAX_IMAGES = 1_000
MAX_MILLISECONDS = 10**12

Name = Annotated[str, Meta(max_length=100)]
Texts = Annotated[tuple[str, ...], Meta(max_length=MAX_IMAGES)]


class _Completed(Struct, tag_field="event", tag="completed", omit_defaults=True):
    text: str | None = None
    recovered: bool = False


class _Introduced(Struct, tag_field="event", tag="introduced"):
    text: str
    buttons: Texts


class _ToolCalled(Struct, tag_field="event", tag="tool called"):
    pass


class _Recovering(Struct, tag_field="event", tag="recovering"):
    reason: str


class _Entry(Struct, array_like=True, forbid_unknown_fields=True):
    milliseconds: Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS)]
    what: str | _Completed | _Introduced | _ToolCalled | _Recovering
    message: Annotated[int, Meta(ge=0, le=MAX_EVENTS)] = 0


class _Error(Struct, omit_defaults=True):
    type: Name = ""
    message: str = ""
    hint: str = ""
    status_code: Annotated[int, Meta(ge=0, le=999_999)] | None = None
    service_message: str | None = None


class Line(Struct):
    """The fields of :class:`~aeron_magic.recording.record.Record` by their names in the file."""

    key: Name
    after: Name
    service: Name
    question: str
    status: Literal["complete", "recovered", "interrupted", "incomplete", "failed"]
    events: Annotated[list[_Entry], Meta(max_length=MAX_EVENTS)]
    images: Texts = ()
    error: _Error | None = None


def builtin_events(line: Line) -> list[list[Any]]:
    """The events as lists and dictionaries; see ``Record.events``."""
    events: list[list[Any]] = to_builtins(line.events)
    for event in events:
        if len(event) == 3 and not event[2]:
            del event[2]
    return events


def builtin_error(line: Line) -> dict[str, Any] | None:
    """The attributes of the error as a dictionary."""
    return to_builtins(line.error) if line.error is not None else None
