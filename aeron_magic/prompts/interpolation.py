r"""Values of the notebook in a question: ``{{name}}``.

Grammar::

    value     "{{" blank* path blank* "}}"
    path      name step*
    step      "." name  |  "[" integer "]"  |  "[" "'" text "'" "]"  |  "[" '"' text '"' "]"
    literal   "\{{"                            writes {{

Nothing is called and nothing is computed. There is one pass: what a value contains is never
looked at again, so a value cannot bring in another one. Two braces around anything that is no
path stay as they are, so that LaTeX, JSON and code pass. Two exceptions are errors, since sending
them as they stand would hardly be meant: a path whose name is unknown, and braces that begin with
a known name and go on as a call, a computation or a format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from types import ModuleType
from typing import Any, NamedTuple

from aeron_magic.errors import ValueRefused

__all__ = [
    "NAME",
    "STEP",
    "Placeholder",
    "format_value",
    "interpolate",
    "keys_of",
    "placeholders_in",
    "resolve",
]

NAME = r"[^\W\d]\w*+"
"""The regular expression of a name."""
STEP = (
    rf"[ \t]*+(?:\.[ \t]*+{NAME}"
    r"""|\[[ \t]*+(?:-?\d++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\])"""
)
"""The regular expression of one step from a value to a part of it."""

_BRACES = re.compile(
    rf"(?P<literal>\\\{{\{{)"
    rf"|\{{\{{[ \t]*+(?P<path>{NAME}(?:{STEP})*)[ \t]*+\}}\}}"
    rf"|\{{\{{[ \t]*+(?P<begun>{NAME})[^{{}}\n]*+\}}\}}"
)
_STEPS = re.compile(
    rf"""\.[ \t]*(?P<attribute>{NAME})|\[[ \t]*(?:(?P<index>-?\d+)|(?P<quote>["'])(?P<key>.*?)"""
    r"(?P=quote))[ \t]*\]"
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")

_WAYS = r"write `\{{` for two literal braces, or use --raw to leave all of them alone."
_PRIVATE = "Put it in a variable with another name, and name that."
_PICTURES = {"PIL", "altair", "bokeh", "matplotlib", "plotly"}
_SHORT = 80


class Placeholder(NamedTuple):
    """One ``{{path}}`` of a text.

    Parameters
    ----------
    path
        What stands between the braces, without the blanks around it.
    start, end
        Its place in the text, braces included.
    line, column
        Where it begins, both counted from 1.
    """

    path: str
    start: int
    end: int
    line: int
    column: int

    @property
    def name(self) -> str:
        """The name in the namespace."""
        found = re.match(NAME, self.path)
        return found[0] if found else self.path

    @property
    def location(self) -> str:
        """The reference and its place, as an error begins."""
        return f"{{{{{self.path}}}}} (line {self.line}, column {self.column})"


def interpolate(
    text: str, namespace: Mapping[str, object], *, secrets: Iterable[str] = (), rows: int = 20
) -> str:
    """Return ``text`` with its values put in.

    Parameters
    ----------
    text
        The question as it was typed.
    namespace
        The variables, by name.
    secrets
        Texts no value may contain, such as the credentials in use.
    rows
        How many rows of a table enter; a line after the table says what was left out.

    Raises
    ------
    ValueRefused
        A name is unknown, a value cannot be shown as text, or it contains a secret.
    """
    hidden = {form for secret in secrets if secret for form in _spellings(secret)}
    pieces: list[str] = []
    at = 0
    for match in _BRACES.finditer(text):
        if match["begun"] and match["begun"] not in namespace:
            continue
        pieces.append(text[at : match.start()])
        at = match.end()
        if match["literal"]:
            pieces.append("{{")
            continue
        reference = _reference(match, text)
        try:
            if match["begun"]:
                raise ValueRefused(
                    'only a path enters: a name, then .attribute, [0] or ["key"]',
                    hint=f"Put the result in a variable and name that; {_WAYS}",
                )
            value = resolve(reference, namespace)
            written = format_value(value, rows=rows)
            if any(form in written for form in hidden):
                raise ValueRefused(
                    "it contains a configured secret, which is never sent as text",
                    hint="Take the secret out of the value.",
                )
        except ValueRefused as error:
            raise ValueRefused(
                f"{reference.location}: {error.message}.", hint=error.hint
            ) from error
        pieces.append(_on_own_lines(written, text, reference) if _frame(value) else written)
    pieces.append(text[at:])
    return "".join(pieces)


def placeholders_in(text: str) -> list[Placeholder]:
    """Return the values ``text`` asks for, in order."""
    return [_reference(match, text) for match in _BRACES.finditer(text) if match["path"]]


def _reference(match: re.Match[str], text: str) -> Placeholder:
    start = match.start()
    return Placeholder(
        path=match[0][2:-2].strip(),
        start=start,
        end=match.end(),
        line=text.count("\n", 0, start) + 1,
        column=start - text.rfind("\n", 0, start),
    )


def _on_own_lines(table: str, text: str, reference: Placeholder) -> str:
    """Return ``table`` on lines of its own, so that no text beside it becomes a part of it."""
    before = text[: reference.start].rpartition("\n")[2]
    beside, _, below = text[reference.end :].partition("\n")
    after = "\n\n" if beside.strip() else "\n" if below.partition("\n")[0].strip() else ""
    return ("\n\n" if before.strip() else "") + table + after


def _spellings(secret: str) -> set[str]:
    """Return the ways ``secret`` may be written in a value's text."""
    quoted = {secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return quoted | {_cell(form) for form in quoted}


def resolve(reference: Placeholder, namespace: Mapping[str, object]) -> object:
    """Return the value ``reference`` names.

    Reading an attribute may run a property's code; nothing else is run.

    Raises
    ------
    ValueRefused
        There is no such value, or reading it failed. The message does not say where; the
        caller does.
    """
    name = reference.name
    if name.startswith("__"):
        raise ValueRefused("names that begin with two underscores do not enter", hint=_PRIVATE)
    if name not in namespace:
        # What can be called does not enter: IPython's `open` and `exit` among them.
        public = [
            known
            for known, value in namespace.items()
            if not (known.startswith("_") or callable(value) or isinstance(value, ModuleType))
        ]
        raise ValueRefused(f"there is no variable {name}", hint=_hint(_nearest(name, public)))
    value: Any = namespace[name]
    shown = name
    for step in _STEPS.finditer(reference.path, len(name)):
        value = _step_into(value, step, shown)
        shown += step[0]
    return value


def _step_into(value: Any, step: re.Match[str], shown: str) -> object:
    attribute = step["attribute"]
    if attribute and attribute.startswith("_"):
        raise ValueRefused("private attributes do not enter", hint=_PRIVATE)
    key: object = int(step["index"]) if step["index"] else step["key"]
    try:
        return getattr(value, attribute) if attribute else value[key]
    except Exception as error:
        if attribute:
            missing = isinstance(error, AttributeError) and not hasattr(type(value), attribute)
        else:
            missing = isinstance(error, LookupError | TypeError) or bool(_frame(value))
        if missing:
            near = _near_part(value, attribute or key, bool(attribute), shown)
            raise ValueRefused(
                f"{shown} ({type(value).__name__}) has no {step[0]}",
                hint=_hint(near or f"Look at what `{shown}` holds. "),
            ) from error
        raise ValueRefused(
            f"reading {step[0]} of {shown} raised {type(error).__name__}",
            hint="Put the value in a variable first, and name that.",
        ) from error


def _near_part(value: object, part: object, attribute: bool, shown: str) -> str:
    keys = keys_of(value)
    if not isinstance(part, str):
        return ""
    if attribute and part in keys:
        return f'Did you mean `{{{{{shown}["{part}"]}}}}`? '
    # The plain object's list: a class's own __dir__ is code, and could fail.
    public = [name for name in object.__dir__(value) if not name.startswith("_")]
    return _nearest(part, [*keys, *public] if attribute else keys)


def keys_of(value: object) -> list[str]:
    """Return the text keys of a mapping, or a table's columns."""
    keys: Iterable[object] = ()
    if isinstance(value, Mapping):
        keys = value.keys()
    elif _frame(value):
        keys = getattr(value, "columns", ())
    return [key for key in keys if isinstance(key, str)]


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # only errors need it

    found = get_close_matches(name, known, 3)
    return f"Did you mean {' or '.join(f'`{one}`' for one in found)}? " if found else ""


def _hint(first: str) -> str:
    return f"{first or 'Define it first; '}{_WAYS[0].upper() if first else _WAYS[0]}{_WAYS[1:]}"


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
    if frame := _frame(value):
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
        if _is_array(part) and not _frame(part):
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


def _frame(value: object) -> str:
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
    lines = [head, ["---"] * len(head)]
    lines += [[_cell(_text(cell, rows)) for cell in line] for line in body]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
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
    return _cell(" / ".join(map(str, name)) if isinstance(name, tuple) else str(name))


def _cell(text: str) -> str:
    """Return ``text`` fit for one cell of a Markdown table."""
    return re.sub(r"\r\n?|\n", "<br>", text).replace("|", "\\|")
