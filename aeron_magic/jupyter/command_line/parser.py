"""The magic line is a language: this is its grammar and its parser.

Grammar::

    cell      %%aeron option*                     the question is the text below the line
    line      %aeron                              the same as %aeron status
              %aeron command (option | argument)*
              %aeron ask option* [--] text        text: verbatim, to the end of the line
    option    flag | flag value | --name=value    flag: -x or --name
    value     bare | "any text" | 'any text'      bare: no blank, begins with no quote

A quote counts only where a value begins, and a backslash never does anything, so that ``don't``
and ``C:\\notes\\today.md`` are plain values. Commands and options are entries of
``aeron_magic.jupyter.command_line.spec``. What was typed is not repeated in an error, except
names of options and commands: a secret typed in the wrong place must not come back in an output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.spec import SPEC, Argument, CommandSpec, MagicSpec, Option

__all__ = [
    "Command",
    "Options",
    "Token",
    "next_token",
    "parse_command",
    "parse_options",
]

_WORD = re.compile(
    r"""\s*(?:(?P<flag>--?[A-Za-z][\w-]*)(?:(?P<equals>=)|(?=\s|\Z)))?"""
    r"""(?:(?P<quote>["'])(?P<quoted>.*?)(?P<close>(?P=quote)|\Z)|(?P<bare>\S*))""",
    re.DOTALL,
)
_SECRET = re.compile(
    r"secret|passw|pwd|credential|api[-_]?key|client[-_]?id|bearer|authorization"
    r"|(access|auth)[-_]?token",
    re.IGNORECASE,
)


class Options(NamedTuple):
    """What a question was asked with; each field is an option of ``%%aeron``.

    ``live`` says whether the output is updated in place; None leaves it to the front end.
    ``timeout`` is in seconds of silence; None takes the configured one.
    """

    out: str | None = None
    format: str = "markdown"
    conversation: str | None = None
    new: bool = False
    after: str | None = None
    as_: str | None = None
    images: tuple[str, ...] = ()
    stream: bool = True
    raw: bool = False
    dry_run: bool = False
    timeout: float | None = None
    quiet: bool = False
    live: bool | None = None
    each: str | None = None
    concurrency: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed ``%aeron`` line: ``command["field"]`` is an argument's or option's value.

    ``options`` is there for a question only.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    options: Options | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


class Token(NamedTuple):
    """One word of a line.

    ``flag`` is the option's name, or empty; ``text`` the value (after ``=``, of a flag);
    ``start`` and ``end`` are its place in the line and ``text_start`` that of the value.
    ``closed`` is False where the line ends inside a quote.
    """

    flag: str
    valued: bool
    text: str
    start: int
    text_start: int
    end: int
    closed: bool


def next_token(line: str, at: int) -> Token | None:
    """Return the first word of ``line`` from position ``at`` on, or None."""
    match = _WORD.match(line, at)
    if match is None or not line[at:].strip():
        return None
    quoted = match["quoted"] is not None
    return Token(
        flag=match["flag"] or "",
        valued=bool(match["equals"]) or not match["flag"],
        text=match["quoted"] if quoted else match["bare"],
        start=match.end() - len(match[0].lstrip()),
        text_start=match.start("quoted" if quoted else "bare"),
        end=match.end(),
        closed=not quoted or bool(match["close"]),
    )


def _reject_secret(word: Token) -> None:
    name, equals, _ = word.text.partition("=")
    if _SECRET.search(word.flag or (name if equals or name.startswith("-") else "")):
        raise UsageError(
            "A secret is never accepted on a magic line.",
            hint="Set AERON_CLIENT_ID and AERON_CLIENT_SECRET in the environment, or run "
            "`%aeron login` and type it hidden; if that was a real one, delete it from the cell.",
        )


def _nearest(word: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only errors need it

    names = list(names)
    begun = [name for name in names if len(word.strip("-")) > 1 and name.startswith(word)]
    found = begun or get_close_matches(word, names, 1)
    return f"Did you mean `{found[0]}`? " if found else ""


def _checked(value: str, named: str, kind: Option | Argument) -> object:
    if kind.choices and value not in kind.choices:
        close = _nearest(value, kind.choices)
        raise UsageError(
            f"{named} is one of {', '.join(kind.choices)}.",
            hint=close or "`%aeron help` shows all options and commands.",
        )
    if not value.strip():
        raise UsageError(f"{named} needs a value, and it is empty.")
    try:
        return kind.read(value) if isinstance(kind, Option) else value
    except ValueError as error:
        raise UsageError(f"{named} needs {error}.") from None


def _value_of(option: Option, word: Token, line: str) -> tuple[object, int]:
    """Return the option's value and where the line goes on."""
    if not option.value:
        if word.valued:
            raise UsageError(f"{word.flag} takes no value.", hint=f"Write `{word.flag}` alone.")
        return option.const, word.end
    value = word if word.valued else next_token(line, word.end)
    if value is None or (value.flag and not word.valued) or not value.valued:
        raise UsageError(f"{word.flag} needs a value.", hint=f"Write `{word.flag} {option.value}`.")
    _reject_open_quote(value)
    return _checked(value.text, word.flag, option), value.end


def _reject_open_quote(word: Token) -> None:
    if not word.closed:
        raise UsageError(
            "A quote is never closed.",
            hint="Close it; a value that holds one kind of quote goes in the other kind.",
        )


def _parse(entry: CommandSpec, line: str, at: int, table: MagicSpec) -> dict[str, Any]:
    """Return the values given on ``line`` from position ``at`` on, by field."""
    flags, places = entry.flags, list(entry.arguments)
    given: dict[str, Any] = {}
    typed: dict[str, Option] = {}
    while (word := next_token(line, at)) is not None:
        verbatim = bool(places) and places[0].verbatim
        if not verbatim or line[word.start] == "-":
            _reject_secret(word)
        if verbatim and not word.flag:
            begin = word.end if line[word.start : word.end] == "--" else word.start
            if text := line[begin:].lstrip():
                given[places.pop(0).name.lower()] = text
            break
        if not word.flag:
            if not places:
                raise _unexpected_argument(entry, word, table)
            _reject_open_quote(word)
            argument = places.pop(0)
            given[argument.name.lower()] = _checked(
                word.text, f"{entry.label} {argument.name}", argument
            )
            at = word.end
        elif (option := flags.get(word.flag)) is None:
            raise _unknown(entry, word.flag)
        else:
            _reject_repeated(word.flag, option, typed)
            typed[word.flag] = option
            value, at = _value_of(option, word, line)
            given[option.dest] = (*given.get(option.dest, ()), value) if option.multiple else value
        if at < len(line) and not line[at].isspace():
            raise UsageError(
                "A blank is missing after a closing quote.", hint="Put the whole value in quotes."
            )
    missing = next((place for place in places if place.required), None)
    if missing is not None:
        shown = " or ".join(missing.choices) or missing.name
        raise UsageError(f"{entry.label} needs {shown}.", hint=f"Write `{entry.usage}`.")
    _reject_misplaced(entry, given, typed)
    return given


def _unknown(entry: CommandSpec, flag: str) -> UsageError:
    hint = _nearest(flag, entry.flags) + "`%aeron help` shows all options and commands."
    if entry.asks and entry.arguments:
        hint += " Before a text that begins with a dash write `--`."
    return UsageError(f"{entry.label} has no option {flag}.", hint=hint)


def _reject_repeated(flag: str, option: Option, typed: Mapping[str, Option]) -> None:
    earlier = [name for name, other in typed.items() if other.dest == option.dest]
    if earlier and not option.multiple:
        same = typed[earlier[0]] is option
        raise UsageError(
            f"{flag} is given twice."
            if same
            else f"{flag} and {earlier[0]} contradict each other.",
            hint="Leave one of them out.",
        )


def _reject_misplaced(
    entry: CommandSpec, given: Mapping[str, object], typed: Mapping[str, Option]
) -> None:
    first = given.get(entry.arguments[0].name.lower()) if entry.arguments else None
    for flag, option in typed.items():
        if option.only_for and first not in option.only_for:
            raise UsageError(
                f"{flag} does not belong to {entry.label} {first}.",
                hint=f"It goes with {' or '.join(option.only_for)}.",
            )


def _unexpected_argument(entry: CommandSpec, word: Token, table: MagicSpec) -> UsageError:
    if entry.name:
        return UsageError("There is too much on the line.", hint=f"Write `{entry.usage}`.")
    if word.text in table.by_name:
        return UsageError(
            f"`{word.text}` is a command of %aeron, with one percent sign.",
            hint=f"Write `{table.by_name[word.text].usage}`.",
        )
    return UsageError(
        "%%aeron takes options only, and there is other text on its line.",
        hint="Write the question on the lines below, or on one line with `%aeron ask`; "
        "a value with blanks goes in quotes.",
    )


def _options(given: Mapping[str, Any]) -> Options:
    options = Options(**given)
    if options.new and options.after:
        raise UsageError(
            "--new and --after contradict each other.",
            hint="--new begins a conversation, --after continues one: leave one of them out.",
        )
    if options.each is None:
        for field, flag in (("concurrency", "--concurrency"), ("rate", "--rate")):
            if field in given:
                raise UsageError(f"{flag} belongs to --each.", hint="Write `--each EXPR` too.")
        return options
    for field, flag in (("format", "-f"), ("conversation", "-c"), ("as_", "--as")):
        if field in given:
            raise UsageError(
                f"{flag} is for one question, and --each asks many.",
                hint="Leave it out; the rows come back as a table, with -o as a DataFrame.",
            )
    return options


def parse_options(line: str, table: MagicSpec = SPEC) -> Options:
    """Read what follows ``%%aeron`` on its line.

    Raises
    ------
    UsageError
        The line is not of the language; the hint says the remedy.
    """
    return _options(_parse(table.question, line, 0, table))


def parse_command(line: str, table: MagicSpec = SPEC) -> Command:
    """Read what follows ``%aeron`` on its line; nothing at all is ``status``.

    Raises
    ------
    UsageError
        The line is not of the language; the hint says the remedy.
    """
    word = next_token(line, 0)
    if word is None:
        return Command("status")
    entry = table.by_name.get(word.text) if not word.flag else None
    if entry is None:
        _reject_secret(word)
        raise UsageError(
            f"%aeron has no command {(word.flag or word.text)[:30]}.",
            hint=(_nearest(word.text, table.by_name) or "To ask, write `%aeron ask …`. ")
            + "`%aeron help` shows all commands.",
        )
    given = _parse(entry, line, word.end, table)
    names = [position.name.lower() for position in entry.arguments]
    values = {name: given.pop(name, None) for name in names}
    if entry.asks:
        return Command(entry.name, values, _options(given))
    defaults = {option.dest: option.default for option in entry.options}
    return Command(entry.name, {**values, **defaults, **given})
