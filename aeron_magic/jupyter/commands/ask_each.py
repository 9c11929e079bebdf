"""``%%aeron --each``: the same question for each item, with a DataFrame as result.

Answered rows are kept in the local history: only the missing ones are asked, and a reply whose
token is known is fetched. ``-n`` asks all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aeron_magic.batch.api import open_batch, run_batch
from aeron_magic.batch.question import BatchConfig
from aeron_magic.batch.result import Row, check_names, result_of
from aeron_magic.client.client import validate_prompt
from aeron_magic.errors import AeronError, UsageError, did_you_mean, error_of_all
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Options
from aeron_magic.jupyter.commands.expression import evaluate
from aeron_magic.jupyter.display.batch import failures, preview, summary
from aeron_magic.jupyter.display.publish import show
from aeron_magic.markdown_text import escape_markdown, plural
from aeron_magic.prompts.interpolation import placeholders_in
from aeron_magic.prompts.items import Items, items_of, render_prompts, same_for_each
from aeron_magic.prompts.values import is_missing
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.columns import Columns, is_model

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App
    from aeron_magic.recording.recorder import Recorder

CONCURRENCY = 8


def ask_each(app: App, options: Options, text: str, key: str | None) -> None:
    """Ask ``text`` for each item, show a summary, and assign the result to the variable.

    Raises AeronError: the question or an option is invalid, or all rows failed. Raises
    RecordingError: a replay does not have all rows.
    """
    session, shell = app.session, app.shell
    settings, recorder, kept = app.batch_target()
    session.validate(Question(text))
    names = frontend.visible_names(shell)
    if options.out is not None and options.out == options.each:
        raise UsageError(
            f"The result would replace {options.out}, the table of --each.",
            hint="Give the result another name, such as `-o labels`.",
        )
    items = _items(shell, options.each or "", names)
    if options.raw:
        raise same_for_each("--raw does not replace {{row}}")
    columns = _columns(names, options.columns)
    check_names(items, columns)
    instruction = columns.instruction if columns else ""
    validate = partial(validate_prompt, settings)
    texts = [
        one.lstrip("\n") if isinstance(one, str) else one
        for one in render_prompts(
            items.values, text, names, settings.secrets, validate, instruction
        )
    ]
    token = None
    if options.after is not None:
        position = session.position_for(after=options.after)
        session.register_path(recorder, position)
        token = position.token
    question = Question("", options.images, token, options.stream)
    config = BatchConfig(
        settings,
        question,
        options.concurrency or CONCURRENCY,
        options.rate,
        recorder=recorder,
        kept=kept,
        ask_again=options.new,
        at_most=options.at_most,
    )
    if options.dry_run:
        from aeron_magic.jupyter.commands.dry_run import show_dry_run

        first = next((one for one in texts if isinstance(one, str)), text.lstrip("\n"))
        refused = [one if isinstance(one, AeronError) else None for one in texts]
        reasons = filter(None, failures(refused, items.labels))
        with open_batch(config, texts) as batch:
            limit = options.at_most
            notes = [f"{batch.counts}.", _null_note(text, items, texts), *reasons]
            if limit is not None and batch.counts.to_ask > limit:
                notes.append(f"Without --dry-run, --at-most {limit} refuses this.")
        notes = list(filter(None, notes))
        note = "\n\n".join(notes) + ("\n\n" if notes[1:] else " ")
        show_dry_run(session, question._replace(text=first), shell, note)
        return
    show_progress = not options.quiet and app.show_progress()
    rows, error = run_batch(config, items, texts, columns, show_progress=show_progress)
    result = result_of(rows, items, columns)
    if options.out:
        shell.user_ns[options.out] = result
    if not options.quiet:
        if frontend.has_kernel(shell) and show_progress and frontend.is_cell_magic(shell):
            from IPython.display import clear_output

            clear_output(wait=True)  # type: ignore[no-untyped-call]  # removes the progress bar
        first_columns = [one.path.removeprefix("row.") for one in placeholders_in(text)]
        requests = len({one for one, row in zip(texts, rows, strict=True) if row.asked})
        show(
            shell,
            summary(
                rows,
                requests,
                options.out,
                result,
                ask_again=options.new,
                recorded=recorder is not None,
            ),
            _null_note(text, items, texts),
            _replayed_note(recorder, rows) if options.new else "",
            *preview(rows, items, first_columns, columns, tuple(session.secrets)),
        )
    if error is not None:
        error.result = result
        raise error
    errors = [row.error for row in rows if row.error is not None]
    if errors and not any(row.status in ("complete", "recovered") for row in rows):
        fit = " that fits the columns" if columns else ""
        raise error_of_all(errors, len(rows), f"has a complete answer{fit}")


def _null_note(text: str, items: Items, texts: Sequence[str | AeronError]) -> str:
    """How many rows are sent with missing values, because ``{{row}}`` is all of a row.

    ``texts`` has the question of each row, or why it is not sent.
    """
    if all(one.path != "row" for one in placeholders_in(text)):
        return ""
    count = sum(
        isinstance(one, Mapping) and any(map(is_missing, one.values()))
        for one, sent in zip(items.values, texts, strict=True)
        if isinstance(sent, str)
    )
    if not count:
        return ""
    return (
        f"{plural(count, 'row')} with missing or empty values: `{{{{row}}}}` sends them as they "
        "are. With `{{row.COLUMN}}`, a row without that value is not sent."
    )


def _replayed_note(recorder: Recorder | None, rows: Sequence[Row]) -> str:
    """That ``-n`` asks no recorded rows; empty if there are none, or if nothing is to be asked."""
    count = sum(row.reply is not None and row.reply.replayed for row in rows)
    if recorder is None or recorder.mode == "replay" or not count:
        return ""
    return (
        f"Replayed from {escape_markdown(recorder.store.name)}, also with -n: "
        f"{plural(count, 'row')}. To ask them again, delete their lines in the file: the next run "
        "records the new answers. `%aeron record off` alone does not: the file wins when it is on."
    )


def _columns(names: dict[str, Any], wanted: str | None) -> Columns | None:
    if wanted is None:
        return None
    named = wanted.strip()
    if not named.isidentifier():
        return Columns(wanted)
    try:
        return Columns(names.get(named, wanted))
    except UsageError as error:
        known = [
            name
            for name, value in names.items()
            if name != named and (is_model(value) or (isinstance(value, str) and ":" in value))
        ]
        error.hint = did_you_mean(named, known) + error.hint
        raise


def _items(shell: Any, expression: str, names: dict[str, Any]) -> Items:
    value = evaluate(shell, expression, names)
    items = items_of(value)
    if not items.values and isinstance(value, Iterator) and expression.isidentifier():
        raise UsageError(
            f"{expression} is empty or was already read: it can be iterated only once.",
            hint=f"Define it as a list: `{expression} = list(…)`.",
        )
    return items
