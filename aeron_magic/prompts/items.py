"""The items of a list, Series or DataFrame, their questions, and a frame with more columns.

The libraries are those that narwhals supports.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aeron_magic.errors import AeronError, UsageError, ValueRefused, error_of_all, missing_extra
from aeron_magic.markdown_text import plural
from aeron_magic.plaintext import well_formed
from aeron_magic.prompts.interpolation import interpolate, placeholders_in
from aeron_magic.prompts.values import absence, format_value, is_missing, short_float, shown_digits

ITEM = "item"
"""The column of items that have no name."""


class DataFrameRow(Mapping[str, Any]):
    """One row of a DataFrame: ``row.column``, ``row["column"]``; as text, JSON."""

    # Columns are instance attributes, which precede methods: a column may have any name.
    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __getitem__(self, column: str) -> Any:
        return self.__dict__[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataFrameRow) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DataFrameRow({self.__dict__!r})"

    def __str__(self) -> str:
        return format_value(self.__dict__)


_DTYPES = {
    "text": ("str", "String"),
    "json": ("str", "String"),
    "number": ("float64", "Float64"),
    "int": ("Int64", "Int64"),
    "bool": ("boolean", "Boolean"),
    "date": ("datetime64[ms]", "Date"),
}
"""The dtype of each kind of column in pandas, and in narwhals for other libraries."""


@dataclass(frozen=True, slots=True)
class Items:
    """The items in order, and as a frame of narwhals unless they were given as a list."""

    values: Sequence[Any]
    frame: Any = None

    @property
    def columns(self) -> list[Any]:
        """The names of the columns; an item of a list has one."""
        return [ITEM] if self.frame is None else list(self.frame.columns)

    @property
    def labels(self) -> Sequence[Any]:
        """The labels of the rows in the frame's index; without one, their positions from 0."""
        if self.frame is None:
            return range(len(self.values))
        import narwhals

        index = narwhals.maybe_get_index(self.frame)
        return range(len(self.values)) if index is None else list(index)

    @property
    def empty(self) -> Items:
        """The same without items."""
        return Items([], None if self.frame is None else self.frame.head(0))

    def refuse(self, names: Iterable[str], *, requested: bool = False) -> None:
        """Raise UsageError if one of these names of new columns is taken.

        ``requested``: the user has chosen the names.
        """
        # With levels, a new column is (name, "").
        labels = {one[0] if isinstance(one, tuple) else one for one in self.columns}
        if taken := [name for name in names if name in labels]:
            listed = ", ".join(f'"{name}"' for name in taken)
            hint = (
                "Rename them in what you give to --each or ask_many, or leave them out: "
                f"`.drop(columns=[{listed}])` in pandas, `.drop({listed})` in polars."
            )
            if len(taken) > 4:
                hint = (
                    "To ask rows of a result again, give those of the table that was asked: in "
                    "pandas `reviews[labels.status == 'unfit']`, in polars "
                    f"`reviews.filter(labels['status'] == 'unfit')`. {hint}"
                )
            if requested:
                hint = (
                    "Use another name in --columns (in Python columns=), or rename the column in "
                    "what you give to --each or ask_many."
                )
            raise UsageError(
                f"The items already have {plural(len(taken), 'column')} of the result: {listed}.",
                hint=hint,
            )

    def with_columns(self, columns: Mapping[str, tuple[str, list[Any]]]) -> Any:
        """A frame of the same library with more columns, each of a kind; of pandas for a list.

        None for a list if pandas is not installed.
        """
        if self.frame is None:
            try:
                import pandas
            except ImportError:
                return None
            return _with_pandas(pandas.DataFrame({ITEM: _column(self.values)}), columns)
        if self.frame.implementation.is_pandas_like():
            return _with_pandas(self.frame.to_native(), columns)
        import narwhals

        series = [
            narwhals.new_series(name, values, _dtype(kind), backend=self.frame.implementation)
            for name, (kind, values) in columns.items()
        ]
        return self.frame.with_columns(*series).to_native()


def items_of(source: Any) -> Items:
    """The items of a list or another iterable, a Series, or a DataFrame (its rows).

    Raises UsageError: it is not iterable; or it is a str, bytes or a dictionary, most likely by
    mistake.
    """
    if isinstance(source, list | tuple):
        return Items(source)
    try:
        import narwhals
    except ImportError:
        raise missing_extra(f"A {type(source).__name__} as items", "tables") from None

    try:
        found = narwhals.from_native(source, eager_only=True, allow_series=True, pass_through=True)
        if isinstance(found, narwhals.DataFrame):
            short = [(name, kind) for name, kind in found.schema.items() if short_float(kind)]
            rows = (
                row | {name: shown_digits(row[name], kind) for name, kind in short}
                for row in found.iter_rows(named=True)
            )
            return Items([DataFrameRow(row) for row in rows], found)
        if isinstance(found, narwhals.Series):
            name = "" if found.name is None else str(found.name)
            shown = shown_digits(found.to_list(), found.dtype)
            return Items(shown, found.alias(name or ITEM).to_frame())
    except (narwhals.exceptions.NarwhalsError, ValueError) as error:
        raise UsageError(
            f"This {type(source).__name__} cannot be read: {error}",
            hint="Each column needs a different name.",
        ) from None
    values = None
    # A lazy frame of Dask can be iterated, too: over the names of its columns.
    frame = isinstance(getattr(type(source), "columns", None), property)
    other = isinstance(source, str | bytes | bytearray | Mapping) or frame
    if isinstance(source, Iterable) and not other:
        with suppress(TypeError):  # such as an array without a dimension
            values = iter(source)
    if values is None:
        raise UsageError(
            f"Expected a list, Series or DataFrame, not {type(source).__name__}.",
            hint="For one question, give a list of one; for a dictionary, `list(d.values())` or "
            "`pandas.DataFrame(d)`; for a file, `pandas.read_csv(FILE)`; for a lazy frame, its "
            "`.collect()` or `.compute()`.",
        )
    return Items(list(values))


def render_prompts(
    items: Sequence[Any],
    template: str | None,
    namespace: dict[str, Any],
    secrets: Iterable[str],
    validate: Callable[[str], object],
    instruction: str = "",
) -> list[str | AeronError]:
    """The question of each item with ``instruction`` below, or why it cannot be sent.

    ``validate`` raises an AeronError for a question that must not be sent.

    Raises
    ------
    AeronError
        No item gives a question; the template does not mention the item; or ``instruction`` must
        not be sent.
    """
    texts: list[str | AeronError] = []
    secrets = tuple(secrets)
    if instruction:
        validate(instruction)
    for item in items:
        try:
            validate(text := _text(item, template, namespace, secrets))
            text = re.sub("\r\n?", "\n", text)  # which is the same question
            texts.append(f"{text}\n\n{instruction}" if instruction else text)
        except AeronError as error:
            texts.append(error.without_frames())
    errors = [text for text in texts if isinstance(text, AeronError)]
    if errors and len(errors) == len(texts):
        raise error_of_all(errors, len(texts), "can be sent")
    names = {"row"} if template is None else {one.name for one in placeholders_in(template)}
    if items and "row" not in names:
        raise same_for_each("The question does not mention {{row}}")
    return texts


def same_for_each(why: str) -> UsageError:
    """The error of a question that does not depend on the item."""
    return UsageError(
        f"{why}: the question would be the same for each item.",
        hint="Write {{row}}, or {{row.column}}, for the item, and `\\{{` for two literal braces.",
    )


def _text(item: Any, template: str | None, namespace: dict[str, Any], secrets: Any) -> str:
    if template is not None:
        names = ChainMap({"row": item}, namespace)
        return interpolate(template, names, secrets=secrets, required="row")
    if is_missing(item):
        problem = absence(item).replace("value is", "item is")
        raise ValueRefused(f"{problem[0].upper()}{problem[1:]}.", hint="Fill it in, or drop it.")
    if isinstance(item, str):
        return item
    raise UsageError(
        f"Expected a question (str) as item, not {type(item).__name__}.",
        hint="Give a template, such as ask_many(items, 'Classify: {{row.text}}').",
    )


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

    texts = [well_formed(one) if isinstance(one, str) else one for one in values]
    column = pandas.Series(texts, dtype=None if texts else object)
    if column.dtype != object:
        return column
    return pandas.Series([None if is_missing(one) else _shown(one) for one in texts], dtype="str")


def _shown(item: Any) -> str:
    if isinstance(item, str):
        return item
    try:
        return well_formed(format_value(item))
    except AeronError:
        return f"({type(item).__name__})"
