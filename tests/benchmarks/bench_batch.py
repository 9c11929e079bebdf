"""Many prompts: how close to the ideal time, and how much CPU a request costs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from batch_server import LATENCY, running_batch_server
from batchers import BATCHERS
from measure import Measure, interleaved, ratio

TITLE = "Many prompts: requests of 50 ms each, CPU of the client's process"

HERE = Path(__file__).resolve().parent
SLOW = ("one httpx.AsyncClient", "openai SDK")
"""They are so far away that one round tells enough."""

MOST = {16: (1.3, 1.6), 64: (2.2, 1.6), 512: (None, None)}
"""By concurrency: times the ideal time, milliseconds of CPU for a request."""


def run(quick: bool) -> list[Measure]:
    """All contenders at 64, the fast ones at 16 and 512 too; and whether more rows, or more at
    once, cost more each."""
    count, rounds = (300, 1) if quick else (1000, 3)
    measures = []
    with running_batch_server() as url:
        for concurrency in (16, 64, 512):
            names = [*BATCHERS] if concurrency == 64 else [n for n in BATCHERS if n not in SLOW]
            work = f"{count:,} requests, {concurrency} at once"
            fast = {name: _call(name, url, count, concurrency) for name in names}
            slow = {name: fast.pop(name) for name in SLOW if name in fast}
            found = interleaved(fast, rounds) | (interleaved(slow, 1) if slow else {})
            measures += _rows(work, found, count, concurrency)
        measures += _at_512(url, count, rounds)
        measures += _growth(url, quick)
    return [*measures, _on_a_cluster(quick)]


def _call(name: str, url: str, count: int, concurrency: int):  # type: ignore[no-untyped-def]
    return lambda: _once(name, url, count, concurrency)


def _once(name: str, url: str, count: int, concurrency: int) -> dict[str, float] | None:
    """The seconds of one contender; None where it is not installed."""
    done = subprocess.run(
        [sys.executable, str(HERE / "batchers.py"), name, url, str(count), str(concurrency)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"},
    )
    found = json.loads(done.stdout)
    return None if "missing" in found else found


def _rows(work: str, found: dict, count: int, concurrency: int) -> list[Measure]:  # type: ignore[type-arg]
    ideal = -(-count // concurrency) * LATENCY
    measures = []
    for name, rounds in found.items():
        if None in rounds:
            measures.append(Measure(work, name, None, note="not installed"))
            continue
        wall = min(one["wall"] for one in rounds) / ideal
        cpu = statistics.median(one["cpu"] for one in rounds) / count * 1000
        most_wall, most_cpu = MOST[concurrency] if name == "ask_many" else (None, None)
        measures.append(Measure(work, f"{name}: time", wall, "x the ideal", most_wall))
        measures.append(Measure(work, f"{name}: CPU", cpu, "ms a request", most_cpu))
    return measures


def _at_512(url: str, count: int, rounds: int) -> list[Measure]:
    """CPU for a request with 512 at once, as a multiple of that with 64 at once.

    Each connection has as many requests in both: of 1,000 requests with 512 at once, a good half is
    the first of its connection, and making that is what costs.
    """
    counts = {64: count, 512: 8 * count}
    found = interleaved(
        {
            (name, concurrency): _call(name, url, counts[concurrency], concurrency)
            for name in ("ask_many", "aiohttp, connecting anew")
            for concurrency in counts
        },
        rounds,
    )
    cpu = {
        key: [one["cpu"] / counts[key[1]] * 1000 for one in values] for key, values in found.items()
    }
    work = f"{counts[512]:,} requests, 512 at once, against {count:,}, 64 at once"
    measures = []
    for name, most in (("ask_many", 1.0), ("aiohttp, connecting anew", None)):
        value = ratio(cpu[name, 512], cpu[name, 64])
        note = f"{statistics.median(cpu[name, 512]):.2f} ms a request"
        measures.append(Measure(work, f"{name}: CPU a request", value, "x", most, note))
    return measures


def _growth(url: str, quick: bool) -> list[Measure]:
    """CPU and memory for each row of a batch ten times as long."""
    small, large = (300, 3_000) if quick else (1_000, 10_000)
    code = (
        "import resource, sys, time\n"
        "from aeron_magic import ask_many\n"
        "from aeron_magic.services.settings import Settings\n"
        "s = Settings('aeronpay', sys.argv[1], client_id='me', client_secret='hush-4f1c-hush')\n"
        "def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = int(sys.argv[2])\n"
        "ask_many([f'x {i}' for i in range(64)], settings=s, concurrency=64)\n"
        "m, c = used(), time.process_time()\n"
        "r = ask_many([f'row {i}' for i in range(n)], settings=s, concurrency=64)\n"
        "print((time.process_time() - c) / n * 1000, (used() - m) / n)\n"
    )

    def once(count: int) -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", code, url, str(count)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parent.parent)},
        )
        cpu, memory = done.stdout.split()
        return float(cpu), float(memory)

    (cpu, _), (more_cpu, memory) = once(small), once(large)
    work = f"{large:,} rows against {small:,}"
    return [
        Measure(work, "CPU a row, times that of the shorter", more_cpu / cpu, "x", 1.2),
        Measure(work, "memory a row", memory, "kB", 8),
    ]


def _on_a_cluster(quick: bool) -> Measure:
    """The places that are free on average, from when all were taken to the last question.

    Before and after that, workers start and the last replies end.
    """
    rows, concurrency, latency = (72 if quick else 240), 24, 1.0
    work = f"Dask, three workers: {rows} requests of {latency:.0f} s, {concurrency} at once"
    try:
        found = subprocess.run(
            [sys.executable, "-c", CLUSTER, str(latency), str(rows), str(concurrency)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"},
        )
    except subprocess.CalledProcessError as error:
        return Measure(work, "free places", None, note=error.stderr.strip().splitlines()[-1])
    times = json.loads(found.stdout)[-rows:]
    began = sorted(begin for begin, _ in times)
    full, last = began[concurrency - 1], began[-1]
    busy = sum(max(0, min(end, last) - max(begin, full)) for begin, end in times)
    free = 1 - busy / (last - full) / concurrency
    return Measure(work, "free places", free * 100, "%", 10)


CLUSTER = """
import sys
from urllib.request import urlopen
from distributed import Client, LocalCluster
from aeron_magic import ask_many
from aeron_magic.services.settings import Settings
from batch_server import running_batch_server

if __name__ == "__main__":
    latency, rows, concurrency = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with (
        running_batch_server(latency) as url,
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as dask,
    ):
        s = Settings("aeronpay", url, client_id="me", client_secret="hush-4f1c-hush")
        for name, count in ("first", concurrency), ("row", rows):
            texts = [f"{name} {n}" for n in range(count)]
            ask_many(texts, settings=s, concurrency=concurrency, dask=dask, progress=False)
        print(urlopen(f"{url}/times").read().decode())
"""
