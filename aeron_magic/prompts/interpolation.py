r"""Placeholders in a question, ``{{name}}``, replaced with values of the notebook.

Grammar::

    value     "{{" blank* path blank* [":" format] "}}"
    path      name step*
    step      "." name  |  "[" integer "]"  |  "[" "'" text "'" "]"  |  "[" '"' text '"' "]"
    format    as in format(), such as .2%
    literal   "\{{"                            writes {{

Nothing is called or computed, and placeholders inside a value are not replaced. Double braces
around anything but a path are left as they are, so LaTeX, JSON and code are safe. What is probably
a mistake is an error: a path with an unknown name, alone or with a typical format; a known name
followed by anything else, a column of ``row`` whose name has a space, double braces before a known
name that are never closed, and a Python expression on one line that calls something or contains a
known name. A filter, as in ``{{other | upper}}``, belongs to a template language: it is no
expression.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterable, Mapping
from types import ModuleType
from typing import Any, NamedTuple
from unicodedata import normalize

from aeron_magic.errors import ValueRefused
from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.plaintext import spellings
from aeron_magic.prompts.values import absence, format_value, is_missing, prompt_cell, table_class

MARKS = r"\u0300-\u036f\u0900-\u0963\u0966-\u0dff"
"""Vowel signs, such as those of Hindi, which are not in ``\\w``."""
NAME = rf"[^\W\d][\w{MARKS}]*+"
"""The regular expression of a name."""
STEP = (
    rf"[ \t]*+(?:\.[ \t]*+{NAME}"
    r"""|\[[ \t]*+(?:-?\d{1,18}+|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\])"""
)
"""The regular expression of one step from a value to a part of it."""

_BRACES = re.compile(
    rf"(?P<literal>\\\{{\{{)"
    rf"|\{{\{{[ \t]*+(?P<path>{NAME}(?:{STEP})*)[ \t]*+(?::(?P<format>[^{{}}\n]++))?\}}\}}"
    r"|\{\{[ \t]*+[fF](?P<formatted>[\"'])[^{\"'\n]*+\{[^\"'\n]*+(?P=formatted)[ \t]*+\}\}"
    r"|\{\{(?P<other>[^{}\n]++)\}\}"
    rf"|\{{\{{[ \t]*+(?P<nested>{NAME}(?:{STEP})*[ \t]*+:[^{{}}\n]*+"
    r"(?:\{[^{}\n]*+\}[^{}\n]*+)++)\}\}"
    rf"|\{{\{{[ \t]*+(?P<open>{NAME})"
)
_CONVERSION = re.compile(r"(?:![rsa])?(?::[^:]*)?\Z")
_LONG_NUMBER = re.compile(r"\d{5}")
_TYPICAL_FORMAT = re.compile(
    r"[ <>^=+\d,_-]*+\.\d++[eEfFgG] *+\Z|[ <>^=+,_-]*+\.\d++% *+\Z|,\Z"
    r"|[^%\w\n]*+%[aAbBdHIjmMpSUwWxXyYzZ]"
)
"""A format that is hardly anything else, such as ``.2f``, ``,`` and ``%d %b``."""
MAX_NAMED = 12
"""Columns or keys that an error names."""
_WORDS = re.compile(r"\w[\w ()/%&#-]{1,60}")
"""What may be a key with a space."""
_MAX_EXPRESSION = 1_000
"""Characters of a text in double braces that is read as Python."""
STEPS = re.compile(
    rf"\.[ \t]*+(?P<attribute>{NAME})|\[[ \t]*+(?:(?P<index>-?\d{{1,18}}+)"
    r"""|(?P<quote>["'])(?P<key>(?:(?!(?P=quote))[^\n])*+)(?P=quote))[ \t]*+\]"""
)
"""Finds the steps of a path."""

_RAW_HINT = ", or use --raw to leave all of them alone"
_LITERAL_HINT = rf"write `\{{{{` for two literal braces{_RAW_HINT}."
_PRIVATE = "Put it in a variable with another name, and name that."


class Placeholder(NamedTuple):
    """One ``{{path}}`` of a text.

    * ``path``: the text between the braces, stripped.
    * ``start``, ``end``: its position in the text, braces included.
    * ``line``, ``column``: where it begins, both counted from 1.
    * ``closed``: whether its end was found.
    """

    path: str
    start: int
    end: int
    line: int
    column: int
    closed: bool = True

    @property
    def name(self) -> str:
        """The variable's name, with which the path begins."""
        return re.match(NAME, self.path)[0]  # type: ignore[index]  # a path begins with a name

    @property
    def location(self) -> str:
        """The placeholder and its position, for an error message."""
        end = "}}" if self.closed else ""
        return f"{{{{{self.path}{end} (line {self.line}, column {self.column})"


def interpolate(
    text: str,
    namespace: Mapping[str, object],
    *,
    secrets: Iterable[str] = (),
    required: str = "",
    notes: list[str] | None = None,
) -> str:
    """Return ``text`` with its placeholders replaced.

    * ``namespace``: the variables, by name.
    * ``secrets``: texts that no value may contain, such as the credentials in use.
    * ``required``: the name of the variable for a row, of which no missing value is inserted.
    * ``notes``: sentences for the user on values that are not inserted whole are added to it.

    Raises ValueRefused: unknown name, or a value that is missing, cannot be formatted or contains a
    secret.
    """
    forbidden = {form for secret in secrets if secret for form in _in_tables(secret)}

    unclosed: set[int] | None = None

    def replaced(match: re.Match[str]) -> str:
        nonlocal unclosed
        if match["open"]:
            unclosed = _unclosed(text) if unclosed is None else unclosed
            if match["open"] not in namespace or match.start() not in unclosed:
                return match[0]  # such as LaTeX: \sqrt{{n}+1}
        if match["other"] and not _is_expression(match["other"].strip(), namespace):
            return match[0]
        if match["literal"]:
            return "{{"
        placeholder = _placeholder(match)
        other = match["nested"] or (match["format"] and not _TYPICAL_FORMAT.match(match["format"]))
        if other and _as_known(placeholder.name, namespace) not in namespace:
            return match[0]  # such as CSS
        try:
            return value_text(placeholder, match)
        except ValueRefused as error:
            message = f"{placeholder.location}: {error.message}."
            hint = error.hint.replace(_RAW_HINT, "") if required else error.hint
            raise ValueRefused(message, hint=hint) from error

    def value_text(placeholder: Placeholder, match: re.Match[str]) -> str:
        if match["open"]:
            raise ValueRefused(
                "the braces are not closed", hint=f"Write `}}}}` after it; {_LITERAL_HINT}"
            )
        if not match["path"]:
            raise ValueRefused(
                'only a path can be inserted: a name, then .attribute, [0] or ["key"]',
                hint=(_meant_key(placeholder, namespace) if match["other"] else "")
                or "Nothing is called or computed in the braces: put the result in a variable "
                f"before, and name that; {_LITERAL_HINT}",
            )
        value = resolve(placeholder, namespace)
        if placeholder.name == required and is_missing(value):
            raise ValueRefused(absence(value), hint="Fill in the value, or drop the row.")
        formatted = _with_format(value, match["format"]) or format_value(value)
        if any(form in formatted.lower() for form in forbidden):
            raise ValueRefused(
                "it contains a configured secret, which is never sent as text",
                hint="Remove the secret from the value.",
            )
        if notes is not None:
            note = _note(placeholder, value, formatted)
            if note and note not in notes:
                notes.append(note)
        if match["format"] or not table_class(value):
            return formatted
        return _on_own_lines(formatted, match)

    return _BRACES.sub(replaced, text)


def _note(placeholder: Placeholder, value: object, formatted: str) -> str:
    """That only a part of a table was inserted, or a missing value."""
    name = f"{{{{{placeholder.path}}}}}"
    if table_class(value) and formatted.endswith(" rows)"):
        part = formatted.rpartition("\n(")[2].removesuffix(")").replace("first", "the first")
        return f"Of {name}, the question has {part}."
    if isinstance(value, str | Mapping) or not is_missing(value):
        return ""
    return f"{name} has no value: the question has the text “{formatted}”."


def placeholders_in(text: str) -> list[Placeholder]:
    """Return the placeholders of ``text``, in order."""
    return [_placeholder(match) for match in _BRACES.finditer(text) if match["path"]]


def _unclosed(text: str) -> set[int]:
    """The positions of the opening braces that no brace closes."""
    opened: list[int] = []
    for brace in re.finditer("[{}]", text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            opened.pop()
    return set(opened)


def _is_expression(text: str, namespace: Mapping[str, object]) -> bool:
    """Whether ``text`` was probably meant to be computed; it is not a path."""
    begun = re.match(NAME, text)
    if begun and _as_known(begun[0], namespace) in namespace:
        return True
    if text in keys_of(namespace.get("row")):
        return True
    if len(text) > _MAX_EXPRESSION or "\\" in text:  # a backslash: LaTeX
        return False
    parsed = _parsed(text) or _parsed(_CONVERSION.sub("", text))
    while isinstance(parsed, ast.BinOp) and isinstance(parsed.op, ast.BitOr):
        parsed = parsed.left  # what follows is a filter
    return parsed is not None and any(
        node.id in namespace
        if isinstance(node, ast.Name)
        else isinstance(node, ast.Call) and not isinstance(node.func, ast.Constant)
        for node in ast.walk(parsed)
    )


def _as_known(name: str, known: Container[str]) -> str:
    """``name``, or how Python spells it: the character µ of a keyboard is a Greek letter there."""
    return name if name in known else normalize("NFKC", name)


def _parsed(text: str) -> ast.expr | None:
    """``text`` as a Python expression, if it is one."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _placeholder(match: re.Match[str]) -> Placeholder:
    text, start = match.string, match.start()
    return Placeholder(
        path=(match["path"] or match["open"] or match[0][2:-2]).strip(),
        start=start,
        end=match.end(),
        line=text.count("\n", 0, start) + 1,
        column=start - text.rfind("\n", 0, start),
        closed=not match["open"],
    )


def _with_format(value: object, specification: str | None) -> str:
    """``value`` in a format such as ``.2%``; empty without one."""
    if specification is None:
        return ""
    if _LONG_NUMBER.search(specification):
        raise ValueRefused(
            "its format has a number of more than 4 digits",
            hint="A width takes as much memory: use a smaller one.",
        )
    try:
        return format(value, specification.strip())
    except Exception as error:
        raise ValueRefused(
            f"the format “{specification}” does not fit {type(value).__name__}",
            hint="Use a format of Python's `format()`, such as `.2%` for a number and `%d %b %Y` "
            f"for a date; {_LITERAL_HINT}",
        ) from error


def _on_own_lines(table: str, match: re.Match[str]) -> str:
    """Return ``table`` separated from the text around it, which would become a part of it."""
    before = match.string[: match.start()].rpartition("\n")[2]
    beside, _, below = match.string[match.end() :].partition("\n")
    after = "\n\n" if beside.strip() else "\n" if below.partition("\n")[0].strip() else ""
    return ("\n\n" if before.strip() else "") + table + after


def _in_tables(secret: str) -> set[str]:
    """The spellings of ``secret``, also as the cells of a table show them."""
    forms = spellings(secret)
    return {form.lower() for form in {*forms, *map(prompt_cell, forms)}}


def resolve(placeholder: Placeholder, namespace: Mapping[str, object]) -> object:
    """Return the value that ``placeholder`` names.

    Reading an attribute can run a property's code; nothing else is run.

    Raises ValueRefused: the value does not exist, or reading it failed.
    """
    typed = placeholder.name
    name = _as_known(typed, namespace)
    if name.startswith("__"):
        raise ValueRefused(
            "names that begin with two underscores cannot be inserted", hint=_PRIVATE
        )
    if name not in namespace:
        # Not callables, which cannot be inserted: IPython's `open` and `exit` among them.
        public = [
            known
            for known, value in namespace.items()
            if not (known.startswith("_") or callable(value) or isinstance(value, ModuleType))
        ]
        hint = _nearest(name, public)
        if name in keys_of(namespace.get("row")):
            hint = _did_you_mean(f"{{{{row.{name}}}}}")
        elif name == "row":
            hint = f"It is a row of a table: add `--each TABLE` (in Python `each=`). {hint}"
        hint = hint.rstrip() or f"Define it first; {_LITERAL_HINT}"
        raise ValueRefused(f"unknown variable {name}", hint=hint)
    value: Any = namespace[name]
    shown = name
    for step in STEPS.finditer(placeholder.path, len(typed)):
        value = _step_into(value, step, shown)
        shown += step[0]
    return value


def _step_into(value: Any, step: re.Match[str], shown: str) -> object:
    attribute = step["attribute"]
    if attribute and attribute.startswith("_"):
        raise ValueRefused("private attributes cannot be inserted", hint=_PRIVATE)
    if attribute and not attribute.isascii():
        composed = normalize("NFKC", attribute)
        # The characters of a column's name can be composed in another way than the typed ones.
        same = [one for one in keys_of(value) if normalize("NFKC", one) == composed]
        attribute = attribute if attribute in same else (*same, composed)[0]
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
            hint = f"{near}{_names_in(value)}{_length_of(value)}".rstrip()
            if shown == "row" and isinstance(value, str | int | float):
                hint = "Each item is one value: write `{{row}}`."
            hint = hint or f"Look at what `{shown}` holds."
            if not near:
                hint += f" {_LITERAL_HINT[0].upper()}{_LITERAL_HINT[1:]}"
            kind = type(value).__name__
            # A row of a table is shown without the name of its class.
            of_kind = "" if isinstance(value, Mapping) and kind != "dict" else f" ({kind})"
            raise ValueRefused(
                f"{shown}{of_kind} has no {step[0]}",
                hint=hint,
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
        return _did_you_mean(_placeholder_of_key(shown, part))
    # Not dir(): a class's own __dir__ is code, and could fail.
    public = [name for name in map(str, object.__dir__(value)) if not name.startswith("_")]
    return _nearest(part, [*keys, *public] if attribute else keys, shown)


def _meant_key(placeholder: Placeholder, namespace: Mapping[str, object]) -> str:
    """The key that was written without quotes and brackets, such as a column with a space.

    As a suggestion; empty if the placeholder is probably something else.
    """
    text = placeholder.path
    if text in keys_of(namespace.get("row")):
        return _did_you_mean(_placeholder_of_key("row", text)).rstrip()
    begun = re.match(rf"{NAME}(?:{STEP})*", text)
    if begun is None or len(text) > _MAX_EXPRESSION:
        return ""
    shown, rest = begun[0], text[begun.end() :].lstrip()
    *_, last = [None, *STEPS.finditer(shown)]
    if last is not None and last["attribute"] and rest[:1] not in (".", "["):
        shown, rest = shown[: last.start()].rstrip(), text[last.start() :]
    try:
        value = resolve(placeholder._replace(path=shown), namespace)
    except ValueRefused:
        return ""
    keys = keys_of(value)
    part = rest[1:].strip() if rest.startswith(".") else rest.strip("[]")
    words = re.split(r"[\[:]", part, maxsplit=1)[0]  # before a step or a format
    if part in keys:
        found = _did_you_mean(_placeholder_of_key(shown, part))
    elif words.strip() in keys:
        found = _did_you_mean(_placeholder_of_key(shown, words.strip(), part[len(words) :]))
    elif not keys or not _WORDS.fullmatch(part) or _parsed(text) is not None:
        found = ""
    else:
        found = _nearest(part, keys, shown) or _did_you_mean(_placeholder_of_key(shown, part))
        found += _names_in(value)
    return found.rstrip()


def _placeholder_of_key(shown: str, key: str, step: str = "") -> str:
    quote = "'" if '"' in key else '"'
    return f"{{{{{shown}[{quote}{key}{quote}]{step}}}}}"


def keys_of(value: object) -> list[str]:
    """Return the string keys of a mapping, or the string column names of a table."""
    return [key for key in _all_keys(value) if isinstance(key, str)]


def _all_keys(value: object) -> list[object]:
    """The keys of a mapping, or the columns of a table; none if they cannot be read."""
    try:
        if isinstance(value, Mapping):
            return list(value.keys())
        return list(getattr(value, "columns", ())) if table_class(value) else []
    except Exception:  # noqa: BLE001 - the mapping's own code
        return []


def _names_in(value: object) -> str:
    """The first keys of a mapping or columns of a table, for a hint."""
    numbers = [
        key for key in _all_keys(value) if isinstance(key, int) and isinstance(value, Mapping)
    ]
    keys = [*keys_of(value), *(f"[{number}]" for number in numbers)]
    shown = [f"`{truncate(one_line(key), 30)}`" for key in keys[:MAX_NAMED]]
    if more := len(keys) - len(shown):
        shown.append(f"{more} more")
    return f"It has {', '.join(shown)}. " if shown else ""


def _length_of(value: object) -> str:
    """The length of a list or a tuple, for a hint."""
    if type(value) is list or type(value) is tuple:
        return f"Its length is {len(value):,}. "
    return ""


def _nearest(name: str, known: Iterable[str], shown: str = "") -> str:
    """The similar ones of the names, or of the keys of ``shown``, as a suggestion."""
    from difflib import get_close_matches

    names = list(dict.fromkeys(known))
    same = [one for one in names if one.casefold() == name.casefold()]
    found = same or get_close_matches(name, names, 3)
    return _did_you_mean(
        *(
            _placeholder_of_key(shown, one) if shown and not re.fullmatch(NAME, one) else one
            for one in found
        )
    )


def _did_you_mean(*names: str) -> str:
    return f"Did you mean {' or '.join(f'`{one}`' for one in names)}? " if names else ""
