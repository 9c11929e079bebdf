"""The commands, options and arguments of ``%aeron`` and ``%%aeron``.

The parser, the help, the reference in the README and the completion all read ``QUESTION`` and
``COMMANDS``.
"""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

from aeron_magic.services.catalog import SERVICES

SERVICE_NAMES = tuple(SERVICES)
FORMATS = ("markdown", "text", "json", "table", "code")

MAX_CONCURRENCY = 1_000

TERMINAL_SANDBOX = "`%aeron connect aeronpay --base-url http://127.0.0.1:8765/aeronpay`"
"""Connects to a sandbox that runs in a terminal and does not end with the kernel."""

_URL = re.compile(r"https?://[^\s/@?#]+(?:[/?#]\S*)?", re.IGNORECASE)


class Option(NamedTuple):
    """One option; the fields not listed here are as in `argparse`.

    * ``read``: converts the text of the value; raises ValueError with a description of a valid
      value.
    * ``completion_source``: the key under which completion finds values known only at run time.
    * ``multiple``: whether it may be repeated; its value is then a tuple.
    * ``only_for``: the values of the command's first argument that it is valid with; empty: all.
    * ``instead``: what to write with other values, for an error.
    * ``phrase``: whether its value may be several words, up to the next option.
    """

    flags: tuple[str, ...]
    help: str
    dest: str
    metavar: str = ""
    read: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    completion_source: str = ""
    multiple: bool = False
    const: object = True
    only_for: tuple[str, ...] = ()
    instead: str = ""
    phrase: bool = False

    @property
    def default(self) -> object:
        """The value if the option is not given."""
        if self.multiple:
            return ()
        return None if self.metavar else not self.const

    @property
    def syntax(self) -> str:
        """Each flag with the metavar."""
        return ", ".join(f"{flag} {self.metavar}".strip() for flag in self.flags)

    @property
    def long_form(self) -> str:
        """The last flag, with the choices or the metavar."""
        return f"{self.flags[-1]} {'|'.join(self.choices) or self.metavar}".strip()

    @property
    def full_help(self) -> str:
        """The help, with the choices."""
        return f"{self.help}: {', '.join(self.choices)}" if self.choices else self.help


def option(syntax: str, help: str, *, dest: str = "", **rest: Any) -> Option:  # noqa: A002
    """Return the option that is typed like ``syntax``: its flags, then the metavar, if any.

    ``dest`` is by default the last flag without its dashes; ``rest`` are fields of `Option`.
    """
    words = syntax.split()
    metavar = "" if words[-1].startswith("-") else words.pop()
    dest = dest or words[-1].removeprefix("--").replace("-", "_")
    return Option(tuple(words), help, dest, metavar, **rest)


class Argument(NamedTuple):
    """A positional argument: NAME in the help, its lower-case form in the program.

    ``verbatim``: the rest of the line, with quotes, braces and backslashes as typed. ``phrase``:
    it may be several words. ``multiple``: it may be repeated; its value is then a tuple.
    """

    name: str
    required: bool = False
    choices: tuple[str, ...] = ()
    completion_source: str = ""
    verbatim: bool = False
    phrase: bool = False
    multiple: bool = False

    @property
    def dest(self) -> str:
        """The name of its value in the program."""
        return self.name.lower()


class CommandSpec(NamedTuple):
    """A command of ``%aeron``; ``%aeron`` alone and ``%%aeron`` have no ``name``.

    ``asks`` marks a question: its options are parsed into an ``Options`` object.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    asks: bool = False

    @property
    def label(self) -> str:
        """The beginning of the line."""
        return "%%aeron" if self.asks and not self.name else f"%aeron {self.name}".rstrip()

    @property
    def flags(self) -> dict[str, Option]:
        """The options by flag."""
        return {flag: option for option in self.options for flag in option.flags}

    @property
    def usage(self) -> str:
        """A summary of the line."""
        parts = [self.label]
        for argument in self.arguments:
            shown = "|".join(argument.choices) or argument.name + "…" * argument.multiple
            parts.append(shown if argument.required else f"[{shown}]")
        if self.asks:
            parts.insert(1, "[options]")
        elif len(self.options) > 2:
            parts.append("[options]")
        else:
            parts += [f"[{option.long_form}]" for option in self.options]
        return " ".join(parts)


def _with(field: str) -> tuple[str, ...]:
    """The services whose settings have ``field``."""
    return tuple(name for name, info in SERVICES.items() if field in info.fields)


def _variable(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)  # as Python does
    if keyword.iskeyword(text):
        raise ValueError(f"another name: `{text}` is a keyword of Python")
    if not text.isidentifier():
        raise ValueError("the name of a variable, such as `answer`")
    if text == "context_token":
        raise ValueError("another name: `context_token` is the conversation's own variable")
    return text


def _url(text: str) -> str:
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise ValueError("an address without a user name or a password in it")
    if not _URL.fullmatch(text):
        raise ValueError("an address without spaces that begins with http:// or https://")
    return text


def _number(
    kind: type[float], expected: str, maximum: float = sys.float_info.max
) -> Callable[[str], float]:
    """Return a function that reads a number above 0; ``expected`` is the text of its error."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            raise ValueError(expected) from None
        if not 0 < number <= maximum:
            raise ValueError(expected)
        return number

    return read


_RATE = _number(float, "a number of requests per second above 0, such as 5 or 0.5")
_CONCURRENCY = _number(int, f"a whole number from 1 to {MAX_CONCURRENCY:,}", MAX_CONCURRENCY)
_REPEAT = _number(int, "a whole number from 1 to 1,000", 1_000)
_AT_MOST = _number(int, "a whole number of questions from 1")

_QUESTION_OPTIONS = (
    option(
        "-o --out NAME",
        "assign the `Reply` to the variable NAME, even if it is interrupted, incomplete or failed",
        read=_variable,
        completion_source="variables",
    ),
    option("-f --format FORMAT", "how to show the reply", choices=FORMATS),
    option(
        "-c --conversation NAME",
        "use the conversation of that name, or start it",
        completion_source="conversations",
    ),
    option("-n --new", "start a new conversation"),
    option(
        "--after TURN",
        "continue from that turn: its name, its number, or a `context_token`",
        completion_source="turns",
    ),
    option("--as NAME", "name this turn", dest="as_", completion_source="turns"),
    option(
        "--image URL",
        "add an image by its http(s) address; may be repeated",
        dest="images",
        read=_url,
        multiple=True,
    ),
    option(
        "--no-stream",
        "request the whole reply at once, which must come within `timeout`",
        dest="stream",
        const=False,
    ),
    option("--raw", "do not replace `{{…}}`"),
    option("--dry-run", "show the question and the exact request, without sending it"),
    option(
        "--each EXPR",
        "ask once for each item of a list, Series or DataFrame, as `{{row}}` or `{{row.column}}`",
        completion_source="variables",
    ),
    option(
        "--concurrency NUMBER",
        "with `--each`: maximum number of questions in progress (8)",
        read=_CONCURRENCY,
    ),
    option("--rate NUMBER", "with `--each`: maximum number of requests per second", read=_RATE),
    option(
        "--columns SPEC",
        "with `--each`: the columns to read from each reply, such as `mood: good|bad, n: number?`, "
        "or a pydantic model",
        completion_source="variables",
    ),
    option(
        "--at-most NUMBER",
        "with `--each`: send nothing if more than this number of questions would be asked",
        read=_AT_MOST,
    ),
    option("-q --quiet", "show nothing; useful with `-o`"),
)
_CONNECT_OPTIONS = (
    option(
        "--service SERVICE",
        "the service that the sandbox simulates",
        choices=SERVICE_NAMES,
        only_for=("sandbox",),
    ),
    option(
        "--answers FILE",
        "a `.csv`, `.jsonl` or `.md` file of questions and answers to answer from",
        only_for=("sandbox",),
    ),
    option(
        "--base-url URL",
        "another address of the service",
        read=_url,
        only_for=SERVICE_NAMES,
        instead=f"To a sandbox in a terminal: {TERMINAL_SANDBOX}.",
    ),
    option("--chatbot-id UUID", "the agent's id", only_for=_with("chatbot_id")),
    option(
        "--stream-url URL",
        "another address of the stream host",
        read=_url,
        only_for=_with("stream_url"),
    ),
)
_HISTORY_OPTIONS = (
    option("--remote", "show the service's messages and compare them with the local turns"),
    option("--order ORDER", "oldest or newest first", choices=("asc", "desc")),
    option("--find WORDS", "search the turns of all stored conversations", phrase=True),
)
_CHECK_OPTIONS = (
    option("--repeat N", "how often each conversation is held (1)", read=_REPEAT),
    option(
        "--each EXPR",
        "hold each conversation once per row, with `{{row}}` or `{{row.column}}`",
        completion_source="variables",
    ),
    option("--against FILE", "a recording whose replies are the references"),
    option(
        "-o --out NAME",
        "assign the report, a DataFrame (without pandas, a list of dictionaries), to the variable "
        "NAME",
        read=_variable,
        completion_source="variables",
    ),
    option("--dry-run", "show how many questions would be asked; send nothing"),
    option("--at-most N", "refuse to ask more questions than this", read=_AT_MOST),
)
_LOCAL_NAME = Argument("NAME", completion_source="conversations")
_STORED_NAME = Argument("NAME", completion_source="stored")
_FILE = Argument("FILE", required=True)
_SERVICE = Argument("SERVICE", choices=SERVICE_NAMES)
_TARGET = Argument("TARGET", required=True, choices=("sandbox", *SERVICE_NAMES))
_TEXT = Argument("TEXT", required=True, verbatim=True)
_TOKEN = Argument("TOKEN", completion_source="tokens")
_TOPIC = Argument("TOPIC", completion_source="topics", phrase=True)

QUESTION = CommandSpec(
    "", "send the text below this line as a question", options=_QUESTION_OPTIONS, asks=True
)
"""``%%aeron``."""

STATUS = CommandSpec("", "show service, address, conversation, token, turns and recording")
"""``%aeron`` alone."""

_COMMANDS = (
    CommandSpec(
        "connect",
        "connect to a service; `sandbox` is built in and needs no account",
        (_TARGET,),
        _CONNECT_OPTIONS,
    ),
    CommandSpec(
        "login",
        "ask for credentials with hidden input, and store them in the system keyring",
        (_SERVICE,),
    ),
    CommandSpec("logout", "delete the stored credentials, and end their connection", (_SERVICE,)),
    CommandSpec(
        "ask",
        "ask on one line; the options of `%%aeron` come before the text",
        (_TEXT,),
        _QUESTION_OPTIONS,
        asks=True,
    ),
    CommandSpec(
        "use",
        "switch to the conversation NAME, or create it; without NAME, list all conversations",
        (_LOCAL_NAME,),
    ),
    CommandSpec(
        "history",
        "show the turns of this conversation, or of NAME",
        (_LOCAL_NAME,),
        _HISTORY_OPTIONS,
    ),
    CommandSpec(
        "code",
        "insert a code block of the last reply, by default the first, as a new cell below; a shell "
        "script gets `%%bash`",
        (Argument("NUMBER"),),
    ),
    CommandSpec("tree", "show the turns as a tree: branches, names, stale turns"),
    CommandSpec(
        "fetch",
        "fetch an unfinished reply, or that of TOKEN, a token or a turn's name or number",
        (_TOKEN,),
    ),
    CommandSpec(
        "resume",
        "after a restart: continue this notebook's conversation, or the conversation NAME",
        (_STORED_NAME,),
        (option("--check", "compare it with the service's messages"),),
    ),
    CommandSpec(
        "export",
        "write this conversation as a `.md`, `.html`, `.json` or `.ipynb` file; `.chat.md`: as a "
        "file to check",
        (_FILE,),
    ),
    CommandSpec(
        "forget",
        "delete this conversation, or the conversations NAME…, from the local history",
        (_STORED_NAME._replace(multiple=True),),
        (option("--rows", "the answered rows of `--each` instead, of all notebooks"),),
    ),
    CommandSpec(
        "last", "show the newest reply again, or in full the error of a question sent after it"
    ),
    CommandSpec(
        "panel",
        "show the chat panel on this conversation",
        (),
        (option("--side", "beside the notebook, at full height, in JupyterLab"),),
    ),
    CommandSpec(
        "record",
        "replay what FILE holds, ask and record the rest; `off` stops; without FILE, show which "
        "file is used",
        (_FILE._replace(required=False),),
    ),
    CommandSpec(
        "replay",
        "replay what FILE holds and never use the network; another question is an error",
        (_FILE,),
    ),
    CommandSpec(
        "check",
        "ask the questions of `.chat.md` files or recordings again, and show what has changed",
        (_FILE._replace(name="FILES", multiple=True),),
        _CHECK_OPTIONS,
    ),
    CommandSpec("help", "show this text, or a page of the handbook", (_TOPIC,)),
)
COMMANDS = {spec.name: spec for spec in _COMMANDS}
"""The commands of ``%aeron`` by name."""

ALIKE = {"list": "use", "errors": "last"}
"""What is meant by words that are spelt more like another command."""

MOVED = {
    "new": "`%aeron use NAME`, or `-n` with a question",
    "conversations": "`%aeron use`",
    "status": "`%aeron` alone",
    "error": "`%aeron last`",
    "--timeout": "`%config AeronMagics.timeout = SECONDS`",
    "--live": "`%config AeronMagics.live = True`",
    "--no-live": "`%config AeronMagics.live = False`",
    "--mode": "`%aeron record FILE`, `%aeron replay FILE` or `%aeron check FILE`",
}
"""What replaces a command or an option of an earlier version."""
