"""Markdown tables in a reply: cells, types of columns, and the DataFrame."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fresh_process import printed

from aeron_magic.errors import ReplyFormatError
from aeron_magic.replies.tables import table_to_dataframe, tables


def test_columns_have_types() -> None:
    """Numbers, dates and truth values are converted; the rest stays text."""
    found = table_to_dataframe(
        "x\n\n| n | f | day | ok | share | id |\n|---|:-:|--:|---|---|---|\n"
        "| 1,234 | 1.5 | 2026-11-21 | true | 5 % | 007 |\n"
        "| \N{MINUS SIGN}2 | 2 | 2026-01-31 | False | 6 % | 12 |\n"
    )
    assert found.n.tolist() == [1234, -2]
    assert found.f.tolist() == [1.5, 2.0]
    assert [day.date() for day in found.day] == [date(2026, 11, 21), date(2026, 1, 31)]
    assert found.ok.tolist() == [True, False]
    assert found.share.tolist() == ["5 %", "6 %"]
    assert found.id.tolist() == ["007", "12"]


def test_empty_cells_are_missing() -> None:
    """Empty cells do not change the type of a column; in a text column they are empty strings."""
    found = table_to_dataframe("|n|f|ok|t|\n|-|-|-|-|\n|1|1.5|true|x|\n| | | | |\n|3|\n")
    assert found.n.dropna().tolist() == [1, 3]
    assert str(found.n.dtype) == "Int64"
    assert found.f.isna().tolist() == [False, True, True]
    assert found.ok.isna().tolist() == [False, True, True]
    assert found.t.tolist() == ["x", "", ""]


def test_dates_that_do_not_exist_are_text() -> None:
    """One invalid date makes it a text column."""
    assert table_to_dataframe("|d|\n|-|\n|2026-02-30|\n").d.tolist() == ["2026-02-30"]


def test_markdown_around_a_cell_is_removed() -> None:
    """Emphasis and code around a whole cell, escapes and character references."""
    (table,) = tables(
        "| **a** | `b` |\n|---|---|\n| x \\| y | *z* |\n| a * b | \\*c\\* |\n"
        "| &lt;b&gt; | &nosuch; &#36;5 |"
    )
    assert table.head == ("a", "b")
    assert table.rows == (("x | y", "z"), ("a * b", "*c*"), ("<b>", "&nosuch; $5"))


@pytest.mark.parametrize(
    "cell", [r"\(\{a\}\)", r"$\{1, 2\}$ and $x$", r"`a\_b &amp;` c", "``x`` of ``\\*``"]
)
def test_code_and_formulas_in_a_cell_are_kept(cell: str) -> None:
    (table,) = tables(f"| a |\n|---|\n| {cell} |")
    assert table.rows == ((cell,),)


def test_numbers_may_have_commas_as_in_india() -> None:
    found = table_to_dataframe("|a|b|c|\n|-|-|-|\n|1,20,000|10,00,000.5|1,2,000|\n|500|1,000|1|\n")
    assert found.a.tolist() == [120_000, 500]
    assert found.b.tolist() == [1_000_000.5, 1000.0]
    assert found.c.tolist() == ["1,2,000", "1"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9,007,199,254,740,993", "1"], [9_007_199_254_740_993, 1]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
        (["-9223372036854775807", ""], [-9_223_372_036_854_775_807, None]),
        (["1e400", "1"], ["1e400", "1"]),
        (["9" * 5_000], ["9" * 5_000]),
        (["0.30000000000000004", "2"], [0.30000000000000004, 2]),
    ],
)
def test_no_digit_of_a_number_is_lost(cells: list[str], expected: list[Any]) -> None:
    """Such as of an identifier; what no type keeps stays text."""
    found = table_to_dataframe("| a | b |\n|---|---|\n" + "".join(f"| {x} | y |\n" for x in cells))
    assert found.a.astype(object).where(found.a.notna(), None).tolist() == expected


def test_bars_in_code_end_no_cell() -> None:
    found = table_to_dataframe("| code | name |\n|---|---|\n| `a | b` | or |\n| `c` | `d` |\n")
    assert found.to_dict("list") == {"code": ["a | b", "c"], "name": ["or", "d"]}


def test_a_bar_in_a_formula_ends_no_cell() -> None:
    found = table_to_dataframe("| f | name |\n|---|---|\n| $|x|$ | abs |\n| \\(a|b\\) | given |\n")
    assert found.f.tolist() == ["$|x|$", "\\(a|b\\)"]
    assert found.name.tolist() == ["abs", "given"]


def test_the_character_that_hides_bars_is_kept_in_a_text() -> None:
    found = table_to_dataframe("| f | name |\n|---|---|\n| x | a\ue0ffb |\n")
    assert found.name.tolist() == ["a\ue0ffb"]


def test_duplicate_column_names_are_numbered() -> None:
    """Columns with the same name are all kept."""
    assert list(table_to_dataframe("|a|a|a_2|\n|-|-|-|\n|1|2|3|").columns) == ["a", "a_2", "a_2_2"]


def test_a_table_in_a_block_without_code_counts() -> None:
    """Some services fence their tables; a table in code does not count."""
    text = "| a | b |\n|---|---|\n| 1 | 2 |"
    assert len(tables(f"```markdown\n{text}\n```")) == 1
    assert tables(f"```python\n{text}\n```") == []
    assert len(tables(f"{text}\n\n```\n{text}\n```")) == 1


def test_tables_are_selected_by_number() -> None:
    """A number that is too high is an error with the number of tables."""
    text = "|a|\n|-|\n|1|\n\n|b|\n|-|\n|2|\n"
    assert list(table_to_dataframe(text, 2).columns) == ["b"]
    with pytest.raises(ReplyFormatError, match="no table number 3; it has 2"):
        table_to_dataframe(text, 3)
    with pytest.raises(ReplyFormatError, match="has no table; it begins “-”"):
        table_to_dataframe("-")


def test_without_pandas_a_table_is_a_list() -> None:
    """Without pandas the values are the same, as dictionaries."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from aeron_magic.replies.tables import table_to_dataframe\n"
        "print(table_to_dataframe('|a|b|\\n|-|-|\\n|1|x|\\n||y|'))"
    )
    assert printed(code) == "[{'a': 1, 'b': 'x'}, {'a': None, 'b': 'y'}]\n"
