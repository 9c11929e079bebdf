"""``%%aeron --each``: the same question for each item, with a DataFrame as result.

Answered rows are kept in the local history: only the missing ones are asked, and a reply whose
token is known is fetched. ``-n`` asks all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aeron_magic.batch.api import render_prompts, run_batch
from aeron_magic.batch.items import NOT_ASKED, Items, Row, items_of, result_of
from aeron_magic.batch.runner import BatchConfig
from aeron_magic.errors import IncompleteReply, Interrupted, UsageError
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.display.publish import Table, show
from aeron_magic.plaintext import redact
from aeron_magic.prompts.interpolation import placeholders_in
from aeron_magic.protocol.flow import Question

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

CONCURRENCY = 8
MAX_SHOWN = 5
"""Rows, kinds of errors and row numbers in the output; the variable has all rows."""


def ask_each(app: App, options: Options, text: str, key: str | None) -> None:
    """Ask ``text`` for each item, show a summary, and assign the result to the variable.

    Raises
    ------
    AeronError
        The question or an option is invalid, or all rows failed.
    """
    session, shell = app.session, app.shell
    settings, recorder, kept = app.batch_target()
    session.validate(Question(text))
    names = frontend.visible_names(shell)
    items = _items(shell, options.each or "", names)
    mentions_row = any(one.name == "row" for one in placeholders_in(text))
    if options.raw or (len(items.values) > 1 and not mentions_row):
        why = (
            "--raw does not replace {{row}}"
            if options.raw
            else "The question does not mention {{row}}"
        )
        raise UsageError(
            f"{why}: the question would be the same for each item.",
            hint="Write {{row}}, or {{row.column}}, for the item, and `\\{{` for two literal "
            "braces.",
        )
    texts = render_prompts(items.values, text, names, session.secrets)
    token = None
    if options.after is not None:
        position = session.position_for(after=options.after)
        session.register_path(recorder, position)
        token = position.token
    question = Question("", options.images, token, options.stream)
    if options.dry_run:
        _dry_run(app, question, [one for one in texts if isinstance(one, str)])
        return
    config = BatchConfig(
        settings,
        question,
        options.concurrency or CONCURRENCY,
        options.rate,
        recorder=recorder,
        kept=kept,
        ask_again=options.new,
    )
    quiet = options.quiet
    interrupted: Interrupted | None = None
    try:
        rows = run_batch(config, items, texts, show_progress=not quiet and app.show_progress())
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


def _items(shell: Any, expression: str, names: dict[str, Any]) -> Items:
    try:
        with shell.builtin_trap:
            value = eval(expression, shell.user_global_ns, names)  # noqa: S307 - the user's own
    except Exception as error:  # noqa: BLE001 - the user's expression can raise anything
        raise UsageError(
            f"--each {expression}: {type(error).__name__}: {error}.",
            hint="Write the name of a list, a Series or a DataFrame, or a Python expression that "
            "returns one (in quotes if it contains spaces).",
        ) from None
    items = items_of(value)
    if not items.values and isinstance(value, Iterator) and expression.isidentifier():
        raise UsageError(
            f"{expression} is empty or was already read: it can be iterated only once.",
            hint=f"Define it as a list: `{expression} = list(…)`.",
        )
    return items


def _dry_run(app: App, question: Question, texts: Sequence[str]) -> None:
    from aeron_magic.jupyter.commands.dry_run import show_dry_run

    if texts:
        show_dry_run(app.session, question._replace(text=texts[0]), app.shell)
    show(app.shell, f"The first of {len(texts):,} questions.")


def _show(app: App, options: Options, rows: Sequence[Row]) -> None:
    """Show one display: the summary, the errors and the first rows."""
    shell = app.shell
    if frontend.has_kernel(shell) and app.show_progress() and frontend.is_cell_magic(shell):
        from IPython.display import clear_output

        clear_output(wait=True)  # type: ignore[no-untyped-call]  # removes the progress bar
    secrets = tuple(app.session.secrets)
    answers = [
        (_short(row.item, secrets), _short(row.reply or "", secrets), row.status)
        for row in rows[:MAX_SHOWN]
    ]
    errors = _errors(rows)
    show(
        shell,
        _summary(rows, options.out),
        Table(("error", "rows", "first rows, from 0"), errors, 200) if errors else "",
        Table(("item", "reply", "status"), answers) if answers else "",
        f"(first {MAX_SHOWN} of {len(rows):,} rows)" if len(rows) > MAX_SHOWN else "",
    )


def _summary(rows: Sequence[Row], out: str | None) -> str:
    complete = sum(row.reply is not None and row.reply.is_complete for row in rows)
    missing = sum(row.status == NOT_ASKED for row in rows)
    failed = len(rows) - complete - missing
    counts = [f"{complete:,} of {len(rows):,} rows answered"]
    counts += [f"**{failed:,} incomplete or failed**"] if failed else []
    counts += [f"**{missing:,} not asked**"] if missing else []
    again = " Run the cell again to ask the missing rows." if failed or missing else ""
    if any(isinstance(row.error, IncompleteReply) and not row.error.context_token for row in rows):
        again += " Those that may have been charged are asked again only with -n."
    where = f" The result is in `{out}`." if out else ""
    return f"{', '.join(counts)}.{where}{again}"


def _errors(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Each kind of error with the number of its rows and the first row numbers."""
    kinds: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row.error is not None:
            kinds.setdefault(f"{type(row.error).__name__}: {row.error}", []).append(number)
    return [
        (error, f"{len(numbers):,}", ", ".join(map(str, numbers[:MAX_SHOWN])))
        for error, numbers in list(kinds.items())[:MAX_SHOWN]
    ]


def _short(value: object, secrets: Iterable[str]) -> str:
    return redact(str(value), secrets)[:1000]  # an item with a secret is not asked, but shown
