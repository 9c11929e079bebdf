"""Decides for each question whether to replay it, or to send and record it.

========  ==========================================================================
mode
========  ==========================================================================
auto      replay recorded questions, send and record the others; a reply that was
          incomplete when recorded is requested again
replay    no network access; a question that is not recorded is an error
record    always send, and record
off       always send, and do not record
========  ==========================================================================

A replayed reply has a placeholder token that the service does not know. To send a question that
continues from it, the recorded questions before it are sent again first, once, without showing
them.
"""

from __future__ import annotations

import difflib
import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

from aeron_magic.errors import AeronError, RecordingError, UsageError
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.events import Completed, Recovering, Started
from aeron_magic.protocol.flow import Flow, Question, Sleep
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.flows import record_flow, replay_flow
from aeron_magic.recording.record import UNRECORDED_PARENT, Record, key_of_token, turn_key
from aeron_magic.replies.reply import Reply

Mode = Literal["auto", "replay", "record", "off"]

Ask = Callable[[Question], Flow[None]]
"""Sends a question: returns the flow of its reply."""

HINT = (
    "`%aeron record {file}` (in Python a Recorder with mode='auto') sends the question and records "
    "it."
)
MAX_RESENT = 5
"""Recorded questions that are sent again, by default, to continue a replayed conversation."""

RESENDING_INTERVAL = 0.05
"""Seconds between two looks of a question at whether another one still sends them."""

MAX_PATH = 10_000
"""Turns of a recorded conversation that are counted."""

MAX_COMPARED = 50
"""Recorded questions that an unrecorded one is compared with, to show the nearest."""

COMPARED_LENGTH = 2_000
COMPARED_LINES = 40
"""Characters and lines of two questions that are compared."""

DIFF_LINES = 8
DIFF_LENGTH = 300
"""Lines of the difference to the nearest question that an error shows, and characters of each."""


class Recorder:
    """Replays, sends and records questions.

    * ``store``: the records.
    * ``mode``: see the table above; any other raises UsageError.
    * ``speed``: speed of a replay: 1 with the recorded pauses, 2 twice as fast, 0 without pauses.
    * ``hint``: the hint of an error about a question that is not recorded, with ``{file}`` for the
      recording.
    * ``max_resent``: how many recorded questions may be sent again before a new one that continues
      from them.
    """

    def __init__(
        self,
        store: Cassette,
        mode: Mode = "auto",
        *,
        speed: float = 1.0,
        hint: str = HINT,
        max_resent: int = MAX_RESENT,
    ) -> None:
        if mode not in get_args(Mode):
            raise UsageError(
                f"Unknown mode {mode!r}.", hint=f"The modes are {', '.join(get_args(Mode))}."
            )
        self.store = store
        self.mode = mode
        self.speed = speed
        self.max_resent = max_resent
        self._hint = hint.replace("{file}", store.argument)
        self._unsaved: RecordingError | None = None
        self._resent = 0
        self._resending = threading.Lock()
        """Held by the flow that sends recorded questions again."""
        self._keys: dict[str, str] = {}
        """The key of each turn by the service's token of its reply."""
        self._tokens: dict[str, str] = {}
        """The service's token by key."""

    def register_path(
        self, token: str, service: str, path: Iterable[tuple[str, tuple[str, ...]]]
    ) -> None:
        """Register the questions (text and images, oldest first) that led to ``token``.

        For turns that were asked before recording began, or in an earlier kernel.
        """
        if token in self._keys or key_of_token(token) is not None:
            return
        key = ""
        for text, images in path:
            key = turn_key(service, text, images, key)
        self._keys[token] = key
        self._tokens[key] = token

    def key(self, question: Question, service: str) -> str:
        return turn_key(service, question.text, question.images, self._parent_key(question))

    def _parent_key(self, question: Question) -> str:
        if (token := question.context_token) is None:
            return ""
        return key_of_token(token) or self._keys.get(token, UNRECORDED_PARENT)

    def ask(
        self,
        question: Question,
        service: str,
        ask: Ask,
        secrets: Iterable[str] = (),
    ) -> Flow[None]:
        """The flow that answers ``question``, from a recording or by ``ask``.

        Raises RecordingError in mode ``replay`` if the question is not recorded; the error shows
        the nearest question that is.
        """
        found = None
        if self.mode in ("auto", "replay"):
            found = self.store.find(self.key(question, service))
        if found is not None and (found.is_complete or self.mode == "replay"):
            parent, file = question.context_token, self.store.argument
            yield from replay_flow(found, speed=self.speed, parent=parent, file=file)
            return
        if self.mode == "replay":
            raise self._not_recorded(question)
        flow = ask((yield from self.with_live_token(question, service, ask)))
        if self.mode == "off":
            yield from flow
            return
        parent_key, clock = self._parent_key(question), time.monotonic
        yield from record_flow(
            flow, question, service, parent_key, self._save, secrets=secrets, clock=clock
        )

    def record(
        self, question: Question, service: str, reply: Reply, secrets: Iterable[str] = ()
    ) -> None:
        """Record a reply that came without this recorder, if it is complete."""
        if self.mode in ("auto", "record") and reply.is_complete:
            recovered = reply.status == "recovered"

            def received() -> Flow[None]:
                yield [Completed(reply.text, reply.context_token, recovered=recovered)]

            parent_key, clock = self._parent_key(question), iter((0.0, reply.seconds)).__next__
            for _ in record_flow(
                received(), question, service, parent_key, self._save, secrets=secrets, clock=clock
            ):
                pass

    def fetch(self, token: str, ask: Callable[[str], Flow[None]]) -> Flow[None]:
        """The flow that fetches the reply of ``token``, from its record if it was replayed."""
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
                f"{self.store.name} no longer contains the reply of this token.",
                hint="Run the cell that asked for it again.",
            )
        yield from replay_flow(found, speed=0, file=self.store.argument)

    def missing(self, errors: Sequence[AeronError | None]) -> RecordingError | None:
        """Why a replayed batch fails: the errors of rows that are not recorded; None without."""
        found = [one for one in errors if isinstance(one, RecordingError)]
        if not found or self.mode != "replay":
            return None
        count = f"{len(found):,} of {plural(len(errors), 'row')}"
        first = found[0].line()
        return RecordingError(
            f"{self.store.name} does not contain the questions of {count}. The first: "
            f"{first.partition('this question. ')[2] or first}",
            hint=found[0].hint,
        )

    def replays(self, question: Question, service: str) -> bool:
        """Whether :meth:`ask` sends nothing."""
        if self.mode != "auto":
            return self.mode == "replay"
        found = self.store.find(self.key(question, service))
        return found is not None and found.is_complete

    def arrange(self, questions: Iterable[Question], service: str) -> None:
        """Put the records of these questions into this order, in which they may not have ended."""
        if self.mode in ("auto", "record"):
            self.store.arrange(self.key(question, service) for question in questions)

    def to_resend(self, question: Question, service: str) -> int:
        """How many recorded questions are sent again before ``question``."""
        key = key_of_token(question.context_token) if question.context_token else None
        return len(self._to_resend(key, service)) if key is not None else 0

    def _save(self, record: Record, token: str | None) -> None:
        """Save ``record``; a failure must not take a paid reply with it, so it is kept."""
        if token is not None:
            # Where all turns share a token, the next question does not continue from a failed one.
            if record.is_complete or token not in self._keys:
                self._keys[token] = record.key
            self._tokens[record.key] = token
        try:
            self.store.save(record)
        except RecordingError as error:
            self._unsaved = error

    def warning(self) -> str:
        """Why the last reply was not recorded, once; empty if it was."""
        error, self._unsaved = self._unsaved, None
        return f"{error} The reply is not recorded. {error.hint}" if error else ""

    def resent_note(self) -> str:
        """How many earlier questions were sent again, once; empty if none was."""
        count, self._resent = self._resent, 0
        if not count:
            return ""
        were = "were" if count > 1 else "was"
        return (
            f"{plural(count, 'earlier question')} {were} sent again before this one, because the "
            "service did not have the replayed conversation."
        )

    def with_live_token(self, question: Question, service: str, ask: Ask) -> Flow[Question]:
        """``question`` with the service's token instead of a placeholder.

        For that, the recorded questions before it are sent again, once, at most ``max_resent``.
        """
        token = question.context_token
        key = key_of_token(token) if token else None
        if key is None:
            return question
        if key not in self._tokens:
            while not self._resending.acquire(blocking=False):
                yield Sleep(RESENDING_INTERVAL)
            try:
                if key not in self._tokens:  # no other question has sent them meanwhile
                    yield from self._resend_path(key, service, ask)
            finally:
                self._resending.release()
        return Question(question.text, question.images, self._tokens[key], question.stream)

    def _resend_path(self, key: str, service: str, ask: Ask) -> Flow[None]:
        records = self._to_resend(key, service)
        many = len(records) != 1
        yield [
            Recovering(
                f"{len(records)} earlier question{'s were' if many else ' was'} replayed and "
                f"{'are' if many else 'is'} sent again"
            )
        ]
        for record in records:
            self._resent += 1
            yield from self._resend(record, ask)

    def _to_resend(self, key: str, service: str) -> list[Record]:
        """The records up to ``key`` whose tokens are not known, oldest first."""
        records: list[Record] = []
        while key and key not in self._tokens:
            record = self.store.find(key)
            if record is None or record.service != service:
                raise RecordingError(
                    f"{self.store.name} does not contain the turn that this question continues "
                    "from.",
                    hint="Run the cells before this one again.",
                )
            if record.parent_key == UNRECORDED_PARENT:
                raise RecordingError(
                    "The recorded conversation has no beginning, so it cannot be continued.",
                    hint="Start a new conversation with -n, or record this one from its beginning.",
                )
            records.append(record)
            key = record.parent_key
            if len(records) > MAX_PATH:
                break
        if len(records) > self.max_resent:
            more = "more than " * (len(records) > MAX_PATH)
            count = plural(min(len(records), MAX_PATH), "earlier question")
            raise RecordingError(
                f"{more}{count} of this conversation, replayed so far, would be sent, and charged, "
                f"again before this one; the limit is {self.max_resent}.",
                hint="Start a new conversation with -n, or allow it: `%config "
                f"AeronMagics.max_resent = {len(records)}`.",
            )
        return records[::-1]

    def _resend(self, record: Record, ask: Ask) -> Flow[None]:
        """Send a recorded question again, without showing its reply, for the service's token."""
        before = self._tokens[record.parent_key] if record.parent_key else None
        flow = ask(Question(record.question, record.images, before))
        try:
            step = next(flow)
            while True:
                if isinstance(step, list):
                    for event in step:
                        if isinstance(event, Started | Completed) and event.context_token:
                            self._tokens[record.key] = event.context_token
                            self._keys[event.context_token] = record.key
                    step = flow.send(None)
                else:
                    step = flow.send((yield step))
        except StopIteration:
            self._tokens.setdefault(record.key, before or "")

    def _not_recorded(self, question: Question) -> RecordingError:
        asked = question.text[:COMPARED_LENGTH]
        words = set(asked.split())
        # A comparison takes a millisecond: only with the questions that share most words.
        alike = heapq.nlargest(
            MAX_COMPARED,
            (text[:COMPARED_LENGTH] for _, text in self.store.questions()),
            key=lambda text: len(words.intersection(text.split())),
        )
        near = difflib.get_close_matches(asked, alike, 1, 0.4)
        if not near:
            nearest = "It has no similar question." if alike else "It is empty."
        elif near[0] == asked:
            nearest = f"It has the same question, but {self._difference(question)}."
        else:
            lines = difflib.ndiff(
                near[0].splitlines()[:COMPARED_LINES], asked.splitlines()[:COMPARED_LINES]
            )
            changes = [line[:DIFF_LENGTH].rstrip() for line in lines if line[0] != " "]
            shown = "\n".join(changes[:DIFF_LINES])
            nearest = f"The nearest recorded question (-) and this one (+):\n{shown}"
        return RecordingError(
            f"{self.store.name} does not contain this question. {nearest}",
            hint=self._hint,
        )

    def _difference(self, question: Question) -> str:
        """How the record with the same text differs."""
        after = self._parent_key(question)
        for key, text in self.store.questions():
            same_start = text[:COMPARED_LENGTH] == question.text[:COMPARED_LENGTH]
            record = self.store.find(key) if same_start else None
            if record is not None and record.parent_key == after:
                same = record.images == question.images
                return "recorded for another service" if same else "recorded with other images"
        return "recorded after other questions"
