"""Runs one batch: a queue and its workers, on an event loop in a thread of the batch.

In a notebook's cell, the caller's thread already runs an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.batch.task_queue import RowResult, Task, TaskQueue
from aeron_magic.batch.worker import Worker, interrupted, run_workers
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.errors import AeronError, FailedReply, Interrupted, TokenError
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.settings import Settings

POLL_INTERVAL = 0.1
"""Seconds between two updates of the progress."""

CLOSE_TIMEOUT = 5.0
"""Seconds that an interrupted batch may take to close its connections."""


class Distributor(Protocol):
    """Runs remote workers: :class:`aeron_magic.batch.cluster.coordinator.Coordinator`."""

    async def run(self, queue: TaskQueue, config: BatchConfig) -> None:
        """Return when the queue is over."""
        ...


class BatchConfig(NamedTuple):
    """The arguments of a batch; see :func:`~aeron_magic.batch.api.ask_many`.

    ``question`` is what all questions share; its text is replaced.
    """

    settings: Settings
    question: Question = Question("")
    concurrency: int = 8
    rate: float | None = None
    recorder: Recorder | None = None
    executor: Executor | None = None
    jobs: int | None = None
    host: str | None = None


class RowState(NamedTuple):
    """What an earlier run of the same batch left of a row: its result, or its reply's token."""

    result: RowResult | None = None
    token: str | None = None


Key = tuple[str, int]
"""A row's text, and how many earlier rows have the same text."""

RowCache = MutableMapping[Key, RowState]


class BatchRun:
    """The rows of a batch and their ``results`` so far, each None until its row has ended.

    ``texts`` has the question of each row, or the error that made it impossible to build. ``cache``
    has the results and tokens of earlier runs; those of this run are added. ``distributor`` runs
    remote workers; without it, the workers run in this process.
    """

    def __init__(
        self,
        config: BatchConfig,
        texts: Sequence[str | AeronError],
        cache: RowCache | None = None,
        distributor: Distributor | None = None,
    ) -> None:
        self._config = config
        self._cache: RowCache = {} if cache is None else cache
        self._distributor = distributor
        self.results: list[RowResult | None] = [None] * len(texts)
        self._keys: list[Key] = []
        self._duplicates: dict[int, list[int]] = {}
        """For a row, the later rows with the same question, which share its recorded reply."""
        self._texts = texts
        self._to_ask = self._plan_rows()
        self._failure: BaseException | None = None
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
            known = self._cache.get(self._keys[number])
            if known is not None and known.result is not None:
                self.results[number] = known.result
            elif self._config.recorder is not None and len(same) > 1:
                self._duplicates.setdefault(same[0], []).append(number)
            else:
                to_ask.append(number)
        # If the first of several duplicates came from the cache, the others are asked.
        for first in [one for one in self._duplicates if self.results[one] is not None]:
            to_ask += self._duplicates.pop(first)
        return sorted(to_ask)

    def _finished(self) -> int:
        return sum(result is not None for result in self.results)

    def _tasks(self) -> Iterator[Task]:
        for number in self._to_ask:
            text = self._texts[number]
            assert isinstance(text, str)
            known = self._cache.get(self._keys[number])
            yield Task(number, text, known.token if known else None)

    def _begun(self, task: Task, token: str) -> None:
        self._cache[self._keys[task.number]] = RowState(token=token)

    def _settled(self, queue: TaskQueue, task: Task, result: RowResult) -> None:
        if isinstance(result.error, TokenError | FailedReply):
            queue.tokens.pop(task.number, None)  # no reply can be fetched by it
            self._cache.pop(self._keys[task.number], None)
        if result.record is not None and self._config.recorder is not None:
            question = self._config.question._replace(text=task.text)
            self._config.recorder.save_foreign(result.record, question)
        for number in (task.number, *self._duplicates.get(task.number, ())):
            self.results[number] = result
            if result.is_complete:
                self._cache[self._keys[number]] = RowState(result)

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
            if self._main is not None and not ended.is_set():
                self._main.get_loop().call_soon_threadsafe(self._main.cancel)
            ended.wait(CLOSE_TIMEOUT)
            complete = sum(one is not None and one.is_complete for one in self.results)
            raise Interrupted(
                f"The batch was interrupted; {complete:,} of {len(self.results):,} rows have "
                "their answer.",
                hint="These are kept. Run it again: it asks only for what is missing.",
            ) from None
        watch(self._finished())
        if self._failure is not None:
            failure = self._failure
            if isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            raise failure

    async def _work(self) -> None:
        config = self._config
        self._main = asyncio.current_task()
        queue = TaskQueue(
            self._tasks(),
            len(self._to_ask),
            config.concurrency,
            RateLimiter(config.rate),
            lambda task, result: self._settled(queue, task, result),
            self._begun,
        )
        try:
            if self._distributor is not None:
                await self._distributor.run(queue, config)
            else:
                await run_here(queue, config, min(config.concurrency, len(self._to_ask)))
        finally:
            for number, token in queue.tokens.items():
                if self.results[number] is None:
                    # A remote worker was reading it when the user stopped the batch.
                    reply = Reply("", "interrupted", token, service=config.settings.service)
                    self.results[number] = RowResult(reply, interrupted(reply))


async def run_here(queue: TaskQueue, config: BatchConfig, concurrency: int) -> None:
    """Run the workers in this process."""

    def make(transport: AiohttpTransport) -> Worker:
        return Worker(queue, transport, config.settings, config.question, config.recorder)

    await run_workers(config.settings, make, max(concurrency, 1))
