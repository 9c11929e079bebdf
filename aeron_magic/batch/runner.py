"""Runs one batch: a task for each row in flight, on an event loop in a thread of the batch.

In a notebook's cell, the caller's thread already runs an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from aeron_magic.batch.question import BatchConfig, BatchQuestion, RowResult, ask_row, maybe_charged
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.httpx_transport import open_transport
from aeron_magic.client.io_loop import IOLoop, await_tokens, wait_for
from aeron_magic.client.rate_limiter import RateLimitedFlowIO, RateLimiter
from aeron_magic.client.stream import AsyncStream, FlowRun, Watch
from aeron_magic.errors import (
    AeronError,
    FailureCounter,
    IncompleteReply,
    Interrupted,
    RateLimited,
)
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.flow import Flow
from aeron_magic.replies.reply import Reply
from aeron_magic.services.base import load
from aeron_magic.services.catalog import service_info

AskQuestion = Callable[[BatchQuestion], Awaitable[RowResult]]
"""Asks a question, or fetches its reply if it has a token; never raises an AeronError."""

MAX_TRIES = 5
"""Maximum attempts for a row answered with 429; each attempt includes its own retries."""

MAX_CONSECUTIVE_FAILURES = 24
"""Consecutive authentication or connection failures that stop the batch."""


class Counts(NamedTuple):
    """What a batch does, before anything is sent; all but ``rows`` count different questions.

    ``kept`` are answered already, ``to_fetch`` have a token by which the reply is fetched, and
    ``in_doubt`` may have been charged and are not asked. Each of ``to_ask`` is one paid request;
    ``earlier`` of them are replayed questions that are sent again before. ``unusable`` are the rows
    that give no question, such as those with a missing value.
    """

    rows: int
    questions: int
    kept: int
    to_fetch: int
    in_doubt: int
    to_ask: int
    unusable: int = 0
    earlier: int = 0

    def __str__(self) -> str:
        unusable = f" ({self.unusable:,} cannot be sent)" if self.unusable else ""
        earlier = f", {plural(self.earlier, 'earlier question')} to ask again" * bool(self.earlier)
        counts = [f"{self.kept:,} already answered"]
        counts += [f"{self.to_fetch:,} to fetch"] if self.to_fetch else []
        counts += [f"{self.in_doubt:,} in doubt"] if self.in_doubt else []
        counts += [f"{(to_ask := self.to_ask - self.earlier):,} to ask"]
        missing = self.questions - self.kept - self.to_fetch - self.in_doubt - to_ask
        counts += [f"{missing:,} without a recorded answer"] if missing else []
        questions = f"{plural(self.questions, 'different question')} ({', '.join(counts)})"
        return f"{plural(self.rows, 'row')}{unusable}, {questions}{earlier}"


class BatchRun:
    """The rows of a batch. Rows with the same question share one request.

    ``texts`` has the question of each row, or the error that made it impossible to build.
    ``counts`` says what will be done; nothing is sent before :meth:`run`.
    """

    def __init__(self, config: BatchConfig, texts: Sequence[str | AeronError]) -> None:
        self._config = config
        self._settings = config.settings
        self._service = load(config.settings)
        self._texts = texts
        self._stopped = threading.Event()
        self._questions = {
            text: BatchQuestion(config, self._stopped, text, rows)
            for text, rows in Counter(one for one in texts if isinstance(one, str)).items()
        }
        for one in self._questions.values():
            one.result = self._known(one)
        known = [one.result for one in self._questions.values() if one.result is not None]
        self._open = [one for one in self._questions.values() if one.result is None]
        to_fetch = sum(one.token is not None for one in self._open)
        earlier = 0
        if self._open and config.recorder is not None:
            earlier = config.recorder.to_resend(config.question, self._settings.recording_id)
        self.counts = Counts(
            len(texts),
            len(self._questions),
            sum(result.is_complete for result in known),
            to_fetch,
            sum(isinstance(result.error, IncompleteReply) for result in known),
            len(self._open) - to_fetch + earlier,
            sum(isinstance(text, AeronError) for text in texts),
            earlier,
        )
        self._finished = len(texts) - sum(one.rows for one in self._open)
        self._failures = FailureCounter(MAX_CONSECUTIVE_FAILURES)
        self._refused: list[BatchQuestion] = []
        self._after: str | None = None
        """The service's token that all questions continue from, while they are asked."""

    @property
    def rows(self) -> list[BatchQuestion | AeronError]:
        """The question of each row, or why it has none."""
        return [self._questions[one] if isinstance(one, str) else one for one in self._texts]

    @property
    def results(self) -> list[RowResult | None]:
        """The result of each row so far; None if it has none."""
        return [
            RowResult(error=one) if isinstance(one, AeronError) else one.result for one in self.rows
        ]

    def _known(self, one: BatchQuestion) -> RowResult | None:
        """The result that needs no request: recorded, kept, or in doubt."""
        config, recorder, settings = self._config, self._config.recorder, self._settings
        if recorder is not None and recorder.replays(one.question, settings.recording_id):
            return self._replayed(one)
        if config.kept is None or (recorder is not None and recorder.mode == "record"):
            return None
        state = config.kept.get(one.key, settings.conversation_scope)
        one.is_ours = state is not None
        if state is None or (config.ask_again and not state.token):
            return None
        if state.reply is not None:
            return self._record(one, RowResult(state.reply))
        if state.token:
            one.token = state.token
            return None
        return maybe_charged(Reply("", service=settings.service))

    def _replayed(self, one: BatchQuestion) -> RowResult:
        """What is recorded, without pauses."""
        watch, parent = Watch(self._settings, question=True), one.question.context_token
        run = FlowRun(self._flow(one), self._settings, parent, watch)
        try:
            while (step := run.send(None)) is not None:
                if isinstance(step, list):
                    run.apply(step)
        except AeronError as error:
            run.fail(error)
            return RowResult(run.reply(), error.without_frames())
        return RowResult(run.reply())

    def _record(self, one: BatchQuestion, result: RowResult) -> RowResult:
        """Record a result that was received without the recorder, if there is one; return it."""
        recorder, settings = self._config.recorder, self._settings
        if recorder is not None and result.reply is not None:
            recorder.record(one.question, settings.recording_id, result.reply, settings.secrets)
        return result

    def _flow(self, one: BatchQuestion) -> Flow[None]:
        """Asks the question, or fetches its reply if it has a token."""
        recorder, settings, token = self._config.recorder, self._settings, one.token
        ask = self._service.ask if token is None else lambda question: self._service.fetch(token)
        if recorder is None:
            return ask(one.question)
        return recorder.ask(one.question, settings.recording_id, ask, settings.secrets)

    def run(self, watch: Callable[[int], object] = lambda finished: None) -> None:
        """Run to the end; ``watch`` is called repeatedly with the number of finished rows.

        Raises
        ------
        Interrupted
            The user stopped it; the results so far are kept.
        AeronError
            The batch could not start.
        """
        loop = IOLoop()
        try:
            wait_for(loop.submit(self._work()), lambda: watch(self._finished))
            loop.stop()  # here, too: an interrupt of it keeps the result
            self._arrange()
        except KeyboardInterrupt:
            self._stopped.set()
            if service_info(self._settings.service).can_fetch:
                await_tokens(lambda: any(one.awaits_token for one in self._open))
            loop.stop()
            self._arrange()
            complete = sum(one is not None and one.is_complete for one in self.results)
            hint = "The finished rows are kept; run it again to ask the others."
            if self._config.ask_again and self._config.recorder is None:
                hint = (
                    "The finished rows are kept. `-n` (in Python ask_again=True) asks all rows "
                    "again, also these: give it the others only."
                )
            if self._config.kept is None:
                hint = (
                    "The finished rows are only in the `result` of this error: the next run asks "
                    "all again. With `checkpoint=FILE` it asks the others only."
                )
            raise Interrupted(
                f"The batch was interrupted with {complete:,} of "
                f"{plural(len(self._texts), 'row')} answered.",
                hint=hint,
            ) from None
        finally:
            loop.stop()
        watch(self._finished)

    def _arrange(self) -> None:
        """Put what was recorded into the order of the rows."""
        if self._open and (recorder := self._config.recorder) is not None:
            questions = (one.question for one in self._questions.values())
            recorder.arrange(questions, self._settings.recording_id)

    async def _work(self) -> None:
        if not self._open:
            return
        config, limiter = self._config, RateLimiter(self._config.rate)
        transport = open_transport(AiohttpTransport, self._settings)
        try:
            self._after = await self._resend_earlier(transport, limiter)
            if config.dask is None:
                await self._ask_all(partial(self._ask_here, transport, limiter))
                return
            from aeron_magic.batch.dask_tasks import DaskAsker

            async with DaskAsker(config, limiter, self._after) as dask:
                await self._ask_all(partial(self._ask_there, dask))
        finally:
            await transport.close()
            for one in self._open:
                if one.watch is not None:
                    one.watch.close()

    async def _ask_here(
        self, transport: AiohttpTransport, limiter: RateLimiter, one: BatchQuestion
    ) -> RowResult:
        flow, settings = self._flow(one), self._settings
        flow_io = RateLimitedFlowIO(transport, limiter, one.sending)
        flow_io.on_pause = one.refused
        one.watch = one.watch or Watch(settings, question=True, repeated=True)
        return await ask_row(flow, settings, self._after, flow_io, one.began, one.watch)

    async def _ask_there(self, dask: AskQuestion, one: BatchQuestion) -> RowResult:
        return self._record(one, await dask(one))

    async def _resend_earlier(
        self, transport: AiohttpTransport, limiter: RateLimiter
    ) -> str | None:
        """The service's token that the rows continue from.

        For it, the replayed questions before them are sent again: once, before all rows. If they
        cannot be sent, this raises an AeronError, and nothing else was sent.
        """
        question, recorder, settings = self._config.question, self._config.recorder, self._settings
        if recorder is None:
            return question.context_token
        flow = recorder.with_live_token(question, settings.recording_id, self._service.ask)
        run = FlowRun(flow, settings, question.context_token)
        try:
            await AsyncStream(run, RateLimitedFlowIO(transport, limiter)).finish()
        finally:
            recorder.resent_note()  # it is not for the next question: the counts have these
        assert run.value is not None
        return run.value.context_token

    async def _ask_all(self, ask: AskQuestion) -> None:
        waiting = self._open
        places = asyncio.Semaphore(self._config.concurrency)
        for _ in range(MAX_TRIES):
            async with asyncio.TaskGroup() as group:
                for one in waiting:
                    await places.acquire()
                    if self._stopped.is_set():
                        return
                    one.place = places
                    group.create_task(self._ask(ask, one))
            waiting, self._refused = self._refused, []

    async def _ask(self, ask: AskQuestion, one: BatchQuestion) -> None:
        try:
            result = await ask(one)
            if one.asked_elsewhere:
                known = self._known(one)
                if known is None:  # the other kernel gave up, or has a token
                    result = await ask(one)
                elif known.is_complete:  # else it is still asking, as the error says
                    result = known
        finally:
            one.ended()
        if isinstance(result.error, Interrupted) and not one.awaits_token and one.token is None:
            return  # it was waiting for the rate limit, perhaps after a 429
        if one.result is None:
            self._finished += one.rows
        one.keep(result)
        error = result.error
        if isinstance(error, RateLimited) and not error.was_accepted:
            self._refused.append(one)
        if self._failures.add(error):
            self._stopped.set()
