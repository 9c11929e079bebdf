"""The lines of an ``expect`` block: what must hold for a reply.

==========================  ====================================================================
line                        holds if
==========================  ====================================================================
``contains: TEXT``          the reply contains the text
``not contains: TEXT``      it does not
``matches: REGEX``          the regular expression (Python's ``re``, ``^`` and ``$`` at each line)
                            is found in the reply, within a few seconds
``json: PATH == VALUE``     the reply's JSON has this value at the path, such as ``items[0].price``
``same``                    the reply is the reference
``python: NAME``            the function returns a true value for the :class:`~aeron_magic.Reply`
==========================  ====================================================================

Upper and lower case count. For ``contains``, ``not contains`` and ``same``, any white space is as
good as one blank. Except for ``matches``, texts are compared in one form of Unicode (NFC).
"""

from __future__ import annotations

import inspect
import json
import re
import traceback
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from aeron_magic.checks.regex_process import RegexProcess
from aeron_magic.errors import AeronError, UsageError, did_you_mean
from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.plaintext import VISIBLE, strip_control_sequences
from aeron_magic.prompts.interpolation import NAME, STEP, STEPS
from aeron_magic.protocol.json_values import decode_json
from aeron_magic.replies.extract import extract_json
from aeron_magic.replies.reply import Reply

Judge = Callable[[Reply, str | None], str]
"""Judges a reply, given the reference: why the rule does not hold; empty if it does."""

SHOWN = 200
"""Characters of a text in a reason."""

KEYWORDS = ("contains", "not contains", "matches", "json", "same", "python")

_LINE = re.compile(r"(?P<keyword>[a-z]+(?: [a-z]+)?)[ \t]*+(?::(?P<argument>.*))?", re.DOTALL)
_EQUATION = re.compile(rf"(?P<path>(?:{NAME})?+(?:{STEP})*+)[ \t]*+==(?P<value>.*)", re.DOTALL)


_QUOTES = "\"'`“”„\u2018\u2019«»"
_composed = partial(unicodedata.normalize, "NFC")
_JSON_SPELLING = {"True": "true", "False": "false", "None": "null"}
"""The JSON of these values: a placeholder inserts them as Python spells them."""


class Rule(NamedTuple):
    """One line of an ``expect`` block: its keyword, what follows it, and its number in the file."""

    keyword: str
    argument: str = ""
    line: int = 0


SAME = Rule("same")
"""What holds for a reply without an ``expect`` block."""


def parse_rule(text: str, line: int) -> Rule:
    """The rule of one line.

    Raises UsageError: its keyword is unknown, or what follows it is missing.
    """
    match = _LINE.fullmatch(text.strip())
    keyword = match["keyword"] if match else ""
    if match is None or keyword not in KEYWORDS:
        raise UsageError(
            f"an expect block cannot say {truncate(one_line(text), 60)!r}.",
            hint=f"{did_you_mean(keyword, KEYWORDS)}Each line begins with one of: "
            f"{', '.join(KEYWORDS)}; all but `same` are followed by a colon.",
        )
    argument = (match["argument"] or "").strip()
    if (keyword == "same") != (match["argument"] is None) or (keyword != "same" and not argument):
        example = "`same` alone" if keyword == "same" else f"`{keyword}: …`"
        raise UsageError(f"`{keyword}` is not complete.", hint=f"Write {example}.")
    if (
        keyword == "not contains"
        and len(argument) > 2
        and argument.strip(_QUOTES) == argument[1:-1]
    ):
        raise UsageError(
            f"the quotation marks in `{truncate(one_line(text), 60)}` are a part of the text.",
            hint="Leave them out: with them, the rule holds also for a reply with the bare text.",
        )
    return Rule(keyword, argument, line)


def judge_for(rule: Rule, values: Mapping[str, Any], regexes: RegexProcess) -> Judge:
    """The function that judges replies by ``rule``.

    * ``rule``: a rule of a file.
    * ``values``: the functions of ``python:``, by name.
    * ``regexes``: what searches for regular expressions.

    Raises UsageError: the regular expression, the path, the value or the function's name is
    invalid.
    """
    if rule.keyword != "same" and not VISIBLE.search(rule.argument):
        raise UsageError(
            f"nothing follows `{rule.keyword}:` with these values.",
            hint="An empty text is in each reply; give the placeholder a value.",
        )
    if rule.keyword == "matches":
        return _matches(rule.argument, regexes)
    return _JUDGES[rule.keyword](rule.argument, values)


def _normalized(text: str) -> str:
    return " ".join(_composed(strip_control_sequences(text)).split())


def quoted(text: str) -> str:
    """``text`` in double quotes on one line, shortened."""
    return f"“{truncate(one_line(text), SHOWN)}”"


def _contains(argument: str, values: Mapping[str, Any]) -> Judge:
    wanted, reason = _normalized(argument), f"does not contain {quoted(argument)}"
    return lambda reply, reference: "" if wanted in _normalized(reply.text) else reason


def _not_contains(argument: str, values: Mapping[str, Any]) -> Judge:
    unwanted, reason = _normalized(argument), f"contains {quoted(argument)}"
    return lambda reply, reference: reason if unwanted in _normalized(reply.text) else ""


def _matches(argument: str, regexes: RegexProcess) -> Judge:
    try:
        regexes.validate(argument)
    except ValueError as error:
        raise UsageError(
            f"{quoted(argument)} cannot be used as a regular expression: {error}.",
            hint="A sign with a special meaning needs a backslash before it, as in `\\?`.",
        ) from None

    def judge(reply: Reply, reference: str | None) -> str:
        try:
            found = regexes.found(argument, reply.text)
        except ValueError as error:
            return f"cannot be searched for {quoted(argument)}: {error}"
        return "" if found else f"does not match {quoted(argument)}"

    return judge


def _json(argument: str, values: Mapping[str, Any]) -> Judge:
    match = _EQUATION.fullmatch(_composed(argument))
    if match is None or not match["path"]:
        raise UsageError(
            f"{quoted(argument)} is not a path and a value.",
            hint='Write `json: PATH == VALUE`, such as `json: items[0]["unit-price"] == 5`.',
        )
    path, text = match["path"], match["value"].strip()
    try:
        wanted = decode_json(_JSON_SPELLING.get(text, text))
    except ValueError:
        raise UsageError(
            f"{quoted(text)} is not a JSON value.",
            hint="A text needs double quotes: "
            f"{json.dumps(text.strip(_QUOTES), ensure_ascii=False)[:SHOWN]}.",
        ) from None

    def judge(reply: Reply, reference: str | None) -> str:
        try:
            value = _at(extract_json(_composed(reply.text)), path)
            if _equal(value, wanted):
                return ""
            found = strip_control_sequences(json.dumps(value, ensure_ascii=False))
            return f"{path} is {truncate(found, SHOWN)}, not {truncate(text, SHOWN)}"
        except AeronError as error:
            return one_line(error.message).rstrip(".")
        except (LookupError, ValueError):  # ValueError: an index of thousands of digits
            return f"its JSON has no {truncate(path, SHOWN)}"
        except RecursionError:
            return "its JSON is nested too deeply"

    return judge


def _at(value: Any, path: str) -> Any:
    """The part of a JSON value at ``path``; LookupError if there is none."""
    for step in STEPS.finditer(path if path.startswith((".", "[")) else f".{path}"):
        key: Any = step["attribute"] or (int(step["index"]) if step["index"] else step["key"])
        if not isinstance(value, list if isinstance(key, int) else dict):
            raise LookupError(key)
        value = value[key]
    return value


def _equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _same(argument: str, values: Mapping[str, Any]) -> Judge:
    def judge(reply: Reply, reference: str | None) -> str:
        equal = _normalized(reply.text) == _normalized(reference or "")
        return "" if equal else "differs from the reference"

    return judge


BOOLEANS = {("builtins", "bool"), ("numpy", "bool"), ("numpy", "bool_")}
"""The module and the name of the types whose values judge; a text would always be true."""


def _python(argument: str, values: Mapping[str, Any]) -> Judge:
    function = values.get(argument)
    if not callable(function):
        raise UsageError(
            f"there is no function {quoted(argument)}.",
            hint="Define it in the notebook, `def NAME(reply): return …`; in pytest, return it "
            "from `pytest_aeron_values` in conftest.py.",
        )

    def judge(reply: Reply, reference: str | None) -> str:
        try:
            value = function(reply)
            if inspect.iscoroutine(value):
                value.close()
            if inspect.isawaitable(value) or inspect.isasyncgen(value):
                return f"{argument} is an async function, which a check cannot call"
            is_true = bool(value)
            said = f"{argument} returned {truncate(one_line(repr(value)), SHOWN)}"
            kind = type(value)
            if (kind.__module__.partition(".")[0], kind.__name__) in BOOLEANS:
                return "" if is_true else said
            return f"{said}, not True or False"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of the user's function
            said = one_line("".join(traceback.format_exception_only(error)))
            return f"{argument} raised {truncate(said, SHOWN)}"

    return judge


_JUDGES: dict[str, Callable[[str, Mapping[str, Any]], Judge]] = {
    "contains": _contains,
    "not contains": _not_contains,
    "json": _json,
    "same": _same,
    "python": _python,
}
