"""The items of a list, Series or DataFrame (any library that narwhals supports), and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aeron_magic.errors import AeronError, UsageError, missing_extra
from aeron_magic.markdown_text import truncate
from aeron_magic.prompts.values import format_value
from aeron_magic.replies.reply import Reply

NOT_ASKED = "not asked"
ITEM = "item"
"""The column of items that have no name."""
SHOWN = 60
"""Characters of an item and of a reply in the repr of a row."""


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """The result of one item.

    Attributes
    ----------
    item
        The item; a DataFrame's is its row, with the columns as attributes and as keys.
    reply
        The :class:`~aeron_magic.Reply`, complete or not; None if it was not asked for.
    status
        The reply's status; ``unfit`` if it does not fit the requested columns; ``not asked`` if an
        interrupt came first.
    error
        The :class:`~aeron_magic.AeronError` that ended it, or None.
    seconds
        From the question to the end of the reply; 0 if it was not asked for.
    values
        The requested columns by name; empty if there are none, or the reply is unfit.
    asked
        Whether its question was sent in this run.
    """

    item: Any
    reply: Reply | None = None
    status: str = NOT_ASKED
    error: AeronError | None = None
    seconds: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)
    asked: bool = False

    def __repr__(self) -> str:
        found = dict(self.values) or (self.reply and truncate(self.reply.text, SHOWN))
        return f"Row({truncate(repr(self.item), SHOWN)}, {found!r}, status={self.status!r})"


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


@dataclass(frozen=True, slots=True)
class Items:
    """The items in order, and as a frame of narwhals unless they were given as a list."""

    values: Sequence[Any]
    frame: Any = None


def items_of(source: Any) -> Items:
    """The items of a list or another iterable, a Series, or a DataFrame (its rows).

    Raises
    ------
    UsageError
        It is not iterable; or it is a str, bytes or a dictionary, most likely by mistake.
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
            return Items([DataFrameRow(row) for row in found.iter_rows(named=True)], found)
        if isinstance(found, narwhals.Series):
            name = "" if found.name is None else str(found.name)
            return Items(found.to_list(), found.alias(name or ITEM).to_frame())
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


def labels_of(items: Items, numbers: Iterable[int]) -> list[Any]:
    """The labels of these rows in the frame's index; without an index, their positions from 0."""
    if items.frame is None:
        return list(numbers)
    import narwhals

    index = narwhals.maybe_get_index(items.frame)
    return [number if index is None else index[number] for number in numbers]
