"""What to do with a question while recordings are on: replay it, or ask and record it.

========  ==========================================================================
mode
========  ==========================================================================
auto      replay what is recorded, ask and record the rest; what was not whole when
          it was recorded is asked again
replay    never touch the network; a question that is not recorded is an error
record    ask always, and record
off       ask, and record nothing
========  ==========================================================================

A question that continues from a replayed reply cannot be asked at the service, which never saw
that reply's stand-in token. In ``auto`` the recorded questions before it are then asked again
first, once, without being shown.
"""

from __future__ import annotations

import difflib
import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, Protocol, get_args

from aeron_magic.errors import RecordingError, UsageError
from aeron_magic.protocol.events import Completed, Recovering, Started
from aeron_magic.protocol.flow import Flow, Question
from aeron_magic.recording.flows import record_flow, replay_flow
from aeron_magic.recording.record import UNRECORDED_PARENT, Record, key_of_token, turn_key

__all__ = ["Ask", "Mode", "RecordStore", "Recorder"]

Mode = Literal["auto", "replay", "record", "off"]

Ask = Callable[[Question], Flow[None]]
"""What a service does with a question."""

HINT = "`%aeron record FILE --mode auto` asks and records it."
MAX_COMPARED = 50
"""Recorded questions that a question which is not there is compared with."""

SHOWN = 300
"""Characters of the difference to the nearest recording that an error shows."""


class RecordStore(Protocol):
    """Where records are kept; see :class:`aeron_magic.recording.cassette.Cassette`."""

    @property
    def name(self) -> str:
        """What to call it in an error."""
        ...

    def find(self, key: str) -> Record | None:
        """The record of this key."""
        ...

    def save(self, record: Record) -> None:
        """Keep a record; one of the same key is replaced, unless it says the same."""
        ...

    def questions(self) -> Iterable[tuple[str, str]]:
        """The key and the question of every record."""
        ...


class Recorder:
    """Decides what becomes of each question.

    Parameters
    ----------
    store
        Where the records are.
    mode
        See the table above.
    speed
        Of a replay: 1 as it was, 2 twice as fast, 0 without any wait.
    clock
        Seconds, for the times between events.
    hint
        What an error says of how to have a question asked that is not recorded.

    Raises
    ------
    UsageError
        There is no such mode.
    """

    def __init__(
        self,
        store: RecordStore,
        mode: Mode = "auto",
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        hint: str = HINT,
    ) -> None:
        if mode not in get_args(Mode):
            raise UsageError(
                f"There is no mode {mode!r}.", hint=f"The modes are {', '.join(get_args(Mode))}."
            )
        self.store = store
        self.mode = mode
        self.speed = speed
        self._clock = clock
        self._hint = hint
        self._keys: dict[str, str] = {}
        """The key of each turn by the token that its reply had at the service."""
        self._tokens: dict[str, str] = {}
        """The token at the service by key."""

    def register_path(
        self, token: str, service: str, line: Iterable[tuple[str, tuple[str, ...]]]
    ) -> None:
        """Know that ``token`` stands after these questions (text and images), oldest first.

        For turns that were asked before recording began, or in an earlier kernel.
        """
        if token in self._keys or key_of_token(token) is not None:
            return
        key = ""
        for text, images in line:
            key = turn_key(service, text, images, key)
        self._keys[token] = key
        self._tokens[key] = token

    def key(self, question: Question, service: str) -> str:
        """The key of ``question``."""
        return turn_key(service, question.text, question.images, self._parent_key(question))

    def _parent_key(self, question: Question) -> str:
        token = question.context_token
        if token is None:
            return ""
        return key_of_token(token) or self._keys.get(token, UNRECORDED_PARENT)

    def ask(
        self, question: Question, service: str, ask: Ask, secrets: Iterable[str] = ()
    ) -> Flow[None]:
        """The flow that answers ``question``, from a recording or by ``ask``.

        Raises
        ------
        RecordingError
            In ``replay``: the question is not recorded; the error shows the nearest that is.
        """
        after = self._parent_key(question)
        found = None
        if self.mode in ("auto", "replay"):
            found = self.store.find(self.key(question, service))
        if found is not None and (found.is_complete or self.mode == "replay"):
            yield from replay_flow(found, speed=self.speed, parent=question.context_token)
            return
        if self.mode == "replay":
            raise self._not_recorded(question)
        real = yield from self._with_live_token(question, ask)
        if self.mode == "off":
            yield from ask(real)
            return
        keep = self._save
        yield from record_flow(
            ask(real), question, service, after, keep, secrets=secrets, clock=self._clock
        )

    def fetch(self, token: str, ask: Callable[[str], Flow[None]]) -> Flow[None]:
        """The flow that fetches the stored reply of ``token``: a recorded one from its record."""
        key = key_of_token(token)
        if key is None:
            if self.mode == "replay":
                raise RecordingError(
                    "This token is not from the recording, and the mode is replay.",
                    hint=self._hint,
                )
            yield from ask(token)
            return
        found = self.store.find(key)
        if found is None:
            raise RecordingError(
                f"{self.store.name} no longer holds the reply of this token.",
                hint="Run the cell that asked for it again.",
            )
        yield from replay_flow(found, speed=0, parent=None)

    def save_foreign(self, record: Record, question: Question) -> None:
        """Keep what was recorded of ``question`` elsewhere, without knowing what is before it."""
        after = self._parent_key(question)
        key = turn_key(record.service, question.text, question.images, after)
        self.store.save(replace(record, key=key, parent_key=after))

    def _save(self, record: Record, token: str | None) -> None:
        self.store.save(record)
        if token is not None:
            self._keys[token] = record.key
            self._tokens[record.key] = token

    def _with_live_token(self, question: Question, ask: Ask) -> Flow[Question]:
        """``question`` with a token that the service knows."""
        token = question.context_token
        key = key_of_token(token) if token else None
        if key is None:
            return question
        if key not in self._tokens:
            yield [Recovering("the earlier questions were replayed and are asked again")]
            yield from self._rebuild_parent(key, ask)
        return Question(question.text, question.images, self._tokens[key], question.stream)

    def _rebuild_parent(self, key: str, ask: Ask) -> Flow[None]:
        record = self.store.find(key)
        if record is None:
            raise RecordingError(
                f"{self.store.name} no longer holds the turn that this question continues from.",
                hint="Run the cells before this one again.",
            )
        before: str | None = None
        if record.parent_key == UNRECORDED_PARENT:
            raise RecordingError(
                "The recording begins in the middle of a conversation, which cannot be continued.",
                hint="Begin anew with -n, or record the conversation from its beginning.",
            )
        if record.parent_key:
            if record.parent_key not in self._tokens:
                yield from self._rebuild_parent(record.parent_key, ask)
            before = self._tokens[record.parent_key]
        flow = ask(Question(record.question, record.images, before))
        try:
            step = next(flow)
            while True:
                if isinstance(step, list):
                    for event in step:
                        if isinstance(event, Started | Completed) and event.context_token:
                            self._tokens[key] = event.context_token
                            self._keys[event.context_token] = key
                    step = flow.send(None)
                else:
                    step = flow.send((yield step))
        except StopIteration:
            self._tokens.setdefault(key, before or "")

    def _not_recorded(self, question: Question) -> RecordingError:
        known = [text for _, text in self.store.questions()]
        words = set(question.text.split())
        # Comparing letter by letter takes a millisecond each: only with those of the same words.
        alike = heapq.nlargest(
            MAX_COMPARED, known, key=lambda text: len(words.intersection(text.split()))
        )
        near = difflib.get_close_matches(question.text, alike, 1, 0.3)
        if not near:
            nearest = "It holds nothing like it." if known else "It holds nothing."
        elif near[0] == question.text:
            nearest = f"It holds this very question, but asked {self._elsewhere(question)}."
        else:
            changes = "\n".join(
                line
                for line in difflib.ndiff(near[0].splitlines(), question.text.splitlines())
                if not line.startswith(" ")
            )
            nearest = f"The nearest that it holds (-) and this question (+):\n{changes[:SHOWN]}"
        return RecordingError(
            f"{self.store.name} does not hold this question. {nearest}",
            hint=self._hint,
        )

    def _elsewhere(self, question: Question) -> str:
        """In what a record of the same text is another one."""
        after = self._parent_key(question)
        for key, text in self.store.questions():
            record = self.store.find(key) if text == question.text else None
            if record is not None and record.parent_key == after:
                same = record.images == question.images
                return "of another service" if same else "with other images"
        return "after other questions"
