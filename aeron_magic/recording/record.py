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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aeron_magic import errors
from aeron_magic.errors import AeronError, IncompleteReply, RecordingError, ReplyError, ServiceError
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
)
from aeron_magic.protocol.flow import Flow, Question, sleep

__all__ = [
    "UNRECORDED_PARENT",
    "Record",
    "key_of_token",
    "placeholder_token",
    "record_flow",
    "replay_flow",
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

    ``after`` is the key of the turn before; empty at a beginning.
    """
    parts = json.dumps([service, text, list(images), parent_key], ensure_ascii=False)
    return hashlib.sha256(parts.encode(errors="surrogatepass")).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded turn.

    Attributes
    ----------
    key, after
        Its own key, and that of the turn before (empty at a beginning).
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
                _event(event, {})
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RecordingError(f"It is no record ({type(error).__name__}).") from None
        return record


class _EventLog:
    """Takes events in, and times; makes the record."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._waited = 0.0
        self._messages: dict[str, int] = {}
        self._numbers: list[int] = []
        self._texts: list[str] = []
        self.token: str | None = None
        self.full_text = ""
        self.events: list[list[Any]] = []

    def add(self, events: Iterable[Event]) -> None:
        now = self._clock()
        self._waited, self._last = self._waited + now - self._last, now
        for event in events:
            match event:
                case Chunk():
                    number = self._messages.setdefault(event.msg_id, len(self._messages))
                    entry: list[Any] = [self._milliseconds(), event.text]
                    if number:
                        entry.append(number)
                    self._texts.append(event.text)
                    if event.sequence is not None:
                        self._numbers.append(event.sequence)
                    self.events.append(entry)
                case Started():
                    self.token = event.context_token or self.token
                case Completed():
                    self.token = event.context_token or self.token
                    self._completed(event)
                case Introduced() | ToolCalled() | Recovering():
                    self.events.append([self._milliseconds(), _facts(event)])
                case Unknown():
                    pass

    def _milliseconds(self) -> int:
        """The time since the event that was kept last."""
        waited, self._waited = self._waited, 0.0
        return round(waited * 1000)

    def _completed(self, event: Completed) -> None:
        end: dict[str, Any] = {"event": "completed"}
        in_order = self._numbers == sorted(set(self._numbers))
        if event.text and (event.text != "".join(self._texts) or not in_order):
            end["text"] = event.text
        if event.recovered:
            end["recovered"] = True
        self.events.append([self._milliseconds(), end])


def _facts(event: Introduced | ToolCalled | Recovering) -> dict[str, Any]:
    match event:
        case Introduced():
            return {"event": "introduced", "text": event.text, "buttons": list(event.buttons)}
        case ToolCalled():
            return {"event": "tool called"}
        case Recovering():
            return {"event": "recovering", "reason": event.reason}


def _event(entry: list[Any], tokens: dict[str, str | None]) -> Event:
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


def record_flow(
    flow: Flow[None],
    question: Question,
    service: str,
    parent_key: str,
    keep: Callable[[Record, str | None], None],
    *,
    secrets: Iterable[str] = (),
    clock: Callable[[], float],
) -> Flow[None]:
    """Drive ``flow`` as it is, and give its record to ``keep`` when it ends, well or not.

    ``keep`` gets the record and the reply's token, if there was one. A question that was refused
    before it was sent, or never reached the service, leaves no record.
    """
    recorder = _EventLog(clock)
    status = "interrupted"
    error: AeronError | None = None
    try:
        step = next(flow)
        while True:
            if isinstance(step, list):
                recorder.add(step)
            outcome = yield step
            step = flow.send(outcome)
    except StopIteration:
        status = "complete"
    except AeronError as failure:
        error = failure
        partly = isinstance(failure, IncompleteReply)
        status = "incomplete" if partly else "failed"
        raise
    finally:
        flow.close()
        recordable = error is None or isinstance(error, ServiceError | ReplyError)
        if recordable and (status != "interrupted" or recorder.events):
            key = turn_key(service, question.text, question.images, parent_key)
            made = Record(
                key,
                parent_key,
                service,
                question.text,
                question.images,
                _status(status, recorder.events),
                recorder.events,
                _error_facts(error, recorder.token, placeholder_token(key)) if error else None,
            )
            keep(_redacted(made, secrets), recorder.token)


def _status(status: str, events: list[list[Any]]) -> str:
    last = events[-1][1] if events else None
    recovered = status == "complete" and isinstance(last, dict) and last.get("recovered")
    return "recovered" if recovered else status


def _redacted(record: Record, secrets: Iterable[str]) -> Record:
    """``made`` with no secret in it."""
    line = clean = record.to_json_line()
    for secret in filter(None, secrets):
        clean = clean.replace(json.dumps(secret, ensure_ascii=False)[1:-1], "[secret]")
    return record if line == clean else Record.from_line(clean)


def _error_facts(error: AeronError, token: str | None, instead: str) -> dict[str, Any]:
    def neutral(text: str | None) -> str | None:
        return text.replace(token, instead) if text and token else text

    facts = {
        "type": type(error).__name__,
        "message": neutral(error.message),
        "hint": neutral(error.hint),
        "status_code": error.status_code,
        "service_message": neutral(error.service_message),
    }
    return {name: value for name, value in facts.items() if value}


def replay_flow(record: Record, *, speed: float = 1.0, parent: str | None = None) -> Flow[None]:
    """The flow that yields what was recorded, without a network.

    Parameters
    ----------
    speed
        2 is twice as fast as it was; 0 does not wait at all.
    parent
        The token that the question continued from.

    Raises
    ------
    AeronError
        The error that was recorded; IncompleteReply where the user had interrupted it.
    """
    own = placeholder_token(record.key)
    yield [Started(own, parent, replayed=True)]
    for entry in record.events:
        if speed and entry[0]:
            yield from sleep(entry[0] / 1000 / speed)
        yield [_event(entry, {"own": own, "parent": parent})]
    if record.error is not None:
        raise _error(record.error, own)
    if not record.is_complete:
        raise IncompleteReply(
            "This question was interrupted when it was recorded.",
            hint="Ask it again with `%aeron record FILE --mode auto`.",
            context_token=own,
        )


def _error(facts: dict[str, Any], token: str) -> AeronError:
    kind = getattr(errors, str(facts.get("type")), AeronError)
    if not (isinstance(kind, type) and issubclass(kind, AeronError)):
        kind = AeronError
    error: AeronError = kind(
        str(facts.get("message", "")),
        hint=str(facts.get("hint", "")),
        status_code=facts.get("status_code"),
        service_message=facts.get("service_message"),
    )
    if isinstance(error, ReplyError):
        error.context_token = token
    return error
