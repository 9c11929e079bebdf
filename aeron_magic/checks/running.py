"""Asks the questions of a check: each conversation in order, several conversations at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from aeron_magic.checks.journal import Journal
from aeron_magic.checks.plan import STOPPED, Answer, PlannedRun, PlannedTurn
from aeron_magic.client.client import AsyncClient
from aeron_magic.client.io_loop import await_tokens
from aeron_magic.client.stream import AsyncStream
from aeron_magic.errors import AeronError, FailureCounter, TokenError, is_safe_to_ask_again
from aeron_magic.recording.record import key_of_token
from aeron_magic.services.catalog import service_info

CONCURRENCY = 4
"""Conversations that are asked at once."""

MAX_FAILURES = 8
"""Failures to connect, or refused credentials, in a row after which nothing more is asked."""

INTERRUPTED = "it was sent, and the check was stopped before its reply came"

LOST = (
    "it was sent before, and its reply cannot be fetched: it may have been charged; "
    "the next check asks it again"
)


class CheckAsker:
    """Asks the turns of runs, each once.

    * ``client``: the client that asks.
    * ``journal``: what was asked before; None: nothing is kept.

    Attributes:
    * ``stopped``: why nothing more is asked; empty if nothing prevents it.
    * ``unkept``: why the journal lacks a mark; empty if it is complete.
    """

    def __init__(self, client: AsyncClient, journal: Journal | None = None) -> None:
        self._client = client
        self._journal = journal
        self._info = service_info(client.settings.service)
        self._failures = FailureCounter(MAX_FAILURES)
        self._awaiting_token: set[str] = set()
        self._sent: set[str] = set()
        self.stopped = ""
        self.unkept = ""

    async def answer_all(self, runs: Iterable[PlannedRun], concurrency: int = CONCURRENCY) -> None:
        """Ask all turns; a cancellation keeps the answers so far."""
        waiting = iter(runs)

        async def work() -> None:
            for run in waiting:
                for index in range(len(run.turns)):
                    await self.answer(run, index)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())

    def stop(self) -> None:
        """Ask nothing more; what was sent may still get the token by which it is fetched."""
        self.stopped = STOPPED
        if self._journal is not None and self._info.can_fetch:
            await_tokens(lambda: bool(self._awaiting_token & self._sent))

    async def answer(self, run: PlannedRun, index: int) -> Answer:
        """The answer of a turn; it and those before it are asked if they were not."""
        path: list[int] = []
        at: int | None = index
        while at is not None and at not in run.answers:
            path.append(at)
            at = run.turns[at].parent
        for one in reversed(path):
            try:
                run.answers[one] = await self._answer(run, one)
            except asyncio.CancelledError:
                if run.turns[one].key in self._sent:
                    run.answers[one] = Answer(reason=INTERRUPTED)
                raise
        return run.answers[index]

    async def _answer(self, run: PlannedRun, index: int) -> Answer:
        turn, token = run.turns[index], None
        if turn.skipped:
            return Answer(reason=turn.skipped, asked=False)
        if turn.parent is not None:
            before = run.answers[turn.parent]
            number = run.turns[turn.parent].number
            if before.reply is None:
                return Answer(reason=f"turn {number} before it was not answered", asked=False)
            token = before.reply.context_token
            if token is None:
                reason = f"the service returned no token with turn {number}"
                return Answer(reason=reason, asked=False)
            if not self._info.branches and any(
                run.turns[other].parent == turn.parent and answer.asked
                for other, answer in run.answers.items()
            ):
                return Answer(reason="the service cannot branch a conversation", asked=False)
        try:
            return await self._ask(turn, token)
        except Exception as error:  # noqa: BLE001 - one turn must not end the others
            return Answer(reason=f"internal error: {type(error).__name__}")

    async def _ask(self, turn: PlannedTurn, token: str | None) -> Answer:
        key, journal, client = turn.key, self._journal, self._client
        if journal is not None and (kept := journal.answers.get(key)) is not None:
            return Answer(kept)
        if journal is not None and (failure := journal.failures.get(key)) is not None:
            return Answer(reason=failure)
        if self.stopped:
            return Answer(reason=self.stopped, asked=False)
        known = ""  # the token of a reply that an earlier check did not receive
        if journal is not None and key in journal.open:
            known = journal.open[key] if self._info.can_fetch else ""
            if not known:
                self._mark(journal.failed, key, LOST)
                return Answer(reason=LOST)
        elif journal is not None and not self._mark(journal.sent, key):
            return Answer(reason=self.stopped, asked=False)
        try:
            if known:
                return await self._read(key, client.stream_fetch(known), known)
            return await self._read(key, client.stream(turn.question, token, turn.images))
        except AeronError as error:
            return self._failed(key, error)

    def _mark(self, mark: Callable[..., None], *texts: Any) -> bool:
        """Whether the journal took a mark; else nothing more is asked.

        What is under way is received and judged: it may have been charged.
        """
        try:
            mark(*texts)
        except OSError as error:
            self.unkept = f"the check cannot keep what it asked: {error.strerror or error}"
            self.stopped = self.stopped or self.unkept
            return False
        return True

    async def _read(self, key: str, stream: AsyncStream, known: str = "") -> Answer:
        """The reply of a stream; ``known`` is the token by which it is fetched."""
        journal = self._journal

        def keep_token(found: str) -> None:
            self._awaiting_token.discard(key)
            if journal is not None and key_of_token(found) is None:
                self._mark(journal.token, key, found)

        def pause() -> None:
            if key in self._awaiting_token:  # the service has refused it, as with 429
                self._sent.discard(key)

        stream.flow_io.on_sent, stream.flow_io.on_pause = partial(self._sent.add, key), pause
        stream.run.on_token = keep_token
        try:
            if not known:
                self._awaiting_token.add(key)
            async with stream:
                reply = await stream.finish()
        except asyncio.CancelledError:
            if journal is not None and not known and key not in self._sent:
                self._mark(journal.failed, key, "stopped before it was sent")
            raise
        finally:
            self._awaiting_token.discard(key)
        reply = replace(reply, context_token=reply.context_token or known or None)
        if journal is not None:
            self._mark(journal.answer, key, reply)
        self._failures.add(None)
        return Answer(reply)

    def _failed(self, key: str, error: AeronError) -> Answer:
        """The answer of a turn without a complete reply."""
        reason = f"{type(error).__name__}: {error}"
        if self._failures.add(error) and not self.stopped:
            self.stopped = f"{MAX_FAILURES} questions in a row have failed: {reason}"
        known = self._journal is not None and bool(self._journal.open.get(key))
        can_fetch = known and not isinstance(error, TokenError)
        if self._journal is not None and (is_safe_to_ask_again(error) or not can_fetch):
            self._mark(self._journal.failed, key, reason)
        return Answer(reason=reason, partial=error.partial)


class TurnCounts(NamedTuple):
    """How many turns have to be asked, and how many were answered before."""

    to_ask: int
    kept: int


def count_turns(runs: Sequence[PlannedRun], journal: Journal | None) -> TurnCounts:
    """Count the turns of ``runs`` that are not skipped."""
    turns = [turn for run in runs for turn in run.turns if not turn.skipped]
    kept = sum(turn.key in journal.answers for turn in turns) if journal is not None else 0
    return TurnCounts(len(turns) - kept, kept)
