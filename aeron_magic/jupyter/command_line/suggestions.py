"""Completions for an aeron-magic line and for the text below ``%%aeron``.

On the line: commands, options and values. In the text: nothing, except the notebook's variables
after ``{{``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType

from aeron_magic.errors import ValueRefused
from aeron_magic.jupyter.command_line.parser import Token, tokens
from aeron_magic.jupyter.command_line.spec import COMMANDS, QUESTION, Argument, CommandSpec, Option
from aeron_magic.prompts.interpolation import NAME, STEP, Placeholder, keys_of, resolve

_CELL = re.compile(r"\s*%%aeron(?=\s|$)")
_LINE = re.compile(r"\s*(?:\w+\s*=\s*)?%aeron(?=\s|$)")
_OPEN = re.compile(
    rf"\{{\{{[ \t]*(?:(?P<path>{NAME}(?:{STEP})*)[ \t]*"
    r"""(?:\.[ \t]*(?P<attribute>\w*)|\[[ \t]*(?P<key>(?:"[^"]*|'[^']*)?))|(?P<name>\w*))"""
)
_ROUTINES = (type, FunctionType, BuiltinFunctionType, MethodType)
_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "get_ipython"}


@dataclass(frozen=True, slots=True)
class Completion:
    """The ``choices``, all of one ``kind``, for ``fragment``, the text before the cursor."""

    fragment: str = ""
    choices: tuple[str, ...] = ()
    kind: str = ""


class Suggestions:
    """Finds completions.

    * ``names``: returns the values of a ``completion_source`` other than ``variables``.
    """

    def __init__(
        self, names: Callable[[str], Sequence[str]], namespace: Mapping[str, object]
    ) -> None:
        self._names = names
        self._namespace = namespace

    def find(self, text: str, line_number: int, column: int) -> Completion | None:
        """Return the completion at a position of a cell, or None outside our magics.

        ``line_number`` and ``column`` count from 0.
        """
        lines = text.split("\n")
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        before, after = lines[line_number][:column], lines[line_number][column:]
        if lines[first].lstrip().startswith("%%"):
            if line_number < first or not (magic := _CELL.match(lines[first])):
                return None
            if line_number > first:
                return self._in_text(before, after)
        elif not (magic := _LINE.match(lines[line_number])):
            return None
        if column <= magic.end():
            return None  # IPython completes the name of the magic
        if magic.re is _CELL:
            return self._on_line(QUESTION, before, magic.end(), after)
        command = next(tokens(before, magic.end()), None)
        if command is None or command.end == len(before):
            return _matching(before[command.start :] if command else "", COMMANDS, "command")
        spec = COMMANDS.get(command.text)
        return Completion() if spec is None else self._on_line(spec, before, command.end, after)

    def _on_line(self, spec: CommandSpec, before: str, start: int, after: str) -> Completion:
        arguments = list(spec.arguments)
        given: list[str] = []
        used: list[Option] = []
        pending: Option | None = None  # the option whose value is the next token
        for token in tokens(before, start):
            at_cursor = token.end == len(before)
            option = pending or spec.flags.get(token.flag)
            if option and at_cursor and (pending or token.has_value):
                return self._values(option, token)
            if option and not at_cursor:
                used.append(option)
                needs_value = option.metavar and not pending and not token.has_value
                pending = option if needs_value else None
                continue
            dashed = before[token.start] == "-"
            verbatim = bool(arguments) and arguments[0].verbatim
            if verbatim and not token.flag and not (dashed and at_cursor):
                return self._in_text(before[token.start :], after)
            if at_cursor and dashed:
                return _matching(before[token.start :], _free_flags(spec, given, used), "option")
            if at_cursor:
                return self._values(arguments[0], token) if arguments else Completion()
            if arguments and not token.flag:
                given.append(token.text)
                if not arguments[0].multiple:
                    arguments.pop(0)
        if pending:
            return self._values(pending, None)
        if arguments and not arguments[0].verbatim:
            found = self._values(arguments[0], None)
            if found.choices or arguments[0].required:
                return found
        long = [flag for flag in _free_flags(spec, given, used) if flag.startswith("--")]
        return _matching("", long, "option")

    def _values(self, kind: Option | Argument, token: Token | None) -> Completion:
        """Return the values of an option or argument that begin like ``token``."""
        typed = token.text if token else ""
        if token is not None and token.end > token.text_start + len(typed):
            return Completion()  # after a closing quote
        values = kind.choices
        if kind.completion_source:
            variables = kind.completion_source == "variables"
            values = tuple(self._variables() if variables else self._names(kind.completion_source))
        if token is not None and not token.closed:
            return _matching(typed, values, "value")
        quoted = [value if value.split() == [value] else f'"{value}"' for value in values]
        matching = [value for value in quoted if value.strip('"').startswith(typed)]
        return Completion(typed, tuple(matching), "value")

    def _variables(self) -> list[str]:
        return sorted(
            name
            for name, value in self._namespace.items()
            if not name.startswith("_")
            and name not in _IPYTHON_NAMES
            and not isinstance(value, _ROUTINES)
        )

    def _in_text(self, before: str, after: str) -> Completion:
        """Return variables, attributes or keys after an open ``{{``, and nothing elsewhere."""
        begin = before.rfind("{{")
        match = _OPEN.fullmatch(before, begin) if begin >= 0 else None
        if match is None or before[:begin].endswith("\\"):
            return Completion()
        if match["path"] is None:
            return _matching(match["name"], self._variables(), "variable")
        try:
            value = resolve(Placeholder(match["path"], 0, 0, 1, 1), self._namespace)
        except ValueRefused:
            return Completion()  # running the cell will report it
        if match["key"] is not None:
            return Completion(match["key"], tuple(_keys(value, match["key"], after)), "key")
        return _matching(match["attribute"], sorted(_attributes(value)), "attribute")


def _matching(fragment: str, choices: Iterable[str], kind: str) -> Completion:
    return Completion(fragment, tuple(one for one in choices if one.startswith(fragment)), kind)


def _free_flags(spec: CommandSpec, given: Sequence[str], used: Sequence[Option]) -> list[str]:
    """Return the flags that are still valid."""
    taken = {option.dest for option in used if not option.multiple}
    return [
        flag
        for flag, option in spec.flags.items()
        if option.dest not in taken
        and (not option.only_for or not given or given[0] in option.only_for)
    ]


def _attributes(value: object) -> set[str]:
    """Return the public attributes that are not methods, without running code of the class."""
    own = vars(value) if hasattr(value, "__dict__") else {}
    names = {*object.__dir__(value), *filter(str.isidentifier, keys_of(value))}
    if isinstance(value, Mapping):
        names -= set(keys_of(value))
    return {
        name
        for name in names
        if not name.startswith("_")
        and not isinstance(own.get(name), _ROUTINES)
        and not callable(getattr(type(value), name, None))
    }


def _keys(value: object, typed: str, after: str) -> Iterator[str]:
    """Yield the quoted keys that begin like ``typed``, with the brackets missing in ``after``."""
    for key in keys_of(value):
        quote = typed[:1] or ('"' if '"' not in key else "'")
        if quote in key or "\n" in key or not key.startswith(typed[1:]):
            continue
        closing = "" if after.startswith(quote) else quote
        yield quote + key + closing + ("" if not closing or after.startswith("]") else "]")
