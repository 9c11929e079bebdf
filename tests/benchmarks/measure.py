"""The common shape of the benchmarks: a module for each group of rows, and what it returns.

``run.py`` finds every ``bench_*.py`` beside it and calls its ``run()``::

    TITLE = "History: 10,000 turns"          # above its rows in the table

    def run(quick: bool) -> list[Measure]:   # quick: fewer and smaller rounds, to try it out
        return [Measure("open and list", "ours", 41.0, "ms", most=100)]

What a module needs and does not find (a peer's package, a browser) is a row too: a `Measure`
without a value, whose note says why. A contender whose text is not the expected one is no
contender: raise, so that nobody reads its numbers.

The machine is noisy, and its cores are shared. So: count CPU time and not the clock where that
answers the question (`cpu`); let the contenders take turns (`interleaved`), and compare by the
median of the ratios within a round (`ratio`), not by times of different minutes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Measure", "cpu_of", "interleaved", "ratio", "table"]

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number.

    Parameters
    ----------
    work
        What was done, in few words; rows of the same work stand together.
    who
        Who did it, or which quantity of it this is.
    value
        The number; None where it could not be measured.
    unit
        What it counts: ``ms CPU``, ``x the text``, ``messages``.
    most
        The most it should be; None where it is only for comparison.
    note
        What else has to be known, such as why there is no number.
    """

    work: str
    who: str
    value: float | None
    unit: str = ""
    most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is as it should be; None where nothing is asked of it."""
        if self.value is None or self.most is None:
            return None
        return self.value <= self.most

    def as_json(self) -> dict[str, Any]:
        """All of it for a JSON file."""
        return {**asdict(self), "met": self.met}


def interleaved(contenders: Mapping[K, Callable[[], float]], rounds: int) -> dict[K, list[float]]:
    """What each contender's call returned in each round; all take their turn in every round."""
    found: dict[K, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds):
        turn = number % len(order)
        for name in order[turn:] + order[:turn]:  # nobody is always the one after the same other
            found[name].append(contenders[name]())
    return found


def ratio(values: Sequence[float], by: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(values, by, strict=True))


def cpu_of(process: int) -> float:
    """Seconds of CPU that the threads of another process, as many as live, have used so far."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(one.read_text(encoding="ascii").split()[0]) for one in threads) / 1e9


def table(measures: Iterable[Measure]) -> str:
    """The measures as a Markdown table."""
    lines = ["| work | who or what | value | at most | |", "|---|---|---:|---:|---|"]
    last = ""
    for one in measures:
        work, last = ("" if one.work == last else one.work), one.work
        value = "-" if one.value is None else f"{_number(one.value)} {one.unit}".strip()
        most = "" if one.most is None else _number(one.most)
        verdict = {None: "", True: "met", False: "**not met**"}[one.met]
        remark = ". ".join(filter(None, (verdict, one.note)))
        lines.append(f"| {work} | {one.who} | {value} | {most} | {remark} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.2g}"
        if abs(value) < 0.1
        else f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
    )
