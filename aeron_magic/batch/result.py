"""The result of a batch: a frame with the input's columns, the requested ones, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeron_magic.batch.items import ITEM, Items, Row
from aeron_magic.errors import AeronError, UsageError
from aeron_magic.markdown_text import one_line, plural
from aeron_magic.prompts.values import format_value, is_missing
from aeron_magic.replies.columns import Columns

OUTCOME = ("reply", "status", "error", "seconds", "context_token")
"""The columns of every result."""

_DTYPES = {
    "text": ("str", "String"),
    "json": ("str", "String"),
    "number": ("float64", "Float64"),
    "int": ("Int64", "Int64"),
    "bool": ("boolean", "Boolean"),
    "date": ("datetime64[ms]", "Date"),
}
"""The dtype of each kind of column in pandas, and in narwhals for other libraries."""


def check_names(items: Items, columns: Columns | None) -> None:
    """Raise UsageError if two columns of the result would have the same name.

    Another error of the items' library is raised now, and not after the rows are paid for.
    """
    own: list[Any] = [ITEM] if items.frame is None else list(items.frame.columns)
    requested = list(columns.kinds) if columns else []
    for name in requested:
        if name in OUTCOME:
            raise UsageError(
                f"Every result has a column `{name}`.", hint="Give the requested one another name."
            )
    # With levels, a column of the result is ("reply", "").
    labels = {one[0] if isinstance(one, tuple) else one for one in own}
    if taken := [name for name in (*requested, *OUTCOME) if name in labels]:
        names = ", ".join(f'"{name}"' for name in taken)
        raise UsageError(
            f"The items already have {plural(len(taken), 'column')} of the result: {names}.",
            hint="Rename them in what you give to --each or ask_many, or leave them out: "
            f"`.drop(columns=[{names}])` in pandas, `.drop({names})` in polars.",
        )
    result_of([Row(one) for one in items.values], items, columns)


def result_of(rows: Sequence[Row], items: Items, columns: Columns | None = None) -> Any:
    """The rows as a frame of the items' library; for a list without pandas, the rows themselves."""
    kinds = columns.kinds if columns else {}
    found: dict[str, tuple[str, list[Any]]] = {
        name: (kind, [row.values.get(name) for row in rows]) for name, kind in kinds.items()
    }
    replies = [row.reply for row in rows]
    found |= {
        "reply": ("text", [one and _text(one.text) for one in replies]),
        "status": ("text", [row.status for row in rows]),
        "error": ("text", [row.error and error_text(row.error) for row in rows]),
        "seconds": ("number", [row.seconds for row in rows]),
        "context_token": ("text", [one and _text(one.context_token) for one in replies]),
    }
    if items.frame is None:
        try:
            import pandas
        except ImportError:
            return list(rows)
        return _with_pandas(pandas.DataFrame({ITEM: _column(items.values)}), found)
    if items.frame.implementation.is_pandas_like():
        return _with_pandas(items.frame.to_native(), found)
    import narwhals

    series = [
        narwhals.new_series(name, values, _dtype(kind), backend=items.frame.implementation)
        for name, (kind, values) in found.items()
    ]
    return items.frame.with_columns(*series).to_native()


def error_text(error: AeronError) -> str:
    """The error on one line, with the service's own words."""
    parts = [str(error)]
    if error.status_code is not None:
        parts.append(f"HTTP status {error.status_code}.")
    if error.service_message:
        parts.append(f"The service says: {error.service_message}")
    return one_line(_text(" ".join(parts)) or "")


def _with_pandas(frame: Any, found: Mapping[str, tuple[str, list[Any]]]) -> Any:
    import pandas

    result = frame.copy(deep=False)
    for name, (kind, values) in found.items():
        label = (name, *[""] * (frame.columns.nlevels - 1)) if frame.columns.nlevels > 1 else name
        result[label] = pandas.Series(values, frame.index, _DTYPES.get(kind, (object,))[0])
    return result


def _dtype(kind: str) -> Any:
    import narwhals

    if kind.startswith("["):
        return narwhals.List(_dtype(kind[1:-1]))
    return getattr(narwhals, _DTYPES[kind][1])


def _column(values: Sequence[Any]) -> Any:
    """The items of a list as a column; as texts unless they are all numbers, or all dates."""
    import pandas

    texts = [_text(one) if isinstance(one, str) else one for one in values]
    column = pandas.Series(texts, dtype=None if texts else object)
    if column.dtype != object:
        return column
    return pandas.Series([None if is_missing(one) else _shown(one) for one in texts], dtype="str")


def _shown(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    try:
        return _text(format_value(item))
    except AeronError:
        return f"({type(item).__name__})"


def _text(text: str | None) -> str | None:
    """``text`` without surrogates, which no file can hold."""
    return text and text.encode("utf-8", "replace").decode()
