"""How often the service gets a question: once, whatever happens to the answer.

A server on a real socket counts the create-responses of each question, and a question that was
surely refused (429, 503 with ``Retry-After``, no token named) may come again. A violation is a
question that came twice otherwise, a wrong text, or an error without a remedy.

    python tests/campaigns/money.py [--quick] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from wire import (
    DRIVERS,
    FRAMINGS,
    TEXT,
    Plan,
    Service,
    Tally,
    driver,
    head,
    judge,
    response,
    run,
    show,
)

from aeron_magic import AsyncClient, Client
from aeron_magic.batch.question import BatchConfig
from aeron_magic.batch.runner import BatchRun
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.services.settings import Settings

CREDENTIALS = {"client_id": "me", "client_secret": "hush-4f1c-hush"}


def regions(framing: str) -> list[int]:
    """Places in each part of a response."""
    whole = response(framing, "t-000000")
    body = whole.index(b"\r\n\r\n") + 4
    token = whole.find(b"t-000000")
    marks = [0, 1, 9, 13, 17, 30, body - 2, body, body + 1, body + 5]
    if token > 0:
        marks += [token - 12, token, token + 4, token + 9, token + 12]
    rest = len(whole) - body
    marks += [body + rest // 3, body + rest // 2, len(whole) - 9, len(whole) - 3, len(whole) - 1]
    return sorted({mark for mark in marks if 0 <= mark < len(whole)})


def cuts(stalls: int) -> dict[str, tuple[Plan, bool]]:
    """A cut in each part of a response, of each kind."""
    cases = {}
    for framing in FRAMINGS:
        for how in ("close", "reset", "end", "stall"):
            places = regions(framing)
            for place in places[:: len(places) // stalls] if how == "stall" else places:
                cases[f"{len(cases):06}"] = (Plan(framing, how, place), framing != "object")
    return cases


def refusals() -> dict[str, tuple[Plan, bool]]:
    """Statuses with and without a token, with and without ``Retry-After``."""
    cases = {}

    def answer(status: int, after: str, body: bytes) -> bytes:
        lines = [f"Retry-After: {after}"] if after else []
        return head(f"{status} X", *lines, f"Content-Length: {len(body)}") + body

    for stream in (True, False):
        for status in (302, 400, 403, 408, 413, 429, 500, 502, 503, 504):
            for after in ("", "0"):
                for named in (True, False):
                    question = f"{len(cases):06}"
                    body: dict[str, Any] = {"status": "FAILED", "message": "no"}
                    if named:
                        token = f"t-{question}"
                        body = {"status": "SUCCESS", "message": "taken", "context_token": token}
                    elif status == 429 or (status == 503 and after):
                        body["message"] = "surely-refused"
                    plan = Plan(answers=(answer(status, after, json.dumps(body).encode()),))
                    cases[question] = (plan, stream)
    return cases


def strays(count: int) -> dict[str, tuple[Plan, bool]]:
    """A second answer, 429, follows the first one at once."""
    framings = ("sse", "ndjson", "object", "gzip")
    return {
        f"{number:06}": (Plan(framings[number % 4], "stray"), number % 4 != 2)
        for number in range(count)
    }


def two_kernels(count: int) -> Tally:
    """The same rows in two batches at the same time; each is refused several times before."""
    questions = [f"{number:06}" for number in range(count)]
    refused = (
        head("429 X", "Retry-After: 0", "Content-Length: 31") + b'{"message": "surely-refused"}  '
    )
    # Each attempt of a row is four requests.
    service = Service(
        {one: Plan(answers=(refused,) * (4 + n % 9)) for n, one in enumerate(questions)}
    )
    settings = Settings("aeronpay", service.server.url, **CREDENTIALS)

    def ask(path: Path) -> int:
        kept = KeptRows(path)
        batch = BatchRun(BatchConfig(settings, kept=kept), questions)
        batch.run()
        kept.close()
        return sum(one is not None and one.is_complete for one in batch.results)

    with service.server, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        right = max(pool.map(ask, [Path(folder) / "history"] * 2))
    return tally("two kernels, rows refused before", service, questions, right)


def keep_alive(kind: str, count: int, seed: int) -> Tally:
    """The server closes an idle connection within 1.5 ms of the next question."""
    rng = random.Random(seed)
    service = Service()
    right = errors = most = 0
    violations = []
    with service.server, driver(kind, service.server.url) as ask:
        for number in range(count):
            gap = rng.choice((0.001, 0.003, 0.01))
            service.server.idle = lambda gap=gap: max(0.0001, gap + rng.uniform(-0.0015, 0.0015))
            result = ask(f"{number:06}", True)
            times = service.accepted(f"{number:06}")
            most, right = max(most, times), right + (result.error is None)
            errors += result.error is not None
            if wrong := judge(result, times):
                violations.append(f"{kind} keep-alive: {wrong}")
            time.sleep(gap)
    return Tally(f"keep-alive race, {kind}", count, right, errors, most, violations)


def tally(name: str, service: Service, questions: list[str], right: int) -> Tally:
    """The counts of questions whose answers were judged by the caller."""
    times = {question: service.accepted(question) for question in questions}
    wrong = [f"{name}: {question!r} came {n} times" for question, n in times.items() if n > 1]
    errors = len(questions) - right
    return Tally(name, len(questions), right, errors, max(times.values()), wrong)


def cancellations(count: int, seed: int) -> Tally:
    """A question is cancelled at a random moment, as by an interrupt of its cell."""
    rng = random.Random(seed)
    questions = [f"{number:06}" for number in range(count)]
    service = Service({question: Plan(how="drip") for question in questions})

    async def ask_all(url: str) -> int:
        right = 0
        async with AsyncClient(base_url=url, **CREDENTIALS) as client:
            for question in questions:
                try:
                    async with asyncio.timeout(rng.uniform(0.0, 0.3)):
                        right += (await client.ask(question)).text == TEXT
                except TimeoutError:
                    pass
        return right

    with service.server:
        right = asyncio.run(ask_all(service.server.url))
    return tally("cancelled at a random moment", service, questions, right)


def replays(count: int) -> Tally:
    """The same question three times with a recording, also after a lost stream."""
    questions = [f"{number:06}" for number in range(count)]
    plans = {one: Plan("sse", "close", 330) for one in questions[::2]}
    service = Service(plans)
    right = 0
    with service.server, tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Cassette(Path(folder) / "r.jsonl"), "auto", speed=0)
        with Client(base_url=service.server.url, recorder=recorder, **CREDENTIALS) as client:
            for question in questions:
                right += all(client.ask(question).text == TEXT for _ in range(3))
    return tally("asked three times, recorded", service, questions, right)


def clicks(count: int) -> Tally:
    """Each action of the panel arrives twice, as after a double click."""
    import pytest
    from panel_harness import panel_harness

    questions = [f"{number:06}" for number in range(count)]
    service = Service()
    right = 0
    with service.server, pytest.MonkeyPatch.context() as patch:
        place = cast("Any", SimpleNamespace(aeronpay_url=service.server.url))
        with panel_harness(place, patch) as panel:
            for number, question in enumerate(questions, 1):
                message = {"do": "ask", "id": f"click-{number}", "text": question}
                for _ in range(3):
                    panel.panel._handle_custom_msg(dict(message), [])
                panel.wait("end", count=number)
                right += 1
    return tally("panel, three clicks", service, questions, right)


CELL = """
import os, sys
from IPython.core.interactiveshell import InteractiveShell

url, question, again = sys.argv[1:]
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "aeron_magic")
shell.run_line_magic("config", "AeronMagics.notebook = 'money.ipynb'")
print("ready", flush=True)
try:
    shell.run_line_magic("aeron", f"connect aeronpay --base-url {url}")
    if again == "True":
        shell.run_line_magic("aeron", "resume")
    else:
        shell.run_cell_magic("aeron", "", question)
except BaseException as error:
    print(type(error).__name__)
"""


def restarts(count: int, seed: int) -> Tally:
    """A process dies at a random moment of its question; another one resumes."""
    rng = random.Random(seed)
    questions = [f"{number:06}" for number in range(count)]
    service = Service({question: Plan(how="drip") for question in questions})
    right = 0
    with service.server, tempfile.TemporaryDirectory() as folder:
        for number, question in enumerate(questions):
            environment = {
                **os.environ,
                "AERON_HISTORY": f"{folder}/{number}.sqlite3",
                "AERON_CLIENT_ID": "me",
                "AERON_CLIENT_SECRET": "hush-4f1c-hush",
                "IPYTHONDIR": folder,
            }

            def start(
                again: bool, question: str = question, env: dict[str, str] = environment
            ) -> subprocess.Popen[str]:
                command = [sys.executable, "-c", CELL, service.server.url, question, str(again)]
                return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

            with start(False) as first:
                assert first.stdout is not None
                first.stdout.readline()
                end = time.monotonic() + 10
                while not service.server.creates()[question] and time.monotonic() < end:
                    time.sleep(0.005)
                time.sleep(rng.uniform(0.0, 0.2))
                first.send_signal(signal.SIGKILL)
            with start(True) as second:
                output, _ = second.communicate(timeout=30)
                right += "three four" in output
    return tally("killed, then resumed", service, questions, right)


def campaign(seed: int, *, quick: bool) -> list[Tally]:
    """All cases."""
    tallies = []
    for kind in DRIVERS:
        cases = cuts(1 if quick else 5)
        if quick:
            cases = dict(random.Random(seed).sample(sorted(cases.items()), 40))
        tallies.append(run("cuts", kind, cases))
        cases = refusals()
        if quick:
            cases = dict(random.Random(seed).sample(sorted(cases.items()), 15))
        tallies.append(run("refusals", kind, cases))
        tallies.append(run("stray answers", kind, strays(12 if quick else 120)))
        tallies.append(keep_alive(kind, 20 if quick else 400, seed))
    tallies.append(cancellations(10 if quick else 60, seed))
    tallies.append(replays(4 if quick else 20))
    tallies.append(two_kernels(9 if quick else 60))
    tallies.append(clicks(3 if quick else 30))
    if not quick:
        tallies.append(restarts(10, seed))
    return tallies


def main() -> int:
    """Run the campaign; 0 if there was no violation."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a part: about ten seconds")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    os.environ["AERON_HISTORY"] = "off"
    return int(show(campaign(options.seed, quick=options.quick)) > 0)


if __name__ == "__main__":
    sys.exit(main())
