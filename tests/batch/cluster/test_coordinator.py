"""Executors: pools of this machine, and a Dask cluster whose workers are killed."""

from __future__ import annotations

import collections
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from observed_cache import ObservedCache

from aeron_magic import AeronError, Interrupted, ask_many
from aeron_magic.batch.cluster.coordinator import Coordinator
from aeron_magic.batch.runner import BatchConfig, BatchRun
from aeron_magic.recording.cassette import Cassette
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.services.settings import Settings

SECRET = "hush-4f1c-hush"

# Their libraries leave sockets to the garbage collector.
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings(
        "ignore:unclosed:ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
        "ignore::DeprecationWarning:distributed",
    ),
]


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    """How to reach the sandbox, from other processes too."""
    return Settings("aeronpay", sandbox.aeronpay_url, client_id="me", client_secret=SECRET)


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Both pools of the standard library."""
    kind: Executor = (
        ThreadPoolExecutor(2)
        if request.param == "threads"
        else ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    )
    with kind as executor:
        yield executor


def times_asked(sandbox: Sandbox) -> dict[str, int]:
    """How often each question was asked."""
    return collections.Counter(
        seen.body["user"]["text"] for seen in sandbox.log.of("create-response")
    )


def questions(count: int) -> list[str]:
    return [f"q {number}" for number in range(count)]


def test_workers_of_a_pool_ask(
    sandbox: Sandbox, settings: Settings, pool: Executor, tmp_path: Path
) -> None:
    """Each row once; errors and replies come back whole; the checkpoint is written here."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400),))
    file = tmp_path / "labels.jsonl"
    result = ask_many(questions(30), settings=settings, executor=pool, checkpoint=file)
    assert sorted(result.status) == ["complete"] * 29 + ["failed"]
    assert times_asked(sandbox) == dict.fromkeys(questions(30), 1)
    (error,) = result.error.dropna()
    assert error.status_code == 400
    assert sum(record.is_complete for record in Cassette(file)) == 29
    # Replayed rows need no worker, and the failed one is asked again.
    again = ask_many(questions(30), settings=settings, checkpoint=file)
    assert list(again.status) == ["complete"] * 30
    assert sum(times_asked(sandbox).values()) == 31
    whole = result.status == "complete"
    assert [r.text for r in again.reply[whole]] == [r.text for r in result.reply[whole]]


def test_the_rate_holds_over_all_workers(
    sandbox: Sandbox, settings: Settings, pool: Executor
) -> None:
    """21 requests at 20 a second take a second, whoever sends them."""
    ask_many(questions(2), settings=settings, executor=pool)  # the workers are up now
    began = time.monotonic()
    ask_many(questions(21), settings=settings, executor=pool, concurrency=16, rate=20)
    assert 1.0 <= time.monotonic() - began < 4


def test_a_pause_for_one_worker_is_one_for_all(
    sandbox: Sandbox, settings: Settings, pool: Executor
) -> None:
    """The service's Retry-After reaches the lanes of the other worker."""
    sandbox.faults = Faults(
        latency=0.02, refuse=(Refusal("create-response", 429, retry_after="1"),)
    )
    began = time.monotonic()
    result = ask_many(questions(20), settings=settings, executor=pool, concurrency=2)
    assert list(result.status) == ["complete"] * 20
    # 21 requests: two before the pause, and none of the others during it.
    assert time.monotonic() - began > 1.0
    assert sum(times_asked(sandbox).values()) == 21


def test_a_job_that_cannot_begin_is_an_error(settings: Settings) -> None:
    """Without it being hidden by asking from here."""

    class Broken(Executor):
        def submit(self, *_: Any, **__: Any) -> Any:
            from concurrent.futures import Future

            future: Future[bool] = Future()
            future.set_exception(ModuleNotFoundError("No module named 'aeron_magic'"))
            return future

    with pytest.raises(AeronError, match="could not begin: ModuleNotFoundError"):
        ask_many(["a"], settings=settings, executor=Broken())


def test_a_broken_pool_loses_no_row(sandbox: Sandbox, settings: Settings) -> None:
    """A pool is of no use after a worker was killed: the rest is asked from here, and said so."""
    sandbox.faults = Faults(say="one two three four five", pause=0.02)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(os.getpid).result()

        def kill() -> None:
            assert sandbox.log.wait(lambda seen: sum(one.done for one in seen) >= 10, 20)
            for process in list(pool._processes.values()):
                process.kill()

        killing = threading.Thread(target=kill)
        killing.start()
        with pytest.warns(UserWarning, match="workers are gone"):
            result = ask_many(questions(60), settings=settings, executor=pool, concurrency=4)
        killing.join()
    assert set(result.status) <= {"complete", "recovered", "incomplete"}
    assert list(result.status).count("incomplete") <= 4
    assert set(times_asked(sandbox).values()) == {1}


def test_an_interrupt_ends_the_workers_too(sandbox: Sandbox, settings: Settings) -> None:
    """Their connections are closed, and the pool can be used again."""
    sandbox.faults = Faults(stall_after=300, stall_times=99)
    cache = ObservedCache()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:

        def send_sigint() -> None:
            assert cache.wait(4)
            os.kill(os.getpid(), signal.SIGINT)

        pressing = threading.Thread(target=send_sigint)
        pressing.start()
        batch = BatchRun(
            BatchConfig(settings, concurrency=4), questions(9), cache, Coordinator(pool)
        )
        with pytest.raises(Interrupted):
            batch.run()
        pressing.join()
        kept = [one.reply.status for one in batch.results if one is not None and one.reply]
        assert kept == ["interrupted"] * 4
        assert sandbox.log.wait(lambda seen: all(one.closed_by_client for one in seen))
        sandbox.faults = Faults()
        assert list(ask_many(["a"], settings=settings, executor=pool).status) == ["complete"]


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """A client of a real cluster: a scheduler, and three workers in processes of their own."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.timeout(120)
def test_killed_workers_lose_nothing_and_ask_nothing_twice(
    sandbox: Sandbox, settings: Settings, dask: Any
) -> None:
    """Rows of a killed worker whose token was known are fetched; the others may be charged."""
    text = " ".join(f"w{number}" for number in range(12))
    sandbox.faults = Faults(say=text, pause=0.02)

    def kill_one_with_a_job(at: int) -> None:
        assert sandbox.log.wait(lambda seen: sum(one.done for one in seen) >= at, 40)
        while not (busy := [worker for worker, keys in dask.processing().items() if keys]):
            time.sleep(0.02)  # the job of a worker that was killed is on its way to another
        os.kill(dask.run(os.getpid, workers=busy[:1])[busy[0]], signal.SIGKILL)

    killing = [threading.Thread(target=kill_one_with_a_job, args=(at,)) for at in (20, 60)]
    for thread in killing:
        thread.start()
    batch = BatchRun(
        BatchConfig(settings, concurrency=12),
        questions(150),
        None,
        Coordinator(dask.get_executor()),
    )
    batch.run()
    for thread in killing:
        thread.join()
    replies = [one.reply for one in batch.results if one is not None and one.reply is not None]
    assert len(replies) == 150
    whole = [reply for reply in replies if reply.is_complete]
    assert {reply.text for reply in whole} == {text}
    assert {reply.status for reply in replies if not reply.is_complete} <= {"incomplete"}
    assert len(whole) >= 150 - 2 * 12
    assert set(times_asked(sandbox).values()) == {1}
    assert len(sandbox.log.of("fetch-response")) >= 1


def test_no_secret_is_seen_by_the_scheduler(
    sandbox: Sandbox, settings: Settings, dask: Any, tmp_path: Path
) -> None:
    """Neither in the keys of its tasks, nor in what it can show of their arguments."""
    seen: list[str] = []
    executor = dask.get_executor()

    class Looking(type(executor)):  # type: ignore[misc]
        def submit(self, function: Any, *given: Any, **named: Any) -> Any:
            seen.append(repr(given))
            assert SECRET.encode() in pickle.dumps(given)  # by the executor's own way, in memory
            return super().submit(function, *given, **named)

    looking = Looking(dask)
    result = ask_many(questions(6), settings=settings, executor=looking)
    assert list(result.status) == ["complete"] * 6
    assert len(seen) == Coordinator(looking)._workers == 3
    assert SECRET not in "".join(seen)
    stories = dask.run_on_scheduler(lambda dask_scheduler: repr(dask_scheduler.tasks))
    assert SECRET not in stories
