"""Ask thousands of questions in one process: nothing grows, and none costs more than the first.

Cells and the chat panel take turns against an embedded sandbox, in one conversation with a history.
Measured from a warm-up to the end: memory (resident, and Python's own blocks), threads, open files,
tasks of the loop, sizes of the history and its write-ahead log, and the CPU time of a question
early and late.

    python tests/campaigns/soak.py [--quick] [--turns N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import pytest
from panel_harness import PanelHarness, panel_harness

from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.sandbox import Faults, Sandbox

SAY = "A reply of some length, with **bold** words, a list:\n\n- one\n- two\n\nand an end. " * 4

MAX_CPU_GROWTH = 1.3
"""CPU time of a late question, in terms of that of an early one."""

MAX_BYTES_PER_TURN = 24_000
MAX_BLOCKS_PER_TURN = 90
"""Memory that a turn may keep: its question, reply, tokens and place; it is shown again."""

MAX_LOG = 6_000_000
"""Bytes of the history's write-ahead log at any time."""


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment."""

    turns: int
    resident: int
    blocks: int
    threads: int
    files: int
    tasks: int
    log: int
    history: int


class Soak:
    """One process with cells and a panel, and its samples.

    Parameters
    ----------
    harness
        The panel and its session.
    history
        The file of the history.
    """

    def __init__(self, harness: PanelHarness, history: Path) -> None:
        self.harness = harness
        self.history = history
        self.count = 0
        self.samples: list[Sample] = []
        self.cpu: dict[str, list[float]] = {"cell": [], "panel": []}

    def cell(self, number: int) -> None:
        """Ask as a new cell does, and show the reply."""
        asked = self.harness.ask_in_cell(f"Question {number}?", f"cell-{number}")
        output = LiveOutput(lambda **_: None)
        output.render(asked.accumulator)
        output.finish(asked.accumulator, asked.reply, asked.metadata)
        assert asked.error is None, asked.error
        assert asked.reply.text == SAY
        self.harness.clear()

    def panel(self, number: int) -> None:
        """Ask in the panel."""
        self.harness.ask(f"Question {number} of the panel?")
        self.harness.clear()

    def run(self, turns: int, every: int) -> None:
        """Ask ``turns`` questions, every other one in the panel, and sample now and then."""
        for number in range(turns):
            kind, ask = ("panel", self.panel) if number % 2 else ("cell", self.cell)
            began = time.process_time()
            ask(self.count)
            self.count += 1
            self.cpu[kind].append(time.process_time() - began)
            if (number + 1) % every == 0:
                self.samples.append(self.sample(self.count))

    def sample(self, turns: int) -> Sample:
        """What the process holds now."""
        gc.collect()
        loop = self.harness.session.io_loop
        tasks = loop.run(_count_tasks())
        log = self.history.with_name(self.history.name + "-wal")
        return Sample(
            turns,
            _resident(),
            sys.getallocatedblocks(),
            threading.active_count(),
            _count_files(),
            tasks,
            log.stat().st_size if log.exists() else 0,
            self.history.stat().st_size,
        )


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _count_files() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return 0


def violations(soak: Soak) -> list[str]:
    """What grew, and what a late question cost."""
    found = []
    first, last = soak.samples[0], soak.samples[-1]
    turns = last.turns - first.turns
    for name, limit in (("threads", 1), ("files", 2), ("tasks", 1)):
        growth = getattr(last, name) - getattr(first, name)
        if growth > limit:
            found.append(f"{growth} more {name} after {turns} turns")
    for name, limit in (("resident", MAX_BYTES_PER_TURN), ("blocks", MAX_BLOCKS_PER_TURN)):
        growth = (getattr(last, name) - getattr(first, name)) / turns
        if growth > limit:
            found.append(f"{growth:,.0f} {name} bytes or blocks of memory for each turn")
    if (most := max(sample.log for sample in soak.samples)) > MAX_LOG:
        found.append(f"the write-ahead log had {most:,} bytes")
    for kind, early, late in cpu_times(soak):
        if late > early * MAX_CPU_GROWTH:
            found.append(f"a question in a {kind}: {early:.2f} ms early, {late:.2f} ms late")
    return found


def cpu_times(soak: Soak) -> list[tuple[str, float, float]]:
    """Milliseconds of CPU of a question, early and late: medians of a hundred turns each."""
    rows = []
    for kind, times in soak.cpu.items():
        window = min(50, len(times) // 4)
        early, late = times[:window], times[-window:]
        rows.append((kind, statistics.median(early) * 1e3, statistics.median(late) * 1e3))
    return rows


def run(turns: int, prepare: Callable[[PanelHarness], Any] = lambda _: None) -> Soak:
    """One soak of ``turns`` questions."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        Sandbox(faults=Faults(say=SAY, chunk_size=40)) as sandbox,
    ):
        history = Path(folder) / "history.sqlite3"
        with panel_harness(sandbox, patch) as harness:
            harness.session.set_history_file(history)
            prepare(harness)
            soak = Soak(harness, history)
            soak.run(100, 100)
            soak.samples.clear()
            for times in soak.cpu.values():
                times.clear()
            soak.run(turns - 100, max(10, turns // 15))
    return soak


def main() -> int:
    """Run, print a table; 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 turns")
    parser.add_argument("--turns", type=int, default=3000, help="questions in all (3000)")
    parser.add_argument("--seed", type=int, default=0, help="without effect: nothing is random")
    options = parser.parse_args()
    soak = run(300 if options.quick else options.turns)
    print("turns  resident MiB  blocks  threads  files  tasks  log kB  history kB")
    for one in soak.samples:
        print(
            f"{one.turns:5}  {one.resident / 2**20:12.1f}  {one.blocks:6}"
            f"  {one.threads:7}  {one.files:5}  {one.tasks:5}  {one.log // 1000:6}"
            f"  {one.history // 1000:10}"
        )
    for kind, early, late in cpu_times(soak):
        print(f"CPU of a question ({kind}): {early:.2f} ms early, {late:.2f} ms late")
    found = violations(soak)
    for one in found:
        print(f"VIOLATION  {one}")
    print(f"violations: {len(found)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
