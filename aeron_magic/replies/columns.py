"""Requested columns: the JSON that is asked for, and a reply's values checked against it.

A specification such as ``mood: positive|negative, refund: bool, amount: number?`` becomes a
pydantic model; a model of the user's is used as it is. pydantic checks strictly: what is written
differently but has one meaning (:mod:`aeron_magic.replies.spellings`) is read before.
"""

from __future__ import annotations

import json
import math
import re
import sys
import unicodedata
from contextlib import suppress
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeGuard,
    Union,
    get_args,
    get_origin,
)

from aeron_magic.errors import ReplyFormatError, UsageError, did_you_mean
from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.plaintext import well_formed
from aeron_magic.replies.spellings import (
    MAX_INT,
    loses_digits,
    read_bool,
    read_date,
    read_int,
    read_number,
    read_text,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

KINDS = {str: "text", float: "number", Decimal: "number", int: "int", bool: "bool", date: "date"}
ALIASES = {
    **{one.__name__.casefold(): name for one, name in KINDS.items()},
    **dict.fromkeys(("string", "varchar", "char", "object"), "text"),
    **dict.fromkeys(("double", "real", "numeric", "float32", "float64"), "number"),
    **dict.fromkeys(("integer", "long", "int32", "int64", "whole"), "int"),
    **dict.fromkeys(("boolean", "logical", "yesno"), "bool"),
    **dict.fromkeys(("datetime", "timestamp", "day"), "date"),
    **dict.fromkeys(("list", "array"), "[text]"),
    **dict.fromkeys(("enum", "category", "literal", "factor"), "a|b|c"),
}
"""The types that other names of a type mean, in lower case."""

READERS = {
    "text": read_text,
    "number": read_number,
    "int": read_int,
    "bool": read_bool,
    "date": read_date,
}
WORDS = {
    "text": "text",
    "number": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "date": "a date as YYYY-MM-DD",
}
MAX_VALUE = 40
"""Characters of a value that does not fit, in the reason."""

MAX_REASON = 300
"""Characters of the reason why a reply does not fit; a part of it may come from the reply."""

TOO_MANY_DIGITS = "Input has more digits than a number keeps; use int or text"
_QUOTED = re.compile(r"""(["'`]).*\1""")
_REQUEST = "Answer with one JSON object and nothing else."
_HINT = (
    "Write `name: type` with commas between the columns; a type is text, number, int, bool, date, "
    "`a|b|c` (one of these, without quotes) or `[text]` (a list), with ? if it may be missing. Or "
    "name a pydantic model of the notebook (in Python: give the model itself)."
)


class Column(NamedTuple):
    """A requested column.

    ``field`` is its name in the model, and ``keys`` are its names in JSON; the first is asked for.
    ``kind`` is a key of ``WORDS`` or ``json``, in brackets for a list; ``options`` are the texts of
    which it is one.
    """

    name: str
    field: str
    keys: tuple[str, ...]
    kind: str
    options: tuple[str, ...]
    required: bool


class _Written(float):
    """A number in a reply's JSON; ``loses_digits``: another number is written there."""

    loses_digits = True

    def __new__(cls, text: str) -> _Written:
        self = super().__new__(cls, text)
        with suppress(ArithmeticError):  # an exponent of 20 digits
            self.loses_digits = loses_digits(Decimal(text))
        return self


class Columns:
    """The requested columns.

    * ``wanted``: a specification, or a pydantic model.

    Raises UsageError: it cannot be read, or pydantic is not installed.
    """

    instruction: str
    """The request that is added to each question."""

    def __init__(self, wanted: str | type[BaseModel]) -> None:
        try:
            import pydantic  # noqa: F401
        except ImportError:
            raise UsageError(
                "Requested columns need pydantic, which is not installed.",
                hint="`pip install 'aeron-magic[tables]'`, and restart the kernel.",
            ) from None
        self._optional = "?" if isinstance(wanted, str) else "| None"
        if isinstance(wanted, str):
            model = self._read_specification(wanted)
        elif is_model(wanted):
            model = wanted
            try:
                schema = json.dumps(model.model_json_schema(), ensure_ascii=False)
            except Exception as error:  # noqa: BLE001 - the model's own code
                raise UsageError(
                    f"The model {model.__name__} has no JSON schema: {type(error).__name__}.",
                    hint="Use types that JSON can express.",
                ) from None
            self.instruction = f"{_REQUEST} It fits this JSON schema: {schema}"
        else:
            name = getattr(wanted, "__name__", f"This {type(wanted).__name__}")
            raise UsageError(f"{name} describes no columns.", hint=_HINT)
        self._model = model
        self._columns: list[Column] = []
        self._keys: dict[str, str] = {}
        for name, field in model.model_fields.items():
            keys = _keys(model, name)
            key = keys[0]
            shown = key if isinstance(wanted, str) else name
            kind, options = _kind(field.annotation)
            if _plain(key) in map(_plain, self._keys):
                raise UsageError(
                    f"The column {shown} is named twice; capitals do not count.", hint=_HINT
                )
            self._columns.append(Column(shown, name, keys, kind, options, field.is_required()))
            self._keys |= {_composed(one): one for one in keys}
        self.kinds = {column.name: column.kind for column in self._columns}
        """The kind of each column, by name."""

    def _read_specification(self, specification: str) -> type[BaseModel]:
        from pydantic import Field, create_model

        fields: dict[str, Any] = {}
        lines = [f"{_REQUEST} It has these keys:"]
        for part in well_formed(specification).split(","):
            name, _, kind = map(str.strip, part.partition(":"))
            if not name.isidentifier() or not kind:
                why = f": `{name}` is not a name of Python" if kind else ""
                raise UsageError(f"`{part.strip()}` is not a column{why}.", hint=_HINT)
            annotation, shape = _type(kind.removesuffix("?").strip())
            default: Any = ...
            if kind.endswith("?"):
                annotation, default = annotation | None, None
                shape += ", or null if there is none"
            lines.append(f'- "{name}": {shape}')
            # pydantic refuses some names, such as `json`, but no aliases.
            fields[f"column_{len(fields)}"] = (annotation, Field(default, alias=name))
        self.instruction = "\n".join(lines)
        return create_model("Columns", **fields)

    def values(self, text: str) -> dict[str, Any]:
        """The columns' values in the reply ``text``, by name.

        Raises ReplyFormatError: the reply does not fit; the message says why.
        """
        from pydantic import ValidationError

        parsed = _object_in(text)
        found = {self._keys.get(_composed(key), key): value for key, value in parsed.items()}
        missing = {
            one.keys[0]
            for one in self._columns
            if not one.required and found.keys().isdisjoint(one.keys)
        }
        unknown = found.keys() - self._keys.values()
        if missing and unknown:
            # Perhaps a column with its name misspelled: it must not be lost silently.
            raise _unfit(f"{min(missing)}: Field required, but the reply has “{min(unknown)}”")
        unread = {}
        for column in self._columns:
            for key in found.keys() & column.keys:
                try:
                    found[key] = _read(column, found[key])
                except _Unreadable as error:
                    unread[key] = f"{column.keys[0]}: {error}"
        try:
            model = self._model.model_validate_json(json.dumps(found), strict=True)
            if unread:
                raise _unfit("; ".join(unread.values()))
            return {
                column.name: _cell(column, getattr(model, column.field)) for column in self._columns
            }
        except ValidationError as error:
            details = [
                one
                for one in error.errors(include_url=False)
                if unread.keys().isdisjoint(one["loc"][:1])
            ]
            problems = [*unread.values()]
            problems += [
                f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}{_got(one['input'])}"
                for one in details
            ]
            if any(one["input"] is None and len(one["loc"]) == 1 for one in details):
                problems.append(f"a type with {self._optional} accepts null")
            raise _unfit("; ".join(problems)) from None
        except ReplyFormatError:
            raise
        except Exception as error:  # noqa: BLE001 - the code of a model of the user's
            raise _unfit(f"{self._model.__name__} raised {type(error).__name__}") from None


def is_model(value: object) -> TypeGuard[type[BaseModel]]:
    """Whether ``value`` is a pydantic model with fields."""
    if sys.modules.get("pydantic") is None:
        return False
    from pydantic import BaseModel, RootModel

    return (
        isinstance(value, type)
        and issubclass(value, BaseModel)
        and not issubclass(value, RootModel)
        and bool(value.model_fields)
    )


def _unfit(reason: str) -> ReplyFormatError:
    return ReplyFormatError(
        f"The reply does not fit: {truncate(reason, MAX_REASON)}.",
        hint="Its text is kept in the column `reply`.",
    )


def _got(value: Any) -> str:
    """The value that came, short and on one line; empty for a list or an object."""
    if isinstance(value, str):
        return f" (got {truncate(one_line(value[: 10 * MAX_VALUE]), MAX_VALUE)!r})"
    if value is None or isinstance(value, bool | int | float):
        return f" (got {truncate(json.dumps(value), MAX_VALUE)})"
    return ""


def _type(kind: str) -> tuple[Any, str]:
    """The annotation of a type of the specification, and its description for the service."""
    from pydantic import Field

    if kind.startswith("[") and kind.endswith("]"):
        item = kind[1:-1].strip()
        if item.startswith("["):
            raise UsageError(
                f"`{truncate(kind, MAX_VALUE)}` is not a type of a column: a list of lists.",
                hint="Name a pydantic model, whose fields can have any type.",
            )
        inner, shape = _type(item)
        return list[inner], f"a list; each entry is {shape}"  # type: ignore[valid-type]
    if re.search(r"[;:\\]", kind):  # several columns, or an escape: not the text of an option
        raise UsageError(
            f"`{kind}` is not a type of a column: it has `;`, `:` or a backslash.", hint=_HINT
        )
    options = [option.strip() for option in kind.split("|")]
    distinct = all(options) and len({*map(_plain, options)}) == len(options)
    if len(options) > 1 and distinct and not any(map(_QUOTED.fullmatch, options)):
        shape = " or ".join(json.dumps(one, ensure_ascii=False) for one in options)
        return Literal[tuple(options)], shape
    if kind not in WORDS:
        meant = ALIASES.get(kind.casefold())
        suggestion = f"Did you mean `{meant}`? " if meant else did_you_mean(kind, WORDS)
        raise UsageError(f"`{kind}` is not a type of a column.", hint=suggestion + _HINT)
    annotation: Any = {name: one for one, name in KINDS.items() if one is not Decimal}[kind]
    if kind == "text":
        annotation = Annotated[str, Field(min_length=1)]
    elif kind == "int":
        annotation = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]
    return annotation, WORDS[kind]


def _keys(model: type[BaseModel], name: str) -> tuple[str, ...]:
    """The names in JSON from which the model reads a field; the first one is asked for."""
    from pydantic import AliasChoices

    alias, config = model.model_fields[name].validation_alias, model.model_config
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    keys = [one for one in choices if isinstance(one, str)]
    if config.get("validate_by_alias") is False:
        keys = [name]
    elif config.get("validate_by_name") or config.get("populate_by_name"):
        keys.append(name)
    if not keys:
        raise UsageError(
            f"{model.__name__} reads {name} by a path, for which its JSON schema does not ask.",
            hint="Use a model as the type of the field, instead of AliasPath.",
        )
    return tuple(dict.fromkeys(keys))


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    """The kind and the options of a field."""
    while (origin := get_origin(annotation)) in (Annotated, Union, UnionType):
        parts = [one for one in get_args(annotation) if one is not type(None)]
        if len(parts) > 1 and origin is not Annotated:
            return "json", ()
        annotation = parts[0]
    if origin is list:
        kind, options = _kind(get_args(annotation)[0])
        return (f"[{kind}]", options) if kind in WORDS else ("json", ())
    if origin is Literal and all(isinstance(one, str) for one in get_args(annotation)):
        return "text", get_args(annotation)
    if origin is Literal and all(type(one) is int for one in get_args(annotation)):
        return "int", ()
    if isinstance(annotation, type) and issubclass(annotation, IntEnum):
        return "int", ()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "json", tuple(one.value for one in annotation if isinstance(one.value, str))
    return KINDS.get(annotation, "json"), ()


def _object_in(text: str) -> dict[str, Any]:
    """The one JSON object in ``text``: all from the first brace to the last."""
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise _unfit("it has no JSON object")
    if "}" in text[:begin] or "{" in text[end:]:
        raise _unfit("it has a part of another JSON object")
    try:
        found: dict[str, Any] = json.loads(
            text[begin : end + 1],
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_float=_Written,
            strict=False,
        )
    except (ValueError, RecursionError) as error:
        raise _unfit(f"it has not exactly one valid JSON object: {error}") from None
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({_plain(name) for name, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no number {name}")


_composed = partial(unicodedata.normalize, "NFC")


def _plain(text: str) -> str:
    """``text`` as it is compared: with one blank as white space, and in lower case."""
    return " ".join(_composed(text).split()).casefold()


class _Unreadable(Exception):
    """Why a value does not fit its column."""


def _read(column: Column, value: Any) -> Any:
    """``value`` in the form that JSON has for the column's type.

    Raises _Unreadable: it has none.
    """
    if column.kind.startswith("["):
        inner = column._replace(kind=column.kind[1:-1])
        return [_read(inner, one) for one in value] if isinstance(value, list) else value
    if column.options and isinstance(value, str) and value not in column.options:
        same = [one for one in column.options if _plain(one) == _plain(value)]
        return same[0] if len(same) == 1 else value
    read = READERS[column.kind](value) if column.kind in READERS else value
    written = value if isinstance(value, _Written) else None
    too_long = type(read) is int and column.kind == "number" and loses_digits(Decimal(read))
    if too_long or (written is not None and written.loses_digits):
        raise _Unreadable(TOO_MANY_DIGITS)
    if (
        column.kind == "date"
        and isinstance(read, str)
        and not re.fullmatch(r"\d{4}(-\d\d){2}", read)
    ):
        # pydantic would read digits as seconds
        raise _Unreadable(f"Input should be a valid date in the format YYYY-MM-DD{_got(read)}")
    return read


def _cell(column: Column, value: Any) -> Any:
    """A validated value as a cell of its column."""
    from pydantic_core import to_jsonable_python

    if value is None or column.kind in ("text", "bool", "date"):
        return value
    if column.kind == "json":
        dumped = to_jsonable_python(value)
        if isinstance(dumped, str):
            return dumped
        return json.dumps(dumped, ensure_ascii=False, allow_nan=False)
    if column.kind.startswith("["):
        inner = column._replace(kind=column.kind[1:-1])
        return [_cell(inner, one) for one in value]
    if not math.isfinite(value) or (column.kind == "int" and abs(value) > MAX_INT):
        raise _unfit(f"{column.keys[0]}: the number is too large, or none")
    if isinstance(value, Decimal) and loses_digits(value):
        raise _unfit(f"{column.keys[0]}: {TOO_MANY_DIGITS}")
    return float(value) if column.kind == "number" else int(value)
