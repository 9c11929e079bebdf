"""Flows that record a reply as it arrives, and flows that replay a record.

A recorded flow's events pass through unchanged, so a reply streams as without a recording. A
replay yields the same events with the same pauses, without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

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
    Entry,
    Record,
    RecordedError,
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
        self.events: list[Entry] = []

    def add(self, events: Iterable[Event]) -> None:
        now = self._clock()
        self._waited, self._last = self._waited + now - self._last, now
        for event in events:
            match event:
                case Chunk():
                    number = self._messages.setdefault(event.msg_id, len(self._messages))
                    self._texts.append(event.text)
                    if event.sequence is not None:
                        self._numbers.append(event.sequence)
                    self.events.append(Entry(self._milliseconds(), event.text, number))
                case Started():
                    self.token = event.context_token or self.token
                case Completed():
                    self.token = event.context_token or self.token
                    self._completed(event)
                case Introduced() | ToolCalled() | Recovering():
                    self.events.append(Entry.of(self._milliseconds(), event))
                case Unknown() | Waiting():
                    pass

    def _milliseconds(self) -> int:
        """The time since the last recorded event."""
        waited, self._waited = self._waited, 0.0
        return round(waited * 1000)

    def _completed(self, event: Completed) -> None:
        in_order = self._numbers == sorted(set(self._numbers))
        repeated = in_order and event.text == "".join(self._texts)
        self.is_recovered = self.is_recovered or event.recovered
        end = event._replace(text=None if repeated else event.text or None)
        self.events.append(Entry.of(self._milliseconds(), end))


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
    status: Any = "interrupted"
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
                key=key,
                parent_key=parent_key,
                service=service,
                question=question.text,
                images=question.images,
                status=status,
                error=_recorded(error, log.token, placeholder_token(key)) if error else None,
                events=log.events,
            )
            clean = _redacted(record, secrets)
            if clean.question == record.question:  # else its key would not fit
                save(clean, log.token)


def _redacted(record: Record, secrets: Iterable[str]) -> Record:
    """``record`` with the secrets replaced, also one that was split over chunks."""
    secrets = tuple(secrets)
    pieces = TextFilter(secrets)
    chunks = [entry for entry in record.events if isinstance(entry.what, str)]
    for entry in chunks:
        entry.what = pieces.feed(str(entry.what))
    if chunks:
        chunks[-1].what = str(chunks[-1].what) + pieces.rest

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return redact(pieces.clean(value), secrets)
        if isinstance(value, Struct):
            return replace(value, **{n: clean(getattr(value, n)) for n in value.__struct_fields__})
        return type(value)(map(clean, value)) if isinstance(value, list | tuple) else value

    events, error = clean(record.events), clean(record.error)
    return replace(record, question=clean(record.question), events=events, error=error)


def _recorded(error: AeronError, token: str | None, placeholder: str) -> RecordedError:
    def neutral(text: str | None) -> str:
        return (text or "").replace(token, placeholder) if token else text or ""

    return RecordedError(
        type(error).__name__,
        neutral(error.message),
        neutral(error.hint),
        error.status_code,
        neutral(error.service_message) or None,
    )


def replay_flow(
    record: Record, *, speed: float = 1.0, parent: str | None = None, file: str = "FILE"
) -> Flow[None]:
    """Yield the recorded events.

    * ``speed``: 1 with the recorded pauses, 2 twice as fast, 0 without pauses.
    * ``parent``: the token that the question continues from.
    * ``file``: the recording, as ``%aeron record`` takes it.

    Raises AeronError: the recorded error; IncompleteReply if the user had interrupted the reply.
    """
    token = placeholder_token(record.key)
    left = MAX_PAUSES
    yield [Started(token, parent, recorded=_seconds(record))]
    for entry in record.events:
        pause = min(entry.milliseconds / 1000, MAX_PAUSE, left)
        if speed and pause:
            left -= pause
            yield Sleep(pause / speed)
        yield [entry.event(token, parent)]
    if record.error is not None:
        raise _error(record.error, token)
    if not record.is_complete:
        raise IncompleteReply(
            "This question was interrupted when it was recorded.",
            hint=f"`%aeron record {file}` (in Python a Recorder with mode='auto') asks it again.",
            context_token=token,
        )


def _seconds(record: Record) -> tuple[float, float | None]:
    """The time that the reply took when it was recorded, in all and until its first chunk."""
    passed, first = 0, None
    for entry in record.events:
        passed += entry.milliseconds
        if first is None and isinstance(entry.what, str):
            first = passed / 1000
    return passed / 1000, first


def _error(found: RecordedError, token: str) -> AeronError:
    kind = getattr(errors, found.type, AeronError)
    # Others are never recorded; an Interrupted is also a KeyboardInterrupt.
    recorded = isinstance(kind, type) and issubclass(kind, ServiceError | ReplyError)
    if not recorded or issubclass(kind, Interrupted):
        kind = AeronError
    error: AeronError = kind(
        found.message,
        hint=found.hint,
        status_code=found.status_code,
        service_message=found.service_message,
    )
    if isinstance(error, ReplyError):
        error.context_token = token
    return error
