"""CPU per event of reading a stream through the whole client, against those who do the same."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fast_server import running_server, text_of
from measure import Measure, interleaved, ratio
from readers import CONTENDERS

TITLE = "Reading a stream: CPU of the client's process, µs for each event"

LIMIT = "raw socket + msgspec"
WORKS = {
    "one event per HTTP chunk": ("words/20000/one", 20_000, 9),
    "100 events per HTTP chunk": ("words/20000/hundred", 20_000, 9),
    "paced, 500 events a second": ("words/1000/500", 1_000, 5),
}
QUICK = {
    "one event per HTTP chunk": ("words/4000/one", 4_000, 3),
    "100 events per HTTP chunk": ("words/4000/hundred", 4_000, 3),
    "paced, 500 events a second": ("words/250/500", 250, 2),
}
SLOW = ("openai SDK", "openai SDK, async", "anthropic SDK")
"""They are so far away that a third of the rounds tells enough."""


class Reader:
    """A contender's process."""

    def __init__(self, name: str) -> None:
        self.name = name
        folder = Path(__file__).resolve().parent
        self._process = subprocess.Popen(
            [sys.executable, str(folder / "readers.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(folder.parent.parent)},
        )
        self.missing: str | None = self._line().get("missing")

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def read(self, url: str, sha: str) -> float:
        """Read a stream; the seconds of CPU that it took.

        Raises
        ------
        AssertionError
            The text is another one.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{url}\n")
        self._process.stdin.flush()
        found = self._line()
        assert self.name == "httpx alone" or found["sha"] == sha, f"{self.name}: another text"
        return float(found["seconds"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()


def run(quick: bool) -> list[Measure]:
    """Rows for each way of sending."""
    works = QUICK if quick else WORKS
    measures: list[Measure] = []
    with running_server() as address:
        readers = [Reader(name) for name in CONTENDERS]
        try:
            for work, (path, count, rounds) in works.items():
                measures += _work(work, f"{address}/{path}", count, rounds, readers)
        finally:
            for reader in readers:
                reader.__exit__(None, None, None)
    return measures


def _work(work: str, url: str, count: int, rounds: int, readers: list[Reader]) -> list[Measure]:
    kind = url.split("/")[-3]
    sha = hashlib.sha256(text_of(kind, count).encode()).hexdigest()
    present = {reader.name: reader for reader in readers if reader.missing is None}
    for reader in present.values():
        reader.read(url, sha)  # what is done once, such as connecting
    found = interleaved(
        {
            name: lambda reader=reader: reader.read(url, sha) / count * 1e6
            for name, reader in present.items()
            if name not in SLOW
        },
        rounds,
    )
    slow = interleaved(
        {
            name: lambda reader=reader: reader.read(url, sha) / count * 1e6
            for name, reader in present.items()
            if name in (*SLOW, "ours")
        },
        max(1, rounds // 3),
    )
    measures = []
    for reader in readers:
        times = found.get(reader.name) or slow.get(reader.name)
        if times is None:
            measures.append(Measure(work, reader.name, None, note=f"missing: {reader.missing}"))
            continue
        note = ""
        if reader.name in found and reader.name != LIMIT:
            note = f"{ratio(times, found[LIMIT]):.1f} x the limit"
        measures.append(Measure(work, reader.name, statistics.median(times), "µs", note=note))
    most = 1.2 if work.startswith("paced") else 1.0
    for one, other in (("ours", "recipe"), ("ours, async", "recipe, async")):
        value = ratio(found[one], found[other])
        measures.append(Measure(work, f"{one} ÷ {other}", value, "x", most))
    if not work.startswith("paced") and "openai SDK" in slow:
        value = ratio(slow["ours"], slow["openai SDK"])
        measures.append(Measure(work, "ours ÷ openai SDK", value, "x", 0.2))
    return measures
