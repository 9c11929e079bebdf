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
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from aeron_magic.errors import ValueRefused
from aeron_magic.prompts.values import format_value, prompt_cell, table_class

__all__ = ["NAME", "STEP", "Placeholder", "interpolate", "keys_of", "placeholders_in", "resolve"]

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

_WAYS = r"write `\{{` for two literal braces, or use --raw to leave all of them alone."
_PRIVATE = "Put it in a variable with another name, and name that."


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
        pieces.append(_on_own_lines(written, text, reference) if table_class(value) else written)
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
    return quoted | {prompt_cell(form) for form in quoted}


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
            missing = isinstance(error, LookupError | TypeError) or bool(table_class(value))
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
    elif table_class(value):
        keys = getattr(value, "columns", ())
    return [key for key in keys if isinstance(key, str)]


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # only errors need it

    found = get_close_matches(name, known, 3)
    return f"Did you mean {' or '.join(f'`{one}`' for one in found)}? " if found else ""


def _hint(first: str) -> str:
    return f"{first or 'Define it first; '}{_WAYS[0].upper() if first else _WAYS[0]}{_WAYS[1:]}"
