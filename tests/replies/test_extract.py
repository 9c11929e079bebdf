"""JSON, tables and code in a reply's text."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fresh_process import printed
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.errors import ReplyFormatError
from aeron_magic.replies.extract import (
    code_blocks,
    extract_code,
    extract_json,
    table_to_dataframe,
    tables,
)
from aeron_magic.replies.reply import Reply

JSON = {
    "bare": ('{"a": [1, 2]}', {"a": [1, 2]}),
    "bare, with a byte-order mark": ('\ufeff{"a": 1}', {"a": 1}),
    "a number alone": (" 42 \n", 42),
    "fenced": ('Sure!\n\n```json\n{"a": 1}\n```\nBye.', {"a": 1}),
    "fenced without a language": ('Sure!\n```\n{"a": 1}\n```', {"a": 1}),
    "fenced with tildes, in capitals": ('~~~JSON\n{"a": 1}\n~~~', {"a": 1}),
    "a fence that is never closed": ('```json\n{"a": 1}', {"a": 1}),
    "a fence in a list": ('1. so:\n   ```json\n   {"a":\n     1}\n   ```', {"a": 1}),
    "a JSON block before another block": ('```python\n[]\n```\n```json\n{"a": 1}\n```', {"a": 1}),
    "in prose": ('It is {"a": "}"}, I think.', {"a": "}"}),
    "in prose after a footnote": ('As said [1], it is {"a": [1, 2]}.', {"a": [1, 2]}),
    "backticks in the JSON": ('````json\n{"a": "```"}\n````', {"a": "```"}),
}


@pytest.mark.parametrize(("text", "value"), JSON.values(), ids=JSON)
def test_json_is_found(text: str, value: Any) -> None:
    """JSON is found wherever services put it."""
    assert extract_json(text) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_json_is_read_from_a_fence(value: Any) -> None:
    """What was written into a JSON block is what is read."""
    import json

    assert extract_json(f"Here:\n\n```json\n{json.dumps({'v': value})}\n```\n") == {"v": value}


def test_broken_json_is_located_in_the_reply() -> None:
    """The line and the column are those of the reply, not of its block."""
    with pytest.raises(ReplyFormatError, match=r"line 4, column 8 of the reply.*at '2}'") as caught:
        extract_json('So:\n   ```json\n   {"a": 1,\n   "b" 2}\n   ```')
    assert caught.value.hint


@pytest.mark.parametrize(("text", "found"), [("Well, no.", "begins “Well, no.”"), (" \n", "empty")])
def test_what_is_no_json_is_shown(text: str, found: str) -> None:
    """Where there is no JSON, the error says what there is."""
    with pytest.raises(ReplyFormatError, match=f"holds no JSON.*{found}"):
        extract_json(text)


def test_endless_brackets_end() -> None:
    """Hostile nesting is refused as no JSON, without a crash and without delay."""
    with pytest.raises(ReplyFormatError):
        extract_json("[" * 100_000)


def test_columns_have_types() -> None:
    """Numbers, dates and truth values are what they look like; the rest stays text."""
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
    """An empty cell keeps the type of its column; in a column of texts it is an empty text."""
    found = table_to_dataframe("|n|f|ok|t|\n|-|-|-|-|\n|1|1.5|true|x|\n| | | | |\n|3|\n")
    assert found.n.dropna().tolist() == [1, 3]
    assert str(found.n.dtype) == "Int64"
    assert found.f.isna().tolist() == [False, True, True]
    assert found.ok.isna().tolist() == [False, True, True]
    assert found.t.tolist() == ["x", "", ""]


def test_dates_that_do_not_exist_are_text() -> None:
    """One impossible date leaves the column as it was written."""
    assert table_to_dataframe("|d|\n|-|\n|2026-02-30|\n").d.tolist() == ["2026-02-30"]


def test_cells_lose_their_markdown() -> None:
    """What is around a whole cell goes, escapes are read, a bar can be escaped."""
    (table,) = tables("| **a** | `b` |\n|---|---|\n| x \\| y | *z* |\n| a * b | \\*c\\* |")
    assert table.head == ("a", "b")
    assert table.rows == (("x | y", "z"), ("a * b", "*c*"))


def test_names_of_columns_are_told_apart() -> None:
    """Two columns of one name are both kept."""
    assert list(table_to_dataframe("|a|a|a_2|\n|-|-|-|\n|1|2|3|").columns) == ["a", "a_2", "a_2_2"]


def test_a_table_in_a_block_of_prose_counts() -> None:
    """Some services put their table into a fence; a table in code is none."""
    text = "| a | b |\n|---|---|\n| 1 | 2 |"
    assert len(tables(f"```markdown\n{text}\n```")) == 1
    assert tables(f"```python\n{text}\n```") == []
    assert len(tables(f"{text}\n\n```\n{text}\n```")) == 1


def test_tables_are_counted() -> None:
    """The second table is number 2, and a third is an error that says how many there are."""
    text = "|a|\n|-|\n|1|\n\n|b|\n|-|\n|2|\n"
    assert list(table_to_dataframe(text, 2).columns) == ["b"]
    with pytest.raises(ReplyFormatError, match="no table number 3; it has 2"):
        table_to_dataframe(text, 3)
    with pytest.raises(ReplyFormatError, match="holds no table; it begins “-”"):
        table_to_dataframe("-")


def test_without_pandas_a_table_is_a_list() -> None:
    """Where pandas cannot be imported, the values are the same, as dictionaries."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from aeron_magic.replies.extract import table_to_dataframe\n"
        "print(table_to_dataframe('|a|b|\\n|-|-|\\n|1|x|\\n||y|'))"
    )
    assert printed(code) == "[{'a': 1, 'b': 'x'}, {'a': None, 'b': 'y'}]\n"


BLOCKS = "```py\nx = 1\n\ny\n```\nthen\n~~~{.bash}\nls\n~~~\n```\nplain\n```"


def test_code_is_told_by_language_and_number() -> None:
    """The first block, one of a language under any of its names, or the n-th."""
    assert extract_code(BLOCKS) == "x = 1\n\ny"
    assert extract_code(BLOCKS, "bash") == extract_code(BLOCKS, number=2) == "ls"
    assert extract_code(BLOCKS, "Python3") == "x = 1\n\ny"
    assert extract_code(BLOCKS, "") == "plain"


def test_missing_code_is_explained() -> None:
    """The error says what blocks there are."""
    with pytest.raises(ReplyFormatError, match="code block in rust; its blocks are in: bash, no"):
        extract_code(BLOCKS, "rust")
    with pytest.raises(ReplyFormatError, match="no code block number 4; it has 3"):
        extract_code(BLOCKS, number=4)
    with pytest.raises(ReplyFormatError, match="holds no code block; it begins “none”"):
        extract_code("none")


def test_a_fence_is_closed_by_one_as_long() -> None:
    """A shorter fence, or one with a language, inside a block is code."""
    (block,) = code_blocks("````md\n```python\n1\n```\n````")
    assert (block.language, block.code) == ("md", "```python\n1\n```")


def test_a_reply_gives_all_three() -> None:
    """The helpers of Reply are these functions."""
    assert Reply('{"a": 1}').json() == {"a": 1}
    assert Reply("|a|\n|-|\n|1|").table().a.tolist() == [1]
    assert Reply(BLOCKS).code("bash") == "ls"


def test_a_reply_that_was_cut_says_so() -> None:
    """The error names the reply, and says that it is not whole."""
    reply = Reply("no", status="interrupted", context_token="t-1")
    for read in (reply.json, reply.table, reply.code):
        with pytest.raises(ReplyFormatError) as caught:
            read()
        assert caught.value.context_token == "t-1"
        assert "interrupted" in caught.value.hint
