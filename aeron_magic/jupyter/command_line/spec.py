"""Everything that can be typed after ``%aeron`` and ``%%aeron``, as one table.

The parser, the help, the reference in the README and the completion all read ``SPEC``, so that a
new command or option is one entry more and cannot be missing from one of them.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable
from typing import NamedTuple

from aeron_magic.services.catalog import SERVICES

__all__ = [
    "SPEC",
    "Argument",
    "CommandSpec",
    "MagicSpec",
    "Option",
    "as_typed",
]

SERVICE_NAMES = tuple(SERVICES)
FORMATS = ("markdown", "text", "json", "table", "code")

MAX_CONCURRENCY = 1_000

_URL = re.compile(r"https?://[^\s/@?#]+(?:[/?#]\S*)?", re.IGNORECASE)


class Option(NamedTuple):
    """One option.

    Parameters
    ----------
    flags
        How it is typed; the long form last.
    dest
        The name its value has for the program.
    help
        What it does, in a few words of Markdown.
    value
        What stands for the value in the help; empty: a switch.
    read
        Turns the value's text into the value; raises ValueError saying what it should be.
    choices
        All values there are, where they are few.
    completion_source
        The key under which completion finds values known only at run time.
    multiple
        Whether it may be given more than once; the values are then a tuple.
    const
        What a switch sets.
    only_for
        The values of the command's first argument it belongs to; empty: any.
    """

    flags: tuple[str, ...]
    dest: str
    help: str
    value: str = ""
    read: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    completion_source: str = ""
    multiple: bool = False
    const: object = True
    only_for: tuple[str, ...] = ()

    @property
    def default(self) -> object:
        """The value where the option is not given."""
        if self.multiple:
            return ()
        return None if self.value else not self.const


class Argument(NamedTuple):
    """A value told by its place: NAME in the help, in Python its lower-case form.

    ``verbatim``: the rest of the line, with quotes, braces and backslashes as they are.
    """

    name: str
    required: bool = False
    choices: tuple[str, ...] = ()
    completion_source: str = ""
    verbatim: bool = False


class CommandSpec(NamedTuple):
    """A command of ``%aeron``, or ``%%aeron`` itself, whose ``name`` is empty.

    ``asks`` marks a question: its options become an :class:`Options`.
    """

    name: str
    help: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    asks: bool = False

    @property
    def label(self) -> str:
        """How the line begins."""
        return f"%aeron {self.name}" if self.name else "%%aeron"

    @property
    def flags(self) -> dict[str, Option]:
        """The options by each way of typing them."""
        return {flag: option for option in self.options for flag in option.flags}

    @property
    def usage(self) -> str:
        """The whole line in short."""
        parts = [self.label]
        for argument in self.arguments:
            shown = "|".join(argument.choices) or argument.name
            parts.append(shown if argument.required else f"[{shown}]")
        if self.asks:
            parts.insert(1, "[options]")
        elif len(self.options) > 2:
            parts.append("[options]")
        else:
            parts += [f"[{as_typed(option)}]" for option in self.options]
        return " ".join(parts)


class MagicSpec(NamedTuple):
    """All that can be typed: ``question`` for ``%%aeron``, ``commands`` for ``%aeron``."""

    question: CommandSpec
    commands: tuple[CommandSpec, ...]

    @property
    def by_name(self) -> dict[str, CommandSpec]:
        """The commands by name."""
        return {entry.name: entry for entry in self.commands}


def _with(field: str) -> tuple[str, ...]:
    """The services whose settings have ``field``."""
    return tuple(name for name, info in SERVICES.items() if field in info.fields)


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("the name of a variable, such as `answer`")
    if text == "context_token":
        raise ValueError("another name: `context_token` is the conversation's own variable")
    return text


def _url(text: str) -> str:
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise ValueError("an address without a user name or a password in it")
    if not _URL.fullmatch(text):
        raise ValueError("an address that begins with http:// or https://")
    return text


def _seconds(text: str) -> float:
    wanted = "a number of seconds above 0, such as 30 or 2.5"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(wanted) from None
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(wanted)
    return seconds


def _at_once(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:6]) <= MAX_CONCURRENCY:
        raise ValueError(f"a whole number from 1 to {MAX_CONCURRENCY:,}")
    return int(text)


def _rate(text: str) -> float:
    try:
        return _seconds(text)
    except ValueError:
        raise ValueError("a number of requests per second above 0, such as 5 or 0.5") from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("a number of turns, such as 20")
    return int(text)


_ASKING = (
    Option(
        ("-o", "--out"),
        "out",
        "bind the `Reply` to NAME: also when it was interrupted, cut or failed",
        "NAME",
        _variable,
        completion_source="variables",
    ),
    Option(("-f", "--format"), "format", "how to show the reply", "FORMAT", choices=FORMATS),
    Option(
        ("-c", "--conversation"),
        "conversation",
        "use (or begin) the conversation of that name",
        "NAME",
        completion_source="conversations",
    ),
    Option(("-n", "--new"), "new", "begin a new conversation"),
    Option(
        ("--after",),
        "after",
        "continue from that turn: its name, its number, or a `context_token`",
        "TURN",
        completion_source="turns",
    ),
    Option(("--as",), "as_", "name this turn", "NAME", completion_source="turns"),
    Option(
        ("--image",),
        "images",
        "an image for the question, by its http(s) address; may be repeated",
        "URL",
        _url,
        multiple=True,
    ),
    Option(("--no-stream",), "stream", "ask for the whole reply at once", const=False),
    Option(("--raw",), "raw", "leave `{{…}}` alone"),
    Option(("--dry-run",), "dry_run", "show exactly what would be sent, send nothing"),
    Option(
        ("--timeout",),
        "timeout",
        "longest silence before the connection counts as lost",
        "SECONDS",
        _seconds,
    ),
    Option(
        ("--each",),
        "each",
        "ask once for each item of a list, Series or DataFrame, as `{{row}}` or `{{row.column}}`",
        "EXPR",
        completion_source="variables",
    ),
    Option(
        ("--concurrency",),
        "concurrency",
        "with `--each`: questions under way at once (8)",
        "NUMBER",
        _at_once,
    ),
    Option(("--rate",), "rate", "with `--each`: most requests per second", "NUMBER", _rate),
    Option(("-q", "--quiet"), "quiet", "show nothing (with `-o`)"),
    Option(("--live",), "live", "update the output in place, whatever the front end"),
    Option(("--no-live",), "live", "one display, at the end", const=False),
)

SPEC = MagicSpec(
    CommandSpec("", "ask what the cell says below this line", _ASKING, asks=True),
    (
        CommandSpec("status", "service, address, conversation, token; the same as `%aeron` alone"),
        CommandSpec(
            "connect",
            "connect to a service; `sandbox` is built in and needs no account",
            (
                Option(
                    ("--service",),
                    "service",
                    "which service the sandbox plays",
                    "SERVICE",
                    choices=SERVICE_NAMES,
                    only_for=("sandbox",),
                ),
                Option(
                    ("--base-url",),
                    "base_url",
                    "another address of the service",
                    "URL",
                    _url,
                    only_for=SERVICE_NAMES,
                ),
                Option(
                    ("--chatbot-id",),
                    "chatbot_id",
                    "the agent's id",
                    "UUID",
                    only_for=_with("chatbot_id"),
                ),
                Option(
                    ("--stream-url",),
                    "stream_url",
                    "another address of the stream host",
                    "URL",
                    _url,
                    only_for=_with("stream_url"),
                ),
            ),
            (Argument("TARGET", required=True, choices=("sandbox", *SERVICE_NAMES)),),
        ),
        CommandSpec(
            "login",
            "type the credentials hidden, and keep them in the system keyring",
            arguments=(Argument("SERVICE", choices=SERVICE_NAMES),),
        ),
        CommandSpec(
            "logout",
            "forget the stored credentials",
            arguments=(Argument("SERVICE", choices=SERVICE_NAMES),),
        ),
        CommandSpec(
            "ask",
            "ask on one line; the options of `%%aeron` come before the text",
            _ASKING,
            (Argument("TEXT", required=True, verbatim=True),),
            asks=True,
        ),
        CommandSpec(
            "new",
            "begin a conversation; the one of that NAME, if there is one, is begun anew",
            arguments=(Argument("NAME"),),
        ),
        CommandSpec(
            "use",
            "switch to the conversation of that name",
            arguments=(Argument("NAME", required=True, completion_source="conversations"),),
        ),
        CommandSpec("conversations", "the conversations of this kernel, and earlier ones"),
        CommandSpec(
            "history",
            "the turns of this conversation, or of that name",
            (
                Option(("--remote",), "remote", "ask the service, and say where the two differ"),
                Option(
                    ("--order",),
                    "order",
                    "oldest or newest first",
                    "ORDER",
                    choices=("asc", "desc"),
                ),
                Option(("--last",), "last", "so many turns at most (50)", "COUNT", _count),
            ),
            (Argument("NAME", completion_source="conversations"),),
        ),
        CommandSpec("tree", "the turns as a tree: branches, names, stale turns"),
        CommandSpec(
            "resume",
            "after a restart: take up this notebook's conversation, or the one of that name",
            (Option(("--check",), "check", "compare it with what the service has"),),
            (Argument("NAME", completion_source="stored"),),
        ),
        CommandSpec(
            "export",
            "write this conversation to FILE: `.md`, `.json` or `.ipynb` by its ending",
            arguments=(Argument("FILE", required=True),),
        ),
        CommandSpec(
            "forget",
            "delete this conversation, or the one of that name, from the local history",
            arguments=(Argument("NAME", completion_source="stored"),),
        ),
        CommandSpec(
            "fetch",
            "the stored reply of a token, by default of the newest; waits while it is processing",
            arguments=(Argument("TOKEN", completion_source="tokens"),),
        ),
        CommandSpec(
            "record",
            "replay what FILE holds, ask and record the rest",
            (
                Option(
                    ("--mode",),
                    "mode",
                    "what to do; `AERON_RECORD_MODE` overrides it",
                    "MODE",
                    choices=("auto", "replay", "record", "off", "check"),
                ),
                Option(
                    ("--match",),
                    "match",
                    "`check`: when two answers are the same",
                    "HOW",
                    choices=("exact", "spaces", "json"),
                ),
                Option(("--strict",), "strict", "`check`: fail the cell if an answer differs"),
            ),
            (Argument("FILE", required=True),),
        ),
        CommandSpec("last", "show the last reply again"),
        CommandSpec("panel", "the chat panel on this conversation"),
        CommandSpec("error", "the last failure in full"),
        CommandSpec("help", "this text"),
    ),
)
"""Everything that can be typed."""


def as_typed(option: Option) -> str:
    """How the option is typed, with what stands for its value."""
    return f"{option.flags[-1]} {'|'.join(option.choices) or option.value}".strip()
