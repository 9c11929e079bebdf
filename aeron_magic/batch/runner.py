"""Runs one batch: a queue and its workers, on an event loop in a thread of the batch.

In a notebook's cell, the caller's thread already runs an event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from aeron_magic.batch.journal import Journal
from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.batch.task_queue import RowResult, Task, TaskQueue
from aeron_magic.batch.worker import (
    RateLimitedFlowIO,
    Worker,
    interrupted,
    maybe_charged,
    open_transport,
    run_workers,
)
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.stream import AsyncStream, FlowRun
from aeron_magic.errors import AeronError, Interrupted, TokenError, is_safe_to_ask_again
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.record import key_of_token
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.base import load
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings

POLL_INTERVAL = 0.1
"""Seconds between two updates of the progress."""

GRACE = 0.7
"""Seconds after an interrupt in which rows that were sent may still get their tokens."""

CLOSE_TIMEOUT = 5.0
"""Seconds that an interrupted batch may take to close its connections."""


class BatchConfig(NamedTuple):
    """The arguments of a batch; see :func:`~aeron_magic.batch.api.ask_many`.

    ``question`` is what all questions share; its text is replaced.
    """

    settings: Settings
    question: Question = Question("")
    concurrency: int = 8
    rate: float | None = None
    recorder: Recorder | None = None
    ask_again: bool = False


class RowState(NamedTuple):
    """The state of a row after an earlier run of the batch: its result, or its reply's token.

    A row with neither was sent, and its reply cannot be fetched: it may have been charged.
    """

    result: RowResult | None = None
    token: str | None = None


Key = tuple[str, int]
"""A row's text, and how many earlier rows have the same text."""

RowCache = MutableMapping[Key, RowState]


class BatchRun:
    """The rows of a batch and their ``results`` so far, each None until its row has ended.

    ``texts`` has the question of each row, or the error that made it impossible to build. ``cache``
    has the results and tokens of earlier runs; those of this run are added. ``journal`` has the
    tokens on the disk.
    """

    def __init__(
        self,
        config: BatchConfig,
        texts: Sequence[str | AeronError],
        cache: RowCache | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._cache: RowCache = {} if cache is None else cache
        self.results: list[RowResult | None] = [None] * len(texts)
        self._keys: list[Key] = []
        self._duplicates: dict[int, list[int]] = {}
        """For a row, the later rows with the same question, which share its recorded reply."""
        self._texts = texts
        self._to_ask = self._plan_rows()
        self._failure: BaseException | None = None
        self._queue: TaskQueue | None = None
        self._unnamed: set[int] = set()
        """Rows that were sent and whose token is not known yet."""
        self._main: asyncio.Task[None] | None = None

    def _plan_rows(self) -> list[int]:
        """Settle the rows that need no request; the numbers of the others."""
        seen: dict[str, list[int]] = {}
        to_ask = []
        for number, text in enumerate(self._texts):
            if isinstance(text, AeronError):
                self._keys.append(("", number))
                self.results[number] = RowResult(error=text)
                continue
            same = seen.setdefault(text, [])
            same.append(number)
            self._keys.append((text, len(same) - 1))
            known = self._known(number)
            if known is not None and known.result is not None:
                self.results[number] = known.result
            elif known is not None and known.token is None:
                self.results[number] = maybe_charged(self._config.settings.service)
            elif self._config.recorder is not None and len(same) > 1:
                self._duplicates.setdefault(same[0], []).append(number)
            else:
                to_ask.append(number)
        for first, others in self._duplicates.items():
            for number in others:
                self.results[number] = self.results[first]
        return to_ask

    def _question(self, number: int) -> Question:
        text = self._texts[number]
        assert isinstance(text, str)
        return self._config.question._replace(text=text)

    def _known(self, number: int) -> RowState | None:
        """What earlier runs left of a row; None if it can be asked, or replayed."""
        known, recorder = self._cache.get(self._keys[number]), self._config.recorder
        if known is None and self._journal is not None and recorder is not None:
            token = self._journal.state(self._journal_key(number))
            recording_id = self._config.settings.recording_id
            if token is not None and not recorder.has(self._question(number), recording_id):
                known = RowState(token=token or None)
        return known

    def _journal_key(self, number: int) -> str:
        """The key of a row in the journal: tokens are those of one address."""
        assert self._config.recorder is not None
        scope = self._config.settings.conversation_scope
        return self._config.recorder.key(self._question(number), scope)

    def _finished(self) -> int:
        return sum(result is not None for result in self.results)

    def _tasks(self) -> Iterator[Task]:
        for number in self._to_ask:
            known = self._known(number)
            yield Task(number, self._question(number).text, known.token if known else None)

    def _sending(self, task: Task) -> None:
        if self._queue is not None and self._queue.over.is_set():
            raise interrupted(Reply(""))  # it was waiting for the rate limit
        self._unnamed.add(task.number)
        if self._journal is not None:
            self._journal.mark_sent(self._journal_key(task.number))
        self._cache.setdefault(self._keys[task.number], RowState())

    def _begun(self, task: Task, token: str) -> None:
        self._unnamed.discard(task.number)
        self._cache[self._keys[task.number]] = RowState(token=token)
        if self._journal is not None:
            self._journal.mark_token(self._journal_key(task.number), token)

    def _settled(self, queue: TaskQueue, task: Task, result: RowResult) -> None:
        self._unnamed.discard(task.number)
        begun = task.token is not None or task.number in queue.tokens
        error = result.error
        if isinstance(error, TokenError) and begun:
            # The question was accepted, and no reply can be fetched by its token.
            queue.tokens.pop(task.number, None)
            self._cache[self._keys[task.number]] = RowState()
        elif error is not None and is_safe_to_ask_again(error):
            queue.tokens.pop(task.number, None)
            self._forget(task.number)
        elif result.is_complete and self._journal is not None:
            self._journal.end(self._journal_key(task.number))
        for number in (task.number, *self._duplicates.get(task.number, ())):
            self.results[number] = result
            if result.is_complete:
                self._cache[self._keys[number]] = RowState(result)

    def _forget(self, number: int) -> None:
        """The row can be asked again."""
        self._cache.pop(self._keys[number], None)
        if self._journal is not None:
            self._journal.end(self._journal_key(number))

    def run(self, watch: Callable[[int], object] = lambda finished: None) -> None:
        """Run to the end; ``watch`` is called repeatedly with the number of finished rows.

        Raises
        ------
        Interrupted
            The user stopped it; the results so far are kept.
        AeronError
            The batch could not start.
        """
        ended = threading.Event()

        def work() -> None:
            try:
                asyncio.run(self._work())
            except asyncio.CancelledError:
                pass  # by the interrupt below, which raises its own error
            except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
                self._failure = failure
            finally:
                ended.set()

        thread = threading.Thread(target=work, name="aeron-magic-batch", daemon=True)
        thread.start()
        try:
            while not ended.wait(POLL_INTERVAL):
                watch(self._finished())
        except KeyboardInterrupt:
            if self._main is not None and self._queue is not None and not ended.is_set():
                loop = self._main.get_loop()
                loop.call_soon_threadsafe(self._queue.stop)
                self._await_tokens(ended)
                with suppress(RuntimeError):  # it has ended meanwhile
                    loop.call_soon_threadsafe(self._main.cancel)
            ended.wait(CLOSE_TIMEOUT)
            complete = sum(one is not None and one.is_complete for one in self.results)
            raise Interrupted(
                f"The batch was interrupted; {complete:,} of {len(self.results):,} rows have "
                "their answer.",
                hint="The finished rows are kept; run it again to ask the others.",
            ) from None
        watch(self._finished())
        if self._failure is not None:
            failure = self._failure
            if isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            raise failure

    def _await_tokens(self, ended: threading.Event) -> None:
        """Wait a moment for the tokens of rows that were sent; a second interrupt ends it."""
        if not service_info(self._config.settings.service).can_fetch:
            return
        end = time.monotonic() + GRACE
        with suppress(KeyboardInterrupt):
            while self._unnamed and time.monotonic() < end and not ended.wait(0.02):
                pass

    async def _work(self) -> None:
        config = self._config
        self._main = asyncio.current_task()
        queue = self._queue = TaskQueue(
            self._tasks(),
            len(self._to_ask),
            config.concurrency,
            RateLimiter(config.rate),
            lambda task, result: self._settled(queue, task, result),
            self._begun,
            self._sending,
        )
        await self._resend_earlier(queue)
        await run_here(queue, config, min(config.concurrency, len(self._to_ask)))

    async def _resend_earlier(self, queue: TaskQueue) -> None:
        """Send the replayed questions that the rows continue from again: once, before all rows.

        Raises
        ------
        AeronError
            They cannot be sent; nothing else was.
        """
        config, recorder = self._config, self._config.recorder
        token, service = config.question.context_token, config.settings.recording_id
        if recorder is None or recorder.mode == "replay" or not token or not key_of_token(token):
            return
        if all(recorder.has(self._question(number), service) for number in self._to_ask):
            return
        flow = recorder.with_live_token(config.question, service, load(config.settings).ask)
        async with open_transport(config.settings) as transport:
            run = FlowRun(flow, config.settings, token)
            await AsyncStream(run, RateLimitedFlowIO(transport, queue)).finish()


async def run_here(queue: TaskQueue, config: BatchConfig, concurrency: int) -> None:
    """Run the workers in this process."""

    def make(transport: AiohttpTransport) -> Worker:
        return Worker(queue, transport, config.settings, config.question, config.recorder)

    await run_workers(config.settings, make, max(concurrency, 1))
