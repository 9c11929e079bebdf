"""``%aeron check``: ask the questions of files again, and show what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.checks.api import (
    CheckPlan,
    CheckRequest,
    open_journal,
    plan_check,
    refuse_above,
    run_check,
)
from aeron_magic.checks.report import (
    ORDER,
    CheckResult,
    Flicker,
    PassRate,
    flickers,
    frame_of,
    is_answered,
    pass_rates,
    results_of,
    summary,
)
from aeron_magic.checks.running import count_turns
from aeron_magic.errors import CheckFailed, Interrupted
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.expression import evaluate
from aeron_magic.jupyter.display.publish import Table, Verbatim, show
from aeron_magic.markdown_text import escape_cell, markdown_table, one_line, plural, truncate
from aeron_magic.rendering.differences import differences

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

MAX_SHOWN = 20
"""Answers that are shown; the variable of ``-o`` has all."""

SAME = "the same as the answer"
"""A reference that does not differ: a rule does not hold for it, either."""

MAX_RATES = 30
"""Conversations and turns in the tables of rates."""

RECORDING_UNCHANGED = (
    "A check does not use the recording. To record these questions, run them in cells."
)


def check(app: App, command: Command) -> None:
    """Ask again, show what has not passed, and bind the report to the variable of ``-o``.

    Raises CheckFailed: an answer has not passed, or a line of a recording cannot be read. Raises
    Interrupted: the user stopped it; its ``result`` is the report so far.
    """
    settings, recorder = app.batch_target()[:2]
    table = (
        None if command["each"] is None else evaluate(app.shell, command["each"], app.shell.user_ns)
    )
    request = CheckRequest(command["files"], command["repeat"] or 1, table, command["against"])
    plan = plan_check(request, settings, _names(app.shell))
    interrupted: Interrupted | None = None
    history = app.preferences.history
    with open_journal(settings, recorder, plan.files, history) as journal:
        to_ask, kept = count_turns(plan.runs, journal)
        if command["dry_run"]:
            _show_plan(app, plan, to_ask, kept)
            return
        refuse_above(command["at_most"], to_ask)
        try:
            results = run_check(
                plan.runs, settings, recorder, journal, show_progress=app.show_progress()
            )
        except Interrupted as stopped:
            interrupted, results = stopped, results_of(plan.runs)
    report = frame_of(results, with_row=table is not None)
    if command["out"]:
        app.shell.user_ns[command["out"]] = report
    recording = ""
    if recorder is not None:
        name = escape_cell(recorder.store.name, 200)
        replayed = f"The answers were replayed from {name}: nothing was asked."
        recording = replayed if recorder.mode == "replay" else RECORDING_UNCHANGED
    place = ""
    if command["out"]:
        bare = ", a list of dictionaries because pandas is not installed"
        place = f"`{command['out']}`{bare if isinstance(report, list) else ''}"
    _show(app, results, place, kept, plan.damage, recording=recording)
    if interrupted is not None:
        interrupted.result = report
        raise interrupted
    failed = sum(one.result != "passed" for one in results)
    if failed:
        judged = any(one.result in ("failed", "changed") for one in results)
        change = "If the new answers are right, change the replies or the rules in the file."
        raise CheckFailed(
            f"{failed:,} of {plural(len(results), 'answer')} did not pass.",
            hint=f"The table of the check shows why. {change if judged else ''}".rstrip(),
        )
    if plan.damage:
        raise CheckFailed(
            f"The recording is damaged: {plan.damage}.",
            hint="All other turns have passed. Delete the damaged lines, or record again.",
        )


def _names(shell: Any) -> dict[str, Any]:
    """The names of the notebook, without functions of IPython: ``quit`` would end the kernel."""
    hidden: dict[str, Any] = getattr(shell, "user_ns_hidden", {})
    return {
        name: value
        for name, value in shell.user_ns.items()
        if not (callable(value) and hidden.get(name) is value)
    }


def _show_plan(app: App, plan: CheckPlan, to_ask: int, kept: int) -> None:
    first = next((turn.question for run in plan.runs for turn in run.turns), "")
    known = f"; {kept:,} are kept from the last check, which did not end" if kept else ""
    show(
        app.shell,
        f"Nothing was sent. {plural(len(plan.runs), 'conversation')}: "
        f"{plural(to_ask, 'question')} to ask{known}. The first is:",
        Verbatim(first),
    )


class _Changes(NamedTuple):
    """The answers that have not passed, each with the repeats that gave it."""

    results: Sequence[tuple[CheckResult, list[int]]]
    repeated: bool

    @property
    def markdown(self) -> str:
        rows = []
        for one, repeats in self.results:
            before, after = "", escape_cell(one.reply, 400)
            if one.reference is not None and is_answered(one):
                marked = differences(one.reference, one.reply)
                if marked.equal:
                    before = SAME
                else:
                    before, after = marked.before, marked.after
            why = f"**{one.result}**: {escape_cell(one.reason, 300)}"
            rows.append([escape_cell(self._where(one, repeats), 200), why, before, after])
        return markdown_table(["turn", "result", "reference", "answer"], rows)

    @property
    def plain(self) -> str:
        blocks = []
        for one, repeats in self.results:
            lines = [f"{one.result}: {self._where(one, repeats)}", f"  {one_line(one.reason)}"]
            compared = one.reference is not None and is_answered(one)
            marked = differences(one.reference or "", one.reply) if compared else None
            if marked is not None and not marked.equal:
                lines.append(f"  reference: {marked.plain_before}")
                lines.append(f"  answer:    {marked.plain_after}")
            elif one.reply:
                lines += [f"  reference: {SAME}"] if compared else []
                lines.append(f"  answer:    {truncate(one_line(one.reply), 400)}")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def _where(self, one: CheckResult, repeats: list[int]) -> str:
        row = "" if one.row is None else f", row {one.row}"
        numbers = ", ".join(map(str, repeats[:10])) + " …" * (len(repeats) > 10)
        label = "repeats" if len(repeats) > 1 else "repeat"
        where = f"{one.conversation}, turn {one.turn}{row}"
        where += f", {label} {numbers}" if self.repeated else ""
        return f"{where}: {truncate(one_line(one.question), 80)}"


def _show(
    app: App,
    results: Sequence[CheckResult],
    place: str,
    kept: int,
    damage: str,
    *,
    recording: str,
) -> None:
    """Show one display: the summary, what has not passed, flickering turns and the rates."""
    groups: dict[tuple[object, ...], tuple[CheckResult, list[int]]] = {}
    for one in results:
        if one.result != "passed":
            key = (one.conversation, repr(one.row), one.turn, one.result, one.reason, one.reply)
            groups.setdefault(key, (one, []))[1].append(one.repeat)
    changes = sorted(groups.values(), key=lambda group: ORDER.index(group[0].result))
    notes = [f"{summary(results)}."]
    notes += [f"The report is in {place}."] if place else []
    notes += [f"{kept:,} of them are kept from the last check, which did not end."] if kept else []
    notes += [f"{escape_cell(damage, 1000)}."] if damage else []
    notes += [recording] if recording else []
    unstable = [
        (one.conversation, one.turn, "" if one.row is None else one.row, _of(one))
        for one in flickers(results)
    ]
    rates = [
        (one.conversation, _of(one), f"{one.low:.0%} to {one.high:.0%}")
        for one in pass_rates(results)
        if one.answered
    ]
    repeated = any(one.repeat > 1 for one in results)
    left = len(changes) - MAX_SHOWN
    show(
        app.shell,
        " ".join(notes),
        _Changes(changes[:MAX_SHOWN], repeated) if changes else "",
        f"{plural(left, 'other answer')} not shown." if left > 0 else "",
        "Turns that flicker: they passed in some repeats and not in others." if unstable else "",
        Table(("conversation", "turn", "row", "passed"), unstable[:MAX_RATES]) if unstable else "",
        Table(("conversation", "passed", "interval of 95 %"), rates[:MAX_RATES]) if rates else "",
    )


def _of(rate: PassRate | Flicker) -> str:
    return f"{rate.passed:,} of {rate.answered:,} ({rate.passed / rate.answered:.0%})"
