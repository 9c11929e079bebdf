"""What an expect block says, and whether it holds."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

import numpy
import pytest
from each_case import each_case

from aeron_magic.checks import regex_process
from aeron_magic.checks.regex_process import RegexProcess
from aeron_magic.checks.rules import Rule, judge_for, parse_rule
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply


def verdict(line: str, text: str, reference: str | None = None, **values: Any) -> str:
    """Why the rule does not hold for a reply; empty if it does."""
    return judge_for(parse_rule(line, 1), values, RegexProcess())(Reply(text), reference)


@pytest.mark.parametrize(
    ("line", "keyword", "argument"),
    [
        ("contains: five days", "contains", "five days"),
        ("  contains:five: days  ", "contains", "five: days"),
        ("not contains: a", "not contains", "a"),
        ('not contains: "', "not contains", '"'),
        ("not contains: it's", "not contains", "it's"),
        ('contains: "a"', "contains", '"a"'),
        ("matches: ^a: b$", "matches", "^a: b$"),
        ('json: a["x: y"] == {"b": 1}', "json", 'a["x: y"] == {"b": 1}'),
        ("same", "same", ""),
        ("python: polite", "python", "polite"),
    ],
)
def test_the_six_keywords(line: str, keyword: str, argument: str) -> None:
    assert parse_rule(line, 7) == Rule(keyword, argument, 7)


@each_case(
    "line",
    [
        "has: x",
        "Contains: x",
        "contain: x",
        "notcontains: x",
        "not: x",
        "equals: x",
        "-",
        "# note",
        "contains",
        "contains:",
        "contains:   ",
        "same: x",
        "same:",
        'not contains: "five days"',
        "not contains: \u2018x\u2019",
        "matches",
        "python:",
        "not  contains: x",
        "json schema: x",
        "\u202econtains: x",
        "x" * 10_000,
    ],
)
def test_every_other_line_is_an_error_with_the_keywords(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rule(line, 1)
    assert caught.value.hint
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("line", "text", "holds"),
    [
        ("contains: five days", "Three to\n  five\tdays.", True),
        ("contains: Five", "five", False),
        ("not contains: a b", "a\nb", False),
        ("not contains: a b", "ab", True),
        ("contains: cafe\u0301", "Caf\u00e9 or caf\u00e9", True),
        ("not contains: ब\u095cा", "यह ब\u0921\u093cा है", False),
        ('json: the\u0301 == "caf\u00e9"', '{"th\u00e9": "cafe\u0301"}', True),
        ("matches: ^fee: \\d+$", "x\nfee: 12\ny", True),
        ("matches: ^fee: \\d+$", "fee: x", False),
        ("same", "a  b\n", True),
        ("same", "a c", False),
        ("same", "ab", False),
        ("python: short", "abc", True),
        ("python: short", "abcdef", False),
    ],
)
def test_whether_a_text_rule_holds(line: str, text: str, holds: bool) -> None:
    reason = verdict(line, text, "a b", short=lambda reply: len(reply.text) < 5)
    assert (reason == "") is holds


@each_case(
    ("equation", "holds"),
    [
        ('state == "paid"', True),
        ('["state"] == "paid"', True),
        ("items[0].price == 5", True),
        ("items[0].price == 5.0", True),
        ("items[-1].ok == true", True),
        ("items[-1].ok == True", True),
        ("items[-1].ok == False", False),
        ("none == None", True),
        ("items[-1].ok == 1", False),
        ("items[0].price == true", False),
        ('items[0] == {"price": 5}', True),
        ('items[0] == {"price": 5, "x": null}', False),
        ("items[2].price == 1", False),
        ("items.price == 1", False),
        ("state[0] == 1", False),
        ("none == null", True),
        ("missing == null", False),
        ("big == 9007199254740993", True),
        ("big == 9007199254740992", False),
        ('["a==b"] == 1', True),
    ],
)
def test_json_at_a_path(equation: str, holds: bool) -> None:
    text = (
        'Here:\n```json\n{"state": "paid", "items": [{"price": 5}, {"ok": true}], "none": null, '
        '"big": 9007199254740993, "a==b": 1}\n```'
    )
    assert (verdict(f"json: {equation}", text) == "") is holds


def test_json_of_a_list_and_of_prose() -> None:
    assert verdict("json: [1].a == 2", 'It is [{"a": 1}, {"a": 2}].') == ""
    assert "no JSON" in verdict("json: a == 1", "It is fine.")
    assert verdict("json: a == 1", '{"a": ' + "[" * 5000) != ""
    with pytest.raises(UsageError, match="not a path and a value"):
        verdict(f"json: a[{'9' * 5000}] == 1", '{"a": [1]}')
    reason = verdict('json: a == "' + "y" * 1000 + '"', '{"a": "\\ud800\\u202ex"}')
    assert reason.startswith('a is "\ufffdx", not "yyy')
    assert len(reason.encode()) < 300


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("matches: (", "regular expression"),
        ("matches: a{99999999999}", "regular expression"),
        ("json: a = 1", "path and a value"),
        ("json: == 1", "path and a value"),
        ("json: a.b() == 1", "path and a value"),
        ("json: a == paid", "JSON value"),
        ("json: a == " + "[" * 5000, "JSON value"),
        ("python: nothing", "no function"),
        ("python: number", "no function"),
        ("python: import os", "no function"),
    ],
)
def test_what_cannot_be_judged_is_an_error_before_anything_is_sent(line: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        judge_for(parse_rule(line, 1), {"number": 3}, RegexProcess())
    assert caught.value.hint


@pytest.mark.parametrize("value", ["paid", "'paid'", "“paid”", '"paid'])
def test_the_hint_on_a_text_can_be_followed(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        judge_for(parse_rule(f"json: a == {value}", 1), {}, RegexProcess())
    assert caught.value.hint == 'A text needs double quotes: "paid".'


def test_functions_of_the_notebook_cannot_break_a_check() -> None:
    async def later(reply: Reply) -> bool:
        return True

    class Odd:
        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    class Unshown:
        def __bool__(self) -> bool:
            return False

        def __repr__(self) -> str:
            raise ValueError("shown")

    class Later:
        def __await__(self) -> Any:
            yield

    def unsaid(reply: Reply) -> bool:
        class Unsaid(ValueError):
            def __str__(self) -> str:
                raise TypeError

        Unsaid.__name__ = Unsaid.__qualname__ = "ValueError"
        Unsaid.__module__ = "builtins"
        raise Unsaid

    def broken(reply: Reply) -> bool:
        raise KeyError("state")

    functions: dict[str, Any] = {
        "later": later,
        "odd": lambda reply: Odd(),
        "broken": broken,
        "forgot": lambda reply: None,
        "unshown": lambda reply: Unshown(),
        "unsaid": unsaid,
        "leave": lambda reply: sys.exit(3),
        "pieces": lambda reply: (piece for piece in ""),
        "future": lambda reply: Later(),
        "complaint": lambda reply: "too rude",
        "array": lambda reply: numpy.bool_(len(reply.text) == 1),
    }
    complaint = verdict("python: complaint", "x", **functions)
    assert "returned 'too rude', not True or False" in complaint
    assert verdict("python: array", "x", **functions) == ""
    assert "returned np.False_" in verdict("python: array", "xy", **functions)
    assert "raised ValueError: shown" in verdict("python: unshown", "x", **functions)
    assert "raised ValueError: <exception str() failed>" in verdict(
        "python: unsaid", "x", **functions
    )
    assert "raised SystemExit: 3" in verdict("python: leave", "x", **functions)
    assert "returned <generator" in verdict("python: pieces", "x", **functions)
    assert "async" in verdict("python: future", "x", **functions)
    assert "async" in verdict("python: later", "x", **functions)
    assert "raised ValueError: ambiguous" in verdict("python: odd", "x", **functions)
    assert "raised KeyError" in verdict("python: broken", "x", **functions)
    assert "returned None" in verdict("python: forgot", "x", **functions)


@pytest.mark.parametrize("error", [SystemExit("bye"), RecursionError()])
def test_a_function_that_ends_the_process_or_has_no_repr_fails_its_rule(
    error: BaseException,
) -> None:
    class Unshown:
        def __bool__(self) -> bool:
            return False

        def __repr__(self) -> str:
            raise error

    def leave(reply: Reply) -> bool:
        raise error

    expected = f"raised {type(error).__name__}"
    assert expected in verdict("python: leave", "x", leave=leave)
    assert expected in verdict("python: unshown", "x", unshown=lambda reply: Unshown())


def test_a_regular_expression_of_a_foreign_file_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = judge_for(parse_rule("matches: (a+)+$", 1), {}, regexes := RegexProcess())
    monkeypatch.setattr(regex_process, "SECONDS", 0.2)
    monkeypatch.setattr(regex_process, "MIN_SECONDS", 0.05)
    monkeypatch.setattr(regexes, "_limit", 0.2)
    text = "a" * 50 + "b"
    assert slow(Reply(text), None).endswith("more than 0.2 seconds")
    assert "more than 0.1 seconds (less than 0.2, because searches" in slow(Reply(text), None)
    for _ in range(5):  # the limit does not become so short that no search succeeds
        assert "more than 0.05 seconds (less than 0.2" in slow(Reply(text), None)
    monkeypatch.setattr(regexes, "_limit", 60)
    assert regexes.found("b", text)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_regular_expression_cannot_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex_process, "SECONDS", 60)
    judge = judge_for(parse_rule("matches: ^(?:(a)|(b)|c)*$", 1), {}, RegexProcess())
    assert "MemoryError" in judge(Reply("abc" * 10_000_000), None)


def test_an_interrupt_and_the_end_of_the_process_do_not_judge_an_answer() -> None:
    regexes = RegexProcess()
    assert regexes.found("a", "a")
    process = regexes._process
    assert process is not None
    process.send_signal(signal.SIGINT)
    assert regexes.found("^b$", "a\nb\n")
    assert regexes._process is process
    del regexes
    gc.collect()
    assert process.returncode is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on Windows")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_searches_in_a_process_of_its_own() -> None:
    regexes = RegexProcess()
    assert regexes.found("a", "a")
    child = os.fork()
    if not child:
        os._exit(not regexes.found("a", "a") or regexes.found("a", "b"))
    assert os.waitpid(child, 0)[1] == 0
    assert regexes.found("a", "a")


@pytest.mark.skipif(sys.platform == "win32", reason="no signal stops a process there")
def test_a_search_whose_text_is_not_read_in_time_counts_as_slow() -> None:
    """As when the machine is busy: a long text is then not written to its end."""
    regexes = RegexProcess()
    assert regexes.found("a", "a")
    assert regexes._process is not None
    os.kill(regexes._process.pid, signal.SIGSTOP)
    regexes._limit = 0.2
    with pytest.raises(ValueError, match=r"more than 0\.2 seconds"):
        regexes.found("a", "a" * 10**6)
    assert regexes._limit == regex_process.MIN_SECONDS
