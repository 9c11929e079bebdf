"""Every regular expression of the package takes linear time, whatever it is applied to.

The patterns are those in the modules, and the constant arguments of functions of ``re``. Each is
applied, with the methods that the package uses, to repetitions of what it is made of.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aeron_magic

pytestmark = pytest.mark.campaign

PACKAGE = Path(aeron_magic.__file__).parent
METHODS = ("search", "match", "fullmatch", "sub", "finditer", "findall", "split")
SMALL, LARGE = 8_000, 64_000
FAST = 0.01
"""Seconds in which a pattern of linear time has surely read ``SMALL`` characters."""
MAX_RATIO = 3.0
"""Times that ``LARGE`` may take longer, for each character, than ``SMALL``."""
ROUNDS = 3
"""Measurements that all have to find more than linear time."""
UNITS = 20
"""Repeated texts for each pattern."""

PARTS = 4
"""Tests among which the patterns are divided: they may run in several processes."""

Found = tuple[str, re.Pattern[Any], frozenset[str]]


def patterns() -> Iterator[Found]:
    """The patterns with their names, and the methods that are used."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "__main__.py":
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        source = path.read_text("utf-8")
        for variable, value in vars(module).items():
            if f"import {variable}" in source:
                continue
            used = frozenset(re.findall(rf"\b{variable}\.({'|'.join(METHODS)})\b", source))
            for one in patterns_in(value):
                yield f"{name}.{variable}", one, used or frozenset({"search"})
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and (node.func.value.id, node.func.attr) in {("re", one) for one in METHODS}
                and isinstance(node.args[0], ast.Constant)
            ):
                pattern = re.compile(node.args[0].value)
                yield f"{name}:{node.lineno}", pattern, frozenset({node.func.attr})


def patterns_in(value: Any) -> Iterator[re.Pattern[Any]]:
    """``value``, or what it contains, if it is a tuple."""
    if isinstance(value, tuple):
        for one in value:
            yield from patterns_in(one)
    elif isinstance(value, re.Pattern):
        yield value


@pytest.fixture(scope="module")
def found() -> list[Found]:
    return list(patterns())


def characters(pattern: re.Pattern[Any]) -> list[str]:
    """A character for each literal and class of ``pattern``, and its runs of literals."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin1")
    found: list[str] = []

    def visit(items: Any) -> None:
        run = ""
        for code, value in items:
            if code is codes.LITERAL:
                run += chr(value)
                found.append(chr(value))
                continue
            found.append(run)
            run = ""
            if code is codes.IN:
                visit_class(value)
            elif code is codes.ANY or code is codes.NOT_LITERAL:
                found.append("x")
            elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
                visit(value[2])
            elif code is codes.SUBPATTERN:
                visit(value[3])
            elif code is codes.ATOMIC_GROUP:
                visit(value)
            elif code is codes.BRANCH:
                for branch in value[1]:
                    visit(branch)
            elif code in {codes.ASSERT, codes.ASSERT_NOT}:
                visit(value[1])
        found.append(run)

    def visit_class(items: Any) -> None:
        for code, value in items:
            if code is codes.LITERAL:
                found.append(chr(value))
            elif code is codes.RANGE:
                found.append(chr(value[0]))
            elif code is codes.CATEGORY:
                found.append({codes.CATEGORY_DIGIT: "1", codes.CATEGORY_SPACE: " "}.get(value, "a"))
            elif code is codes.NEGATE:
                found.append("x")

    visit(parser.parse(text, pattern.flags & ~re.UNICODE & ~re.LOCALE))
    return list(dict.fromkeys(filter(None, found)))


def adversaries(pattern: re.Pattern[Any], length: int) -> Iterator[str]:
    """Texts that make a pattern try again and again."""
    made_of = characters(pattern)
    singles = [*made_of, "a", " ", "\n", "`", "~", "!"]
    pairs = ["".join(pair) for pair in itertools.permutations(made_of[:12], 2)]
    apart = [one + end for one in made_of for end in (" ", "\n", "x\n")]
    units = list(dict.fromkeys([*singles, *pairs]))
    step = max(1, len(units) // UNITS)
    runs = sorted(made_of, key=len, reverse=True)[:1]
    for unit in [*singles[:16], *apart, *units[::step]]:
        body = (unit * (length // len(unit) + 1))[:length]
        yield body + "\0"
        for run in runs:
            yield f"{run}{body}\0"


def seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    subject: Any = text if isinstance(pattern.pattern, str) else text.encode("latin1", "replace")
    nothing: Any = "" if isinstance(pattern.pattern, str) else b""
    began = time.process_time()
    if method == "sub":
        pattern.sub(nothing, subject)
    elif method == "finditer":
        for _ in pattern.finditer(subject):
            pass
    else:
        getattr(pattern, method)(subject)
    return time.process_time() - began


def superlinear(pattern: re.Pattern[Any], methods: frozenset[str]) -> str:
    """What takes ``pattern`` more than linear time; empty if nothing was found."""
    texts = (adversaries(pattern, length) for length in (SMALL, 2 * SMALL, LARGE))
    for small, double, large in zip(*texts, strict=True):
        for method in methods:
            if (first := seconds(pattern, method, small)) < FAST:
                continue
            # A busy machine makes a short measurement longer, but not one in each round.
            rounds = ROUNDS if first < 10 * FAST else 1
            if all(_is_slower(pattern, method, small, double, large) for _ in range(rounds)):
                return f"{method} of {small[:20]!r}… {small[-3:]!r}"
    return ""


def _is_slower(pattern: re.Pattern[Any], method: str, small: str, double: str, large: str) -> bool:
    """Whether a longer text takes more than ``MAX_RATIO`` times as long for each character."""
    base = min(seconds(pattern, method, small) for _ in range(3))
    if base < FAST:
        return False
    if min(seconds(pattern, method, double) for _ in range(3)) > MAX_RATIO * base:
        return True
    return seconds(pattern, method, large) > MAX_RATIO * LARGE / SMALL * base


@pytest.mark.parametrize("part", range(PARTS))
def test_each_pattern_takes_linear_time(part: int, found: list[Found]) -> None:
    slow = {name: superlinear(pattern, methods) for name, pattern, methods in found[part::PARTS]}
    assert {name: text for name, text in slow.items() if text} == {}


@pytest.mark.parametrize("pattern", [r"\s+$", r"(?:!+(?=\[))|x", r"~+\n", r"(?m)^=(?=[=\s]*;)"])
def test_a_pattern_of_quadratic_time_is_found(pattern: str) -> None:
    assert superlinear(re.compile(pattern, re.DOTALL), frozenset({"search"}))


def test_patterns_are_found(found: list[Found]) -> None:
    names = {name for name, _, _ in found}
    assert len(names) > 60
    assert "aeron_magic.plaintext._harmful" in names
