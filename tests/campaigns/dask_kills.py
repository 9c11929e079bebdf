"""How often each row is asked when workers of a Dask cluster are killed.

A batch runs on three worker processes; two of them are killed with SIGKILL at random moments. A
violation is a question that the service got twice, a row that is neither
complete nor reported as one that may have been charged, or a wrong text.

    python tests/campaigns/dask_kills.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import threading
import time
from typing import Any, NamedTuple

from distributed import Client, LocalCluster

from aeron_magic import ask_many
from aeron_magic.sandbox import Faults, Sandbox
from aeron_magic.services.settings import Settings

TEXT = "one two three four five six seven eight nine ten"
CONCURRENCY = 24


class Outcome(NamedTuple):
    """The counts of one batch; ``twice``, ``missing`` and ``wrong`` must be 0."""

    rows: int
    killed: int
    complete: int
    fetched: int
    reported: int
    twice: int
    missing: int
    wrong: int
    seconds: float


def kill_two(client: Any, sandbox: Sandbox, rows: int, chance: random.Random) -> None:
    """Kill two workers, each after a random number of questions."""
    for at in sorted(chance.sample(range(rows // 10, rows * 8 // 10), 2)):
        sandbox.log.wait(lambda seen, at=at: len(seen) >= at, 120)
        time.sleep(chance.uniform(0, 0.2))
        workers = client.scheduler_info()["workers"]
        pids = client.run(os.getpid, workers=[chance.choice(list(workers))], on_error="ignore")
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)


def run_batch(client: Any, name: str, rows: int, chance: random.Random) -> Outcome:
    """One batch during which two workers are killed."""
    faults = Faults(latency=0.1, pause=0.02, say=TEXT)
    with Sandbox(faults=faults) as sandbox:
        settings = Settings(
            "aeronpay", sandbox.aeronpay_url, client_id="me", client_secret="hush-4f1c-hush"
        )
        killing = threading.Thread(target=kill_two, args=(client, sandbox, rows, chance))
        killing.start()
        began = time.monotonic()
        questions = [f"{name}: {number}" for number in range(rows)]
        result = ask_many(
            questions,
            settings=settings,
            concurrency=CONCURRENCY,
            dask=client,
            progress=False,
        )
        seconds = time.monotonic() - began
        killing.join()
        asked = collections.Counter(
            seen.body["user"]["text"] for seen in sandbox.log.of("create-response")
        )
        fetched = {seen.body["context_token"] for seen in sandbox.log.of("fetch-response")}
    statuses = collections.Counter(result.status)
    complete = statuses["complete"] + statuses["recovered"]
    texts = [str(reply) for reply in result.reply[result.status.isin(["complete", "recovered"])]]
    return Outcome(
        rows,
        2,
        complete,
        len(fetched),
        statuses["incomplete"],
        sum(count > 1 for count in asked.values()),
        rows - complete - statuses["incomplete"],
        sum(text != TEXT for text in texts),
        round(seconds, 1),
    )


def run_campaign(*, quick: bool = False, seed: int = 1) -> list[Outcome]:
    """The outcome of each batch; each has a cluster of its own."""
    chance = random.Random(seed)
    rows, times = (120, 1) if quick else (500, 10)
    outcomes = []
    for number in range(times):
        with (
            LocalCluster(
                n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            ) as cluster,
            Client(cluster) as client,
        ):
            outcomes.append(run_batch(client, f"batch {number}", rows, chance))
        print(*outcomes[-1], sep="\t", flush=True)
    return outcomes


def main() -> int:
    """Print the table; 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one batch of 120 rows")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    print(*Outcome._fields, sep="\t")
    outcomes = run_campaign(quick=options.quick, seed=options.seed)
    print(*(round(sum(column), 1) for column in zip(*outcomes, strict=True)), "in all", sep="\t")
    return int(any(outcome.twice or outcome.missing or outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    os.environ["AERON_HISTORY"] = "off"
    sys.exit(main())
