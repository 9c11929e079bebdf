"""A value of the notebook as prompt text: JSON for structures, a Markdown table for a DataFrame."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence, Set, ValuesView
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from math import isfinite
from numbers import Number
from types import ModuleType
from typing import Any

from aeron_magic.errors import ValueRefused
from aeron_magic.markdown_text import markdown_table, plural
from aeron_magic.plaintext import VISIBLE

MAX_ROWS = 20
"""Rows of a table that are inserted; a line below it gives the total."""
_ONE_LINE = 80
"""Characters of JSON up to which it is not indented."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")
_LISTS = (Sequence, Set, ValuesView)
_SHORT_FLOATS = {"float32": "f", "bfloat16": "f", "float": "f", "float16": "e", "halffloat": "e"}
"""Floats of fewer than 64 bits, by the names of numpy, polars, Arrow and torch, for ``struct``."""
_IMAGE_LIBRARIES = {"PIL", "altair", "bokeh", "matplotlib", "plotly"}


def is_null(value: object) -> bool:
    """Whether ``value`` is None, NaN, NaT or NA, or masked, or a null of Arrow."""
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    if type(value).__module__ == "pyarrow.lib":
        return not getattr(value, "is_valid", True)
    if isinstance(value, Decimal):
        return value.is_nan()  # a signaling one cannot be compared
    number = isinstance(value, Number) or (_is_array(value) and getattr(value, "shape", 1) == ())
    return number and bool(value != value)


def is_missing(value: object) -> bool:
    """Whether ``value`` is null or a blank text, or a row in which all values are.

    One whose own methods fail is not: `format_value` says so.
    """
    try:
        if isinstance(value, str):
            return VISIBLE.search(value) is None
        if isinstance(value, Mapping):
            return all(map(is_missing, value.values()))
        return is_null(value)
    except Exception:  # noqa: BLE001 - the value's own code
        return False


def absence(value: object) -> str:
    """Why a value is missing; see :func:`is_missing`."""
    while isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, Mapping) and value:
        return "all its values are missing or empty"
    return "the text is empty" if isinstance(value, str) else "the value is missing"


def format_value(value: object) -> str:
    """Return ``value`` as prompt text.

    A str is unchanged; lists, dictionaries and arrays become JSON; a DataFrame or Series of pandas
    or polars becomes a Markdown table of at most ``MAX_ROWS`` rows; numbers, dates and most other
    objects are formatted with ``str``.

    Raises ValueRefused: it has no useful text: bytes, images, functions, modules, objects without a
    ``__str__``.
    """
    try:
        return _text(value)
    except ValueRefused:
        raise
    except Exception as error:
        raise ValueRefused(
            f"formatting it ({type(value).__name__}) raised {type(error).__name__}",
            hint="Turn it into text yourself, and name that.",
        ) from error


def _text(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return str(value).removesuffix(" 00:00:00")  # nanoseconds come after it
    if isinstance(value, bytes | bytearray | memoryview):
        raise ValueRefused(
            f"{kind} is not text", hint='Name the decoded text, as of `value.decode("utf-8")`.'
        )
    if isinstance(value, ModuleType):
        raise ValueRefused("a module is not text", hint="Name one of its values.")
    if any(base.__module__.partition(".")[0] in _IMAGE_LIBRARIES for base in type(value).__mro__):
        raise ValueRefused(
            f"an image ({kind}) cannot be inserted as text",
            hint="Name the data it shows, or give the URL of an image with --image (in Python "
            "images=).",
        )
    if frame := table_class(value):
        return _table(value, frame)
    if _is_array(value):
        value = _listed(value)
    if isinstance(value, (Mapping, *_LISTS)) and not hasattr(value, "_fields"):
        return _json(value)
    text = str(value)
    if callable(value) and text.startswith("<"):
        raise ValueRefused(
            f"a function or class ({kind}) is not text",
            hint="Call it, put the result in a variable, and name that.",
        )
    if text.startswith("<") and _ADDRESS.search(text):
        raise ValueRefused(
            f"an object of type {kind} has no text representation",
            hint="Name one of its attributes, or a text made of it.",
        )
    return text


def _is_array(value: object) -> bool:
    """Whether ``value`` is an array, a tensor or a scalar of one, of any library."""
    shape = getattr(value, "shape", None)  # not a tuple, if the class has any attribute
    return isinstance(shape, tuple) and hasattr(value, "dtype") and hasattr(value, "tolist")


def _listed(array: Any) -> Any:
    """An array as nested lists, or a scalar as a number."""
    return shown_digits(array.tolist(), array.dtype)


def shown_digits(value: Any, dtype: object) -> Any:
    """``value`` with the digits that are shown where ``dtype`` is of fewer than 64 bits.

    As a number of Python, 0.1 of 32 bits is 0.10000000149011612.
    """
    short = short_float(dtype)
    if not short:
        return value
    if isinstance(value, list):
        return [shown_digits(one, dtype) for one in value]
    if isinstance(value, float) and isfinite(value):
        for digits in range(1, 10):
            shown = float(f"{value:.{digits}g}")
            with suppress(OverflowError):  # rounded up, beyond the greatest one
                if struct.pack(short, shown) == struct.pack(short, value):
                    return shown
    return value


def short_float(dtype: object) -> str:
    """The code of ``struct`` for a type of floats of fewer than 64 bits; empty for others."""
    return _SHORT_FLOATS.get(str(dtype).lower().rpartition(".")[2].partition("[")[0], "")


def _json(value: object) -> str:
    def plain(part: object) -> object:
        if isinstance(part, Mapping):
            named = {_key(key): plain(part[key]) for key in part}
            if len(named) < len(part):
                raise ValueRefused("keys of it have the same text", hint="Name a part of it.")
            return named
        if isinstance(part, set | frozenset):
            part = sorted(part, key=repr)  # the order of a set differs between runs
        if isinstance(part, str | bool | int) or part is None:
            return part
        if isinstance(part, _LISTS) and not isinstance(part, bytes | bytearray | memoryview):
            return [plain(one) for one in part]
        if is_null(part):
            return None
        if isinstance(part, float) and isfinite(part):
            return part
        if _is_array(part) and not table_class(part):
            return plain(_listed(part))
        return _text(part)

    value = plain(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _ONE_LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _key(key: Any) -> Any:
    """A key, or a column's name, as JSON has it; the levels of a tuple are joined."""
    if isinstance(key, tuple):
        return " / ".join(map(str, map(_key, key)))
    if isinstance(key, int | float) or key is None:
        return json.dumps(key)
    return key if isinstance(key, str) else _text(key)


def table_class(value: object) -> str:
    """Return ``library.Class`` for tables of pandas and polars, without importing them; else ""."""
    for kind in type(value).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("pandas", "polars") and kind.__name__ in ("DataFrame", "Series"):
            return f"{library}.{kind.__name__}"
        if library == "polars" and kind.__name__ == "LazyFrame":
            return "polars.LazyFrame"
    return ""


def _table(value: Any, frame: str) -> str:
    if frame == "polars.LazyFrame":
        raise ValueRefused("a LazyFrame has no rows yet", hint="Name its `.collect()`.")
    library, _, kind = frame.partition(".")
    if kind == "Series":
        unnamed = value.name is None or value.name == ""
        value = value.to_frame(name="value" if unnamed else value.name)
    total = len(value)
    head, body = (_of_pandas if library == "pandas" else _of_polars)(value.head(MAX_ROWS))
    if not head:
        return f"(a table of {plural(total, 'row')} and no columns)"
    kinds = [None] * (len(head) - len(value.columns)) + list(value.dtypes)
    table = markdown_table(
        head,
        ([_cell(shown_digits(*cell)) for cell in zip(row, kinds, strict=True)] for row in body),
    )
    if total > MAX_ROWS:
        return f"{table}\n\n(first {MAX_ROWS} of {total:,} rows)"
    return table if total else f"{table}\n\n(no rows)"


def _cell(value: object) -> str:
    return "" if is_null(value) else prompt_cell(_text(value))


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
    """Return a column's name, whose levels are joined if it is a tuple."""
    return prompt_cell(" / ".join(map(str, name)) if isinstance(name, tuple) else str(name))


def prompt_cell(text: str) -> str:
    """Return ``text`` as one cell of a Markdown table; it may contain other Markdown."""
    return re.sub(r"\r\n?|\n", "<br>", text).replace("|", "\\|")
