"""Parser of the magic line.

Grammar::

    cell      %%aeron option*                     the question is the text below the line
    line      %aeron                              the status
              %aeron command (option | argument)*
              %aeron ask option* [--] text        text: verbatim, to the end of the line
    option    flag | flag value | --name=value    flag: -x or --name
    value     bare | "any text" | 'any text'      bare: no blank, begins with no quote

A `` #`` begins a comment, as in Python, except in the text of a question and in quotes.

A quote is special only at the beginning of a value, and a backslash never is, so ``don't`` and
``C:\\notes\\today.md`` are plain values. An error repeats only the names of options and commands,
because a value can be a secret that was typed in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.spec import (
    ALIKE,
    COMMANDS,
    MOVED,
    QUESTION,
    Argument,
    CommandSpec,
    Option,
)

_TOKEN = re.compile(
    r"""\s*(?:(?P<flag>--?[A-Za-z][\w-]*)(?:(?P<equals>=)|(?=\s|\Z)))?"""
    r"""(?:(?P<quote>["'])(?P<quoted>.*?)(?P<close>(?P=quote)|\Z)|(?P<bare>\S*))""",
    re.DOTALL,
)
_SECRET = re.compile(
    r"secret|passw|pwd|credential|api[-_]?key|client[-_]?id|bearer|authorization"
    r"|(access|auth)[-_]?token",
    re.IGNORECASE,
)
_SEE_HELP = "`%aeron help` shows all options and commands."


class Options(NamedTuple):
    """The options of a question; each field is an option of ``%%aeron``.

    ``format``: empty for the configured one.
    """

    out: str | None = None
    format: str = ""
    conversation: str | None = None
    new: bool = False
    after: str | None = None
    as_: str | None = None
    images: tuple[str, ...] = ()
    stream: bool = True
    raw: bool = False
    dry_run: bool = False
    quiet: bool = False
    each: str | None = None
    concurrency: int | None = None
    rate: float | None = None
    columns: str | None = None
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed ``%aeron`` line: ``command["dest"]`` is the value of an argument or option.

    ``options`` is set for a question only.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    options: Options | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


class Token(NamedTuple):
    """One token of a line.

    ``flag`` is the option's flag, or empty; ``text`` the value (of a flag: after ``=``);
    ``start`` and ``end`` are the token's position in the line, ``text_start`` that of the value.
    ``closed`` is False if the line ends inside a quote.
    """

    flag: str
    has_value: bool
    text: str
    start: int
    text_start: int
    end: int
    closed: bool


def tokens(line: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of ``line`` from ``start`` on."""
    while line[start:].strip() and (match := _TOKEN.match(line, start)):
        quoted = match["quoted"] is not None
        start = match.end()
        yield Token(
            flag=match["flag"] or "",
            has_value=bool(match["equals"]) or not match["flag"],
            text=match["quoted"] if quoted else match["bare"],
            start=start - len(match[0].lstrip()),
            text_start=match.start("quoted" if quoted else "bare"),
            end=start,
            closed=not quoted or bool(match["close"]),
        )


def parse_options(line: str) -> Options:
    """Parse the rest of a ``%%aeron`` line.

    Raises UsageError: the line is not valid; the hint says how to correct it.
    """
    return _options(_parse(QUESTION, line))


def parse_command(line: str) -> Command:
    """Parse the rest of an ``%aeron`` line; an empty one is a command without a name.

    Raises UsageError: the line is not valid; the hint says how to correct it.
    """
    first = next(tokens(line), None)
    if first is None or first.text == "#":
        return Command("")
    spec = None if first.flag else COMMANDS.get(first.text)
    if spec is None:
        _reject_secret(first)
        if first.text in MOVED:
            raise _moved(first.text)
        near = _nearest(ALIKE.get(first.text, first.text), COMMANDS)
        raise UsageError(
            f"%aeron has no command {(first.flag or first.text)[:30]}.",
            hint=f"{near}To ask, write `%aeron ask …`. {_SEE_HELP}",
        )
    given = _parse(spec, line, first.end)
    values = {argument.dest: given.pop(argument.dest, None) for argument in spec.arguments}
    if spec.asks:
        return Command(spec.name, values, _options(given))
    defaults = {option.dest: option.default for option in spec.options}
    return Command(spec.name, {**values, **defaults, **given})


def _parse(spec: CommandSpec, line: str, start: int = 0) -> dict[str, Any]:
    """Return the values given on ``line`` from ``start`` on, by ``dest``."""
    arguments = list(spec.arguments)
    given: dict[str, Any] = {}
    typed: dict[str, Option] = {}
    phrase = ""  # the value to which more words may be added
    rest = tokens(line, start)
    for token in rest:
        if token.flag and arguments and arguments[0].completion_source == "topics":
            given[arguments.pop(0).dest] = token.flag  # an option is a topic of the help
            continue
        verbatim = bool(arguments) and arguments[0].verbatim
        if not verbatim or line[token.start] == "-":
            _reject_secret(token)
        if verbatim and not token.flag:
            dashes = line[token.start : token.end] == "--"
            if text := line[token.end if dashes else token.start :].lstrip():
                if not dashes:
                    _reject_options_after(text)
                given[arguments.pop(0).dest] = text
            break
        if _is_comment(token, line, is_other=not (arguments or phrase)):
            break
        if not token.flag and phrase:
            given[phrase] += f" {token.text}"
        elif not token.flag:
            if not arguments:
                raise _unexpected_argument(spec, token)
            argument = arguments[0] if arguments[0].multiple else arguments.pop(0)
            _reject_bad_quotes(token, line)
            value = _checked(token.text, f"{spec.label} {argument.name}", argument)
            given[argument.dest] = (
                (*given.get(argument.dest, ()), value) if argument.multiple else value
            )
            phrase = argument.dest if argument.phrase else ""
        elif (option := spec.flags.get(token.flag)) is None:
            raise _unknown_option(spec, token.flag)
        else:
            if option.dest in given and not option.multiple:
                raise UsageError(f"{token.flag} is given twice.", hint="Leave one of them out.")
            typed[token.flag] = option
            value = _value(option, token, rest, line)
            phrase = option.dest if option.phrase else ""
            given[option.dest] = (*given.get(option.dest, ()), value) if option.multiple else value
    missing = next((one for one in arguments if one.required and one.dest not in given), None)
    if missing is not None:
        shown = " or ".join(missing.choices) or missing.name
        raise UsageError(f"{spec.label} needs {shown}.", hint=f"Write `{spec.usage}`.")
    first = given.get(spec.arguments[0].dest) if spec.arguments else None
    for flag, option in typed.items():
        if option.only_for and first not in option.only_for:
            raise UsageError(
                f"{flag} is not an option of {spec.label} {first}.",
                hint=f"It is valid with {' or '.join(option.only_for)}. {option.instead}".rstrip(),
            )
    return given


def _reject_options_after(text: str) -> None:
    """Refuse a question that ends with options: they would be sent as words of it."""
    for token in tokens(text):
        if not (token.flag.startswith("--") or token.flag in ("-o", "-f")):
            continue  # `ls -n` and `gcc -c` are likelier in a question than our short options
        try:
            _parse(QUESTION, text[token.start :])
        except UsageError:
            continue
        raise UsageError(
            f"The options of %aeron ask come before the text, and {token.flag} is after it.",
            hint=f"Write `%aeron ask {token.flag} … TEXT`. If it belongs to the question, write "
            "`%aeron ask -- TEXT`.",
        )


def _is_comment(token: Token, line: str, *, is_other: bool) -> bool:
    """Whether a comment begins: ``#`` and a space, or ``#`` where no other word is expected."""
    word = line[token.start : token.end]
    return word == "#" or (is_other and word.startswith("#"))


def _options(given: Mapping[str, Any]) -> Options:
    options = Options(**given)
    if options.new and options.after:
        raise UsageError(
            "--new and --after contradict each other.",
            hint="--new starts a conversation, --after continues one: leave one of them out.",
        )
    if options.each is None:
        for flag in ("--concurrency", "--rate", "--columns", "--at-most"):
            if flag.removeprefix("--").replace("-", "_") in given:
                raise UsageError(f"{flag} requires --each.", hint="Add `--each EXPR`.")
        return options
    for dest, flag in (("format", "-f"), ("conversation", "-c"), ("as_", "--as")):
        if dest in given:
            raise UsageError(
                f"{flag} is for one question, and --each asks many.",
                hint="Leave it out; the rows are shown as a table, and -o returns a DataFrame.",
            )
    return options


def _value(option: Option, token: Token, rest: Iterator[Token], line: str) -> object:
    """Return the option's value, from its own token or from the next one."""
    if not option.metavar:
        if token.has_value:
            raise UsageError(f"{token.flag} takes no value.", hint=f"Write `{token.flag}` alone.")
        return option.const
    value = token if token.has_value else next(rest, None)
    if value is None or (value.flag and value is not token):
        raise UsageError(
            f"{token.flag} needs a value.", hint=f"Write `{token.flag} {option.metavar}`."
        )
    _reject_bad_quotes(value, line)
    return _checked(value.text, token.flag, option)


def _checked(value: str, name: str, kind: Option | Argument) -> object:
    if kind.choices and value not in kind.choices:
        raise UsageError(
            f"{name} must be one of {', '.join(kind.choices)}.",
            hint=_nearest(value, kind.choices) or _SEE_HELP,
        )
    if not value.strip():
        raise UsageError(f"{name} needs a value.")
    try:
        return kind.read(value) if isinstance(kind, Option) else value
    except ValueError as error:
        raise UsageError(f"{name} needs {error}.") from None


def _reject_secret(token: Token) -> None:
    name, equals, _ = token.text.partition("=")
    if _SECRET.search(token.flag or (name if equals or name.startswith("-") else "")):
        raise UsageError(
            "A secret is never accepted on a magic line.",
            hint="Set AERON_CLIENT_ID and AERON_CLIENT_SECRET in the environment, or run "
            "`%aeron login`; if it was a real secret, delete it from the cell.",
        )


def _reject_bad_quotes(token: Token, line: str) -> None:
    if not token.closed:
        raise UsageError(
            "A closing quote is missing.",
            hint="Add it; put a value that contains one kind of quote into the other kind.",
        )
    if token.end < len(line) and not line[token.end].isspace():
        raise UsageError(
            "A space is missing after a closing quote.", hint="Put the whole value in quotes."
        )


def _nearest(word: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only errors use it

    word = word.lower()
    bare = {name.strip("-"): name for name in names}  # hyphens are no sign of a similar name
    begun = [one for one in bare if len(word.strip("-")) > 1 and bare[one].startswith(word)]
    found = begun or get_close_matches(word.strip("-"), bare, 1)
    return f"Did you mean `{bare[found[0]]}`? " if found else ""


def _moved(name: str) -> UsageError:
    kind = "an option" if name.startswith("-") else "a command"
    return UsageError(f"{name} is not {kind} any more.", hint=f"Write {MOVED[name]}.")


def _unknown_option(spec: CommandSpec, flag: str) -> UsageError:
    if flag in MOVED:
        return _moved(flag)
    hint = _nearest(flag, spec.flags) + _SEE_HELP
    if spec.asks and spec.arguments:
        hint += " Before a text that begins with a dash write `--`."
    return UsageError(f"{spec.label} has no option {flag}.", hint=hint)


def _unexpected_argument(spec: CommandSpec, token: Token) -> UsageError:
    if spec.name:
        hint = f"Write `{spec.usage}`; put a value that contains spaces in quotes."
        return UsageError(
            "Too many arguments.", hint=hint if spec.arguments else hint.split(";")[0]
        )
    if token.text in COMMANDS:
        return UsageError(
            f"`{token.text}` is a command of %aeron, with one percent sign.",
            hint=f"Write `{COMMANDS[token.text].usage}`.",
        )
    return UsageError(
        "%%aeron accepts only options on its line.",
        hint="Write the question on the lines below, or on one line with `%aeron ask`; "
        "put a value that contains spaces in quotes.",
    )
