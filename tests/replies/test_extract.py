"""JSON and code blocks in a reply."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from cpu_time import least_cpu
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.errors import ReplyFormatError, UsageError
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.replies.extract import cell_source, code_blocks, extract_code, extract_json
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
    "in prose without blanks": (
        '结果是{"a": [1, 2], "b": {"c": 3}}。',
        {"a": [1, 2], "b": {"c": 3}},
    ),
    "a list in prose without blanks": ('答案["a", "b"]', ["a", "b"]),
    "joined to a word": ('JSON[{"a": 1}, {"b": 2}]', [{"a": 1}, {"b": 2}]),
    "in prose after an index": ('fees["card", x] is {"a": 1}', {"a": 1}),
    "in prose of a block": ('```markdown\nSo:\n```json\n{"a": 1}\n```', {"a": 1}),
    "the body of an answer": ('```http\nHTTP/1.1 200 OK\n\n{"a": 1}\n```', {"a": 1}),
    "in prose after a set": ("For {x: x > 0, long enough} it is [1].", [1]),
    "unescaped control characters": ('{"a": "x\ny\t\x01"}', {"a": "x\ny\t\x01"}),
    "the same in a fence": ('```json\n{"a": "x\ny"}\n```', {"a": "x\ny"}),
    "JSON Lines": ('{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    "JSON Lines, fenced": ('So:\n```jsonl\n{"a": 1}\n[2]\n```', [{"a": 1}, [2]]),
    "one JSON line": ('```ndjson\n{"a": 1}\n```', [{"a": 1}]),
    "objects on many lines": ('```json\n{\n"a": 1}\n{\n"a": 2\n}\n```', [{"a": 1}, {"a": 2}]),
    "backticks in the JSON": ('````json\n{"a": "```"}\n````', {"a": "```"}),
}


@pytest.mark.parametrize(("text", "value"), JSON.values(), ids=JSON)
def test_json_is_found(text: str, value: Any) -> None:
    """In all the places where services put it."""
    assert extract_json(text) == value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_json_is_read_from_a_fence(value: Any) -> None:
    """The value in a JSON block is returned unchanged."""
    import json

    assert extract_json(f"Here:\n\n```json\n{json.dumps({'v': value})}\n```\n") == {"v": value}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_broken_json_in_prose_is_located_in_the_reply(end: str) -> None:
    """Also below code of another language."""
    lines = ["So:", "", "```python", "x = {", "```", 'It is {"a": 1,', ' "b": }']
    with pytest.raises(ReplyFormatError, match=r"line 7, column 7 of the reply.*at '}'"):
        extract_json(end.join(lines))


def test_broken_json_is_located_in_the_reply() -> None:
    """Line and column count from the beginning of the reply, not of the block."""
    with pytest.raises(ReplyFormatError, match=r"line 4, column 8 of the reply.*at '2}'") as caught:
        extract_json('So:\n   ```json\n   {"a": 1,\n   "b" 2}\n   ```')
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [1, 2, 3], "total": 2,}',
        '{"a": {"x": 1}, "b": [1, 2',
        "{'a': [1, 2, 3]}",
        "{a: [1, 2, 3]}",
        'As said in [1], it is {"a": 1,}.',
        '[{"a": [1]}, {"a": [2]},]',
        '["a", {"b": [1]}, }]',
        '{"a": 1}\n{"a": 2',
        '{"a": 1} {"a": [2, 3, 4],}',
        'JSON[{"a": 1}, {"b": 2},]',
        '结果{"a": [1, 2],}',
    ],
)
def test_a_part_of_broken_json_is_not_taken_for_the_whole(text: str) -> None:
    with pytest.raises(ReplyFormatError, match=r"JSON is broken: line [12], column"):
        extract_json(text)


@pytest.mark.parametrize("piece", ['{"a": ', '\\"', '{"', "[", "{a:", '"', "\n{}", "{}\n"])
def test_broken_json_takes_little_time(piece: str) -> None:
    def read() -> None:
        with suppress(ReplyFormatError):
            extract_json('{"a": x' + piece * 30_000)

    assert least_cpu(read, 1.0) < 1.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Well, no.", "begins “Well, no.”"),
        (" \n", "empty"),
        ('Write fees["card"], or fees()["card"].', "begins"),
        ("A format comes after a colon: {{fee:.2%}}.", "begins"),
        ('So:\n```text\n{{shop["name"]}}\n```', "begins"),
        ('So:\n\n```python\nnames = ["a"]\n```', "begins"),
        ('Use df[["a", "b"]], or an interface{}.', "begins"),
    ],
)
def test_without_json_the_error_shows_the_text(text: str, found: str) -> None:
    """The error shows the beginning of the text."""
    with pytest.raises(ReplyFormatError, match=f"has no JSON.*{found}") as caught:
        extract_json(text)
    assert caught.value.hint.startswith("Ask for JSON explicitly")


def test_deep_nesting_is_rejected_quickly() -> None:
    """Without a crash or delay."""
    with pytest.raises(ReplyFormatError):
        extract_json("[" * 100_000)


BLOCKS = "```py\nx = 1\n\ny\n```\nthen\n~~~{.bash}\nls\n~~~\n```\nplain\n```"


def test_code_is_selected_by_language_and_number() -> None:
    """The first block, one of a language by any of its names, or the n-th."""
    assert extract_code(BLOCKS) == "x = 1\n\ny"
    assert extract_code(BLOCKS, "bash") == extract_code(BLOCKS, number=2) == "ls"
    assert extract_code(BLOCKS, "Python3") == "x = 1\n\ny"
    assert extract_code(BLOCKS, "") == "plain"


@pytest.mark.parametrize(
    ("fence", "name"),
    [
        ("c++", "cpp"),
        ("cs", "C#"),
        ("golang", "go"),
        ("rs", "rust"),
        ("python:app.py", "python"),
        ("{.python .numbered}", "py"),
        ("console", "shell"),
        ("none-such", "None-Such"),
    ],
)
def test_a_language_has_many_names(fence: str, name: str) -> None:
    text = f"```sql\n0\n```\n```{fence}\n1\n```"
    assert extract_code(text, name) == "1"


CELLS = {
    "doctest": (
        "python\n>>> def f():\n...     return 1\n...\n>>> f()\n1\n>>> 2",
        "def f():\n    return 1\n\nf()\n2",
    ),
    "shell": ("bash\n# First:\n$ ls\n$ ls a", "%%bash\n# First:\nls\nls a"),
    "here document": ("sh\ncat <<E\n$ x\nE", "%%bash\ncat <<E\n$ x\nE"),
    "session": (
        "console\n(venv) $ pip install \\\n> x\nCollecting x\n\nDone > 1\nme@pc:~/a$ ls\na b",
        "%%bash\npip install \\\nx\nls",
    ),
    "session without prompts": ("terminal\nls\nls a", "%%bash\nls\nls a"),
    "macOS": ("shell-session\nme@mac ~ % ls\na\nme@mac:a$ ls", "%%bash\nls\nls"),
    "other": ("sql\n>>> $ x", ">>> $ x"),
    "magic": ("bash\n%%time\n$ x", "%%time\n$ x"),
}


@pytest.mark.parametrize(("block", "source"), CELLS.values(), ids=CELLS)
def test_a_cell_has_no_prompts_and_no_output(block: str, source: str) -> None:
    (found,) = code_blocks(f"```{block}\n```")
    assert cell_source(found) == source


def test_missing_code_is_an_error_that_lists_the_blocks() -> None:
    """The error lists the languages of the blocks."""
    with pytest.raises(ReplyFormatError, match="code block in rust; its blocks are in: bash, no"):
        extract_code(BLOCKS, "rust")
    with pytest.raises(ReplyFormatError, match="no code block number 4; it has 3"):
        extract_code(BLOCKS, number=4)
    with pytest.raises(ReplyFormatError, match="has no code block; it begins “none”"):
        extract_code("none")


def test_other_arguments_are_refused_with_a_remedy() -> None:
    """As by someone who wrote `%aeron code 2` before."""
    reply = Reply("```py\n1\n```\n|a|\n|-|\n|1|")
    for read in (reply.code, lambda value: reply.code(number=value), reply.table):
        for value in (2.0, b"2", [2]):
            with pytest.raises(UsageError) as caught:
                read(value)
            assert "number=2" in caught.value.hint
    with pytest.raises(UsageError, match="not int"):
        reply.code(2)
    with pytest.raises(UsageError, match="not str"):
        reply.table("2")
    with pytest.raises(ReplyFormatError, match="no code block in no language; its blocks are in"):
        reply.code("")


def test_a_fence_is_closed_by_a_fence_of_the_same_length() -> None:
    """A shorter fence, or one with a language, inside a block is code."""
    (block,) = code_blocks("````md\n```python\n1\n```\n````")
    assert (block.language, block.code) == ("md", "```python\n1\n```")


def test_reply_has_methods_for_json_tables_and_code() -> None:
    """They call the functions tested above."""
    assert Reply('{"a": 1}').json() == {"a": 1}
    assert Reply("|a|\n|-|\n|1|").table().a.tolist() == [1]
    assert Reply(BLOCKS).code("bash") == "ls"


def test_errors_of_an_incomplete_reply_name_its_status() -> None:
    """The error has the token of the reply and its status."""
    reply = Reply("no", status="interrupted", context_token="t-1")
    for read in (reply.json, reply.table, reply.code):
        with pytest.raises(ReplyFormatError) as caught:
            read()
        assert caught.value.context_token == "t-1"
        assert "interrupted" in caught.value.hint


LONG = {
    "lines": "```\n#\n```\n" * 20_000,
    "cells": f"```\n```\n|{'a|' * 100}\n|{'-|' * 100}\n" + f"|{'1|' * 100}\n" * 600,
    "characters": "```\n|" + "a" * 500_000,
    "carriage returns": "```\ra|\r" * 20_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
@pytest.mark.parametrize("method", ["table", "code"])
def test_a_reply_that_would_fill_the_memory_is_not_parsed(
    method: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of table cells takes half a gigabyte and seven seconds."""
    monkeypatch.setattr("aeron_magic.replies.extract._parser", lambda **_: pytest.fail("parsed"))
    with pytest.raises(ReplyFormatError, match="too long to look for tables and code blocks"):
        getattr(Reply(text), method)()
    with pytest.raises(ReplyFormatError, match="too long"):
        mimebundle(text, format=method)


def test_long_json_is_found() -> None:
    value = ["`" * 100] * 10_000
    assert Reply(json.dumps(value)).json() == value
    assert Reply(f"Here:\n```json\n{json.dumps(value)}\n```").json() == value
