"""The result of a batch: a frame with the input's columns, the requested ones, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aeron_magic.errors import AeronError, UsageError
from aeron_magic.markdown_text import truncate
from aeron_magic.prompts.items import Items
from aeron_magic.replies.columns import Columns
from aeron_magic.replies.reply import Reply

NOT_ASKED = "not asked"

SHOWN = 60
"""Characters of an item and of a reply in the repr of a row."""

OUTCOME = ("reply", "status", "error", "seconds", "context_token")
"""The columns of every result."""


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


def check_names(items: Items, columns: Columns | None) -> None:
    """Raise UsageError if two columns of the result would have the same name.

    A frame that takes no columns fails now, too, and not after its rows are paid for.
    """
    requested = list(columns.kinds) if columns else []
    for name in requested:
        if name in OUTCOME:
            raise UsageError(
                f"Every result has a column `{name}`.", hint="Give the requested one another name."
            )
    items.refuse(OUTCOME)
    items.refuse(requested, requested=True)
    result_of([], items.empty, columns)


def result_of(rows: Sequence[Row], items: Items, columns: Columns | None = None) -> Any:
    """The rows as a frame of the items' library; for a list without pandas, the rows themselves."""
    kinds = columns.kinds if columns else {}
    found: dict[str, tuple[str, list[Any]]] = {
        name: (kind, [row.values.get(name) for row in rows]) for name, kind in kinds.items()
    }
    replies = [row.reply for row in rows]
    found |= {
        "reply": ("text", [one and one.text for one in replies]),
        "status": ("text", [row.status for row in rows]),
        "error": ("text", [row.error and row.error.line() for row in rows]),
        "seconds": ("number", [row.seconds for row in rows]),
        "context_token": ("text", [one and one.context_token for one in replies]),
    }
    frame = items.with_columns(found)
    return list(rows) if frame is None else frame
