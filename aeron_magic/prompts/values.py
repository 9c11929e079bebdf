"""A value of the notebook as prompt text: JSON for structures, a Markdown table for a DataFrame."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from types import ModuleType
from typing import Any

from aeron_magic.errors import ValueRefused
from aeron_magic.markdown_text import markdown_table

__all__ = ["format_value", "prompt_cell", "table_class"]

_SHORT = 80
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")
_PICTURES = {"PIL", "altair", "bokeh", "matplotlib", "plotly"}


def format_value(value: object, *, rows: int = 20) -> str:
    """Return ``value`` as it enters a question.

    Text enters as it is; numbers, dates and most objects by ``str``; lists, dictionaries and
    arrays as JSON; a DataFrame or Series of pandas or polars as a Markdown table of at most
    ``rows`` rows.

    Raises
    ------
    ValueRefused
        It has no text worth sending: bytes, pictures, functions, modules, bare objects.
    """
    try:
        return _text(value, rows)
    except ValueRefused:
        raise
    except Exception as error:
        raise ValueRefused(
            f"making text of it ({type(value).__name__}) raised {type(error).__name__}",
            hint="Turn it into text yourself, and name that.",
        ) from error


def _text(value: object, rows: int) -> str:
    kind = type(value).__name__
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        raise ValueRefused(
            f"{kind} is no text", hint='Name the decoded text, as of `value.decode("utf-8")`.'
        )
    if isinstance(value, ModuleType):
        raise ValueRefused("a module is no text", hint="Name one of its values.")
    if any(base.__module__.partition(".")[0] in _PICTURES for base in type(value).__mro__):
        raise ValueRefused(
            f"a picture ({kind}) cannot enter the text",
            hint="Name the data it shows, or give an image by its address with --image.",
        )
    if frame := table_class(value):
        return _table(value, frame, rows)
    if _is_array(value):
        value = value.tolist()  # type: ignore[attr-defined]
    if isinstance(value, Mapping | list | tuple | Set) and not hasattr(value, "_fields"):
        return _json(value, rows)
    text = str(value)
    if callable(value) and text.startswith("<"):
        raise ValueRefused(
            f"a function or class ({kind}) is no text",
            hint="Call it, put the result in a variable, and name that.",
        )
    if text.startswith("<") and _ADDRESS.search(text):
        raise ValueRefused(
            f"an object of type {kind} has no text of its own",
            hint="Name one of its attributes, or a text made of it.",
        )
    return text


def _is_array(value: object) -> bool:
    """Tell arrays, tensors and their scalars, of whatever library."""
    return all(hasattr(value, name) for name in ("dtype", "shape", "tolist"))


def _json(value: object, rows: int) -> str:
    def plain(part: object) -> object:
        if isinstance(part, Mapping):
            return dict(part)
        if isinstance(part, Set):
            # A set's own order differs from run to run.
            return sorted(part, key=repr) if isinstance(part, set | frozenset) else list(part)
        if _is_array(part) and not table_class(part):
            return part.tolist()  # type: ignore[attr-defined]
        return _text(part, rows)

    # json asks `plain` only about what it cannot write; the outermost may be such a thing, too.
    if not isinstance(value, dict | list | tuple):
        value = plain(value)
    try:
        text = json.dumps(value, default=plain, ensure_ascii=False)
        if len(text) > _SHORT:
            text = json.dumps(value, default=plain, ensure_ascii=False, indent=2)
    except TypeError:
        # Keys that JSON does not know, such as tuples or dates.
        text = repr(value)
        if _ADDRESS.search(text):
            raise ValueRefused(
                "it holds objects that have no text of their own", hint="Name a part of it."
            ) from None
    return text


def table_class(value: object) -> str:
    """Return ``library.Class`` for the tables of pandas and polars, without importing them."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("pandas", "polars") and kind.__name__ in ("DataFrame", "Series"):
            return f"{library}.{kind.__name__}"
        if library == "polars" and kind.__name__ == "LazyFrame":
            return "polars.LazyFrame"
    return ""


def _table(value: Any, frame: str, rows: int) -> str:
    if frame == "polars.LazyFrame":
        raise ValueRefused("a LazyFrame holds no rows yet", hint="Name its `.collect()`.")
    library, _, kind = frame.partition(".")
    if kind == "Series":
        unnamed = value.name is None or value.name == ""
        value = value.to_frame(name="value" if unnamed else value.name)
    total = len(value)
    head, body = (_of_pandas if library == "pandas" else _of_polars)(value.head(rows))
    if not head:
        return f"(a table of {total:,} rows and no columns)"
    table = markdown_table(head, ([prompt_cell(_text(cell, rows)) for cell in row] for row in body))
    if total > rows:
        return f"{table}\n\n(first {rows:,} of {total:,} rows)"
    return table if total else f"{table}\n\n(no rows)"


def _of_pandas(frame: Any) -> tuple[list[str], list[tuple[object, ...]]]:
    head = [_label(column) for column in frame.columns]
    index = frame.index
    if type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1):
        return head, list(frame.itertuples(index=False, name=None))
    names = [_label("" if name is None else name) for name in index.names]
    body = []
    for label, *cells in frame.itertuples(index=True, name=None):
        body.append((*(label if index.nlevels > 1 else (label,)), *cells))
    return names + head, body


def _of_polars(frame: Any) -> tuple[list[str], list[tuple[object, ...]]]:
    return [_label(column) for column in frame.columns], frame.rows()


def _label(name: object) -> str:
    """Return a column's name; that of several levels is a tuple."""
    return prompt_cell(" / ".join(map(str, name)) if isinstance(name, tuple) else str(name))


def prompt_cell(text: str) -> str:
    """Return ``text`` fit for one cell of a Markdown table."""
    return re.sub(r"\r\n?|\n", "<br>", text).replace("|", "\\|")
