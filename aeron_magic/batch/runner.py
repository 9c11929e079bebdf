"""Runs one batch: a task for each row in flight, on an event loop in a thread of the batch.

In a notebook's cell, the caller's thread already runs an event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from aeron_magic.batch.worker import (
    BatchConfig,
    BatchQuestion,
    RowResult,
    ask_row,
    make_transport,
    maybe_charged,
)
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.rate_limiter import RateLimitedFlowIO, RateLimiter
from aeron_magic.client.stream import AsyncStream, FlowRun, Watch
from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    IncompleteReply,
    Interrupted,
    Unreachable,
)
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.events import Completed, Started
from aeron_magic.protocol.flow import Flow, Question
from aeron_magic.recording.record import key_of_token
from aeron_magic.services.base import load
from aeron_magic.services.catalog import service_info

AskQuestion = Callable[[BatchQuestion], Awaitable[RowResult]]
"""Asks a question, or fetches its reply if it has a token; never raises an AeronError."""

MAX_TRIES = 5
"""Maximum attempts for a row answered with 429; each attempt includes its own retries."""

MAX_CONSECUTIVE_FAILURES = 24
"""Consecutive authentication or connection failures that stop the batch."""

POLL_INTERVAL = 0.1
"""Seconds between two updates of the progress."""

GRACE = 0.7
"""Seconds after an interrupt in which rows that were sent may still get their tokens."""

CLOSE_TIMEOUT = 5.0
"""Seconds that an interrupted batch may take to close its connections."""


class Counts(NamedTuple):
    """What a batch does, before anything is sent; all but ``rows`` count different questions.

    ``kept`` are answered already, ``to_fetch`` have a token by which the reply is fetched, and
    ``in_doubt`` may have been charged and are not asked. Each of ``to_ask`` is one paid request;
    earlier questions that are sent again before are counted, too. ``unusable`` are the rows that
    give no question, such as those with a missing value.
    """

    rows: int
    questions: int
    kept: int
    to_fetch: int
    in_doubt: int
    to_ask: int
    unusable: int = 0

    def __str__(self) -> str:
        unusable = f" ({self.unusable:,} cannot be sent)" if self.unusable else ""
        counts = [
            plural(self.rows, "row") + unusable,
            plural(self.questions, "different question"),
        ]
        counts.append(f"{self.kept:,} already answered")
        counts += [f"{self.to_fetch:,} to fetch"] if self.to_fetch else []
        counts += [f"{self.in_doubt:,} in doubt"] if self.in_doubt else []
        return ", ".join([*counts, f"{self.to_ask:,} to ask"])


class BatchRun:
    """The rows of a batch. Rows with the same question share one request.

    ``texts`` has the question of each row, or the error that made it impossible to build.
    ``counts`` says what will be done; nothing is sent before :meth:`run`.
    """

    def __init__(self, config: BatchConfig, texts: Sequence[str | AeronError]) -> None:
        self._config = config
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
        self.counts = Counts(
            len(texts),
            len(self._questions),
            sum(result.is_complete for result in known),
            to_fetch,
            sum(isinstance(result.error, IncompleteReply) for result in known),
            len(self._open) - to_fetch + self._to_resend(),
            sum(isinstance(text, AeronError) for text in texts),
        )
        self._finished = len(texts) - sum(one.rows for one in self._open)
        self._consecutive_failures = 0
        self._main: asyncio.Task[None] | None = None

    @property
    def results(self) -> list[RowResult | None]:
        """The result of each row so far; None if it has none."""
        return [
            self._questions[text].result if isinstance(text, str) else RowResult(error=text)
            for text in self._texts
        ]

    @property
    def asked(self) -> list[bool]:
        """Whether each row's question was sent in this run."""
        return [isinstance(one, str) and self._questions[one].is_sent for one in self._texts]

    def _to_resend(self) -> int:
        recorder, config = self._config.recorder, self._config
        if recorder is None or not self._open:
            return 0
        return recorder.to_resend(config.question, config.settings.recording_id)

    def _known(self, one: BatchQuestion) -> RowResult | None:
        """The result that needs no request: recorded, kept, or in doubt."""
        config, recorder = self._config, self._config.recorder
        mode = recorder.mode if recorder is not None else "off"
        if recorder is not None and (
            mode == "replay"
            or (mode == "auto" and recorder.has(one.question, config.settings.recording_id))
        ):
            return self._replayed(one.question)
        if config.kept is None or mode == "record":
            return None
        state = config.kept.get(one.key, config.settings.conversation_scope)
        one.is_new = state is None
        if state is None or (config.ask_again and not state.token):
            return None
        if state.reply is not None:
            return self._record(one, RowResult(state.reply))
        if state.token:
            one.token = state.token
            return None
        return maybe_charged(config.settings.service)

    def _replayed(self, question: Question) -> RowResult:
        """What is recorded, without pauses."""
        settings = self._config.settings
        watch = Watch(settings, question=True)
        run = FlowRun(self._flow(question), settings, question.context_token, watch)
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
        recorder, reply, settings = self._config.recorder, result.reply, self._config.settings
        if recorder is not None and reply is not None and result.is_complete:
            token, parent = reply.context_token, reply.parent_context_token
            recovered = reply.status == "recovered"
            recorder.record(
                one.question,
                settings.recording_id,
                [
                    Started(token, parent),
                    Completed(reply.text, token, parent, reply.msg_id, recovered),
                ],
                reply.seconds,
                settings.secrets,
            )
        return result

    def _flow(self, question: Question, fetching: Flow[None] | None = None) -> Flow[None]:
        settings, recorder = self._config.settings, self._config.recorder
        if recorder is None:
            return fetching or self._service.ask(question)
        return recorder.ask(
            question, settings.recording_id, self._service.ask, settings.secrets, begun=fetching
        )

    def run(self, watch: Callable[[int], object] = lambda finished: None) -> None:
        """Run to the end; ``watch`` is called repeatedly with the number of finished rows.

        Raises
        ------
        Interrupted
            The user stopped it; the results so far are kept.
        AeronError
            The batch could not start.
        """
        ended: Future[None] = Future()

        def work() -> None:
            try:
                ended.set_result(asyncio.run(self._work()) if self._open else None)
            except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
                ended.set_exception(failure)

        # The context has the caller's span, of which those of the rows are children.
        thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(work,),
            name="aeron-magic-batch",
            daemon=True,
        )
        try:
            thread.start()
            while not wait((ended,), POLL_INTERVAL).done:
                watch(self._finished)
        except KeyboardInterrupt:
            self._stopped.set()
            if self._main is not None:
                self._await_tokens(ended)
                with suppress(RuntimeError):  # it has ended meanwhile
                    self._main.get_loop().call_soon_threadsafe(self._main.cancel)
            wait((ended,), CLOSE_TIMEOUT)
            complete = sum(one is not None and one.is_complete for one in self.results)
            raise Interrupted(
                f"The batch was interrupted with {complete:,} of "
                f"{plural(len(self._texts), 'row')} answered.",
                hint="The finished rows are kept; run it again to ask the others.",
            ) from None
        watch(self._finished)
        ended.result()

    def _await_tokens(self, ended: Future[None]) -> None:
        """Wait a moment for the tokens of rows that were sent; a second interrupt ends it."""
        if not service_info(self._config.settings.service).can_fetch:
            return
        end = time.monotonic() + GRACE
        with suppress(KeyboardInterrupt):
            while any(one.awaits_token for one in self._open) and time.monotonic() < end:
                if wait((ended,), 0.02).done:
                    return

    async def _work(self) -> None:
        self._main = asyncio.current_task()
        if self._stopped.is_set():
            return
        config = self._config
        limiter, transport = RateLimiter(config.rate), make_transport(config.settings)
        try:
            after = await self._resend_earlier(transport, limiter)
            if config.dask is None:
                await self._ask_all(partial(self._ask_here, transport, limiter, after))
                return
            from aeron_magic.batch.dask_tasks import DaskAsker

            async with DaskAsker(config.dask, config.settings, limiter, config.rate) as dask:
                await self._ask_all(partial(self._ask_there, dask, after))
        finally:
            await transport.close()
            for one in self._open:
                if one.watch is not None:
                    one.watch.close()

    async def _ask_here(
        self,
        transport: AiohttpTransport,
        limiter: RateLimiter,
        after: str | None,
        one: BatchQuestion,
    ) -> RowResult:
        settings = self._config.settings
        fetching = None if one.token is None else self._service.fetch(one.token)
        flow = self._flow(one.question, fetching)
        flow_io = RateLimitedFlowIO(transport, limiter, one.sending)
        one.watch = one.watch or Watch(settings, question=True, repeated=True)
        return await ask_row(flow, settings, after, flow_io, one.began, one.watch)

    async def _ask_there(
        self, dask: Callable[..., Awaitable[RowResult]], after: str | None, one: BatchQuestion
    ) -> RowResult:
        question = one.question._replace(context_token=after)
        return self._record(one, await dask(one, question))

    async def _resend_earlier(
        self, transport: AiohttpTransport, limiter: RateLimiter
    ) -> str | None:
        """Send the replayed questions that the rows continue from again: once, before all rows.

        The result is the service's token that the rows continue from.

        Raises
        ------
        AeronError
            They cannot be sent; nothing else was.
        """
        config, recorder = self._config, self._config.recorder
        token = config.question.context_token
        if recorder is None or not token or not key_of_token(token):
            return token
        service = config.settings.recording_id
        flow = recorder.with_live_token(config.question, service, self._service.ask)
        run = FlowRun(flow, config.settings, token)
        await AsyncStream(run, RateLimitedFlowIO(transport, limiter)).finish()
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
                    one.release = places.release
                    group.create_task(self._ask(ask, one))
            waiting = [one for one in waiting if one.was_rate_limited]

    async def _ask(self, ask: AskQuestion, one: BatchQuestion) -> None:
        try:
            result = await ask(one)
            if one.asked_elsewhere:
                known = self._known(one)
                if known is None:
                    # The other kernel gave up: ask; or it has a token: fetch the reply.
                    result = await ask(one)
                elif known.is_complete:
                    # The other kernel has the whole reply: use it.
                    result = known
                # Else the other kernel is still asking: ``result`` is the error that says so.
        finally:
            one.ended()
        if one.result is None:
            self._finished += one.rows
        one.keep(result)
        hopeless = isinstance(result.error, AuthenticationError | Unreachable)
        self._consecutive_failures = self._consecutive_failures + 1 if hopeless else 0
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            self._stopped.set()
