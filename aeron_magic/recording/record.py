"""One recorded turn: the question, the turn before it, and the events of the reply.

A turn is identified by its *key*: a hash of the service, the question as sent, and the key of the
turn before it. Tokens, message ids and dates differ on each run, so they are neither part of the
key nor recorded. A replayed reply has the placeholder token ``replay_<key>``, from which the key
of the turn after it is computed.

A recording may come from another person: msgspec validates each line when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field, to_builtins

from aeron_magic.errors import RecordingError
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    ToolCalled,
)
from aeron_magic.protocol.json_values import decode_as

PLACEHOLDER = "replay_"
UNRECORDED_PARENT = "elsewhere"
"""The parent key of a turn that continues a conversation from outside the recording."""

MAX_EVENTS = 2_000_000
MAX_IMAGES = 1_000
MAX_MILLISECONDS = 10**12

Name = Annotated[str, Meta(max_length=100)]
Texts = Annotated[tuple[str, ...], Meta(max_length=MAX_IMAGES)]


def placeholder_token(key: str) -> str:
    """The token of a replayed reply."""
    return PLACEHOLDER + key


def key_of_token(token: str) -> str | None:
    """The key in a placeholder token; None for any other token."""
    return token.removeprefix(PLACEHOLDER) if token.startswith(PLACEHOLDER) else None


def turn_key(service: str, text: str, images: Sequence[str] = (), parent_key: str = "") -> str:
    """The key of a turn: 24 hex digits.

    ``parent_key`` is the key of the turn before; empty at the start of a conversation. All kinds of
    line ends in ``text`` are the same.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = json.dumps([service, text, list(images), parent_key], ensure_ascii=False)
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:24]


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


class Entry(Struct, array_like=True, forbid_unknown_fields=True):
    """An event, ``milliseconds`` after the one before: a text is a chunk of message ``message``."""

    milliseconds: Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS)]
    what: str | _Completed | _Introduced | _ToolCalled | _Recovering
    message: Annotated[int, Meta(ge=0, le=MAX_EVENTS)] = 0

    @classmethod
    def of(
        cls, milliseconds: int, event: Completed | Introduced | ToolCalled | Recovering
    ) -> Entry:
        """The entry of an event that is not a chunk."""
        match event:
            case Completed():
                return cls(milliseconds, _Completed(event.text, event.recovered))
            case Introduced():
                return cls(milliseconds, _Introduced(event.text, event.buttons))
            case ToolCalled():
                return cls(milliseconds, _ToolCalled())
            case Recovering():
                return cls(milliseconds, _Recovering(event.reason))

    def event(self, token: str = "", parent: str | None = None) -> Event:
        match self.what:
            case str():
                return Chunk(self.what, msg_id=f"message {self.message}")
            case _Completed(text, recovered):
                return Completed(text, token, parent, recovered=recovered)
            case _Introduced(text, buttons):
                return Introduced(text, buttons)
            case _ToolCalled():
                return ToolCalled()
            case _Recovering(reason):
                return Recovering(reason)


class RecordedError(Struct, omit_defaults=True):
    """The attributes of an `AeronError`, and the name of its class."""

    type: Name = ""
    message: str = ""
    hint: str = ""
    status_code: Annotated[int, Meta(ge=0, le=999_999)] | None = None
    service_message: str | None = None


class Record(Struct, frozen=True, kw_only=True):
    """One recorded turn; the fields are those of its line, in order.

    ``parent_key`` is the key of the turn before; empty at the start of a conversation.
    """

    key: Name
    parent_key: Name = field(name="after")
    service: Name
    question: str
    images: Texts = ()
    status: Literal["complete", "recovered", "interrupted", "incomplete", "failed"]
    error: RecordedError | None = None
    events: Annotated[list[Entry], Meta(max_length=MAX_EVENTS)]

    @property
    def is_complete(self) -> bool:
        return self.status in ("complete", "recovered")

    @property
    def text(self) -> str:
        last = self.events[-1].what if self.events else None
        if isinstance(last, _Completed) and last.text is not None:
            return last.text
        return "".join(entry.what for entry in self.events if isinstance(entry.what, str))

    def matches(self, other: Record) -> bool:
        """Whether both have the same result; timing and the division into chunks do not count."""
        one, two = ((r.key, r.status, r.text, r.error) for r in (self, other))
        return one == two

    def to_json_line(self) -> str:
        """The record as one line of JSON; the key comes first."""
        fields = to_builtins(self)
        fields["events"] = [one if one[-1] else one[:2] for one in fields["events"]]
        for name in ("images", "error"):
            if not fields[name]:
                del fields[name]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        # Some readers also break lines at these characters.
        for character in ("\x85", "\u2028", "\u2029"):
            text = text.replace(character, f"\\u{ord(character):04x}")
        # An unpaired surrogate, as half an emoji in a chunk, cannot be read back.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @classmethod
    def from_line(cls, line: str | bytes) -> Record:
        """Parse and validate one line.

        Raises RecordingError if it is not a recorded turn, or its key is not that of its content.
        The message names the reason without repeating the line.
        """
        try:
            read = decode_as(line, cls)
        except ValueError as error:
            raise RecordingError(f"Not a recorded turn: {error}.") from None
        if read.key != turn_key(read.service, read.question, read.images, read.parent_key):
            raise RecordingError("Not a recorded turn: the key does not fit the question.")
        return read
