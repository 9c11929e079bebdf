"""What a streamed reply costs between the service and the front end, through a real kernel.

The service is a process of its own and notes when it sent each chunk; the front end is this
process, which notes when each message came, how long it is and how far the text in it goes: every
chunk holds one numbered word. Bytes are those on the wire, envelopes included, compared with the
bytes of the reply's text. What comes until the last painting is live; the final output, which
holds the reply three times (HTML, Markdown, plain text), is counted by itself.

The kernel's CPU time is compared with what the same kernel needs to read the same stream with an
``AsyncClient`` in a thread and to show nothing. The rest is rendering: the blocks while they come
in, and the whole reply at its end. What a reply leaves in caches is cleared before the next one.

A peer that streams into a cell is chatlab, from OpenAI's events of the same text. It wants older
packages than ours, so it has a virtual environment of its own (``pip install chatlab ipykernel``),
and ``AERON_BENCH_CHATLAB`` names that one's Python.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

from fast_server import running_server, text_of
from live_kernel import Kernel, Message, Run, running_kernel
from measure import Measure

TITLE = "From the service to the front end, through a kernel"


@dataclass(frozen=True)
class Work:
    """A stream, and what showing it may cost; None where nothing is asked."""

    name: str
    path: str
    most_bytes: float | None = None
    has_lag: bool = False
    has_cpu: bool = False


WORKS = (
    Work("200 chunks at once", "markdown/200/one", 2.0),
    Work("2,000 chunks at once", "markdown/2000/one", 2.0),
    Work("10,000 chunks at once", "markdown/10000/one", 2.0, has_cpu=True),
    Work("50,000 chunks at once", "markdown/50000/one", 2.0),
    Work("2,000 chunks, 500/s", "markdown/2000/500", 12, has_lag=True),
    Work("3,000 chunks, 100/s", "markdown/3000/100", 25, has_lag=True),
    Work("one code block, 10,000 chunks at once", "code/10000/one", 2.0),
    Work("one code block, 2,000 chunks, 500/s", "code/2000/500", 12, has_lag=True),
    Work("one table, 2,000 chunks, 500/s", "table/2000/500", 12, has_lag=True),
    Work("bursts of 20 chunks, pauses of 0.8 s", "markdown/200/bursts", None, has_lag=True),
)
CHATLAB = "AERON_BENCH_CHATLAB"
CHATLAB_WORKS = (
    ("chatlab: 2,000 chunks at once", "markdown/2000/one"),
    ("chatlab: 2,000 chunks, 500/s", "markdown/2000/500"),
)
QUICK = ("markdown/200/one", "markdown/10000/one", "markdown/2000/500", "markdown/200/bursts")

CLEAR = """
from aeron_magic.jupyter.panel.html_stream import reply_html as _reply_html
from aeron_magic.rendering.highlighting import _highlight_slice
_reply_html.cache_clear()
_highlight_slice.cache_clear()
"""
"""Forget what was rendered: the replies of a benchmark have the same text."""

ALONE = """
import asyncio as _asyncio, threading as _threading, time as _time
from aeron_magic import AsyncClient as _AsyncClient
def _alone():
    async def read():
        async with _AsyncClient(base_url={url!r}, client_id="bench", client_secret="n") as client:
            return len((await client.ask("Tell me.")).text)
    began = _time.process_time()
    found = []
    thread = _threading.Thread(target=lambda: found.append(_asyncio.run(read())))
    thread.start()
    thread.join()
    return [found[0], _time.process_time() - began]
"""


def run(quick: bool) -> list[Measure]:
    """Rows for each way of sending."""
    measures: list[Measure] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server() as server,
        running_kernel(
            Path(folder),
            AERON_CLIENT_ID="bench",
            AERON_CLIENT_SECRET="none-at-all",
            AERON_HISTORY="off",
        ) as kernel,
    ):
        kernel.execute("%load_ext aeron_magic")
        _ask(kernel, server, "markdown/400/one")  # imports
        for work in WORKS:
            if not quick or work.path in QUICK:
                measures += _work(work, kernel, server, 1 if quick else 3)
        if not quick:
            measures += _chatlab(server, Path(folder) / "chatlab")
    return measures


def _ask(kernel: Kernel, server: str, path: str) -> tuple[Run, float]:
    """Ask in a cell; what it showed, and the seconds of CPU that the kernel needed."""
    kernel.execute(f"%aeron connect aeronpay --base-url {server}/{path}")
    kernel.execute(CLEAR)
    before = _cpu(kernel)
    run = kernel.execute("%%aeron\nTell me.", timeout=120)
    cpu = _cpu(kernel) - before
    assert run.status == "ok", run.reply
    return run, cpu


def _chatlab(server: str, home: Path) -> list[Measure]:
    """What it costs chatlab, which has no final output: its last update is the whole."""
    python = os.environ.get(CHATLAB)
    if not python:
        return [Measure("chatlab", "live bytes ÷ text", None, note="not installed here")]
    home.mkdir()
    measures = []
    with running_kernel(home, python) as kernel:
        kernel.execute("from chatlab import Chat", timeout=60)
        for work, path in CHATLAB_WORKS:
            ask = f"await Chat(base_url='{server}/{path}', api_key='none')('Tell me.')"
            run = kernel.execute(ask, timeout=300)
            live = run.of("display_data", "update_display_data")
            text = text_of("markdown", 2_000)
            assert live[-1].content["data"]["text/markdown"] == text, "the reply is another one"
            size = sum(one.size for one in live) / len(text.encode())
            found = [Measure(work, "live bytes ÷ text", size, "x")]
            found += [Measure(work, "messages", len(live))]
            if not path.endswith("one"):
                found += _lags(work, run, _times(server), live, live[-1].at)
            measures += [replace(one, most=None) for one in found]
    return measures


def _cpu(kernel: Kernel) -> float:
    return float(kernel.value("__import__('time').process_time()"))


def _work(work: Work, kernel: Kernel, server: str, rounds: int) -> list[Measure]:
    kind, count, _ = work.path.split("/")
    text = text_of(kind, int(count))
    run, cpu = _ask(kernel, server, work.path)
    (final,) = run.outputs
    assert final["data"]["text/markdown"] == text, "the reply is another one"
    end = next(message for message in run.messages if _is_final(message.content))
    live = [
        message for message in run.of("display_data", "update_display_data") if message is not end
    ]
    size = len(text.encode())
    updates = len([one for one in live if one.kind == "update_display_data"])
    frozen = len(live) - updates
    shown = max(live[-1].at - live[0].at, 0.05) if live else 0.05
    measures = [
        Measure(
            work.name,
            "live bytes ÷ text",
            sum(one.size for one in live) / size,
            "x",
            work.most_bytes,
        ),
        Measure(work.name, "final output ÷ text", end.size / size, "x"),
        Measure(work.name, "messages", len(live), "", 22 * shown + frozen + 2, f"{frozen} pieces"),
    ]
    if work.has_lag:
        measures += _lags(work.name, run, _times(server), live, end.at)
    if work.has_cpu:
        ratios = []
        kernel.execute(ALONE.format(url=f"{server}/{work.path}"))
        for number in range(rounds):
            if number:
                run, cpu = _ask(kernel, server, work.path)
            length, alone = kernel.value("_alone()", timeout=120)
            assert length == len(text)
            ratios.append(cpu / alone)
        measures.append(
            Measure(work.name, "kernel CPU ÷ reading alone", statistics.median(ratios), "x", 2.5)
        )
    return measures


def _is_final(content: dict[str, dict[str, str]]) -> bool:
    return "text/markdown" in content.get("data", {})


def _times(server: str) -> list[float]:
    with urllib.request.urlopen(f"{server}/times") as answer:
        found: list[float] = json.load(answer)
    return found


def _lags(
    work: str, run: Run, times: list[float], live: list[Message], end: float
) -> list[Measure]:
    """From the service's write to the front end's message, for each chunk."""
    *sent, last = times
    lags: list[float] = []
    for message in live:
        data = message.content["data"]
        shown = data.get("text/html") or data.get("text/markdown", "")
        words = [int(word) for word in re.findall(r"w(\d+)", shown)]
        came = run.began + message.at
        while len(lags) <= max(words, default=-1):
            lags.append(came - sent[len(lags)])
    final = run.began + end
    lags += [final - one for one in sent[len(lags) :]]
    ms = [lag * 1e3 for lag in lags]
    return [
        Measure(work, "lag, median", statistics.median(ms), "ms", 60),
        Measure(work, "lag, worst", max(ms), "ms", 150),
        Measure(work, "lag, first chunk", ms[0], "ms", 10),
        Measure(work, "end of the stream to the final output", (final - last) * 1e3, "ms", 60),
    ]
