"""Flows that record a reply as it arrives, and flows that replay a record.

A recorded flow's events pass through unchanged, so a reply streams as without a recording. A
replay yields the same events with the same pauses, without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from aeron_magic import errors
from aeron_magic.errors import (
    AeronError,
    IncompleteReply,
    Interrupted,
    ReplyError,
    ServiceError,
)
from aeron_magic.plaintext import TextFilter, redact
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
    Waiting,
)
from aeron_magic.protocol.flow import Flow, Question, Sleep
from aeron_magic.recording.record import (
    Record,
    event_facts,
    event_from,
    placeholder_token,
    turn_key,
)

MAX_PAUSE = 10.0
"""Seconds that one recorded pause lasts at most in a replay at speed 1."""

MAX_PAUSES = 300.0
"""Seconds that all pauses of one recorded reply last at most in a replay at speed 1."""


class _EventLog:
    """Collects events as entries of `Record.events`, with the time between them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._waited = 0.0
        self._messages: dict[str, int] = {}
        self._numbers: list[int] = []
        self._texts: list[str] = []
        self.token: str | None = None
        self.is_recovered = False
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
                    self.events.append([self._milliseconds(), event_facts(event)])
                case Unknown() | Waiting():
                    pass

    def _milliseconds(self) -> int:
        """The time since the last recorded event."""
        waited, self._waited = self._waited, 0.0
        return round(waited * 1000)

    def _completed(self, event: Completed) -> None:
        end: dict[str, Any] = {"event": "completed"}
        in_order = self._numbers == sorted(set(self._numbers))
        if event.text and (event.text != "".join(self._texts) or not in_order):
            end["text"] = event.text
        if event.recovered:
            end["recovered"] = self.is_recovered = True
        self.events.append([self._milliseconds(), end])


def record_flow(
    flow: Flow[None],
    question: Question,
    service: str,
    parent_key: str,
    save: Callable[[Record, str | None], None],
    *,
    secrets: Iterable[str] = (),
    clock: Callable[[], float],
) -> Flow[None]:
    """Pass ``flow`` through, and call ``save`` with its record when it ends or fails.

    ``save`` also gets the reply's token, if there was one. A question that was rejected before it
    was sent, or never reached the service, is not recorded. ``secrets`` are redacted.
    """
    log = _EventLog(clock)
    status = "interrupted"
    error: AeronError | None = None
    try:
        step = next(flow)
        while True:
            if isinstance(step, list):
                log.add(step)
            step = flow.send((yield step))
    except StopIteration:
        status = "recovered" if log.is_recovered else "complete"
    except AeronError as failure:
        error = failure
        status = "incomplete" if isinstance(failure, IncompleteReply) else "failed"
        raise
    finally:
        flow.close()
        recordable = error is None or isinstance(error, ServiceError | ReplyError)
        if recordable and (status != "interrupted" or log.events):
            key = turn_key(service, question.text, question.images, parent_key)
            record = Record(
                key,
                parent_key,
                service,
                question.text,
                question.images,
                status,
                log.events,
                _error_facts(error, log.token, placeholder_token(key)) if error else None,
            )
            clean = _redacted(record, secrets)
            if clean.question == record.question:  # else its key would not fit
                save(clean, log.token)


def _redacted(record: Record, secrets: Iterable[str]) -> Record:
    """``record`` with the secrets replaced, also one that was split over chunks."""
    secrets = tuple(secrets)
    pieces = TextFilter(secrets)
    chunks = [entry for entry in record.events if isinstance(entry[1], str)]
    for entry in chunks:
        entry[1] = pieces.feed(entry[1])
    if chunks:
        chunks[-1][1] += pieces.rest

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return redact(pieces.clean(value), secrets)
        if isinstance(value, dict):
            return {name: clean(one) for name, one in value.items()}
        return [clean(one) for one in value] if isinstance(value, list) else value

    events, error = clean(record.events), clean(record.error)
    return replace(record, question=clean(record.question), events=events, error=error)


def _error_facts(error: AeronError, token: str | None, placeholder: str) -> dict[str, Any]:
    def neutral(text: str | None) -> str | None:
        return text.replace(token, placeholder) if text and token else text

    facts = {
        "type": type(error).__name__,
        "message": neutral(error.message),
        "hint": neutral(error.hint),
        "status_code": error.status_code,
        "service_message": neutral(error.service_message),
    }
    return {name: value for name, value in facts.items() if value}


def replay_flow(record: Record, *, speed: float = 1.0, parent: str | None = None) -> Flow[None]:
    """Yield the recorded events.

    Parameters
    ----------
    speed
        1 with the recorded pauses, 2 twice as fast, 0 without pauses.
    parent
        The token that the question continues from.

    Raises
    ------
    AeronError
        The recorded error; IncompleteReply if the user had interrupted the reply.
    """
    token = placeholder_token(record.key)
    left = MAX_PAUSES
    yield [Started(token, parent, recorded=_seconds(record))]
    for entry in record.events:
        pause = min(entry[0] / 1000, MAX_PAUSE, left)
        if speed and pause:
            left -= pause
            yield Sleep(pause / speed)
        yield [event_from(entry, token, parent)]
    if record.error is not None:
        raise _error(record.error, token)
    if not record.is_complete:
        raise IncompleteReply(
            "This question was interrupted when it was recorded.",
            hint="`%aeron record FILE` asks it again.",
            context_token=token,
        )


def _seconds(record: Record) -> tuple[float, float | None]:
    """The time that the reply took when it was recorded, in all and until its first chunk."""
    passed, first = 0, None
    for entry in record.events:
        passed += entry[0]
        if first is None and isinstance(entry[1], str):
            first = passed / 1000
    return passed / 1000, first


def _error(facts: dict[str, Any], token: str) -> AeronError:
    kind = getattr(errors, facts.get("type", ""), AeronError)
    # Others are never recorded; an Interrupted is also a KeyboardInterrupt.
    recorded = isinstance(kind, type) and issubclass(kind, ServiceError | ReplyError)
    if not recorded or issubclass(kind, Interrupted):
        kind = AeronError
    error: AeronError = kind(
        facts.get("message", ""),
        hint=facts.get("hint", ""),
        status_code=facts.get("status_code"),
        service_message=facts.get("service_message"),
    )
    if isinstance(error, ReplyError):
        error.context_token = token
    return error
