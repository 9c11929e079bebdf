"""``%%aeron --each``: the same question for each item, bound as a DataFrame.

What the rows of a cell have come to is kept: run again, the cell asks only for what is missing,
and for a reply that was begun it fetches that. Another question, another service or another turn
to continue from begins from nothing, and so does ``-n``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from aeron_magic.batch.api import render_prompts, run_batch
from aeron_magic.batch.items import NOT_ASKED, Items, Row, items_of, result_of
from aeron_magic.batch.runner import BatchConfig, RowCache
from aeron_magic.errors import Interrupted, UsageError
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.display.publish import (
    markdown_table,
    plain_table,
    show_markdown,
    strip_markup,
)
from aeron_magic.prompts.interpolation import placeholders_in
from aeron_magic.protocol.flow import Question
from aeron_magic.recording.recorder import Recorder

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.session.session import Session

__all__ = ["ask_each"]

CONCURRENCY = 8
SHOWN = 5
"""Rows that the cell shows; all are in the variable."""

ANSWERS = ("item", "reply", "status")
FAILURES = ("error", "rows", "the first of them, from 0")


def ask_each(app: App, options: Options, text: str, key: str | None) -> None:
    """Ask ``text`` for each item, show what became of them, and bind it.

    Raises
    ------
    AeronError
        Something was wrong with the question, or not one row was answered.
    """
    session, shell = app.session, app.shell
    settings, recorder = app.batch_target()
    if options.timeout is not None:
        settings = replace(settings, timeout=options.timeout)
    settings.reject_secrets(text)
    items = _items(shell, options.each or "")
    if options.raw or (len(items.values) > 1 and not _mentions_row(text)):
        why = (
            "--raw leaves {{row}} alone" if options.raw else "The question does not mention {{row}}"
        )
        raise UsageError(
            f"{why}: each item would be asked the same.",
            hint="Write {{row}}, or {{row.column}}, where the item belongs, and `\\{{` for two "
            "literal braces.",
        )
    texts = render_prompts(items.values, text, shell.user_ns, session.secrets)
    question = Question("", options.images, _after(session, options, recorder), options.stream)
    if options.dry_run:
        _dry_run(session, question, [one for one in texts if isinstance(one, str)], shell)
        return
    config = BatchConfig(
        settings,
        question,
        options.concurrency or CONCURRENCY,
        options.rate,
        recorder=recorder,
    )
    cache = _previous_rows(app, config, (key or options.each, text), options.new)
    quiet = options.quiet
    interrupted: Interrupted | None = None
    try:
        rows = run_batch(
            config, items, texts, cache=cache, show_progress=not quiet and app.show_progress()
        )
    except Interrupted as stopped:
        rows, interrupted = stopped.result, stopped
    result = result_of(rows, items.index)
    if options.out:
        shell.user_ns[options.out] = result
    if not quiet:
        _show(app, options, rows)
    if interrupted is not None:
        interrupted.result = result
        raise interrupted
    errors = [row.error for row in rows if row.error is not None]
    if errors and not any(row.reply is not None and row.reply.is_complete for row in rows):
        raise errors[0]


def _items(shell: Any, expression: str) -> Items:
    try:
        value = shell.ev(expression)
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
        raise UsageError(
            f"--each {expression}: {type(error).__name__}: {error}.",
            hint="Give the name of a list, a Series or a DataFrame, or a Python expression that is "
            "one (in quotes, if it has blanks).",
        ) from None
    items = items_of(value)
    if not items.values and isinstance(value, Iterator) and expression.isidentifier():
        raise UsageError(
            f"{expression} holds nothing, or nothing more: it can be gone through only once.",
            hint=f"Make a list of it where it is made: `{expression} = list(…)`.",
        )
    return items


def _mentions_row(text: str) -> bool:
    return any(reference.name == "row" for reference in placeholders_in(text))


def _after(session: Session, options: Options, recorder: Recorder | None) -> str | None:
    if options.after is None:
        return None
    position = session.position_for(after=options.after)
    session.register_path(recorder, position)
    return position.token


def _previous_rows(
    app: App, config: BatchConfig, cell: tuple[str | None, str], anew: bool
) -> RowCache | None:
    """What is known of this cell's rows; of what it asked otherwise, nothing is kept."""
    if config.recorder is not None and config.recorder.mode == "record":
        return None
    told = (config.settings.conversation_scope, config.question)
    before = app.batch_results.get(cell)
    if anew or not isinstance(before, tuple) or before[0] != told:
        before = app.batch_results[cell] = (told, {})
    return cast("RowCache", before[1])


def _dry_run(session: Session, question: Question, texts: Sequence[str], shell: Any) -> None:
    from aeron_magic.jupyter.commands.dry_run import show_dry_run

    if texts:
        show_dry_run(session, question._replace(text=texts[0]), shell)
    show_markdown(f"The first of {len(texts):,} questions.", shell)


def _show(app: App, options: Options, rows: Sequence[Row]) -> None:
    """One display: how it went, what failed, and the first rows."""
    shell = app.shell
    if frontend.has_kernel(shell) and app.show_progress() and frontend.is_cell_magic(shell):
        from IPython.display import clear_output

        clear_output(wait=True)  # type: ignore[no-untyped-call]  # the bar has done its work
    summary, failures = _summary(rows, options.out), _failures(rows)
    parts, plain = [summary], [strip_markup(summary)]
    if failures:
        parts.append(markdown_table(FAILURES, failures, 200))
        plain.append(plain_table(FAILURES, failures))
    if rows:
        secrets = app.session.secrets
        shown = [
            (_short(row.item, secrets), _short(row.reply or "", secrets), row.status)
            for row in rows[:SHOWN]
        ]
        more = f"\n\n(first {SHOWN} of {len(rows):,} rows)" if len(rows) > SHOWN else ""
        parts.append(markdown_table(ANSWERS, shown) + more)
        plain.append(plain_table(ANSWERS, shown) + more)
    show_markdown("\n\n".join(parts), shell, "\n\n".join(plain))


def _summary(rows: Sequence[Row], out: str | None) -> str:
    whole = sum(row.reply is not None and row.reply.is_complete for row in rows)
    missing = sum(row.status == NOT_ASKED for row in rows)
    failed = len(rows) - whole - missing
    said = [f"{whole:,} of {len(rows):,} rows answered"]
    said += [f"**{failed:,} not whole**"] if failed else []
    said += [f"**{missing:,} not asked**"] if missing else []
    again = " Run the cell again to ask for what is missing." if failed or missing else ""
    where = f" The result is in `{out}`." if out else ""
    return f"{', '.join(said)}.{where}{again}"


def _failures(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """What went wrong, each kind once, with the columns ``FAILURES``."""
    kinds: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row.error is not None:
            kinds.setdefault(f"{type(row.error).__name__}: {row.error}", []).append(number)
    return [
        (error, f"{len(numbers):,}", ", ".join(map(str, numbers[:SHOWN])))
        for error, numbers in list(kinds.items())[:SHOWN]
    ]


def _short(value: object, secrets: Iterable[str]) -> str:
    text = str(value)
    for secret in secrets:  # an item may hold one: it is not asked, and must not be saved either
        text = text.replace(secret, "[secret]")
    return text[:1000]
