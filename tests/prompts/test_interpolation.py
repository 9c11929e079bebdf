from __future__ import annotations

import decimal
import math
import os
from collections import ChainMap, OrderedDict, namedtuple
from datetime import date
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fresh_process import modules_after
from hypothesis import given, settings
from hypothesis import strategies as st

from aeron_magic.errors import ValueRefused
from aeron_magic.prompts.interpolation import format_value, interpolate, placeholders_in

SECRET = 'pa|ss"wo\\rd-ü'
Point = namedtuple("Point", "x y")


class Bare:
    def __init__(self) -> None:
        self.text = "its text"
        self._hidden = "hidden"

    @property
    def broken(self) -> str:
        raise ZeroDivisionError("with a message of its own")

    @property
    def inner(self) -> str:
        return self.nothing  # type: ignore[attr-defined,no-any-return]


class Speaks:
    def __str__(self) -> str:
        return "spoken"

    def __call__(self) -> str:
        return "called"


class Mute:
    def __str__(self) -> str:
        raise KeyError("secret inside")


VALUES: dict[str, object] = {
    "name": "Ada",
    "größe": 1.5,
    "n": 3,
    "a": "A",
    "x": "{{name}} \\{{ {name}",
    "d": {"key": "by key", "a.b": "dotted", 'say "hi"': "quoted", "deep": [{"z": "Z"}]},
    "xs": ["first", "second", "last"],
    "o": Bare(),
    "os": os,
    "_": "newest",
    "__": "older",
    "f": len,
    "df": pd.DataFrame({"col": [1, 2], "two words": ["a", "b"]}),
    "plf": pl.DataFrame({"col": [1, 2]}),
}

PLACES = {
    "{{name}}": "Ada",
    "{{ name }}": "Ada",
    "{{\tname }}, {{n}}!": "Ada, 3!",
    "{{größe}}": "1.5",
    "{{_}}": "newest",
    "{{o.text}}": "its text",
    "{{d[\"key\"]}}{{d['key']}}": "by keyby key",
    '{{d["a.b"]}}': "dotted",
    "{{d['say \"hi\"']}}": "quoted",
    '{{ d ["deep"] [0] ["z"] }}{{ o . text }}': "Zits text",
    '{{d["deep"][0]["z"]}}': "Z",
    "{{xs[0]}} {{xs[-1]}} {{ xs[ 1 ] }}": "first last second",
    "{{os.sep}}": os.sep,
    "{{df.col[1]}}": "2",
    "{{df.col.iloc[-1]}}": "2",
    '{{df["two words"][0]}}': "a",
    # one pass
    "{{x}}": "{{name}} \\{{ {name}",
    "{{x}}{{name}}": "{{name}} \\{{ {name}Ada",
    # literal braces
    r"\{{name}}": "{{name}}",
    r"\{{": "{{",
    r"\{{ \{{name}} {{name}}": "{{ {{name}} Ada",
    r"\{{unknown}}": "{{unknown}}",
    # braces beside braces
    '{"who": "{{name}}", "n": {{n}}}': '{"who": "Ada", "n": 3}',
    "{{{name}}}": "{Ada}",
    "{{name}}}}": "Ada}}",
}

UNTOUCHED = [
    "",
    "no braces",
    "{name}",
    "{}",
    "{{}}",
    "{{ }}",
    '{"a": {"b": {"c": 1}}}',
    '{{"a": 1}}',
    r"\frac{a}{b} \mathbf{{x}_1} \sqrt{{n}+1}",
    "f'{name!r:>{n}}' and {{1,2},{3,4}}",
    "{% if name %}{# comment #}{% endif %}",
    "{{#each items}}{{/each}}{{> partial}}",
    "{{other | upper}} {{ other() }}",
    "function () { return {{}}; }",
    "std::vector<int> v{{1, 2}};",
    "{{name",
    "name}}",
    "{ {name} }",
    "{{na\nme}}",
    "{{1}}",
    "{{'name'}}",
    "$ {{name$",
]

REFUSED = {
    "{{nme}}": ("{{nme}} (line 1, column 1): there is no variable nme.", "`name`"),
    "a\n b {{ qqq }}": ("{{qqq}} (line 2, column 4): there is no variable qqq.", r"`\{{`"),
    r"\frac{{b}}{c}": ("{{b}} (line 1, column 6): there is no variable b.", "--raw"),
    "{{qqq.attr[0]}}": ("there is no variable qqq", "Define it"),
    "{{True}}": ("there is no variable True", "--raw"),
    "{{__}}": ("two underscores", "another name"),
    "{{__builtins__}}": ("two underscores", "another name"),
    "{{o.__class__}}": ("private attributes", "another name"),
    "{{o._hidden}}": ("private attributes", "another name"),
    "{{o.txt}}": ("o (Bare) has no .txt.", "`text`"),
    "{{o[0]}}": ("o (Bare) has no [0].", "Look at what `o` holds."),
    "{{o.broken}}": ("reading .broken of o raised ZeroDivisionError.", "variable"),
    "{{o.inner}}": ("reading .inner of o raised AttributeError.", "variable"),
    "{{d.key}}": ("d (dict) has no .key.", '`{{d["key"]}}`'),
    "{{d['kye']}}": ("d (dict) has no ['kye'].", "`key`"),
    '{{d["deep"][0]["y"]}}': ('d["deep"][0] (dict) has no ["y"].', ""),
    "{{xs[3]}}": ("xs (list) has no [3].", ""),
    "{{xs['first']}}": ("xs (list) has no ['first'].", ""),
    "{{df['cool']}}": ("df (DataFrame) has no ['cool'].", "`col`"),
    "{{plf['cool']}}": ("plf (DataFrame) has no ['cool'].", "`col`"),
    "{{df.cool}}": ("df (DataFrame) has no .cool.", "`col`"),
    "{{df.head()}}": ("{{df.head()}} (line 1, column 1): only a path enters", "variable"),
    "{{f(name)}}": ("only a path enters", "variable"),
    "{{n + 1}}": ("only a path enters", r"`\{{`"),
    "{{xs[0:2]}}": ("only a path enters", "--raw"),
    "{{d[name]}}": ("only a path enters", "--raw"),
    "{{n:.2f}}": ("only a path enters", "--raw"),
}


def test_what_cannot_enter_is_not_suggested() -> None:
    """IPython puts ``open`` into every namespace, and it is near to many names."""
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{opne}}", {"open": open, "opened": 3})
    assert "`opened`" in caught.value.hint
    assert "`open`" not in caught.value.hint


@pytest.mark.parametrize("text", PLACES)
def test_a_path_is_replaced_by_its_value(text: str) -> None:
    assert interpolate(text, VALUES) == PLACES[text]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_braces_around_anything_else_stay(text: str) -> None:
    assert interpolate(text, VALUES) == text
    assert placeholders_in(text) == []


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_enter_is_an_error_that_says_where_and_what_to_do(text: str) -> None:
    message, hint = REFUSED[text]
    with pytest.raises(ValueRefused) as caught:
        interpolate(text, VALUES)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@settings(max_examples=50)
@given(st.text())
def test_a_text_enters_as_it_is_and_is_not_looked_at_again(value: str) -> None:
    assert interpolate("<{{v}}>{{v}}", {"v": value}) == f"<{value}>{value}"


@given(st.text(alphabet="{}\\ab.[]\"'0 \n_"))
def test_text_without_a_known_or_well_formed_name_is_changed_by_the_escape_only(text: str) -> None:
    if not placeholders_in(text):
        assert interpolate(text, {}) == text.replace("\\{{", "{{")


def test_a_long_line_of_braces_and_names_is_read_in_linear_time() -> None:
    for text in ("{{" * 50_000, "{{" + "a" * 100_000, "{{a" + " " * 100_000, "{{a" + ".a" * 50_000):
        assert interpolate(text, {"a": 1}) == text


def test_any_mapping_can_be_the_namespace() -> None:
    assert interpolate("{{a}}{{b}}", ChainMap({"a": 1}, {"b": 2})) == "12"


def test_names_in_tells_path_name_and_place() -> None:
    text = 'one \\{{no}} {{ a.b }}\n{{c["d"]}} {{1}}'
    first, second = placeholders_in(text)
    assert (first.path, first.name, first.line, first.column) == ("a.b", "a", 1, 13)
    assert (second.path, second.name, second.line, second.column) == ('c["d"]', "c", 2, 1)
    assert text[first.start : first.end] == "{{ a.b }}"


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
    (pd.Timestamp("2024-02-29"), "2024-02-29 00:00:00"),
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
    ({(1, 2): "tuple keys"}, "{(1, 2): 'tuple keys'}"),
    ([date(2024, 2, 29), decimal.Decimal("1.10")], '["2024-02-29", "1.10"]'),
    (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
    (np.array(["2024-02-29"], dtype="datetime64[D]"), '["2024-02-29"]'),
    ([np.int64(1), {"a": np.array([2])}], '[1, {"a": [2]}]'),
    (pd.Index(["a", "b"]), '["a", "b"]'),
]


@pytest.mark.parametrize(("value", "text"), PLAIN)
def test_a_plain_value_enters_by_str(value: object, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(("value", "text"), STRUCTURED)
def test_a_structure_enters_as_json(value: object, text: str) -> None:
    assert format_value(value) == text


def test_a_long_structure_is_indented() -> None:
    assert format_value({"key": "v" * 80}) == '{\n  "key": "' + "v" * 80 + '"\n}'


def test_a_large_array_enters_whole() -> None:
    assert format_value(np.arange(5_000)).count(",") == 4_999


NO_TEXT = {
    "bytes": (b"abc", "bytes is no text", "decode"),
    "bytearray": (bytearray(b"abc"), "bytearray is no text", "decode"),
    "module": (os, "a module", "values"),
    "function": (len, "a function or class", "Call it"),
    "lambda": (lambda: 1, "a function or class", "Call it"),
    "class": (Bare, "a function or class", "Call it"),
    "method": ("".join, "a function or class", "Call it"),
    "ufunc": (np.sin, "a function or class", "Call it"),
    "object": (Bare(), "type Bare has no text", "attributes"),
    "generator": ((n for n in "abc"), "type generator has no text", "attributes"),
    "bytes in a list": ([b"abc"], "bytes is no text", "decode"),
    "object in a list": ([Bare()], "type Bare has no text", "attributes"),
    "object under a tuple": ({(1, 2): Bare()}, "no text of their own", "part"),
    "object in a table": (pd.DataFrame({"a": [Bare()]}), "type Bare has no text", "attributes"),
    "lazy table": (pl.LazyFrame({"a": [1]}), "LazyFrame holds no rows", "collect"),
    "failing": (Mute(), "raised KeyError", "yourself"),
    "failing in a list": ([Mute()], "raised KeyError", "yourself"),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_a_value_without_a_text_is_refused_with_a_remedy(case: str) -> None:
    value, message, hint = NO_TEXT[case]
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{v}}", {"v": value})
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "secret inside" not in "".join(caught.value.lines())


def test_a_list_within_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueRefused, match="raised ValueError"):
        interpolate("{{v}}", {"v": endless})


def test_a_figure_is_refused_with_the_way_images_take() -> None:
    figure = type("Figure", (), {"__module__": "matplotlib.figure", "__str__": lambda _: "Figure"})
    mine = type("Mine", (figure,), {})()
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{v}}", {"v": mine})
    assert "--image" in caught.value.hint


@pytest.mark.parametrize("library", [pd, pl])
def test_a_table_of_either_library_enters_as_markdown(library: object) -> None:
    frame = library.DataFrame({"n": [1, 2], "text": ["a|b", "two\nlines"]})  # type: ignore[attr-defined]
    assert format_value(frame) == "| n | text |\n| --- | --- |\n| 1 | a\\|b |\n| 2 | two<br>lines |"


@pytest.mark.parametrize("library", [pd, pl])
def test_a_series_of_either_library_is_a_table_of_one_column(library: object) -> None:
    series = library.Series(name="n", data=[1, 2]) if library is pd else pl.Series("n", [1, 2])
    assert format_value(series) == "| n |\n| --- |\n| 1 |\n| 2 |"
    unnamed = pd.Series([1]) if library is pd else pl.Series([1])
    assert format_value(unnamed).startswith("| value |\n")


@pytest.mark.parametrize("library", [pd, pl])
def test_a_long_table_is_cut_and_says_so(library: object) -> None:
    frame = library.DataFrame({"n": range(1234)})  # type: ignore[attr-defined]
    text = format_value(frame)
    assert text.endswith("| 19 |\n\n(first 20 of 1,234 rows)")
    assert interpolate("{{t}}", {"t": frame}, rows=3).endswith("| 2 |\n\n(first 3 of 1,234 rows)")
    assert "rows)" not in format_value(frame.head(20))


def test_an_index_is_shown_where_it_says_something() -> None:
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


def test_a_table_without_rows_or_columns_says_so() -> None:
    assert format_value(pd.DataFrame({"n": []})) == "| n |\n| --- |\n\n(no rows)"
    assert format_value(pd.DataFrame(index=[1, 2])).endswith("| 2 |")
    assert format_value(pd.DataFrame()) == "(a table of 0 rows and no columns)"


def test_missing_cells_and_columns_of_equal_name_are_kept() -> None:
    frame = pd.DataFrame([[1.5, None], [np.nan, "b"]], columns=["n", "n"])
    rows = format_value(frame).splitlines()
    assert rows[0] == "| n | n |"
    assert rows[2:] == ["| 1.5 | nan |", "| nan | b |"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{t}}", "T"),
        ("Look:\n\n{{t}}\n\nWhy?", "Look:\n\nT\n\nWhy?"),
        ("In {{t}}, why?", "In \n\nT\n\n, why?"),
        ("Look:\n{{t}}\nWhy?", "Look:\nT\n\nWhy?"),
        ("{{t}}{{t}}", "T\n\n\n\nT"),
    ],
)
def test_a_table_stands_on_lines_of_its_own(text: str, expected: str) -> None:
    frame = pd.DataFrame({"n": [1]})
    assert interpolate(text, {"t": frame}) == expected.replace("T", format_value(frame))


def test_a_subclass_of_a_dataframe_is_a_table() -> None:
    class Mine(pd.DataFrame):
        pass

    assert format_value(Mine({"n": [1]})) == "| n |\n| --- |\n| 1 |"


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"before {SECRET} after",
        [SECRET],
        {SECRET: 1},
        {"a": {"b": f"x{SECRET}"}},
        {(1, 2): SECRET},
        pd.DataFrame({"a": [SECRET]}),
        pd.DataFrame({SECRET: [1]}),
        pd.DataFrame({"a": [[SECRET]]}),
        pl.DataFrame({"a": [SECRET]}),
        SimpleNamespace(key=SECRET),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_contains_a_secret_is_refused_without_showing_it(value: object) -> None:
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{v}}", {"v": value}, secrets=iter(["", "other", SECRET]))
    shown = "".join(caught.value.lines())
    assert "configured secret" in shown
    assert "wo" + "\\" not in shown
    assert "ss" + '"' not in shown


def test_an_empty_secret_refuses_nothing() -> None:
    assert interpolate("{{v}}", {"v": "x"}, secrets=["", "y"]) == "x"


def test_no_table_library_comes_with_the_module() -> None:
    found = modules_after("from aeron_magic.prompts.interpolation import format_value; format_value([1])")
    assert not found & {"pandas", "polars", "numpy"}
