"""Rows as tasks of a Dask cluster. The only connection is Dask's own.

Rows that start at the same time are a task with a key of its own; its result is their replies. The
client sets an event of the scheduler with this key, and the task begins by clearing it: Dask starts
the tasks of a lost worker again, also finished ones, and without the event a task asks nothing. The
token of a reply, the end of a row and a pause that the service asks for reach the client as
messages of a topic. The row of a lost worker is fetched by its token; without one, it may have been
charged.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
import warnings
from collections.abc import Coroutine
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from aeron_magic.batch.worker import (
    BatchQuestion,
    RowResult,
    ask_row,
    interrupted,
    make_transport,
    maybe_charged,
)
from aeron_magic.client.rate_limiter import RateLimitedFlowIO, RateLimiter
from aeron_magic.errors import AeronError, IncompleteReply, Unreachable
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.reply import Reply, Status
from aeron_magic.services.base import load
from aeron_magic.services.settings import Settings

MAX_WORKERS_LOST = 5
"""Lost workers after which a row is given up."""

CHECK_INTERVAL = 0.5
"""Seconds between two looks of a worker at whether its rows are still wanted."""

SLICE = 4
"""Rows that start at the same time and travel as one task."""

GATHERING = 0.002
"""Seconds in which rows start at the same time."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs for some rows. Its repr, which Dask may log, has no content."""

    key: str
    batch: str
    topic: str
    settings: Settings = field(repr=False)
    rows: tuple[tuple[Question, str | None], ...] = field(repr=False)
    """Questions; those with a token are fetched."""
    rate: float | None


Rows = list[tuple[BatchQuestion, Question]]
"""Rows of one task, and their questions with the service's token."""

Slice = tuple[Rows, asyncio.Task[list[RowResult] | None]]


class DaskAsker:
    """Asks questions as tasks of the cluster of ``client``, with the limiter of the batch."""

    def __init__(
        self, client: Any, settings: Settings, limiter: RateLimiter, rate: float | None
    ) -> None:
        self._client = client
        self._settings = settings
        self._limiter = limiter
        self._rate = rate
        self.loop = asyncio.get_running_loop()
        self._batch = uuid.uuid4().hex[:12]
        self._topic = f"aeron-magic-{client.id}"
        self._filling: Slice | None = None
        self._running: dict[str, Rows] = {}
        self._numbers = itertools.count()
        self._slices: set[asyncio.Task[list[RowResult] | None]] = set()

    async def __aenter__(self) -> Self:
        _askers[self._batch] = self
        workers = len(await asyncio.to_thread(self._client.nthreads))
        if not workers:
            warnings.warn("The cluster has no workers yet; the rows wait for one.", stacklevel=2)
        if self._rate is not None:
            self._rate /= workers or 1
        self._client.subscribe_topic(self._topic, _hear)
        return self

    async def __aexit__(self, *failure: object) -> None:
        del _askers[self._batch]
        for task in self._slices:
            task.cancel()
        await asyncio.gather(*self._slices, return_exceptions=True)

    async def __call__(self, row: BatchQuestion, question: Question) -> RowResult:
        try:
            for _ in range(MAX_WORKERS_LOST):
                await self._limiter.acquire()
                if self._client.status != "running":
                    raise Unreachable(
                        "The connection to the Dask scheduler is lost.",
                        hint="Run the batch again with a new client.",
                    )
                row.sending()
                rows, task = self._filling or self._new_slice()
                rows.append((row, question))
                if len(rows) == SLICE:
                    self._filling = None
                place = len(rows) - 1
                if (results := await asyncio.shield(task)) is not None:
                    return results[place]
                if row.token is None:
                    return maybe_charged(self._settings.service)
            raise IncompleteReply(
                f"{MAX_WORKERS_LOST} workers of the cluster were lost with this row.",
                hint="Run the batch again: the reply is fetched.",
            )
        except AeronError as failure:
            error = copy(failure)  # it is that of all rows of the task
            if not isinstance(error, IncompleteReply):
                return RowResult(error=error)
            error.context_token = row.token
            return RowResult(self._reply(row, "incomplete"), error)
        except asyncio.CancelledError:
            reply = self._reply(row, "interrupted")
            return RowResult(reply, interrupted(reply))

    def _reply(self, row: BatchQuestion, status: Status) -> Reply:
        return Reply("", status, row.token, service=self._settings.service)

    def _new_slice(self) -> Slice:
        rows: Rows = []
        self._filling = rows, self.loop.create_task(self._run_task(rows))
        self._slices.add(task := self._filling[1])
        task.add_done_callback(self._slices.discard)
        return self._filling

    async def _run_task(self, rows: Rows) -> list[RowResult] | None:
        """The results of one task; None if its worker was lost."""
        from distributed import KilledWorker

        await asyncio.sleep(GATHERING)
        if self._filling is not None and self._filling[0] is rows:
            self._filling = None
        key = f"aeron-magic-{self._batch}-{next(self._numbers)}"
        questions = tuple((question, row.token) for row, question in rows)
        job = Job(key, self._batch, self._topic, self._settings, questions, self._rate)
        self._running[key] = rows
        future, allowed = None, any(token is None for _, token in questions)
        try:
            if allowed:
                await self._on_client(self._client.scheduler.event_set(name=key))
            future = self._client.submit(ask_as_task, job, key=key, pure=False, retries=0)
            gather = self._client.gather(future, direct=False, asynchronous=True)
            results: list[RowResult] | None = await self._on_client(gather)
            allowed = False  # the task has cleared the event
            return results
        except KilledWorker:
            return None
        except AeronError:
            raise
        except Exception as error:  # noqa: BLE001 - what Dask and a worker raise
            lost = isinstance(error, CancelledError) or self._client.status != "running"
            if future is not None and lost:
                raise IncompleteReply(
                    "The connection to the Dask scheduler is lost; this row may have been charged.",
                    hint="Run the batch again with a new client: rows with a token are fetched.",
                ) from None
            if future is not None and allowed and await self._has_begun(key):
                raise IncompleteReply(
                    f"The result of this row was lost on its way: {type(error).__name__}: {error}. "
                    "The row may have been charged.",
                    hint="Each worker needs the same versions of aeron-magic and Python as here.",
                ) from None
            raise Unreachable(
                f"The cluster could not begin with this row: {type(error).__name__}: {error}",
                hint="Each worker needs the same versions of aeron-magic and Python as here.",
            ) from None
        finally:
            del self._running[key]
            if future is not None:
                future.release()  # which ends the task, if it has not ended
            if allowed:
                with suppress(Exception):  # of a connection that is lost
                    await self._on_client(self._client.scheduler.event_clear(name=key))

    async def _has_begun(self, key: str) -> bool:
        """Whether a task has begun, by clearing its event, or may have."""
        try:
            return not await self._on_client(self._client.scheduler.event_is_set(name=key))
        except Exception:  # noqa: BLE001 - of a connection that is lost
            return True

    async def _on_client(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` on the loop of the client."""
        loop = self._client.loop.asyncio_loop
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"key": key, "row": int(row), "token": str(token)} if key in self._running:
                self._running[key][row][0].began(token)
            case {"key": key, "ended": int(row)} if key in self._running:
                self._running[key][row][0].ended()
            case {"requests": 1}:
                self._limiter.charge()
            case {"pause": float(seconds)} if self._limiter.pause(seconds):
                run = partial(self._client.run, on_error="ignore")
                self.loop.run_in_executor(None, run, pause_worker, self._batch, seconds)


_askers: dict[str, DaskAsker] = {}
"""The batches of this process; a client has one handler for all its batches."""


def _hear(event: tuple[float, Any]) -> None:
    """Hear an event of the topic, on a thread of the client."""
    message = event[1]
    if isinstance(message, dict) and (asker := _askers.get(str(message.get("batch")))) is not None:
        with suppress(RuntimeError):  # a late event, after the loop's end
            asker.loop.call_soon_threadsafe(asker.hear, message)


# On a worker ------------------------------------------------------------------------------


class _Share:
    """The transport and the limiters of one batch on one worker.

    The client has waited for the rate before the first request of a row; the others have a share.
    """

    def __init__(self, worker: Any, job: Job) -> None:
        self.users = 0
        self.transport = make_transport(job.settings)
        self.first = RateLimiter()
        self.others = RateLimiter(job.rate)
        self._worker = worker
        self._job = job

    def tell(self, **message: Any) -> None:
        """Send a message to the client, by way of the scheduler."""
        self._worker.log_event(self._job.topic, {"batch": self._job.batch, **message})

    def pause(self, seconds: float) -> None:
        self.first.pause(seconds)
        self.others.pause(seconds)


class _RowLimiter:
    """The limiter of one row."""

    def __init__(self, share: _Share) -> None:
        self._share = share
        self._next = share.first

    async def acquire(self) -> None:
        limiter, self._next = self._next, self._share.others
        if limiter is self._share.others:
            self._share.tell(requests=1)
        await limiter.acquire()

    def pause(self, seconds: float) -> None:
        self._share.tell(pause=float(seconds))
        self._share.pause(seconds)


_shares: dict[tuple[str, str], _Share] = {}
"""By the address of the worker and the batch; each is used on the worker's loop only."""


def pause_worker(batch: str, seconds: float, dask_worker: Any) -> None:
    """Send no request of ``batch`` for this time; runs on each worker."""
    if (share := _shares.get((dask_worker.address, batch))) is not None:
        share.pause(seconds)


def ask_as_task(job: Job) -> list[RowResult] | None:
    """Ask or fetch some rows; None if a worker has begun with them before and was lost."""
    from distributed import get_worker, secede

    worker: Any = get_worker()
    work = asyncio.run_coroutine_threadsafe(_ask(worker, job), worker.loop.asyncio_loop)
    secede()  # type: ignore[no-untyped-call]  # the worker is free for other rows: they only wait
    while not work.done():
        wait((work,), CHECK_INTERVAL)
        state = worker.state.tasks.get(job.key)
        if state is None or state.state == "cancelled":
            work.cancel()
            return None
    return work.result()


async def _ask(worker: Any, job: Job) -> list[RowResult] | None:
    if any(token is None for _, token in job.rows):
        if not await worker.scheduler.event_is_set(name=job.key):
            return None
        await worker.scheduler.event_clear(name=job.key)
    key = (worker.address, job.batch)
    share = _shares.get(key) or _shares.setdefault(key, _Share(worker, job))
    share.users += 1
    try:
        rows = (_ask_row(share, job, number, *row) for number, row in enumerate(job.rows))
        return await asyncio.gather(*rows)
    finally:
        share.users -= 1
        if not share.users:
            del _shares[key]
            await share.transport.close()


async def _ask_row(
    share: _Share, job: Job, number: int, question: Question, token: str | None
) -> RowResult:
    service = load(job.settings)
    flow = service.ask(question) if token is None else service.fetch(token)
    result = await ask_row(
        flow,
        job.settings,
        question.context_token,
        RateLimitedFlowIO(share.transport, _RowLimiter(share)),
        lambda found: share.tell(key=job.key, row=number, token=found),
    )
    share.tell(key=job.key, ended=number)
    return result
