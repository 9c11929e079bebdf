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
import uuid
import warnings
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Any, Self

from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.batch.worker import (
    Marks,
    RateLimitedFlowIO,
    RowResult,
    ask_row,
    interrupted,
    make_transport,
    maybe_charged,
)
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


class _Row:
    """A row that is asked, and the outcome of its present task."""

    outcome: asyncio.Future[RowResult | None]

    def __init__(self, question: Question, token: str | None, marks: Marks) -> None:
        self.question = question
        self.token = token
        self.marks = marks

    def began(self, token: str) -> None:
        self.token = token
        self.marks.began(token)


class DaskAsker:
    """Asks each question as a task of the cluster of ``client``.

    Parameters
    ----------
    client
        A ``distributed.Client`` that is not asynchronous.
    settings
        The service; with the credentials it goes with each task, in memory.
    limiter, rate
        The limiter of the batch, and its rate.
    """

    def __init__(
        self, client: Any, settings: Settings, limiter: RateLimiter, rate: float | None
    ) -> None:
        self._client = client
        self._settings = settings
        self._limiter = limiter
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._batch = uuid.uuid4().hex[:12]
        self._topic = f"aeron-magic-{client.id}"
        self._waiting: list[_Row] = []
        self._running: dict[str, list[_Row]] = {}
        self._number = 0
        self._slices: set[asyncio.Task[Any]] = set()
        self._background: set[asyncio.Task[Any]] = set()

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
        await asyncio.gather(*self._background, return_exceptions=True)

    async def __call__(self, question: Question, token: str | None, marks: Marks) -> RowResult:
        row = _Row(question, token, marks)
        try:
            for _ in range(MAX_WORKERS_LOST):
                await self._limiter.acquire()
                if self._client.status != "running":
                    raise Unreachable(
                        "The connection to the Dask scheduler is lost.",
                        hint="Run the batch again with a new client.",
                    )
                if row.token is None:
                    marks.sending()
                row.outcome = self._loop.create_future()
                if not self._waiting:
                    self._loop.call_later(GATHERING, self._start_slices)
                self._waiting.append(row)
                if (result := await row.outcome) is not None:
                    return result
                if row.token is None:
                    return maybe_charged(self._settings.service)
            raise IncompleteReply(
                f"{MAX_WORKERS_LOST} workers of the cluster were lost with this row.",
                hint="Run the batch again: the reply is fetched.",
            )
        except AeronError as error:
            if not isinstance(error, IncompleteReply):
                return RowResult(error=error)
            error.context_token = row.token
            return RowResult(self._reply(row, "incomplete"), error)
        except asyncio.CancelledError:
            reply = self._reply(row, "interrupted")
            return RowResult(reply, interrupted(reply))

    def _reply(self, row: _Row, status: Status) -> Reply:
        return Reply("", status, row.token, service=self._settings.service)

    def _start_slices(self) -> None:
        rows = [row for row in self._waiting if not row.outcome.done()]
        self._waiting = []
        for start in range(0, len(rows), SLICE):
            self._start(self._run_slice(rows[start : start + SLICE]), self._slices)

    async def _run_slice(self, rows: list[_Row]) -> None:
        try:
            results = await self._run_task(rows)
        except AeronError as error:
            for row in rows:
                if not row.outcome.done():
                    row.outcome.set_exception(copy(error))
            return
        for row, result in zip(rows, results, strict=True):
            if not row.outcome.done():
                row.outcome.set_result(result)

    async def _run_task(self, rows: list[_Row]) -> Sequence[RowResult | None]:
        """The results of one task; None if its worker was lost."""
        from distributed import KilledWorker

        self._number += 1
        key = f"aeron-magic-{self._batch}-{self._number}"
        questions = tuple((row.question, row.token) for row in rows)
        job = Job(key, self._batch, self._topic, self._settings, questions, self._rate)
        self._running[key] = rows
        future, allowed = None, any(row.token is None for row in rows)
        try:
            if allowed:
                await self._on_client(self._client.scheduler.event_set(name=key))
            future = self._client.submit(ask_as_task, job, key=key, pure=False, retries=0)
            gather = self._client.gather(future, direct=False, asynchronous=True)
            results = await self._on_client(gather)
            allowed = False
            return results or [None] * len(rows)
        except KilledWorker:
            return [None] * len(rows)
        except AeronError:
            raise
        except Exception as error:  # noqa: BLE001 - what Dask and a worker raise
            lost = isinstance(error, CancelledError) or self._client.status != "running"
            if future is not None and lost:
                raise IncompleteReply(
                    "The connection to the Dask scheduler is lost; this row may have been charged.",
                    hint="Run the batch again with a new client: rows with a token are fetched.",
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
                clear = self._client.scheduler.event_clear(name=key)
                self._start(self._on_client(clear), self._background)

    async def _on_client(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` on the loop of the client."""
        loop = self._client.loop.asyncio_loop
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def _start(self, work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> None:
        tasks.add(task := self._loop.create_task(work))
        task.add_done_callback(tasks.discard)

    def hear_from_other_thread(self, message: dict[str, Any]) -> None:
        with suppress(RuntimeError):  # a late event, after the loop's end
            self._loop.call_soon_threadsafe(self._hear, message)

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"key": key, "row": int(row), "token": str(token)} if key in self._running:
                self._running[key][row].began(token)
            case {"key": key, "ended": int(row)} if key in self._running:
                self._running[key][row].marks.ended()
            case {"requests": 1}:
                self._limiter.charge()
            case {"pause": float(seconds)} if self._limiter.pause(seconds):
                run = partial(self._client.run, on_error="ignore")
                pause = asyncio.to_thread(run, pause_worker, self._batch, seconds)
                self._start(pause, self._background)


_askers: dict[str, DaskAsker] = {}
"""The batches of this process; a client has one handler for all its batches."""


def _hear(event: tuple[float, Any]) -> None:
    """Hear an event of the topic, on a thread of the client."""
    message = event[1]
    if isinstance(message, dict) and (asker := _askers.get(str(message.get("batch")))) is not None:
        asker.hear_from_other_thread(message)


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
        self._limiters = chain((share.first,), repeat(share.others))

    async def acquire(self) -> None:
        limiter = next(self._limiters)
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
