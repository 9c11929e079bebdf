"""Who takes what, and what goes back: the board alone, without a service."""

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


def play(
    count: int, concurrency: int, script: Callable[[TaskQueue], Coroutine[Any, Any, Any]]
) -> dict[int, RowResult]:
    """What has become of each task when ``script`` has ended."""
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


async def taken(queue: TaskQueue) -> Task:
    task = await queue.take()
    assert task is not None
    return task


async def lane(queue: TaskQueue) -> None:
    while (task := await queue.take()) is not None:
        await asyncio.sleep(0)
        queue.report_result(task, WHOLE)


def test_each_task_is_taken_once() -> None:
    """However many lanes take them."""

    async def script(queue: TaskQueue) -> None:
        await asyncio.gather(*(lane(queue) for _ in range(7)))
        assert queue.over.is_set()

    assert sorted(play(100, 7, script)) == list(range(100))


def test_no_tasks_are_done_at_once() -> None:
    """An empty board is over."""

    async def script(queue: TaskQueue) -> None:
        assert await queue.take() is None

    assert play(0, 1, script) == {}


def test_no_more_than_allowed_are_under_way() -> None:
    """Lanes beyond that wait, and get a task when one has ended."""

    async def script(queue: TaskQueue) -> None:
        first, second = await taken(queue), await taken(queue)
        third = asyncio.ensure_future(queue.take())
        await asyncio.sleep(0)
        assert not third.done()
        queue.report_result(first, WHOLE)
        assert await third == Task(2, "q 2")
        queue.report_result(second, WHOLE)

    play(3, 2, script)


def test_what_a_lost_worker_had_is_taken_first_with_its_token() -> None:
    """The reply is fetched then, not asked for again; a task without a token is asked again."""

    async def script(queue: TaskQueue) -> None:
        lost = [await taken(queue), await taken(queue)]
        queue.report_token(lost[0], "t-0")
        queue.requeue(lost)
        assert await queue.take() == Task(0, "q 0", token="t-0")
        assert await queue.take() == Task(1, "q 1")

    play(5, 2, script)


def test_a_lane_that_waits_for_the_last_gets_what_comes_back() -> None:
    """The board is not over while something is under way."""

    async def script(queue: TaskQueue) -> None:
        task = await taken(queue)
        waiting = asyncio.ensure_future(queue.take())
        await asyncio.sleep(0)
        queue.requeue([task])
        assert await waiting == task
        queue.report_result(task, WHOLE)
        assert await queue.take() is None

    play(1, 2, script)


def test_a_lane_that_leaves_does_not_take_the_call_with_it() -> None:
    """Who was woken and cancelled at the same moment passes it on."""

    async def script(queue: TaskQueue) -> None:
        task = await taken(queue)
        leaving, staying = (asyncio.ensure_future(queue.take()) for _ in range(2))
        await asyncio.sleep(0)
        queue.requeue([task])
        leaving.cancel()
        assert await staying == task

    play(1, 2, script)


def test_what_the_service_was_too_busy_for_comes_last_and_not_for_ever() -> None:
    """After the others; and in the end it fails with what the service said."""
    order = []

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            order.append(task.number)
            busy = RowResult(error=RateLimited("busy"))
            queue.report_result(task, busy if task.number == 0 else WHOLE)

    settled = play(4, 1, script)
    assert order == [0, 1, 2, 3] + [0] * (MAX_TRIES - 1)
    assert isinstance(settled[0].error, RateLimited)


def test_where_nobody_is_let_in_the_rest_is_not_tried() -> None:
    """Ten thousand refusals would help nobody."""

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            queue.report_result(task, RowResult(error=AuthenticationError("no")))

    assert len(play(1000, 4, script)) == MAX_CONSECUTIVE_FAILURES


def test_rows_that_fail_for_themselves_stop_nobody() -> None:
    """Also if they are many."""

    async def script(queue: TaskQueue) -> None:
        while (task := await queue.take()) is not None:
            queue.report_result(task, RowResult(error=IncompleteReply("cut")))

    assert len(play(100, 4, script)) == 100
