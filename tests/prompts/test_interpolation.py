from __future__ import annotations

import os
from collections import ChainMap
from datetime import date
from numbers import Number
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from each_case import each_case
from hypothesis import given, settings
from hypothesis import strategies as st

from aeron_magic.errors import ValueRefused
from aeron_magic.prompts.interpolation import interpolate, placeholders_in
from aeron_magic.prompts.items import DataFrameRow, items_of
from aeron_magic.prompts.values import format_value

SECRET = 'pa|ss"wo\\rd-ü'


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


VALUES: dict[str, object] = {
    "name": "Ada",
    "größe": 1.5,
    "n": 3,
    "a": "A",
    "x": "{{name}} \\{{ {name}",
    "d": {"key": "by key", "a.b": "dotted", 'say "hi"': "quoted", "deep": [{"z": "Z"}]},
    "xs": ["first", "second", "last"],
    "o": Bare(),
    "r": DataFrameRow({"text": "a row"}),
    "os": os,
    "_": "newest",
    "__": "older",
    "f": len,
    "many": {f"c{n}": n for n in range(30)},
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
    "e^{{n^{2}}} x_{{n_{i}}} {{n}{m}}",
    "f'{name!r:>{n}}' and {{1,2},{3,4}}",
    "{% if name %}{# comment #}{% endif %}",
    "{{#each items}}{{/each}}{{> partial}}",
    "{{other | upper}} {{ other | default('x') | join(', ') }} {{ '%s' | format(name) }}",
    "{{ '{{' }} {{ 'text' }} {{{ 1 }}}",
    "{{ $x := 1 }} {{- .Values.x | quote -}} {{ $t('key') }}",
    "{{other ? name : 'x'}} {{ !other }} {{ other.length > 0 }} {{ other + 1 }}",
    "style={{...base}} v{{1, 2}, {3, 4}}",
    r"x^{{2n}} \mathbf{{p q}} \sum_{{i=1}}^{{-1}} f{{2(3)}} {{\frac{name}{n}}} {{name}_1}",
    r"{{'\d' + name}} \frac{{2\cdot f(x)}}{2}",
    '{{"name": n}} {{"a": {"b": f(x)}}} {{}} {{"name"}}',
    "{{the name of it (see above)}}",
    "{{" + "(" * 2_000 + "n" + ")" * 2_000 + "}}",
    "{{" + "-" * 900 + "}} {{" + "(" * 900 + "}}",
    "function () { return {{}}; }",
    "std::vector<int> v{{1, 2}};",
    "{{qqq",
    "name}}",
    "{ {name} }",
    "{{na\nme}}",
    "{{1}}",
    "{{'name'}}",
    "$ {{qqq$",
    r"\sqrt{{n}+1} and {{name}_1}",
    "style={{\n  n: 1 }} {{name\n}}",
]

REFUSED = {
    "a\n{{name": ("{{name (line 2, column 1): the braces are not closed.", "Write `}}` after it"),
    "{{ name:.2%": ("{{name (line 1, column 1): the braces are not closed.", "Write `}}` after it"),
    r"\sqrt{{n}+1} is {{d.key} {}?": ("{{d (line 1, column 17): the braces are not", r"`\{{`"),
    "{{ name } {{n}}": ("the braces are not closed", "--raw"),
    "{{nme}}": ("{{nme}} (line 1, column 1): unknown variable nme.", "`name`"),
    "a\n b {{ qqq }}": ("{{qqq}} (line 2, column 4): unknown variable qqq.", r"`\{{`"),
    r"\frac{{b}}{c}": ("{{b}} (line 1, column 6): unknown variable b.", "--raw"),
    "{{qqq.attr[0]}}": ("unknown variable qqq", "Define it"),
    "{{True}}": ("unknown variable True", "--raw"),
    "{{__}}": ("two underscores", "another name"),
    "{{__builtins__}}": ("two underscores", "another name"),
    "{{o.__class__}}": ("private attributes", "another name"),
    "{{o._hidden}}": ("private attributes", "another name"),
    "{{o.txt}}": ("o (Bare) has no .txt.", "`text`"),
    "{{r.txt}}": ("r has no .txt.", "Did you mean `text`? "),
    "{{o[0]}}": ("o (Bare) has no [0].", "Look at what `o` holds."),
    "{{o.broken}}": ("reading .broken of o raised ZeroDivisionError.", "variable"),
    "{{o.inner}}": ("reading .inner of o raised AttributeError.", "variable"),
    "{{d.key}}": ("d (dict) has no .key.", '`{{d["key"]}}`'),
    "{{d['kye']}}": ("d (dict) has no ['kye'].", "`key`"),
    '{{d["deep"][0]["y"]}}': ('d["deep"][0] (dict) has no ["y"].', ""),
    "{{df.other}}": ("df (DataFrame) has no .other.", "It has `col`, `two words`."),
    "{{d['other']}}": ("d (dict) has no ['other'].", 'It has `key`, `a.b`, `say "hi"`, `deep`.'),
    "{{many.c100}}": ("many (dict) has no .c100.", "`c11`, 18 more."),
    "{{xs[3]}}": ("xs (list) has no [3].", "Its length is 3."),
    "{{XS}}": ("unknown variable XS.", "Did you mean `xs`?"),
    "{{xs['first']}}": ("xs (list) has no ['first'].", ""),
    "{{df['cool']}}": ("df (DataFrame) has no ['cool'].", "`col`"),
    "{{plf['cool']}}": ("plf (DataFrame) has no ['cool'].", "`col`"),
    "{{df.cool}}": ("df (DataFrame) has no .cool.", "`col`"),
    "{{df.head()}}": ("{{df.head()}} (line 1, column 1): only a path can be inserted", "variable"),
    "{{ other() }}": ("{{other()}} (line 1, column 1): only a path", "called or computed"),
    "{{len(name)}}": ("only a path can be inserted", "put the result in a variable before"),
    "{{len(qqq)}}": ("only a path can be inserted", "called"),
    "{{qqq.mean().round(2)}}": ("only a path can be inserted", "called"),
    "{{', '.join(xs)}}": ("only a path can be inserted", "called"),
    "{{round(n / 3):.2f}}": ("only a path can be inserted", "called"),
    "{{len(xs)!r}}": ("only a path can be inserted", "called"),
    "{{1 + n}}": ("only a path can be inserted", "computed"),
    "{{(n)}}": ("only a path can be inserted", "computed"),
    "{{ -n }}": ("only a path can be inserted", "computed"),
    "{{not n}}": ("only a path can be inserted", "computed"),
    "{{[i for i in xs]}}": ("only a path can be inserted", "computed"),
    "{{'a' if n else 'b'}}": ("only a path can be inserted", "computed"),
    '{{f"{n:.2f} EUR"}}': ("only a path can be inserted", "computed"),
    "{{ F'about {name}' }}": ("only a path can be inserted", "computed"),
    "{{len(xs) | upper}}": ("only a path can be inserted", "called"),
    "{{f(name)}}": ("only a path can be inserted", "variable"),
    "{{n + 1}}": ("only a path can be inserted", r"`\{{`"),
    "{{xs[0:2]}}": ("only a path can be inserted", "--raw"),
    "{{d[name]}}": ("only a path can be inserted", "--raw"),
    "{{n!r}}": ("only a path can be inserted", "--raw"),
    "{{n:.2q}}": ("{{n}} (line 1, column 1): the format “.2q” does not fit int.", "format()"),
    "{{n:>9999999999}}": ("a number of more than 4 digits", "memory"),
    "{{n:.99999f}}": ("a number of more than 4 digits", "memory"),
    f"{{{{xs[{'9' * 5_000}]}}}}": ("only a path can be inserted", "--raw"),
    "{{xs:.2f}}": ("the format “.2f” does not fit list.", "`.2%`"),
    "{{n:}}": ("only a path can be inserted", "--raw"),
    "{{n:{xs}}}": ("only a path can be inserted", "--raw"),
    "{{xs[0] : {n}.{n}f}}": ("only a path can be inserted", "--raw"),
    "{{unknown:.2%}}": ("{{unknown}} (line 1, column 1): unknown variable unknown.", "Define it"),
    "{{unknown : ,.2f }}": ("unknown variable unknown", "Define it"),
    "{{unknown:,}}": ("unknown variable unknown", "Define it"),
    "{{unknown:%d %B}}": ("unknown variable unknown", "Define it"),
}


def test_a_suggestion_hides_nothing_and_is_not_hidden() -> None:
    """How to write literal braces is for names that resemble no other."""
    for text in (
        "{{nme}}",
        "{{r.txt}}",
        "{{d.key}}",
        "{{d['kye']}}",
        "{{df.cool}}",
        "{{df.col a}}",
    ):
        with pytest.raises(ValueRefused) as caught:
            interpolate(text, VALUES)
        assert caught.value.hint.startswith("Did you mean `"), text
        assert "braces" not in caught.value.hint, text
    assert caught.value.hint.endswith("`col`? It has `col`, `two words`.")


def test_a_row_without_a_table_needs_each() -> None:
    for text, near in {"{{row}}": "", "{{row.text}}": " Did you mean `rows`?"}.items():
        with pytest.raises(ValueRefused) as caught:
            interpolate(text, {"rows": []} if near else {})
        assert caught.value.hint == (
            f"It is a row of a table: add `--each TABLE` (in Python `each=`).{near}"
        )


KEYS = {
    "{{row.review text}}": '{{row["review text"]}}',
    "{{ row . review text }}": '{{row["review text"]}}',
    "{{row.review txt}}": '{{row["review text"]}}',
    "{{row.review_text}}": '{{row["review text"]}}',
    "{{row['review txt']}}": '{{row["review text"]}}',
    "{{row[review text]}}": '{{row["review text"]}}',
    "{{review text}}": '{{row["review text"]}}',
    "{{row.Price (EUR)}}": '{{row["Price (EUR)"]}}',
    "{{Price (EUR)}}": '{{row["Price (EUR)"]}}',
    "{{row.2024 sales}}": '{{row["2024 sales"]}}',
    "{{row.first-name}}": '{{row["first-name"]}}',
    '{{row.the "best" one}}': """{{row['the "best" one']}}""",
    "{{row.quite another}}": '{{row["quite another"]}}',
    "{{frame.review text}}": '{{frame["review text"]}}',
    "{{frame.review text[0]}}": '{{frame["review text"][0]}}',
    "{{frame.review text:.2f}}": '{{frame["review text"]:.2f}}',
    "{{polar.review text}}": '{{polar["review text"]}}',
    "{{one.deep.review text}}": '{{one.deep["review text"]}}',
    "{{both['row'].review text}}": """{{both['row']["review text"]}}""",
}


@each_case("text", KEYS)
def test_a_key_that_is_no_name_is_suggested_in_brackets(text: str) -> None:
    columns: dict[str, Any] = {
        "review text": ["x"],
        "Price (EUR)": [1],
        "2024 sales": [2],
        "first-name": [3],
        'the "best" one': [4],
    }
    frame = pd.DataFrame(columns)
    (row,) = items_of(frame).values
    values = {"row": row, "frame": frame, "polar": pl.DataFrame(columns)}
    values |= {"one": SimpleNamespace(deep=row), "both": {"row": row}}
    with pytest.raises(ValueRefused) as caught:
        interpolate(text, values)
    assert f"Did you mean `{KEYS[text]}`?" in caught.value.hint


COMPUTED = [
    "{{row.text.upper()}}",
    "{{row.text if n else 1}}",
    "{{n + row}}",
    "{{row.text | upper}}",
    "{{row.text!r}}",
    "{{row.text ? 1 : 2}}",
    "{{n.two words}}",
    "{{row.n:{n}}}",
]


@each_case("text", COMPUTED)
def test_a_computation_is_no_key(text: str) -> None:
    with pytest.raises(ValueRefused) as caught:
        interpolate(text, {"row": DataFrameRow({"text": "t", "n": 1}), "n": 3})
    assert "Did you mean" not in caught.value.hint
    assert "Nothing is called or computed" in caught.value.hint


def test_a_format_comes_after_a_colon() -> None:
    """As in an f-string; an unknown name before a colon is left, as in JSON and CSS."""
    values = {"fee": 0.025, "n": 1234567, "day": date(2026, 11, 21), "राशि": 5, "a": [2.5]}
    for text, said in {
        "{{fee:.2%}}": "2.50%",
        "{{ fee : .1f }}": "0.0",
        "{{n:,}} {{a[0]:05.1f}}": "1,234,567 002.5",
        "{{day:%d %b %Y}}": "21 Nov 2026",
        "{{राशि}} {{राशि:03}}": "5 005",
        "{{unknown:red}} {{unknown:100%}} {{unknown: 1,}} {{unknown:{n}}} {{unknown:.5em}}": (
            "{{unknown:red}} {{unknown:100%}} {{unknown: 1,}} {{unknown:{n}}} {{unknown:.5em}}"
        ),
        "{{width: 12.5%}} {{link: http://a/%d0}}": "{{width: 12.5%}} {{link: http://a/%d0}}",
    }.items():
        assert interpolate(text, values) == said, text
    with pytest.raises(ValueRefused, match="secret"):
        interpolate("{{n:,}}", values, secrets=["1,234,567"])


def test_a_missing_value_of_a_required_name_is_refused() -> None:
    masked = np.ma.array(["x"], mask=[1])[0]
    texts = ("", " \u200b", {"a": "   "}, DataFrameRow({"text": " "}))
    rows = ({"a": None, "b": " "}, DataFrameRow({"a": " ", "b": " "}))
    for value in (None, float("nan"), {"a": None}, {}, masked, pa.array([None])[0], *texts, *rows):
        with pytest.raises(ValueRefused) as caught:
            interpolate("{{row}}", {"row": value}, required="row")
        problem = "the text is empty" if value in texts else "the value is missing"
        problem = "all its values are missing or empty" if value in rows else problem
        assert problem in str(caught.value)
        assert "--raw" not in caught.value.hint
    for value in (0, False, "x", [], {"a": None, "b": 1}, pa.array([0])[0]):
        assert interpolate("{{row}}", {"row": value}, required="row")
    assert interpolate("{{x}}", {"x": None}, required="row") == "None"


def test_an_object_that_has_any_attribute_is_a_value() -> None:
    class Lazy:
        """Like dask.delayed."""

        def __getattr__(self, name: str) -> Lazy:
            return self

        def __bool__(self) -> bool:
            raise TypeError

        def __str__(self) -> str:
            return "lazy"

    assert interpolate("{{row}}", {"row": Lazy()}, required="row") == "lazy"


def test_values_that_cannot_be_inserted_are_not_suggested() -> None:
    """IPython puts ``open`` into every namespace, and many names resemble it."""
    with pytest.raises(ValueRefused) as caught:
        interpolate("{{opne}}", {"open": open, "opened": 3})
    assert "`opened`" in caught.value.hint
    assert "`open`" not in caught.value.hint


@each_case("text", PLACES)
def test_a_path_is_replaced_by_its_value(text: str) -> None:
    assert interpolate(text, VALUES) == PLACES[text]


@each_case("text", UNTOUCHED)
def test_other_double_braces_are_unchanged(text: str) -> None:
    assert interpolate(text, VALUES) == text
    assert placeholders_in(text) == []


@each_case("text", REFUSED)
def test_invalid_placeholders_are_errors_with_position_and_hint(text: str) -> None:
    message, hint = REFUSED[text]
    with pytest.raises(ValueRefused) as caught:
        interpolate(text, VALUES)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@settings(max_examples=50)
@given(st.text())
def test_placeholders_inside_a_value_are_not_replaced(value: str) -> None:
    assert interpolate("<{{v}}>{{v}}", {"v": value}) == f"<{value}>{value}"


@given(st.text(alphabet="{}\\ab.[]\"'0 \n_"))
def test_text_without_placeholders_is_changed_by_the_escape_only(text: str) -> None:
    if not placeholders_in(text):
        assert interpolate(text, {}) == text.replace("\\{{", "{{")


def test_a_long_line_of_braces_and_names_is_read_in_linear_time() -> None:
    begun = ('{{f"{' * 20_000, '{{f"' + "{" * 100_000, "{{(" * 30_000, "{{" + "1:" * 50_000 + "}}")
    for text in (
        "{{" * 50_000,
        "{{" + "a" * 100_000,
        "{{a" + " " * 100_000 + "} }",
        "{{a" + ".a" * 50_000 + "} }",
        "{{a " * 50_000 + "} " * 100_000,
        *begun,
    ):
        assert interpolate(text, {"a": 1}) == text


def test_any_mapping_can_be_the_namespace() -> None:
    assert interpolate("{{a}}{{b}}", ChainMap({"a": 1}, {"b": 2})) == "12"


def test_placeholders_have_path_name_and_position() -> None:
    text = 'one \\{{no}} {{ a.b }}\n{{c["d"]}} {{1}}'
    first, second = placeholders_in(text)
    assert (first.path, first.name, first.line, first.column) == ("a.b", "a", 1, 13)
    assert (second.path, second.name, second.line, second.column) == ('c["d"]', "c", 2, 1)
    assert text[first.start : first.end] == "{{ a.b }}"


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
def test_a_table_is_on_separate_lines(text: str, expected: str) -> None:
    frame = pd.DataFrame({"n": [1]})
    assert interpolate(text, {"t": frame}) == expected.replace("T", format_value(frame))


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


def test_an_empty_secret_is_ignored() -> None:
    assert interpolate("{{v}}", {"v": "x"}, secrets=["", "y"]) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "{{\N{MICRO SIGN}}}",
        "{{\N{GREEK SMALL LETTER MU}}}",
        "{{\N{MICRO SIGN}:d}}",
        "{{row.caf\N{LATIN SMALL LETTER E WITH ACUTE}}}",
        "{{row.cafe\N{COMBINING ACUTE ACCENT}}}",
        "{{frame.caf\N{LATIN SMALL LETTER E WITH ACUTE}[0]}}",
        "{{thing.\N{MICRO SIGN}}}",
        "{{\N{LATIN SMALL LIGATURE FI}t}}",
    ],
)
def test_names_are_compared_as_python_does(text: str) -> None:
    """The sign of micro is a letter mu there. A column's name may be of another keyboard."""
    column = {"cafe\N{COMBINING ACUTE ACCENT}": [5]}
    values: dict[str, Any] = {}
    exec("\N{MICRO SIGN} = \N{LATIN SMALL LIGATURE FI}t = 5", values)
    exec("class thing: \N{MICRO SIGN} = 5", values)
    frame = pd.DataFrame(column)
    values |= {"frame": frame, "row": items_of(frame).values[0]}
    assert interpolate(text, values) == "5"


def test_notes_say_what_is_not_inserted_whole() -> None:
    """Rows of a table that are left out, and values that are missing; each value otherwise none.

    A value that cannot be compared is inserted as without notes.
    """

    class Length(Number):
        def __ne__(self, other: object) -> bool:
            raise TypeError("units")

        __hash__ = None

        def __str__(self) -> str:
            return "5 m"

    names = {"big": pd.DataFrame({"x": range(21)}), "small": pd.DataFrame({"x": [None]})}
    names |= {"lazy": pl.DataFrame({"x": range(1_000)}), "none": pd.DataFrame({"x": []})}
    for name, value in {"a": None, "b": np.nan, "c": "", "d": 0, "e": {"k": None}}.items():
        names[name] = value
    names["length"] = Length()
    notes: list[str] = []
    text = " ".join(f"{{{{{name}}}}}" for name in names) + ' {{e["k"]}} {{a}}'
    interpolate(text, names, notes=notes)
    assert notes == [
        "Of {{big}}, the question has the first 20 of 21 rows.",
        "Of {{lazy}}, the question has the first 20 of 1,000 rows.",
        "Of {{none}}, the question has no rows.",
        "{{a}} has no value: the question has the text “None”.",
        "{{b}} has no value: the question has the text “nan”.",
        '{{e["k"]}} has no value: the question has the text “None”.',
    ]
