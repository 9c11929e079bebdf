"""Rows as tasks of Dask clusters: in this process, and in processes that are killed."""

from __future__ import annotations

import collections
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import distributed
import pytest
from dask_kills import CONCURRENCY, run_batch
from two_networks import SCHEDULER, NoNamespaces, two_networks

from aeron_magic import Interrupted, UsageError, ask_many
from aeron_magic.batch import dask_tasks
from aeron_magic.batch.dask_tasks import Job
from aeron_magic.batch.question import BatchConfig
from aeron_magic.batch.runner import BatchRun, Counts
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.cassette import Cassette
from aeron_magic.sandbox import Faults, Refusal, Sandbox
from aeron_magic.services.settings import Settings

SECRET = "hush-4f1c-hush"

# Dask leaves sockets to the garbage collector.
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
    """How to reach the sandbox."""
    return Settings("aeronpay", sandbox.aeronpay_url, client_id="me", client_secret=SECRET)


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """A client of a cluster of two workers in this process, with one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """A client of a cluster of three workers in processes of their own."""
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def questions(count: int) -> list[str]:
    return [f"q {number}" for number in range(count)]


def asked(sandbox: Sandbox) -> collections.Counter[str]:
    """How often each question was asked."""
    return collections.Counter(
        seen.body["user"]["text"] for seen in sandbox.log.of("create-response")
    )


def left(dask: Any) -> tuple[int, int]:
    """Tasks and events that the scheduler still has."""

    def count(dask_scheduler: Any) -> tuple[int, int]:
        return len(dask_scheduler.tasks), len(dask_scheduler.extensions["events"]._events)

    return dask.run_on_scheduler(count)  # type: ignore[no-any-return]


def wait_until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_workers_ask_and_nothing_is_left(
    sandbox: Sandbox, settings: Settings, dask: Any, tmp_path: Path
) -> None:
    """The rows are recorded in a checkpoint as without a cluster; batches do not share tasks."""
    sandbox.faults = Faults(latency=0.05)
    workers: list[str] = []
    begin = dask_tasks._ask

    async def note(worker: Any, job: Job) -> Any:
        workers.append(worker.address)
        return await begin(worker, job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_tasks, "_ask", note)
        file = tmp_path / "labels.jsonl"
        result = ask_many(questions(40), settings=settings, dask=dask, checkpoint=file)
    assert list(result.status) == ["complete"] * 40
    assert set(asked(sandbox).values()) == {1}
    assert len(collections.Counter(workers)) == 2
    assert len(Cassette(file)) == 40
    assert list(tmp_path.iterdir()) == [file]
    again = ask_many(questions(40), settings=settings, dask=dask)
    assert [str(one) for one in again.reply] == [str(one) for one in result.reply]
    assert set(asked(sandbox).values()) == {2}
    wait_until(lambda: left(dask) == (0, 0))


def test_concurrency_holds_over_all_workers(
    sandbox: Sandbox, settings: Settings, dask: Any
) -> None:
    sandbox.faults = Faults(latency=0.1)
    most = 0

    def count(seen: list[Any]) -> bool:
        nonlocal most
        most = max(most, sum(not one.done for one in seen))
        return False

    watching = threading.Thread(target=sandbox.log.wait, args=(count, 2.0))
    watching.start()
    ask_many(questions(40), settings=settings, dask=dask, concurrency=10)
    watching.join()
    assert most == 10


def test_the_rate_holds_over_all_workers(sandbox: Sandbox, settings: Settings, dask: Any) -> None:
    """Repeated requests and fetches count too."""
    sandbox.faults = Faults(cut_after=400, cut_times=10)
    began = time.monotonic()
    result = ask_many(questions(10), settings=settings, dask=dask, concurrency=10, rate=20)
    assert set(result.status) <= {"complete", "recovered"}
    requests = len(sandbox.log.of("create-response")) + len(sandbox.log.of("fetch-response"))
    assert requests >= 20
    assert time.monotonic() - began >= (requests - 6) / 20


def test_retry_after_of_one_row_pauses_all(sandbox: Sandbox, settings: Settings, dask: Any) -> None:
    sandbox.faults = Faults(
        latency=0.02, refuse=(Refusal("create-response", 429, retry_after="1"),)
    )
    times: list[float] = []
    before = 0

    def note(seen: list[Any]) -> bool:
        nonlocal before
        times.extend([time.monotonic()] * (len(seen) - before))
        before = len(seen)
        return before == 13

    watching = threading.Thread(target=sandbox.log.wait, args=(note, 50))
    watching.start()
    result = ask_many(questions(12), settings=settings, dask=dask, concurrency=2)
    watching.join()
    assert list(result.status) == ["complete"] * 12
    assert any(later - earlier > 0.7 for earlier, later in pairwise(times))
    assert len(times) == 13


def test_rows_are_marked_with_their_tokens(sandbox: Sandbox, settings: Settings, dask: Any) -> None:
    """Through the scheduler, so that a killed kernel does not lose them."""
    kept = KeptRows(None)
    sandbox.faults = Faults(stall_after=300, stall_times=99)

    def send_sigint() -> None:
        assert sandbox.log.wait(lambda seen: sum(one.bytes_sent == 300 for one in seen) == 4)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=send_sigint)
    pressing.start()
    config = BatchConfig(settings, concurrency=4, kept=kept, dask=dask)
    batch = BatchRun(config, questions(9))
    with pytest.raises(Interrupted):
        batch.run()
    pressing.join()
    statuses = [one.reply.status for one in batch.results if one is not None and one.reply]
    assert statuses == ["interrupted"] * 4
    wait_until(lambda: all(one.closed_by_client for one in sandbox.log.of("create-response")))
    sandbox.faults = Faults()
    again = BatchRun(config, questions(9))
    assert again.counts == Counts(9, 9, kept=0, to_fetch=4, in_doubt=0, to_ask=5)
    again.run()
    assert all(one is not None and one.is_complete for one in again.results)
    assert set(asked(sandbox).values()) == {1}


def test_interrupted_rows_without_a_token_are_incomplete_at_once(
    sandbox: Sandbox, settings: Settings, dask: Any
) -> None:
    """They may have been charged; the others were not asked."""
    sandbox.faults = Faults(latency=20)

    def send_sigint() -> None:
        assert sandbox.log.wait(lambda seen: len(seen) == 4)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=send_sigint)
    pressing.start()
    with pytest.raises(Interrupted) as caught:
        ask_many(questions(9), settings=settings, dask=dask, concurrency=4)
    pressing.join()
    assert list(caught.value.result.status) == ["incomplete"] * 4 + ["not asked"] * 5
    assert all("it may have been charged" in one for one in caught.value.result.error[:4])


def test_a_task_that_dask_starts_again_asks_nothing(
    sandbox: Sandbox, settings: Settings, dask: Any
) -> None:
    """Although the first one has ended, and its result has arrived."""
    job = Job("k", "b", "t", settings, ((Question("a"), None),), None)
    distributed.Event("k", client=dask).set()
    future = dask.submit(dask_tasks.ask_as_task, job, key="k", pure=False)
    assert future.result()[0].is_complete
    del future
    wait_until(lambda: left(dask) == (0, 0))
    assert dask.submit(dask_tasks.ask_as_task, job, key="k", pure=False).result() is None
    assert asked(sandbox) == {"a": 1}


def test_a_row_whose_result_is_lost_on_its_way_is_not_asked_again(
    sandbox: Sandbox, dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the result could not be read here. Chatzy names no token by which it is fetched."""
    original = dask_tasks.ask_as_task

    def unreadable(job: Job) -> None:
        original(job)
        raise ImportError("cannot read the result")

    addresses = sandbox.chatzy_url, sandbox.chatzy_stream_url
    settings = Settings("chatzy", *addresses, chatbot_id="725e1f05-6142-467e-bdec-47862d50da79")
    config = BatchConfig(settings, dask=dask, kept=KeptRows(None))
    for function in (unreadable, original):
        monkeypatch.setattr(dask_tasks, "ask_as_task", function)
        batch = BatchRun(config, questions(3))
        batch.run()
        errors = [str(one.error) for one in batch.results if one is not None]
        assert all("may have been charged" in error for error in errors)
    assert len(sandbox.log.of("get_inference")) == 3


@pytest.mark.parametrize("kept", [None, KeptRows(None)])
def test_a_row_of_a_lost_worker_says_whether_the_next_run_asks_it(
    settings: Settings, dask: Any, monkeypatch: pytest.MonkeyPatch, kept: KeptRows | None
) -> None:
    def begun_before(job: Job) -> None:
        return None

    monkeypatch.setattr(dask_tasks, "ask_as_task", begun_before)
    batch = BatchRun(BatchConfig(settings, dask=dask, kept=kept), ["a"])
    batch.run()
    (result,) = batch.results
    assert result is not None
    assert ("is not asked again by itself" in str(result.error)) is (kept is not None)


def test_a_worker_that_cannot_begin_is_named(
    sandbox: Sandbox, settings: Settings, dask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, so the rows can be asked again."""

    def broken(job: Job) -> None:
        raise ModuleNotFoundError("No module named 'aeron_magic'")

    monkeypatch.setattr(dask_tasks, "ask_as_task", broken)
    kept = KeptRows(None)
    config = BatchConfig(settings, dask=dask, kept=kept)
    batch = BatchRun(config, questions(3))
    batch.run()
    errors = [str(one.error) for one in batch.results if one is not None]
    assert all("could not begin with this row: ModuleNotFoundError" in error for error in errors)
    assert BatchRun(config, questions(3)).counts.to_ask == 3
    assert asked(sandbox) == {}


def test_something_else_than_an_open_client_is_refused(settings: Settings, dask: Any) -> None:
    with distributed.Client(dask.cluster) as closed:
        pass
    for wrong in ("tcp://scheduler:8786", 5, distributed.Client, dask.cluster, closed):
        with pytest.raises(UsageError, match="Invalid dask"):
            ask_many(["a"], settings=settings, dask=wrong)


@pytest.mark.timeout(60)
def test_the_end_of_the_cluster_ends_the_batch(sandbox: Sandbox, settings: Settings) -> None:
    """What may have been charged is in doubt; what was not sent is not."""
    sandbox.faults = Faults(latency=600)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    client = distributed.Client(cluster)

    def close() -> None:
        wait_until(lambda: sum(asked(sandbox).values()) == 3)
        cluster.close()

    closing = threading.Thread(target=close)
    closing.start()
    result = ask_many(
        [f"q {n}" for n in range(9)], settings=settings, dask=client, concurrency=3, progress=False
    )
    closing.join()
    sandbox.faults = Faults()
    assert result.status.value_counts().to_dict() == {"failed": 6, "incomplete": 3}
    assert result.error.str.contains("connection to the Dask scheduler is lost").all()


def test_no_content_and_no_secret_is_shown(
    sandbox: Sandbox, settings: Settings, dask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the keys of tasks, nor in what Dask can show or log of them."""
    job = Job("k", "b", "t", settings, ((Question("my words"), "my token"),), None)
    assert SECRET.encode() in pickle.dumps(job)  # in memory, with the task
    assert not any(text in repr(job) for text in (SECRET, "my words", "my token"))
    sandbox.faults = Faults(latency=0.3)
    seen: list[str] = []

    def look() -> None:
        assert sandbox.log.wait(lambda seen: len(seen) >= 3)
        seen.append(repr(dask.run_on_scheduler(_state)))

    looking = threading.Thread(target=look)
    looking.start()
    with caplog.at_level(0):
        ask_many(["my words are these", "a", "b"], settings=settings, dask=dask)
    looking.join()
    shown = seen[0] + caplog.text + repr(dask.get_events(f"aeron-magic-{dask.id}"))
    assert "aeron-magic-" in seen[0]
    assert SECRET not in shown
    assert "my words" not in shown


def _state(dask_scheduler: Any) -> str:
    tasks = dask_scheduler.tasks.values()
    return repr([(task, task.key, task.run_spec, task.annotations) for task in tasks])


KILLED_CLIENT = """
import sys
from distributed import Client
from aeron_magic import ask_many
from aeron_magic.services.settings import Settings

if __name__ == "__main__":
    settings = Settings("aeronpay", sys.argv[2], client_id="me", client_secret="hush-4f1c-hush")
    ask_many([f"q {n}" for n in range(99)], settings=settings, dask=Client(sys.argv[1]))
"""


@pytest.mark.timeout(120)
def test_a_killed_client_frees_the_workers(
    sandbox: Sandbox, settings: Settings, processes: Any
) -> None:
    sandbox.faults = Faults(stall_after=300, stall_times=99)
    command = [sys.executable, "-c", KILLED_CLIENT, processes.scheduler.address]
    client = subprocess.Popen([*command, sandbox.aeronpay_url])
    try:
        assert sandbox.log.wait(lambda seen: len(seen) == 8, 60)
    finally:
        client.kill()
        client.wait()
    wait_until(lambda: all(one.closed_by_client for one in sandbox.log.of("create-response")))
    assert len(sandbox.log.of("create-response")) == 8
    wait_until(lambda: not any(processes.processing().values()))
    sandbox.faults = Faults()
    assert list(ask_many(["x"], settings=settings, dask=processes).status) == ["complete"]


@pytest.mark.timeout(120)
def test_workers_need_to_reach_only_the_scheduler_and_the_service(
    sandbox: Sandbox, settings: Settings
) -> None:
    """Neither do they reach the client, nor it them."""
    port = urlsplit(sandbox.aeronpay_url).port
    assert port is not None
    try:
        with two_networks(port), distributed.Client(SCHEDULER, timeout=60) as dask:
            dask.wait_for_workers(2, timeout=60)
            for worker in dask.nthreads():
                address = urlsplit(worker)
                with pytest.raises(OSError, match=r"timed out|unreachable|refused"):
                    socket.create_connection((address.hostname, address.port), 1)
            result = ask_many(questions(30), settings=settings, dask=dask)
    except NoNamespaces as reason:
        pytest.skip(f"no network namespaces: {reason}")
    assert list(result.status) == ["complete"] * 30
    assert set(asked(sandbox).values()) == {1}


@pytest.mark.timeout(120)
def test_killed_workers_lose_nothing_and_ask_nothing_twice(processes: Any) -> None:
    """The short form of the campaign."""
    outcome = run_batch(processes, "batch", 120, random.Random(1))
    assert outcome.twice == outcome.missing == outcome.wrong == 0
    assert outcome.complete >= 120 - 2 * CONCURRENCY
