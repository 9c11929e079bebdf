"""Pass rates with their intervals, flickering turns, and the report's order."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aeron_magic import Client, check
from aeron_magic.checks.report import CheckResult, Result, flickers, pass_rates, summary, wilson
from aeron_magic.sandbox import Sandbox

Write = Callable[[str, str], Path]


def result(turn: int, repeat: int, outcome: Result, row: object = None) -> CheckResult:
    return CheckResult("a.chat.md", turn, repeat, row, outcome, "", "", "", None)


def interval(passed: int, total: int) -> tuple[float, float]:
    """Wilson's interval as another library computes it."""
    from scipy.stats import binomtest  # here: no other test needs it, and it takes 0.6 s

    found = binomtest(passed, total).proportion_ci(method="wilson")
    return found.low, found.high


@pytest.mark.parametrize("total", [1, 2, 5, 15, 100, 1000, 100_000])
def test_the_interval_is_that_of_wilson(total: int) -> None:
    for passed in {0, 1, total // 3, total // 2, total - 1, total}:
        assert wilson(passed, total) == pytest.approx(interval(passed, total), abs=1e-12)
    assert wilson(0, 0) == (0.0, 1.0)


def test_rates_count_answers_only() -> None:
    results = [
        result(1, 1, "passed"),
        result(1, 2, "changed"),
        result(1, 3, "failed"),
        result(2, 1, "error"),
        result(2, 2, "not asked"),
    ]
    (rate,) = pass_rates(results)
    assert (rate.passed, rate.answered) == (1, 3)
    assert summary(results) == "1 of 5 answers passed, 1 not asked, 1 changed, 1 error, 1 failed"
    assert pass_rates([result(1, 1, "error")])[0][1:] == (0, 0, 0.0, 1.0)


def test_a_turn_that_passes_sometimes_flickers() -> None:
    results = [
        result(1, 1, "passed"),
        result(1, 2, "passed"),
        result(2, 1, "passed"),
        result(2, 2, "failed"),
        result(3, 1, "failed"),
        result(3, 2, "changed"),
        result(4, 1, "passed"),
        result(4, 2, "error"),
        result(5, 1, "passed", row=[1]),  # rows need not be hashable
        result(5, 1, "failed", row=[2]),
    ]
    assert [(one.turn, one.passed, one.answered) for one in flickers(results)] == [(2, 1, 2)]


def test_a_flaky_service_has_the_rates_of_its_answers(
    client: Client, write: Write, sandbox: Sandbox
) -> None:
    """Each answer is right with a probability of 0.9."""
    dice = random.Random(14)
    given: list[bool] = []

    def flaky(question: str, turns: Any = ()) -> str:
        given.append(dice.random() < 0.9)
        return "right" if given[-1] else "wrong"

    sandbox._find_answer = flaky
    turn = "## Question\n\n{}\n\n```expect\ncontains: right\n```\n\n"
    path = write("a.chat.md", "".join(turn.format(number) for number in range(8)))
    report = check(path, client=client, repeat=5)
    assert set(report.result) == {"passed", "failed"}, set(report.reason)
    assert (report.result == "passed").sum() == sum(given)
    assert 0 < sum(given) < 40
    results = [
        CheckResult(*row[:3], None, *row[3:6], "", None)  # type: ignore[arg-type]
        for row in report.itertuples(index=False)
    ]
    (rate,) = pass_rates(results)
    assert (rate.passed, rate.answered) == (sum(given), 40)
    assert (rate.low, rate.high) == pytest.approx(interval(sum(given), 40), abs=1e-12)
    passed = report.assign(ok=report.result == "passed").groupby("turn").ok.sum()
    unstable = {turn: count for turn, count in passed.items() if 0 < count < 5}
    assert {one.turn: one.passed for one in flickers(results)} == unstable
