"""One recorded turn: the question, the turn before it, and the events of the reply.

A turn is identified by its *key*: a hash of the service, the question as sent, and the key of the
turn before it. Tokens, message ids and dates differ on each run, so they are neither part of the
key nor recorded. A replayed reply has the placeholder token ``replay_<key>``, from which the key
of the turn after it is computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded turn.

    Attributes
    ----------
    key, parent_key
        The keys of the turn and of the turn before it (empty at the start of a conversation).
    service, question, images
        The question, and the service that it was sent to.
    status
        ``complete``, ``recovered``, ``interrupted``, ``incomplete`` or ``failed``.
    events
        The events in order: ``[milliseconds, "text"]`` for a chunk, with the number of its message
        as a third element if there are several; else ``[milliseconds, {"event": …}]``.
        Milliseconds count from the previous event.
    error
        The attributes of the error that ended the reply, or None.
    """

    key: str
    parent_key: str
    service: str
    question: str
    images: tuple[str, ...] = ()
    status: str = "complete"
    events: list[list[Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        return self.status in ("complete", "recovered")

    @property
    def seconds(self) -> float:
        """The recorded duration."""
        return float(sum(event[0] for event in self.events)) / 1000

    @property
    def text(self) -> str:
        """The reply's text."""
        last = self.events[-1][1] if self.events else None
        if isinstance(last, dict) and "text" in last and last["event"] == "completed":
            return str(last["text"])
        return "".join(event[1] for event in self.events if isinstance(event[1], str))

    def matches(self, other: Record) -> bool:
        """Whether both have the same result; timing and the division into chunks do not count."""
        one, two = ((r.key, r.status, r.text, r.error) for r in (self, other))
        return one == two

    def to_json_line(self) -> str:
        """The record as one line of JSON; the key comes first."""
        fields: dict[str, Any] = {
            "key": self.key,
            "after": self.parent_key,
            "service": self.service,
            "question": self.question,
        }
        if self.images:
            fields["images"] = list(self.images)
        fields["status"] = self.status
        if self.error:
            fields["error"] = self.error
        fields["events"] = self.events
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        # Some readers also break lines at these characters.
        for character in ("\x85", "\u2028", "\u2029"):
            text = text.replace(character, f"\\u{ord(character):04x}")
        # An unpaired surrogate, as half an emoji in a chunk, cannot be read back.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @classmethod
    def from_line(cls, line: str | bytes) -> Record:
        """Parse and validate one line.

        Raises
        ------
        RecordingError
            It is not a recorded turn, or its key is not that of its content. The message names the
            reason without repeating the line.
        """
        from aeron_magic.recording.schema import Line, builtin_error, builtin_events

        try:
            read = decode_as(line, Line)
        except ValueError as error:
            raise RecordingError(f"Not a recorded turn: {error}.") from None
        if read.key != turn_key(read.service, read.question, read.images, read.after):
            raise RecordingError("Not a recorded turn: the key does not fit the question.")
        return cls(
            key=read.key,
            parent_key=read.after,
            service=read.service,
            question=read.question,
            images=read.images,
            status=read.status,
            events=builtin_events(read),
            error=builtin_error(read),
        )


def event_facts(event: Introduced | ToolCalled | Recovering) -> dict[str, Any]:
    """The JSON object of an event without text."""
    match event:
        case Introduced():
            return {"event": "introduced", "text": event.text, "buttons": list(event.buttons)}
        case ToolCalled():
            return {"event": "tool called"}
        case Recovering():
            return {"event": "recovering", "reason": event.reason}


def event_from(entry: list[Any], token: str = "", parent: str | None = None) -> Event:
    """The event of an entry of `Record.events`, with these tokens."""
    _, facts, *message = entry
    if isinstance(facts, str):
        return Chunk(facts, msg_id=f"message {message[0] if message else 0}")
    match facts["event"]:
        case "completed":
            recovered = bool(facts.get("recovered"))
            return Completed(facts.get("text"), token, parent, recovered=recovered)
        case "introduced":
            return Introduced(facts["text"], tuple(facts["buttons"]))
        case "tool called":
            return ToolCalled()
        case _:
            return Recovering(facts["reason"])
