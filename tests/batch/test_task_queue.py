"""The task queue alone, without a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.batch.task_queue import (
    MAX_CONSECUTIVE_FAILURES,
    MAX_TRIES,
    RowResult,
    Task,
    TaskQueue,
)
from aeron_magic.errors import AuthenticationError, IncompleteReply, RateLimited
from aeron_magic.replies.reply import Reply

WHOLE = RowResult(Reply("yes"))


def run_script(
    count: int, concurrency: int, script: Callable[[TaskQueue], Coroutine[Any, Any, Any]]
) -> dict[int, RowResult]:
    """The result of each task when ``script`` has ended."""
    settled: dict[int, RowResult] = {}

    async def run() -> None:
        def keep(task: Task, result: RowResult) -> None:
            assert task.number not in settled, "settled twice"
            settled[task.number] = result

        tasks = (Task(number, f"q {number}") for number in range(count))
        async with asyncio.timeout(5):
            await script(TaskQueue(tasks, count, concurrency, RateLimiter(), keep))

    asyncio.run(run())
    return settled


async def take(queue: TaskQueue) -> Task:
    task = await queue.take()
    assert task is not None
    return task


async def work(queue: TaskQueue) -> None:
    while (task := await queue.take()) is not None:
        await asyncio.sleep(0)
        queue.report_result(task, WHOLE)


def test_each_task_is_taken_once_by_several_workers() -> None:

    async def script(queue: TaskQueue) -> None:
        await asyncio.gather(*(work(queue) for _ in range(7)))
        assert queue.over.is_set()

    assert sorted(run_script(100, 7, script)) == list(range(100))


def test_an_empty_queue_is_over() -> None:

    async def script(queue: TaskQueue) -> None:
        assert await queue.take() is None

    assert run_script(0, 1, script) == {}


def test_no_more_tasks_than_allowed_run_at_once() -> None:
    """Other workers wait, and get a task when one has ended."""

    async def script(queue: TaskQueue) -> None:
        first, second = await take(queue), await take(queue)
        third = asyncio.ensure_future(queue.take())
        await asyncio.sleep(0)
        assert not third.done()
        queue.report_result(first, WHOLE)
        assert await third == Task(2, "q 2")
        queue.report_result(second, WHOLE)

    run_script(3, 2, script)


def test_a_rate_limited_task_is_tried_again_last_and_not_for_ever() -> None:
    """In the end it fails with the service's error."""
    order = []

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            order.append(task.number)
            busy = RowResult(error=RateLimited("busy"))
            queue.report_result(task, busy if task.number == 0 else WHOLE)

    settled = run_script(4, 1, script)
    assert order == [0, 1, 2, 3] + [0] * (MAX_TRIES - 1)
    assert isinstance(settled[0].error, RateLimited)


def test_consecutive_authentication_failures_stop_the_batch() -> None:
    """Ten thousand refused requests would be of no use."""

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            queue.report_result(task, RowResult(error=AuthenticationError("no")))

    assert len(run_script(1000, 4, script)) == MAX_CONSECUTIVE_FAILURES


def test_other_failures_do_not_stop_the_batch() -> None:

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            queue.report_result(task, RowResult(error=IncompleteReply("cut")))

    assert len(run_script(100, 4, script)) == 100
