"""What a check has found: a result for each turn and repeat, and pass rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal, NamedTuple

from aeron_magic.checks.plan import STOPPED, Answer, PlannedRun, PlannedTurn
from aeron_magic.markdown_text import plural

Result = Literal["passed", "changed", "failed", "error", "not asked"]

ORDER: tuple[Result, ...] = ("failed", "error", "changed", "not asked", "passed")
"""In which order results are shown."""

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, for intervals of 95 %."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one turn in one repeat.

    Attributes:
    * ``conversation``, ``turn``, ``repeat``: the file, the number of the turn in it, and the number
      of the repeat; both from 1.
    * ``row``: the label of the table's row; None without a table.
    * ``result``: ``passed``; ``changed``: only the rule ``same`` does not hold; ``failed``: another
      rule does not hold; ``error``: the reply is not complete; ``not asked``.
    * ``reason``: why it has not passed.
    * ``reply``: the text of the reply.
    * ``question``, ``reference``: what was asked, and the reference reply.
    """

    conversation: str
    turn: int
    repeat: int
    row: object
    result: Result
    reason: str
    reply: str
    question: str
    reference: str | None


class PassRate(NamedTuple):
    """How many of the answers of a conversation have passed, with the interval of 95 %."""

    conversation: str
    passed: int
    answered: int
    low: float
    high: float


class Flicker(NamedTuple):
    """A turn that has passed in some repeats and not in others."""

    conversation: str
    row: object
    turn: int
    passed: int
    answered: int


def results_of(runs: Iterable[PlannedRun]) -> list[CheckResult]:
    """The results of all turns, in the order of the runs; answers are judged here."""
    not_asked = Answer(reason=STOPPED, asked=False)
    return [
        result_of(run, turn, run.answers.get(index, not_asked))
        for run in runs
        for index, turn in enumerate(run.turns)
    ]


def result_of(run: PlannedRun, turn: PlannedTurn, answer: Answer) -> CheckResult:
    """The result of one turn."""
    result: Result = "passed"
    reason, text = answer.reason, answer.partial
    if answer.reply is None:
        result = "error" if answer.asked else "not asked"
    else:
        text = answer.reply.text
        judged = [
            (rule.keyword, judge(answer.reply, turn.reference)) for rule, judge in turn.judges
        ]
        broken = [(keyword, why) for keyword, why in judged if why]
        if broken:
            result = "changed" if all(keyword == "same" for keyword, _ in broken) else "failed"
        reason = "; ".join(why for _, why in broken)
    return CheckResult(
        run.conversation,
        turn.number,
        run.repeat,
        run.row,
        result,
        reason,
        text,
        turn.question,
        turn.reference,
    )


def frame_of(results: Sequence[CheckResult], *, with_row: bool = False) -> Any:
    """The results as a DataFrame; without pandas, as a list of dictionaries."""
    names = ["conversation", "row", "turn", "repeat", "result", "reason", "reply"]
    if not with_row:
        names.remove("row")
    rows = [{name: getattr(one, name) for name in names} for one in results]
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows, columns=names)


def wilson(passed: int, total: int) -> tuple[float, float]:
    """The Wilson score interval of 95 % for the rate ``passed / total``; 0 to 1 for no trials."""
    if not total:
        return 0.0, 1.0
    rate, square = passed / total, Z * Z
    middle = rate + square / (2 * total)
    spread = Z * sqrt(rate * (1 - rate) / total + square / (4 * total * total))
    scale = 1 + square / total
    low = 0.0 if not passed else (middle - spread) / scale
    high = 1.0 if passed == total else (middle + spread) / scale
    return low, high


def pass_rates(results: Iterable[CheckResult]) -> list[PassRate]:
    """The rate of each conversation, over its turns, rows and repeats that were answered."""
    counts: dict[str, list[bool]] = {}
    for one in results:
        answers = counts.setdefault(one.conversation, [])
        if is_answered(one):
            answers.append(one.result == "passed")
    return [
        PassRate(name, sum(passed), len(passed), *wilson(sum(passed), len(passed)))
        for name, passed in counts.items()
    ]


def flickers(results: Iterable[CheckResult]) -> list[Flicker]:
    """The turns that have passed in some repeats and not in others."""
    counts: dict[tuple[str, str, int], list[bool]] = {}
    rows: dict[str, object] = {}
    for one in results:
        if is_answered(one):
            rows[repr(one.row)] = one.row
            answers = counts.setdefault((one.conversation, repr(one.row), one.turn), [])
            answers.append(one.result == "passed")
    return [
        Flicker(name, rows[row], turn, sum(passed), len(passed))
        for (name, row, turn), passed in counts.items()
        if 0 < sum(passed) < len(passed)
    ]


def is_answered(result: CheckResult) -> bool:
    """Whether there is a complete reply to judge."""
    return result.result in ("passed", "changed", "failed")


def summary(results: Sequence[CheckResult]) -> str:
    """The counts of all results in one line."""
    counts = {name: sum(one.result == name for one in results) for name in reversed(ORDER)}
    total = f"{counts.pop('passed'):,} of {plural(len(results), 'answer')} passed"
    return ", ".join([total, *(f"{count:,} {name}" for name, count in counts.items() if count)])
