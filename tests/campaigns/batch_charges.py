"""How often each row of an interrupted batch is asked: once, or it is reported.

Runs ``ask_many`` in a process of its own, with a checkpoint or with the local history of a
notebook, and ends it at random moments with SIGINT or SIGKILL, again and again, then runs it to its
end. A violation is a question that the service got twice, or a row that is neither complete nor
reported as one that may have been charged.

    python tests/campaigns/batch_charges.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from aeron_magic.sandbox import Faults, Sandbox

BATCH = """
import os, sys
from aeron_magic import Interrupted, ask_many
from aeron_magic.services.settings import Settings

url, file, rows, concurrency, keeper = sys.argv[1:]
if keeper == "checkpoint":
    options = {"settings": Settings("aeronpay", url, client_id="me",
                                    client_secret="hush-4f1c-hush"), "checkpoint": file}
else:
    os.environ.update(AERON_HISTORY=file, AERON_CLIENT_ID="me",
                      AERON_CLIENT_SECRET="hush-4f1c-hush", AERON_BASE_URL=url)
    from IPython.core.interactiveshell import InteractiveShell
    InteractiveShell.instance().run_line_magic("load_ext", "aeron_magic")
    options = {}
print("ready", flush=True)
try:
    result = ask_many([f"q {n}" for n in range(int(rows))], concurrency=int(concurrency),
                      progress=False, **options)
except Interrupted:
    sys.exit(130)
import collections, json
print(json.dumps(collections.Counter(result.status)))
"""


class Outcome(NamedTuple):
    """The counts of one case; ``twice`` and ``missing`` must be 0."""

    case: str
    rows: int
    complete: int
    reported: int
    twice: int
    missing: int


def run_case(
    keeper: str, end: signal.Signals, times: int, rows: int, chance: random.Random
) -> Outcome:
    """End the batch so often by ``end``, then run it to its end."""
    faults = Faults(latency=0.1, pause=0.005, say="one two three four five six")
    with tempfile.TemporaryDirectory() as folder, Sandbox(faults=faults) as sandbox:
        file = Path(folder) / "labels.jsonl"
        given = [sandbox.aeronpay_url, str(file), str(rows), "32", keeper]
        command = [sys.executable, "-c", BATCH, *given]
        for _ in range(times):
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert process.stdout is not None
            process.stdout.readline()
            before = len(sandbox.log.of("create-response"))
            most = chance.randrange(1, 2 * rows // (times + 1) + 2)
            until = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < until:
                if len(sandbox.log.of("create-response")) - before >= most:
                    time.sleep(chance.uniform(0, 0.3))
                    break
                time.sleep(0.01)
            process.send_signal(end)
            process.communicate(timeout=60)
        last = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        statuses = json.loads(last.stdout.splitlines()[-1])
        asked = collections.Counter(
            seen.body["user"]["text"] for seen in sandbox.log.of("create-response")
        )
    complete = statuses.get("complete", 0) + statuses.get("recovered", 0)
    reported = statuses.get("incomplete", 0)
    twice = sum(count > 1 for count in asked.values())
    return Outcome(
        f"{keeper}, {end.name}", rows, complete, reported, twice, rows - complete - reported
    )


def run_campaign(*, quick: bool = False, seed: int = 1) -> list[Outcome]:
    """The outcome of each case."""
    chance = random.Random(seed)
    rows, times = (60, 2) if quick else (1_000, 10)
    return [
        run_case("checkpoint", signal.SIGINT, times // 2, rows, chance),
        run_case("checkpoint", signal.SIGKILL, times, rows, chance),
        run_case("history", signal.SIGKILL, times, rows, chance),
    ]


def main() -> int:
    """Print the table; 1 if there was a violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 rows instead of 1,000")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    outcomes = run_campaign(quick=options.quick, seed=options.seed)
    print(*Outcome._fields, sep="\t")
    for outcome in outcomes:
        print(*outcome, sep="\t")
    return int(any(outcome.twice or outcome.missing for outcome in outcomes))


if __name__ == "__main__":
    os.environ["AERON_HISTORY"] = "off"
    sys.exit(main())
