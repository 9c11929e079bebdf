"""A job of an executor: workers whose queue is at the other end of a connection."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from aeron_magic.batch.cluster.channel import Channel, error_to, reply_to
from aeron_magic.batch.task_queue import RowResult, Task
from aeron_magic.batch.worker import SingleRecordStore, Worker, run_workers
from aeron_magic.client.aiohttp_transport import AiohttpTransport
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.recorder import Recorder
from aeron_magic.services.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """All that a worker has to know; its repr, which schedulers log and show, has no secret."""

    addresses: tuple[str, ...]
    port: int
    key: bytes = field(repr=False)
    settings: Settings = field(repr=False)
    question: Question = field(repr=False)
    lanes: int
    records: bool


class RemoteTaskQueue:
    """The queue, as the workers of this process see it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._takers: deque[asyncio.Future[Task | None]] = deque()
        self._turns: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Task | None:
        waiter: asyncio.Future[Task | None] = asyncio.get_running_loop().create_future()
        self._takers.append(waiter)
        self._channel.send("take")
        return await waiter

    async def acquire(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(waiter)
        self._channel.send("turn")
        await waiter

    def report_sending(self, task: Task) -> None:
        """The coordinator knows it: it has let the request go."""

    def report_token(self, task: Task, token: str) -> None:
        self._channel.send("known", task.number, token)

    def report_result(self, task: Task, result: RowResult) -> None:
        record = None if result.record is None else result.record.to_json_line()
        reply, error = reply_to(result.reply), error_to(result.error)
        self._channel.send("done", task.number, reply, error, record)

    def pause(self, seconds: float) -> None:
        self._channel.send("hold", seconds)

    async def listen(self) -> None:
        """Hand on what the coordinator sends, to its end."""
        while (message := await self._channel.receive()) is not None:
            match message:
                case ["task", number, text, token, tries]:
                    _answer(self._takers, Task(number, text, token, tries))
                case ["over"]:
                    _answer(self._takers, None)
                case ["go"]:
                    _answer(self._turns, None)


def _answer(waiting: deque[asyncio.Future[T]], value: T) -> None:
    waiter = waiting.popleft()
    if not waiter.done():
        waiter.set_result(value)


def work(config: WorkerConfig) -> bool:
    """What the executor runs: ask for rows until there are no more, or the connection is lost.

    Returns whether the coordinator was found at all.
    """
    return asyncio.run(_work(config))


async def _work(config: WorkerConfig) -> bool:
    for address in config.addresses:
        channel = await Channel.open(address, config.port, config.key)
        if channel is not None:
            break
    else:
        return False
    queue = RemoteTaskQueue(channel)
    workers = asyncio.ensure_future(
        run_workers(
            config.settings, lambda transport: _worker(queue, transport, config), config.lanes
        )
    )
    listening = asyncio.ensure_future(queue.listen())
    try:
        await asyncio.wait((workers, listening), return_when=asyncio.FIRST_COMPLETED)
        if workers.done():
            workers.result()
        return True
    finally:
        for task in (workers, listening):
            task.cancel()
        await asyncio.gather(workers, listening, return_exceptions=True)
        await channel.close()


def _worker(queue: RemoteTaskQueue, transport: AiohttpTransport, config: WorkerConfig) -> Worker:
    if not config.records:
        return Worker(queue, transport, config.settings, config.question)
    store = SingleRecordStore()
    return Worker(
        queue, transport, config.settings, config.question, Recorder(store, "record"), store
    )
