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
from collections.abc import Coroutine
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from aeron_magic.batch.question import BatchConfig, BatchQuestion, RowResult, ask_row
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.client.httpx_transport import open_transport
from aeron_magic.client.rate_limiter import RateLimitedFlowIO, RateLimiter
from aeron_magic.errors import AeronError, IncompleteReply, Interrupted, ReplyError, Unreachable
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

SAME_VERSIONS = "Each worker needs the same versions of aeron-magic and Python as here."
NEW_CLIENT = "Run the batch again with a new client: rows with a token are fetched."


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


Slice = tuple[list[BatchQuestion], asyncio.Task[list[RowResult] | None]]
"""Rows that travel together, and what asks them."""


class DaskAsker:
    """Asks the questions of a batch as tasks of a cluster.

    ``limiter`` is that of the batch; ``after`` is the service's token that they continue from.
    """

    def __init__(self, config: BatchConfig, limiter: RateLimiter, after: str | None) -> None:
        self._client = config.dask
        self._settings = replace(config.settings, other_secrets=())  # which workers do not need
        self._rate = config.rate
        self._limiter = limiter
        self._after = after
        self.loop = asyncio.get_running_loop()
        self._batch = uuid.uuid4().hex[:12]
        self._topic = f"aeron-magic-{self._client.id}"
        self._filling: Slice | None = None
        self._running: dict[str, list[BatchQuestion]] = {}
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
            if not task.cancelling():  # else its end would be interrupted
                task.cancel()
        await asyncio.gather(*self._slices, return_exceptions=True)

    async def __call__(self, row: BatchQuestion) -> RowResult:
        error: AeronError
        try:
            for _ in range(MAX_WORKERS_LOST):
                await self._limiter.acquire()
                row.sending()
                rows, task = self._filling or self._new_slice()
                rows.append(row)
                if len(rows) == SLICE:
                    self._filling = None
                place = len(rows) - 1
                if (results := await asyncio.shield(task)) is not None:
                    return results[place]
                if row.token is None:
                    return row.maybe_charged(Reply("", service=self._settings.service))
            raise IncompleteReply(
                f"{MAX_WORKERS_LOST} workers of the cluster were lost with this row.",
                hint="Run the batch again: the reply is fetched.",
            )
        except AeronError as failure:
            error = copy(failure)  # it is that of all rows of the task
        except asyncio.CancelledError:
            error = Interrupted("The question was interrupted.", hint="Run the batch again.")
        if not isinstance(error, ReplyError):
            return RowResult(error=error)
        error.context_token = row.token
        status: Status = "interrupted" if isinstance(error, Interrupted) else "incomplete"
        return RowResult(Reply("", status, row.token, service=self._settings.service), error)

    def _new_slice(self) -> Slice:
        rows: list[BatchQuestion] = []
        self._filling = rows, self.loop.create_task(self._run_task(rows))
        self._slices.add(task := self._filling[1])
        task.add_done_callback(self._slices.discard)
        return self._filling

    async def _run_task(self, rows: list[BatchQuestion]) -> list[RowResult] | None:
        """The results of one task; None if its worker was lost."""
        from distributed import KilledWorker

        await asyncio.sleep(GATHERING)
        if self._filling is not None and self._filling[0] is rows:
            self._filling = None
        key = f"aeron-magic-{uuid.uuid4().hex}"
        after = self._after
        questions = tuple((row.question._replace(context_token=after), row.token) for row in rows)
        job = Job(key, self._batch, self._topic, self._settings, questions, self._rate)
        self._running[key] = rows
        future, allowed = None, any(row.token is None for row in rows)
        try:
            if self._client.status != "running":
                raise ConnectionError  # now, and not after a time-out
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
            reason, hint = f"{type(error).__name__}: {error}", SAME_VERSIONS
            lost = isinstance(error, CancelledError) or self._client.status != "running"
            if lost:
                reason, hint = "the connection to the Dask scheduler is lost", NEW_CLIENT
            has_begun = future is not None
            if has_begun and allowed and not lost:
                with suppress(Exception):  # of a connection that is lost now
                    is_set = await self._on_client(self._client.scheduler.event_is_set(name=key))
                    has_begun = not is_set  # a task begins by clearing its event
            if has_begun:
                raise IncompleteReply(
                    f"The result of this row was lost on its way: {reason}. "
                    "The row may have been charged.",
                    hint=hint,
                ) from None
            raise Unreachable(
                f"The cluster could not begin with this row: {reason}.", hint=hint
            ) from None
        finally:
            del self._running[key]
            if future is not None:
                future.release()  # which ends the task, if it has not ended
            if allowed:
                with suppress(Exception):  # of a connection that is lost
                    await self._on_client(self._client.scheduler.event_clear(name=key))

    async def _on_client(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run ``work`` on the loop of the client."""
        loop = self._client.loop.asyncio_loop
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"key": key, "row": int(row), "token": str(token)} if key in self._running:
                self._running[key][row].began(token)
            case {"key": key, "ended": int(row)} if key in self._running:
                self._running[key][row].ended()
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
    """The transport and the limiter of one batch on one worker."""

    def __init__(self, worker: Any, job: Job) -> None:
        self.users = 0
        self.transport = open_transport(AiohttpTransport, job.settings)
        self.limiter = RateLimiter(job.rate)
        self._worker = worker
        self._job = job

    def tell(self, **message: Any) -> None:
        """Send a message to the client, by way of the scheduler."""
        self._worker.log_event(self._job.topic, {"batch": self._job.batch, **message})


class _RowLimiter:
    """The limiter of one row. The client has waited for the rate before its first request."""

    def __init__(self, share: _Share) -> None:
        self._share = share
        self._is_first = True

    async def acquire(self) -> None:
        if self._is_first:
            self._is_first = False
            await self._share.limiter.resumed()
        else:
            self._share.tell(requests=1)
            await self._share.limiter.acquire()

    def pause(self, seconds: float) -> None:
        self._share.tell(pause=float(seconds))
        self._share.limiter.pause(seconds)


_shares: dict[tuple[str, str], _Share] = {}
"""By the address of the worker and the batch; each is used on the worker's loop only."""


def pause_worker(batch: str, seconds: float, dask_worker: Any) -> None:
    """Send no request of ``batch`` for this time; runs on each worker."""
    if (share := _shares.get((dask_worker.address, batch))) is not None:
        share.limiter.pause(seconds)


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
