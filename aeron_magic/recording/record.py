"""A turn that was recorded: what was asked after what, and what came of it, event by event.

A recording stands between a service's flow and whoever drives it. While it records, the events
pass through unchanged, so that a reply streams as ever; when it replays, a flow without a network
yields the same events with the same pauses, through the same code as live.

A turn is found again by its *key*: the service, the question as sent, and the key of the turn
before it. Tokens, dates and reference ids differ on each run and are no part of it. What has no
lasting meaning (tokens, message ids) is left out of a record; a replayed reply has the stand-in
``replay_<key>`` for its token, from which the turn after it finds its own key.
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
    Unknown,
)

__all__ = [
    "UNRECORDED_PARENT",
    "Record",
    "event_facts",
    "event_from",
    "key_of_token",
    "placeholder_token",
    "turn_key",
]

PLACEHOLDER = "replay_"
UNRECORDED_PARENT = "elsewhere"
"""Stands for the turn before, where that is from outside of the recording."""


def placeholder_token(key: str) -> str:
    """The token that a replayed reply has."""
    return PLACEHOLDER + key


def key_of_token(token: str) -> str | None:
    """The key in a stand-in; None for a token that is none."""
    return token.removeprefix(PLACEHOLDER) if token.startswith(PLACEHOLDER) else None


def turn_key(service: str, text: str, images: Sequence[str] = (), parent_key: str = "") -> str:
    """The key of a turn: 24 hex digits.

    ``parent_key`` is the key of the turn before; empty at the start of a conversation.
    """
    parts = json.dumps([service, text, list(images), parent_key], ensure_ascii=False)
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded turn.

    Attributes
    ----------
    key, parent_key
        Its own key, and that of the turn before (empty at the start of a conversation).
    service, question, images
        What was asked.
    status
        ``complete``, ``recovered``; or ``interrupted``, ``incomplete``, ``failed``.
    events
        What came, in order: ``[milliseconds, "text"]`` for a chunk, with the number of its message
        as a third element where there are several; else ``[milliseconds, {"event": …}]``.
        Milliseconds count from the event before.
    error
        The facts of the error that ended it, if one did.
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
    def text(self) -> str:
        """The reply's text."""
        last = self.events[-1][1] if self.events else None
        if isinstance(last, dict) and "text" in last and last["event"] == "completed":
            return str(last["text"])
        return "".join(event[1] for event in self.events if isinstance(event[1], str))

    def matches(self, other: Record) -> bool:
        """Whether the two say the same; when and in what pieces it came does not count."""
        return (self.key, self.status, self.text, self.error) == (
            other.key,
            other.status,
            other.text,
            other.error,
        )

    def to_json_line(self) -> str:
        """The record as one line of JSON; the key stands first."""
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
        # A line is a line for every reader, also for those that break at these.
        for character in ("\x85", "\u2028", "\u2029"):
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text.encode(errors="backslashreplace").decode()

    @classmethod
    def from_line(cls, line: str) -> Record:
        """The record on ``line``.

        Raises
        ------
        RecordingError
            It is none.
        """
        try:
            fields = json.loads(line)
            record = cls(
                key=fields["key"],
                parent_key=fields["after"],
                service=fields["service"],
                question=fields["question"],
                images=tuple(fields.get("images", ())),
                status=fields["status"],
                events=fields["events"],
                error=fields.get("error"),
            )
            for event in record.events:
                event_from(event, {})
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RecordingError(f"It is no record ({type(error).__name__}).") from None
        return record


def event_facts(event: Introduced | ToolCalled | Recovering) -> dict[str, Any]:
    match event:
        case Introduced():
            return {"event": "introduced", "text": event.text, "buttons": list(event.buttons)}
        case ToolCalled():
            return {"event": "tool called"}
        case Recovering():
            return {"event": "recovering", "reason": event.reason}


def event_from(entry: list[Any], tokens: dict[str, str | None]) -> Event:
    _, said, *message = entry
    if isinstance(said, str):
        return Chunk(said, msg_id=f"message {message[0]}" if message else "message 0")
    match said["event"]:
        case "completed":
            return Completed(
                said.get("text"),
                tokens.get("own"),
                tokens.get("parent"),
                recovered=bool(said.get("recovered")),
            )
        case "introduced":
            return Introduced(said["text"], tuple(said["buttons"]))
        case "tool called":
            return ToolCalled()
        case "recovering":
            return Recovering(said["reason"])
        case other:
            return Unknown(str(other))
