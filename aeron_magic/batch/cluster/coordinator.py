"""The coordinator of an executor's workers: they connect to it and take their rows from it.

Only one job goes to each worker, and it takes rows until there are no more; so rate, concurrency
and the pauses that the service asks for are decided in one place. A worker that is killed closes
its connection by that: what it had taken is handed out again, to be fetched where the reply's token
was known. An executor that starts lost jobs again (Dask does) has a fresh worker by that; where no
worker is left, the rest is asked from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import warnings
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from typing import Any

from aeron_magic.batch.cluster.channel import Channel, error_from, listen, record_from, reply_from
from aeron_magic.batch.cluster.remote_worker import WorkerConfig, work
from aeron_magic.batch.runner import BatchConfig, run_here
from aeron_magic.batch.task_queue import RowResult, Task, TaskQueue
from aeron_magic.batch.worker import maybe_charged
from aeron_magic.errors import AeronError

WORKERS = 4
"""Jobs for an executor that does not say how many workers it has."""

SHUTDOWN_TIMEOUT = 2.0
"""Seconds for workers to leave by themselves after the last row."""


class Coordinator:
    """Has workers of an executor do the tasks of a queue.

    Parameters
    ----------
    executor
        Where the workers run.
    workers
        How many jobs to give to it; None: as many as it says it has workers.
    host
        This machine's address as the workers see it; None: all that are known.
    """

    def __init__(
        self, executor: Executor, workers: int | None = None, host: str | None = None
    ) -> None:
        self._executor = executor
        self._workers = workers or _number_of_workers(executor)
        local = isinstance(executor, ProcessPoolExecutor | ThreadPoolExecutor)
        self._addresses = (host,) if host else ("127.0.0.1", *(() if local else _addresses()))
        self._interface = "127.0.0.1" if self._addresses == ("127.0.0.1",) else None
        self._key = secrets.token_bytes(32)
        self._came = False
        self._connections: dict[asyncio.Task[None], Channel] = {}

    async def run(self, queue: TaskQueue, config: BatchConfig) -> None:
        """Return when the queue is over.

        Raises
        ------
        AeronError
            No worker could begin.
        """
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        server, port = await listen(
            lambda channel: self._connected(queue, channel, config.settings.service),
            self._interface,
        )
        worker_config = WorkerConfig(
            self._addresses,
            port,
            self._key,
            config.settings,
            config.question,
            lanes=-(-config.concurrency // self._workers),
            records=config.recorder is not None,
        )
        jobs: list[Future[bool]] = []

        def ended(_job: Future[bool]) -> None:
            if all(job.done() for job in jobs):
                with contextlib.suppress(RuntimeError):  # a late job, after this loop's end
                    loop.call_soon_threadsafe(gone.set)

        try:
            # Some executors take their time to answer, and this loop has to go on meanwhile.
            jobs += await asyncio.to_thread(
                lambda: [self._executor.submit(work, worker_config) for _ in range(self._workers)]
            )
            for job in jobs:
                job.add_done_callback(ended)
            await self._until_over(queue, config, jobs, gone)
        finally:
            server.close()
            if queue.over.is_set():
                await self._left(SHUTDOWN_TIMEOUT)
            for job in jobs:
                job.cancel()
            for channel in [*self._connections.values()]:
                await channel.close()
            await self._left(SHUTDOWN_TIMEOUT)

    async def _until_over(
        self, queue: TaskQueue, config: BatchConfig, jobs: list[Future[bool]], gone: asyncio.Event
    ) -> None:
        over = asyncio.ensure_future(queue.over.wait())
        left = asyncio.ensure_future(gone.wait())
        try:
            await asyncio.wait((over, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            left.cancel()
        if queue.over.is_set():
            return
        problem = _problem(jobs)
        if not self._came:
            raise AeronError(
                f"The executor's workers could not begin: {problem}",
                hint="Workers need aeron-magic, and a way to this machine; "
                "`host=` says its address.",
            )
        # A connection may end a moment after its job; only then its rows are back.
        await self._left(None)
        warnings.warn(
            f"The executor's workers are gone ({problem}); the rest is asked from here.",
            stacklevel=2,
        )
        await run_here(queue, config, config.concurrency)

    async def _connected(self, queue: TaskQueue, channel: Channel, service: str) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections[connection] = channel
        try:
            if await channel.welcome(self._key):
                self._came = True
                await _WorkerConnection(queue, channel, service).serve()
        finally:
            await channel.close()
            del self._connections[connection]

    async def _left(self, seconds: float | None) -> None:
        """Wait until all workers have left, or so long."""
        if self._connections:
            await asyncio.wait([*self._connections], timeout=seconds)


class _WorkerConnection:
    """One worker's connection, and what it has taken."""

    def __init__(self, queue: TaskQueue, channel: Channel, service: str) -> None:
        self._queue = queue
        self._service = service
        self._channel = channel
        self._taken: dict[int, Task] = {}
        self._sent: set[int] = set()
        self._answers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        try:
            while (message := await self._channel.receive()) is not None:
                self._hear(message)
        finally:
            for answer in self._answers:
                answer.cancel()
            for task in self._taken.values():
                if task.number in self._sent and not self._queue.tokens.get(task.number):
                    self._queue.report_result(task, maybe_charged(self._service))
                else:
                    self._queue.requeue([task])

    def _hear(self, message: list[Any]) -> None:
        match message:
            case ["take"]:
                self._answer(self._give())
            case ["turn"]:
                self._answer(self._let_go())
            case ["known", number, token] if number in self._taken:
                self._queue.report_token(self._taken[number], token)
            case ["done", number, reply, error, record] if number in self._taken:
                result = RowResult(reply_from(reply), error_from(error), record_from(record))
                self._queue.report_result(self._taken.pop(number), result)
            case ["hold", seconds]:
                self._queue.pause(seconds)

    def _answer(self, answer: Any) -> None:
        task = asyncio.ensure_future(answer)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _give(self) -> None:
        task = await self._queue.take()
        if task is None:
            self._channel.send("over")
            return
        self._taken[task.number] = task
        self._channel.send("task", task.number, task.text, task.token, task.tries)

    async def _let_go(self) -> None:
        await self._queue.acquire()
        try:
            for task in self._taken.values():  # it does not say for which one
                if task.token is None and task.number not in self._sent:
                    self._queue.report_sending(task)
                    self._sent.add(task.number)
        except AeronError:  # the checkpoint cannot be written: nothing more is sent from there
            await self._channel.close()
            return
        self._channel.send("go")


def _number_of_workers(executor: Executor) -> int:
    known = getattr(executor, "_max_workers", None)
    dask: Any = getattr(executor, "_client", None)
    if known is None and hasattr(dask, "nthreads"):
        known = len(dask.nthreads())
    return known if isinstance(known, int) and known > 0 else WORKERS


def _addresses() -> tuple[str, ...]:
    """This machine's addresses as others may see it."""
    found = [socket.gethostname()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks for the way there
            found.insert(0, probe.getsockname()[0])
        except OSError:
            pass  # no network route: the host name only
    return tuple(found)


def _problem(jobs: list[Future[bool]]) -> str:
    for job in jobs:
        try:
            error = job.exception(timeout=0)
        except CancelledError:
            return "their jobs were cancelled"
        if error is not None:
            return f"{type(error).__name__}: {error}"
    return "they cannot reach this machine"
