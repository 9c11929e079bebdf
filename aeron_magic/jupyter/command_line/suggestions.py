"""What Tab offers on an aeron-magic line and in the text below ``%%aeron``.

On the line these are the commands, options and values of the table; in the text, which is prose,
nothing at all, except after ``{{``, where the notebook's names begin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType

from aeron_magic.errors import ValueRefused
from aeron_magic.jupyter.command_line.parser import Token, next_token
from aeron_magic.jupyter.command_line.spec import SPEC, Argument, CommandSpec, MagicSpec, Option
from aeron_magic.prompts.interpolation import NAME, STEP, Placeholder, keys_of, resolve

__all__ = ["Completion", "Suggestions"]

_CELL = re.compile(r"\s*%%aeron(?=\s|$)")
_LINE = re.compile(r"\s*(?:\w+\s*=\s*)?%aeron(?=\s|$)")
_OPEN = re.compile(
    rf"\{{\{{[ \t]*(?:(?P<path>{NAME}(?:{STEP})*)[ \t]*"
    r"""(?:\.[ \t]*(?P<attribute>\w*)|\[[ \t]*(?P<key>(?:"[^"]*|'[^']*)?))|(?P<name>\w*))"""
)
_ROUTINES = (type, FunctionType, BuiltinFunctionType, MethodType)
_OF_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython"}


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand in place of ``fragment``, the text before the cursor: all ``kind``."""

    fragment: str
    choices: tuple[str, ...] = ()
    kind: str = ""


_NOTHING = Completion("")


class Suggestions:
    """Finds what Tab offers.

    Parameters
    ----------
    table
        What can be typed.
    dynamic
        Values known only at run time, by the ``completion_source`` of options and arguments.
    namespace
        Returns the notebook's variables.
    """

    def __init__(
        self,
        table: MagicSpec = SPEC,
        dynamic: Mapping[str, Callable[[], Sequence[str]]] | None = None,
        namespace: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._table = table
        self._namespace = namespace
        self._dynamic = {"variables": self._variables, **(dynamic or {})}

    def find(self, text: str, line_number: int, column: int) -> Completion | None:
        """Return what to offer at a place of a cell, or None where the place is not ours.

        ``line_number`` and ``column`` count from 0.
        """
        lines = text.split("\n")
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        line = lines[line_number]
        before, after = line[:column], line[column:]
        if lines[first].lstrip().startswith("%%"):
            cell = _CELL.match(lines[first])
            if cell is None or line_number < first:
                return None
            if line_number > first:
                return self._in_text(before, after)
            entry: CommandSpec | None = self._table.question
            at = cell.end()
        else:
            command = _LINE.match(line)
            if command is None:
                return None
            entry, at = None, command.end()
        if column <= at:
            return None  # the name of the magic itself, which IPython completes
        return self._on_line(entry, before, at, after)

    def _on_line(self, entry: CommandSpec | None, before: str, at: int, after: str) -> Completion:
        if entry is None:
            word = next_token(before, at)
            if word is None or word.end == len(before):
                return _starting_with(
                    "" if word is None else before[word.start :], self._names, "command"
                )
            entry = self._table.by_name.get(word.text)
            if entry is None:
                return _NOTHING
            at = word.end
        places = list(entry.arguments)
        given: list[str] = []
        taken: list[Option] = []
        while (word := next_token(before, at)) is not None:
            if word.flag and (option := entry.flags.get(word.flag)):
                value = word if word.valued else None
                if value is None and option.value and word.end < len(before):
                    value = next_token(before, word.end)
                    if value is None:
                        return self._values(option, None)
                if value is not None and value.end == len(before):
                    return self._values(option, value)
                if value is not None or word.end < len(before):
                    taken.append(option)
                    at = (value or word).end
                    continue
            dashed = before[word.start] == "-"
            typing = word.end == len(before)
            if places and places[0].verbatim and not word.flag and not (dashed and typing):
                return self._in_text(before[word.start :], after)
            if typing:
                if dashed:
                    flags = _free_flags(entry, given, taken)
                    return _starting_with(before[word.start :], flags, "option")
                return self._values(places[0], word) if places else _NOTHING
            if places and not word.flag:
                given.append(word.text)
                places.pop(0)
            at = word.end
        if places and not places[0].verbatim:
            found = self._values(places[0], None)
            if found.choices or places[0].required:
                return found
        long = [flag for flag in _free_flags(entry, given, taken) if flag.startswith("--")]
        return _starting_with("", long, "option")

    def _values(self, kind: Option | Argument, word: Token | None) -> Completion:
        """Return the values of an option or argument of which ``word`` has been typed."""
        typed = word.text if word else ""
        if word is not None and word.end > word.text_start + len(typed):
            return _NOTHING  # the quote is closed, so the value is whole
        in_quotes = word is not None and not word.closed
        values = kind.choices or tuple(self._dynamic.get(kind.completion_source, tuple)())
        if not in_quotes:
            values = tuple(value if value.split() == [value] else f'"{value}"' for value in values)
            matching = [value for value in values if value.strip('"').startswith(typed)]
            return Completion(typed, tuple(matching), "value")
        return _starting_with(typed, values, "value")

    @property
    def _names(self) -> list[str]:
        return [entry.name for entry in self._table.commands]

    def _variables(self) -> list[str]:
        return sorted(
            name
            for name, value in self._namespace().items()
            if not name.startswith("_")
            and name not in _OF_IPYTHON
            and not isinstance(value, _ROUTINES)
        )

    def _in_text(self, before: str, after: str) -> Completion:
        """Return the names after an open ``{{``; anywhere else in prose there are none."""
        begin = before.rfind("{{")
        match = _OPEN.fullmatch(before, begin) if begin >= 0 else None
        if match is None or before[:begin].endswith("\\"):
            return _NOTHING
        if match["path"] is None:
            return _starting_with(match["name"], self._variables(), "variable")
        try:
            value = resolve(Placeholder(match["path"], 0, 0, 1, 1), self._namespace())
        except ValueRefused:
            return _NOTHING  # Tab is no place to complain; running the cell will
        if match["key"] is not None:
            return Completion(match["key"], tuple(_keys(value, match["key"], after)), "key")
        return _starting_with(match["attribute"], sorted(_attributes(value)), "attribute")


def _starting_with(fragment: str, choices: Iterable[str], kind: str) -> Completion:
    return Completion(fragment, tuple(one for one in choices if one.startswith(fragment)), kind)


def _free_flags(entry: CommandSpec, given: Sequence[str], taken: Sequence[Option]) -> list[str]:
    """Return the flags that may still be given."""
    fields = {option.dest for option in taken if not option.multiple}
    return [
        flag
        for option in entry.options
        if option.dest not in fields
        and (not option.only_for or not given or given[0] in option.only_for)
        for flag in option.flags
    ]


def _attributes(value: object) -> set[str]:
    """Return the public attributes that are no methods, without running a class's own code."""
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
    """Yield the keys that begin as ``typed``, quoted, and closed where ``after`` does not."""
    for key in keys_of(value):
        quote = typed[:1] or ('"' if '"' not in key else "'")
        if quote in key or "\n" in key or not key.startswith(typed[1:]):
            continue
        closing = "" if after.startswith(quote) else quote
        yield quote + key + closing + ("" if not closing or after.startswith("]") else "]")
