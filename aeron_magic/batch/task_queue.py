"""The tasks of a batch: those left, those running, and their results.

A queue belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.errors import AeronError, AuthenticationError, RateLimited, Unreachable
from aeron_magic.replies.reply import Reply

MAX_TRIES = 5
"""Maximum attempts for a row answered with 429; each attempt includes its own retries."""

MAX_CONSECUTIVE_FAILURES = 24
"""Consecutive authentication or connection failures that stop the batch."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row: its ``number`` and the question's ``text``.

    ``token`` is that of a reply the service has already started: it is fetched, not asked again.
    """

    number: int
    text: str
    token: str | None = None
    tries: int = 1


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one task."""

    reply: Reply | None = None
    error: AeronError | None = None

    @property
    def is_complete(self) -> bool:
        return self.error is None and self.reply is not None and self.reply.is_complete


class TaskQueue:
    """The tasks of one batch.

    ``left`` is their number, and ``concurrency`` how many may run at once.
    ``sending`` is called before a request of a task leaves, ``begun`` with each task whose reply
    the service has started, and the reply's token; ``settled`` with each task that has ended, and
    its result.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        left: int,
        concurrency: int,
        limiter: RateLimiter,
        settled: Callable[[Task, RowResult], None],
        begun: Callable[[Task, str], None] = lambda task, token: None,
        sending: Callable[[Task], None] = lambda task: None,
    ) -> None:
        self.tokens: dict[int, str] = {}
        """Tokens of replies that the service has started, by the number of their task."""
        self.over = asyncio.Event()
        """Set when all tasks have ended, or the batch is stopped."""
        self._tasks = iter(tasks)
        self._left = left
        self._free = concurrency
        self._limiter = limiter
        self._settled = settled
        self._begun = begun
        self._sending = sending
        self._last: deque[Task] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._consecutive_failures = 0
        if not left:
            self.over.set()

    async def take(self) -> Task | None:
        while not self.over.is_set():
            if self._free and (task := self._next()) is not None:
                self._free -= 1
                return task
            # Wait: running tasks may come back, if their worker disconnects.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake()  # woken and cancelled at once: wake the next one instead
                raise
        return None

    def _next(self) -> Task | None:
        task = next(self._tasks, None)
        return self._last.popleft() if task is None and self._last else task

    def report_sending(self, task: Task) -> None:
        self._sending(task)

    def report_token(self, task: Task, token: str) -> None:
        self.tokens[task.number] = token
        self._begun(task, token)

    def report_result(self, task: Task, result: RowResult) -> None:
        self._free += 1
        error = result.error
        if isinstance(error, RateLimited) and task.tries < MAX_TRIES and task.token is None:
            self._last.append(replace(task, tries=task.tries + 1))
            self._wake()
            return
        hopeless = isinstance(error, AuthenticationError | Unreachable)
        self._consecutive_failures = self._consecutive_failures + 1 if hopeless else 0
        self._settled(task, result)
        self._left -= 1
        if not self._left or self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            self.stop()
        else:
            self._wake()

    def stop(self) -> None:
        """Give out no more tasks."""
        self.over.set()
        while self._waiting:
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def acquire(self) -> None:
        await self._limiter.acquire()

    def pause(self, seconds: float) -> None:
        self._limiter.pause(seconds)
