"""A value as prompt text: plain values, structures, and tables of both libraries."""

from __future__ import annotations

import decimal
import math
import os
from collections import OrderedDict, deque, namedtuple
from datetime import date, datetime
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from each_case import each_case
from fresh_process import modules_after

from aeron_magic.errors import ValueRefused
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.prompts.values import format_value

Point = namedtuple("Point", "x y")


class Bare:
    """Has no ``__str__``."""


class Speaks:
    def __str__(self) -> str:
        return "spoken"

    def __call__(self) -> str:
        return "called"


class Mute:
    def __str__(self) -> str:
        raise KeyError("secret inside")


PLAIN = [
    (None, "None"),
    (True, "True"),
    (0.1, "0.1"),
    (decimal.Decimal("1.10"), "1.10"),
    (date(2024, 2, 29), "2024-02-29"),
    (math.nan, "nan"),
    (Speaks(), "spoken"),
    (Point(1, 2), "Point(x=1, y=2)"),
    (SimpleNamespace(a=1), "namespace(a=1)"),
    (np.float64(1.5), "1.5"),
    (np.int64(7), "7"),
    (np.str_("s"), "s"),
    (pd.Timestamp("2024-02-29"), "2024-02-29"),
    (datetime(2024, 2, 29), "2024-02-29"),
    (datetime(2024, 2, 29, 0, 1), "2024-02-29 00:01:00"),
    (pd.Timestamp("2024-02-29T00:00:00.000000001"), "2024-02-29 00:00:00.000000001"),
    (pd.Timestamp("2024-02-29", tz="UTC"), "2024-02-29 00:00:00+00:00"),
]

STRUCTURED = [
    ([1, "ü", None, True], '[1, "ü", null, true]'),
    ((1, 2), "[1, 2]"),
    ([], "[]"),
    ({"a": {"b": [1.5]}}, '{"a": {"b": [1.5]}}'),
    (OrderedDict(b=1, a=2), '{"b": 1, "a": 2}'),
    (MappingProxyType({"a": 1}), '{"a": 1}'),
    ({"b", "a"}, '["a", "b"]'),
    ({"b": 1, "a": 2}.keys(), '["b", "a"]'),
    ({1: "int keys"}, '{"1": "int keys"}'),
    (range(3), "[0, 1, 2]"),
    (deque([1, "a"]), '[1, "a"]'),
    ({"a": 1, "b": [2]}.values(), "[1, [2]]"),
    ({"a": deque([1]), "b": range(2)}, '{"a": [1], "b": [0, 1]}'),
    ({(1, date(2026, 1, 2)): "tuple keys"}, '{"1 / 2026-01-02": "tuple keys"}'),
    ({datetime(2026, 1, 2): None}, '{"2026-01-02": null}'),
    ([date(2024, 2, 29), decimal.Decimal("1.10")], '["2024-02-29", "1.10"]'),
    (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
    (np.array(["2024-02-29"], dtype="datetime64[D]"), '["2024-02-29"]'),
    ([np.int64(1), {"a": np.array([2])}], '[1, {"a": [2]}]'),
    (pd.Index(["a", "b"]), '["a", "b"]'),
    ([math.nan, pd.NA, pd.NaT, "", math.inf], '[null, null, null, "", "inf"]'),
    ({"a": np.array([1.5, math.nan]), "b": np.float32("nan")}, '{"a": [1.5, null], "b": null}'),
    ({"day": pd.Timestamp("2024-02-29")}, '{"day": "2024-02-29"}'),
]


@pytest.mark.parametrize(("value", "text"), PLAIN)
def test_simple_values_are_formatted_with_str(value: object, text: str) -> None:
    assert format_value(value) == text


@each_case(("value", "text"), STRUCTURED)
def test_structures_become_json(value: object, text: str) -> None:
    assert format_value(value) == text


def test_a_long_structure_is_indented() -> None:
    assert format_value({"key": "v" * 80}) == '{\n  "key": "' + "v" * 80 + '"\n}'


def test_a_large_array_is_not_shortened() -> None:
    assert format_value(np.arange(5_000)).count(",") == 4_999


NO_TEXT = {
    "bytes": (b"abc", "bytes is not text", "decode"),
    "bytearray": (bytearray(b"abc"), "bytearray is not text", "decode"),
    "module": (os, "a module", "values"),
    "function": (len, "a function or class", "Call it"),
    "lambda": (lambda: 1, "a function or class", "Call it"),
    "class": (Bare, "a function or class", "Call it"),
    "method": ("".join, "a function or class", "Call it"),
    "ufunc": (np.sin, "a function or class", "Call it"),
    "object": (Bare(), "type Bare has no text", "attributes"),
    "generator": ((n for n in "abc"), "type generator has no text", "attributes"),
    "bytes in a list": ([b"abc"], "bytes is not text", "decode"),
    "object in a list": ([Bare()], "type Bare has no text", "attributes"),
    "object under a tuple": ({(1, 2): Bare()}, "no text representation", "attributes"),
    "object in a tuple as a key": ({(1, Bare()): 1}, "no text representation", "attributes"),
    "equal keys": ({date(2026, 1, 2): 1, "2026-01-02": 2}, "have the same text", "a part"),
    "a number and its text as keys": ({1: 1, "1": 2}, "have the same text", "a part"),
    "true and its text as keys": ({True: 1, "true": 2}, "have the same text", "a part"),
    "object in a table": (pd.DataFrame({"a": [Bare()]}), "type Bare has no text", "attributes"),
    "lazy table": (pl.LazyFrame({"a": [1]}), "LazyFrame has no rows", "collect"),
    "failing": (Mute(), "raised KeyError", "yourself"),
    "failing in a list": ([Mute()], "raised KeyError", "yourself"),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_values_without_text_are_rejected_with_a_hint(case: str) -> None:
    value, message, hint = NO_TEXT[case]
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{v}}", {"v": value})
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "secret inside" not in "".join(caught.value.lines())


def test_a_recursive_list_is_rejected() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueRefused, match="raised RecursionError"):
        interpolate("{{v}}", {"v": endless})


def test_a_figure_is_rejected_with_a_hint_to_image() -> None:
    figure = type("Figure", (), {"__module__": "matplotlib.figure", "__str__": lambda _: "Figure"})
    mine = type("Mine", (figure,), {})()
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{v}}", {"v": mine})
    assert "--image" in caught.value.hint


@pytest.mark.parametrize("library", [pd, pl])
def test_tables_of_both_libraries_become_markdown(library: object) -> None:
    frame = library.DataFrame({"n": [1, 2], "text": ["a|b", "two\nlines"]})  # type: ignore[attr-defined]
    assert format_value(frame) == "| n | text |\n| --- | --- |\n| 1 | a\\|b |\n| 2 | two<br>lines |"


@pytest.mark.parametrize("library", [pd, pl])
def test_a_series_of_either_library_is_a_table_of_one_column(library: object) -> None:
    series = library.Series(name="n", data=[1, 2]) if library is pd else pl.Series("n", [1, 2])
    assert format_value(series) == "| n |\n| --- |\n| 1 |\n| 2 |"
    unnamed = pd.Series([1]) if library is pd else pl.Series([1])
    assert format_value(unnamed).startswith("| value |\n")


@pytest.mark.parametrize("library", [pd, pl])
def test_a_long_table_is_truncated_with_its_total(library: object) -> None:
    frame = library.DataFrame({"n": range(1234)})  # type: ignore[attr-defined]
    text = format_value(frame)
    assert text.endswith("| 19 |\n\n(first 20 of 1,234 rows)")
    assert "rows)" not in format_value(frame.head(20))


def test_an_index_is_shown_unless_it_is_the_default() -> None:
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    assert format_value(frame) == "| key | n |\n| --- | --- |\n| a | 1 |\n| b | 2 |"
    assert format_value(frame["n"]) == format_value(frame)
    counted = pd.DataFrame({"n": [1, 2, 3]})
    assert format_value(counted[counted.n > 1]) == "|  | n |\n| --- | --- |\n| 1 | 2 |\n| 2 | 3 |"
    assert format_value(counted.tail(1)) == "|  | n |\n| --- | --- |\n| 2 | 3 |"


def test_levels_of_an_index_and_of_columns_are_shown() -> None:
    index = pd.MultiIndex.from_tuples([("a", 1)], names=["k", None])
    frame = pd.DataFrame([[5]], index=index, columns=pd.MultiIndex.from_tuples([("x", "mean")]))
    assert format_value(frame) == "| k |  | x / mean |\n| --- | --- | --- |\n| a | 1 | 5 |"


def test_an_empty_table_is_marked() -> None:
    assert format_value(pd.DataFrame({"n": []})) == "| n |\n| --- |\n\n(no rows)"
    assert format_value(pd.DataFrame(index=[1, 2])).endswith("| 2 |")
    assert format_value(pd.DataFrame()) == "(a table of 0 rows and no columns)"
    one = pd.DataFrame(index=pd.RangeIndex(1))
    assert format_value(one) == "(a table of 1 row and no columns)"


def test_missing_cells_and_columns_of_equal_name_are_kept() -> None:
    frame = pd.DataFrame([[1.5, None], [np.nan, "b"]], columns=["n", "n"])
    rows = format_value(frame).splitlines()
    assert rows[0] == "| n | n |"
    assert rows[2:] == ["| 1.5 |  |", "|  | b |"]


def test_a_subclass_of_a_dataframe_is_a_table() -> None:
    class Mine(pd.DataFrame):
        pass

    assert format_value(Mine({"n": [1]})) == "| n |\n| --- |\n| 1 |"


def test_no_table_library_is_imported() -> None:
    found = modules_after("from aeron_magic.prompts.values import format_value; format_value([1])")
    assert not found & {"pandas", "polars", "numpy"}


FEW_BITS = {
    "a scalar": (np.float32(0.1), "0.1"),
    "of 16 bits": (np.float16(0.1), "0.1"),
    "the greatest": (np.finfo("f4").max, "3.4028235e+38"),
    "an array": (np.array([0.1, np.nan, 1e-9], "f4"), "[0.1, null, 1e-09]"),
    "in a list": ([np.float32(0.1), {"a": np.array([[0.7]], "f4")}], '[0.1, {"a": [[0.7]]}]'),
    "pandas": (pd.DataFrame({"a": np.array([0.1], "f4")}, ["x"]), "0.1 |"),
    "nullable": (pd.Series([0.1, None], dtype="Float32"), "0.1 |"),
    "polars": (pl.DataFrame({"a": [0.1]}, schema={"a": pl.Float32}), "| 0.1 |"),
    "of 64 bits": (np.float64(0.10000000149011612), "0.10000000149011612"),
}


@pytest.mark.parametrize(("value", "text"), FEW_BITS.values(), ids=list(FEW_BITS))
def test_a_number_has_the_digits_that_the_notebook_shows(value: object, text: str) -> None:
    """As a number of Python, 0.1 of 32 bits is 0.10000000149011612."""
    assert text in format_value(value)
