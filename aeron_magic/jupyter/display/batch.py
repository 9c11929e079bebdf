"""The result of a batch in the cell: its counts, the failures by cause, and the first rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aeron_magic.batch.result import NOT_ASKED, Row
from aeron_magic.errors import (
    AeronError,
    IncompleteReply,
    RecordingError,
    TokenError,
    UsageError,
    is_safe_to_ask_again,
)
from aeron_magic.jupyter.display.publish import Table
from aeron_magic.markdown_text import escape_cell, plural
from aeron_magic.plaintext import redact
from aeron_magic.prompts.items import DataFrameRow, Items
from aeron_magic.prompts.values import format_value, is_missing
from aeron_magic.replies.columns import Columns
from aeron_magic.services.catalog import service_info

MAX_SHOWN = 5
"""Rows, causes and row numbers in the output; the variable has all rows."""

MAX_CAUSE = 300
"""Characters of a cause in the output."""

MAX_LABEL = 40
"""Characters of a row's label in the output."""

MAX_COLUMNS = 3
"""Columns of the items in the output."""


_VALUE = re.compile(r" \(got .{1,80}?\)(?=;|\.|$)")
"""The value that did not fit, in the reason of a row: rows with others have the same cause."""


def summary(
    rows: Sequence[Row],
    requests: int,
    out: str | None,
    result: object = None,
    *,
    ask_again: bool = False,
    recorded: bool = False,
) -> str:
    """What happened to the rows, as Markdown.

    ``requests`` is the number of questions asked, ``result`` what the variable ``out`` has,
    ``ask_again`` whether answered rows were asked, too, and ``recorded`` whether they are in a
    recording, which is not asked again.
    """
    asked = sum(row.asked for row in rows)
    kept = sum(not row.asked and row.reply is not None and row.reply.is_complete for row in rows)
    unfit = sum(row.status == "unfit" for row in rows)
    missing = sum(row.status == NOT_ASKED for row in rows)
    unusable = sum(isinstance(row.error, UsageError) and not row.asked for row in rows)
    broken = [row for row in rows if row.error is not None and row.status != "unfit"]
    sent = [row for row in broken if row.asked or not isinstance(row.error, UsageError)]
    by = f" in {plural(requests, 'question')}" if requests < asked else ""
    counts = [f"{kept:,} kept", f"{asked:,} asked now{by}"]
    counts += [f"**{unusable:,} cannot be sent**"] if unusable else []
    counts += [f"**{missing:,} not asked**"] if missing else []
    ends = [f"**{unfit:,} unfit**"] if unfit else []
    ends += [f"**{count:,} {name}**" for name, count in Counter(row.status for row in sent).items()]
    among = f"; {', '.join(ends)}" if ends else ""
    parts = [f"{plural(len(rows), 'row')}: {', '.join(counts)}{among}."]
    if requests < asked:
        parts.append("Rows with the same question share one reply.")
    if out:
        kind = ", a list because pandas is not installed" if isinstance(result, list) else ""
        parts.append(f"The result is in `{out}`{kind}.")
    elif asked or kept:
        parts.append("The replies are kept: with `-o NAME`, the cell assigns the table.")
    in_doubt = sum(map(_is_in_doubt, broken))
    again = missing + len(broken) - in_doubt - sum(isinstance(r.error, UsageError) for r in broken)
    unrecorded = [row.error.hint for row in broken if isinstance(row.error, RecordingError)]
    if unrecorded:  # running the cell again would give the same error
        parts += unrecorded[:1]
    elif again and (recorded or not ask_again):
        parts.append(f"Run the cell again to get {plural(again, 'missing row')}.")
    elif again:
        missing_rows = plural(again, "row")
        parts.append(f"Missing: {missing_rows}; without -n, the cell takes earlier answers, too.")
    if unfit:
        parts.append("An unfit reply is kept; if you change the question, it is asked again.")
    if in_doubt:
        parts.append(
            f"{plural(in_doubt, 'row')} may have been charged: not asked again without -n."
        )
    if recorded and unfit:
        parts.append("To ask a recorded row again, delete its line in the recording.")
    elif not recorded and (unfit or in_doubt or (again and ask_again)):
        parts.append(
            "-n asks all rows of --each again, also the answered ones: give it only the rows to "
            "ask again (`%aeron help columns`)."
        )
    return " ".join(parts)


def _is_in_doubt(row: Row) -> bool:
    """Whether the question may have been charged, and its reply cannot be fetched."""
    if row.reply is None or row.error is None or is_safe_to_ask_again(row.error):
        return False
    can_fetch = row.error.context_token and service_info(row.reply.service).can_fetch
    can_fetch = can_fetch and not isinstance(row.error, TokenError)  # which has expired
    return not can_fetch and (row.asked or isinstance(row.error, IncompleteReply | TokenError))


def preview(
    rows: Sequence[Row],
    items: Items,
    used: Sequence[str],
    columns: Columns | None,
    secrets: Iterable[str],
) -> Iterator[str | Table]:
    """The failures, then the first rows with their labels.

    If the items have more than ``MAX_COLUMNS`` columns, those ``used`` in the question are shown.
    """
    secrets, labels = tuple(secrets), items.labels
    yield from failures([row.error for row in rows], labels, " in the column `error`")
    shown = sorted(items.columns, key=lambda name: name not in used)[:MAX_COLUMNS]
    own = [name for name in items.columns if name in shown]
    new = list(columns.kinds) if columns else ["reply"]
    cells = [
        [
            label,
            *(_own(row.item, name) for name in own),
            *(
                [row.values.get(name) for name in new]
                if columns
                else [row.reply and row.reply.text]
            ),
            row.status,
        ]
        for label, row in zip(labels, rows[:MAX_SHOWN], strict=False)
    ]
    if cells:
        yield Table(
            ("", *own, *new, "status"), [[_short(one, secrets) for one in row] for row in cells]
        )
    if len(rows) > MAX_SHOWN:
        yield f"(first {MAX_SHOWN} of {len(rows):,} rows)"


def failures(
    errors: Sequence[AeronError | None], labels: Sequence[object], place: str = ""
) -> Iterator[str]:
    """The errors of the rows by cause, as Markdown; ``place`` is where the other causes are."""
    causes: dict[str, list[int]] = {}
    for number, error in enumerate(errors):
        if error is not None:
            causes.setdefault(_VALUE.sub("", error.line()), []).append(number)
    yield "\n".join(
        f"- {plural(len(numbers), 'row')} ({_labels(numbers, labels)}): "
        f"{escape_cell(cause, MAX_CAUSE)}"
        for cause, numbers in sorted(causes.items(), key=lambda one: -len(one[1]))[:MAX_SHOWN]
    )
    if len(causes) > MAX_SHOWN:
        yield f"({plural(len(causes) - MAX_SHOWN, 'other cause')}{place})"


def _labels(numbers: Sequence[int], labels: Sequence[object]) -> str:
    """The rows as ``.loc`` takes them; without an index, positions from 0."""
    first = [_text(labels[one], str) for one in numbers[:MAX_SHOWN]]
    shown = ", ".join(escape_cell(label, MAX_LABEL) for label in first)
    return f"{shown}, …" if len(numbers) > MAX_SHOWN else shown


def _own(item: object, name: str) -> object:
    return item[name] if isinstance(item, DataFrameRow) else item


def _short(value: object, secrets: Iterable[str]) -> str:
    # An item with a secret is not asked, but shown.
    return redact(_text(value, _cell), secrets)[:1000]


def _text(value: object, write: Callable[[Any], str]) -> str:
    """What ``write`` returns; the kind of a value whose own methods fail: its row was charged."""
    try:
        return write(value)
    except Exception:  # noqa: BLE001 - the value's own code, and that of a refused one
        return f"({type(value).__name__})"


def _cell(value: Any) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return format_value(value)
