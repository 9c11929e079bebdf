"""The result of a batch as a frame."""

from __future__ import annotations

import datetime
import re
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import narwhals
import pandas as pd
import polars as pl
import pytest
from fresh_process import printed

from aeron_magic.batch.result import OUTCOME, Row, check_names, result_of
from aeron_magic.errors import FailedReply, ReplyFormatError, UsageError
from aeron_magic.prompts.items import items_of
from aeron_magic.replies.columns import Columns
from aeron_magic.replies.reply import Reply

WANTED = Columns("mood: a|b, note: text?, sum: number?, n: int, ok: bool, day: date?, tags: [text]")
GOOD = {
    "mood": "a",
    "note": 'नमस्ते, "q"\nline',
    "sum": 1.5,
    "n": 2**62,
    "ok": True,
    "day": datetime.date(2026, 11, 21),
    "tags": ["x", "y"],
}
REPLY = Reply("text, with a comma", "complete", "t-1", seconds=1.5)


def rows_of(items: Any, *, bad: bool) -> list[Row]:
    """A row that fits and, with ``bad``, one that was refused and one that is unfit."""
    made = [Row(items.values[0], REPLY, "complete", None, 1.5, GOOD)]
    if bad:
        made.append(Row(items.values[1], None, "failed", FailedReply("no")))
        made.append(Row(items.values[2], Reply("?"), "unfit", ReplyFormatError("it"), 0.5))
    return made


def frame(library: Any, rows: int = 3) -> Any:
    return library.DataFrame({"text": ["x", "y", "z"][:rows], "stars": [1, 2, 3][:rows]})


@pytest.mark.parametrize("library", [pd, pl])
def test_the_result_has_the_own_the_requested_and_the_outcome_columns(library: Any) -> None:
    items = items_of(frame(library))
    result = result_of(rows_of(items, bad=True), items, WANTED)
    assert type(result) is library.DataFrame
    assert list(result.columns) == ["text", "stars", *GOOD, *OUTCOME]
    assert list(result["status"]) == ["complete", "failed", "unfit"]
    assert list(result["error"])[1:] == ["no", "it"]
    assert result["reply"][0] == "text, with a comma"
    assert result["day"][0] in (GOOD["day"], pd.Timestamp(GOOD["day"]))
    assert (result["n"][0], result["ok"][0], list(result["tags"][0])) == (2**62, True, ["x", "y"])


def test_the_dtypes_depend_on_the_specification_alone() -> None:
    """Not on missing values; and they are the same in pandas and polars."""
    expected = {"mood": "String", "note": "String", "sum": "Float64", "n": "Int64"}
    expected |= {"ok": "Boolean", "reply": "String", "status": "String", "error": "String"}
    expected |= {"seconds": "Float64", "context_token": "String"}
    for library in (pd, pl):
        for bad in (False, True):
            items = items_of(frame(library, 3 if bad else 1))
            result = narwhals.from_native(result_of(rows_of(items, bad=bad), items, WANTED))
            found = {name: str(result.schema[name]) for name in expected}
            if pd.__version__ >= "3":  # before, texts are objects
                assert found == expected, library
            assert str(result.schema["day"]) in ("Date", "Datetime(time_unit='ms', time_zone=None)")
            empty = items_of(frame(library, 0))
            schema = narwhals.from_native(result_of([], empty, WANTED)).schema
            assert {name: str(schema[name]) for name in expected} == found


def test_pandas_keeps_the_index() -> None:
    """Also one with equal labels; and the input is not changed."""
    own = frame(pd).set_axis(["r", "r", "s"])
    items = items_of(own)
    result = result_of(rows_of(items, bad=True), items)
    assert list(result.index) == ["r", "r", "s"]
    assert list(own.columns) == ["text", "stars"]


def test_levels_of_columns_are_kept() -> None:
    columns = pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])
    items = items_of(pd.DataFrame([[1, 2]], columns=columns))
    result = result_of([Row(items.values[0], REPLY)], items)
    assert list(result.columns)[:3] == [("a", "x"), ("b", "y"), ("reply", "")]
    assert list(result["status"]) == ["not asked"]


class Broken:
    """Every method that shows or compares it fails."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def test_an_item_without_a_text_has_its_type() -> None:
    items = items_of([Broken(), Broken()])
    assert list(result_of([Row(None), Row(None)], items).item) == ["(Broken)"] * 2


def test_a_file_holds_the_result(tmp_path: Path) -> None:
    """Parquet of both libraries and CSV of pandas; CSV of polars has no lists."""
    items = items_of(frame(pd))
    result = result_of(rows_of(items, bad=True), items, WANTED)
    buffer = BytesIO()
    result.to_parquet(buffer)
    again = pd.read_parquet(buffer)
    assert again.drop(columns="tags").equals(result.drop(columns="tags"))
    assert [list(one) for one in again.tags[:1]] == [["x", "y"]]
    read = pd.read_csv(StringIO(result.to_csv(index=False)), parse_dates=["day"])
    for name in ("text", "stars", "mood", "note", "sum", "reply", "status", "error", "day"):
        assert list(read[name].dropna()) == list(result[name].dropna()), name
    items = items_of(frame(pl))
    result = result_of(rows_of(items, bad=True), items, WANTED)
    result.write_parquet(tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(result)
    without = result.drop("tags")
    read_again = pl.read_csv(StringIO(without.write_csv()), try_parse_dates=True)
    assert read_again.equals(without)


def test_values_are_counted_as_they_are_seen() -> None:
    items = items_of(["a", "b", "c"])
    rows = [Row(one, Reply(text)) for one, text in zip("abc", ("good", "bad", "good"), strict=True)]
    result = result_of(rows, items)
    assert dict(result.reply.value_counts()) == {"good": 2, "bad": 1}
    assert (result.reply == "good").sum() == 2
    assert list(result.groupby("reply").size()) == [1, 2]
    assert list(result.reply.str.upper()) == ["GOOD", "BAD", "GOOD"]


MIXED = ["a", None, float("nan"), pd.NA, pd.NaT, "", {"k": 1}, b"x", "\ud83d", 5]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ([1, 2], [1, 2]),
        (MIXED, ["a", None, None, None, None, None, '{"k": 1}', "(bytes)", "\ufffd", "5"]),
        (["a", "\ud83d"], ["a", "\ufffd"]),
        ([{"k": 1}], ['{"k": 1}']),
    ],
)
def test_items_of_a_list_are_the_first_column(source: list[Any], shown: list[Any]) -> None:
    """As numbers or texts, so that a file can hold them."""
    items = items_of(source)
    result = result_of([Row(one) for one in source], items)
    assert [None if pd.isna(one) else one for one in result.item] == shown
    result.to_parquet(BytesIO())
    result.to_csv(BytesIO())


@pytest.mark.parametrize("library", [pd, pl])
def test_a_series_gives_a_frame_with_its_name(library: Any) -> None:
    names: list[tuple[Any, str]] = [(None, "item"), ("text", "text")]
    for name, column in (*names, (0, "0")) if library is pd else names:
        items = items_of(
            library.Series(name=name, data=["x"]) if library is pd else pl.Series(name, ["x"])
        )
        result = result_of([Row("x")], items)
        assert type(result) is library.DataFrame
        assert list(result.columns) == [column, *OUTCOME]


def test_columns_of_the_same_name_are_refused() -> None:
    """Before anything is sent; a result can be the next input once its columns are renamed."""
    levels = pd.MultiIndex.from_tuples([("status", "")])
    for source, wanted, said in (
        (pd.DataFrame({"reply": ["x"]}), None, 'already have 1 column of the result: "reply"'),
        (pl.DataFrame({"mood": ["x"], "n": [0]}), "mood: a|b, n: int", '2 columns .* "mood", "n"'),
        (pd.DataFrame([["x"]], columns=levels), None, '1 column .* "status"'),
        (["x"], "item: text", '1 column .* "item"'),
        (["x"], "status: a|b", "has a column `status`"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            check_names(items_of(source), Columns(wanted) if wanted else None)
        # A column that is asked for can have another name: that of the items may be needed.
        assert (".drop(" in caught.value.hint) is (wanted is None)


@pytest.mark.parametrize("library", [pd, pl])
def test_a_result_is_the_next_input_without_its_columns(library: Any) -> None:
    """As the hint says."""
    items = items_of(frame(library))
    result = result_of(rows_of(items, bad=True), items)
    for wanted in (None, Columns("text: text")):
        with pytest.raises(UsageError, match="5 columns of the result") as caught:
            check_names(items_of(result), wanted)
    assert "`reviews[labels.status == 'unfit']`" in caught.value.hint
    drop = re.findall("`(.drop.*?)`", caught.value.hint)[library is pl]
    check_names(items_of(eval(f"result{drop}")), None)


class Fixed(pd.DataFrame):
    """Takes no other columns."""

    @property
    def _constructor(self) -> type[Fixed]:
        return Fixed

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError("no other columns")


@pytest.mark.filterwarnings("ignore:Passing a BlockManager:DeprecationWarning")  # pandas 2.2.1
def test_a_frame_that_takes_no_columns_fails_before_rows_are_paid_for() -> None:
    with pytest.raises(NotImplementedError, match="no other columns"):
        check_names(items_of(Fixed({"text": ["x"]})), None)


def test_without_pandas_the_result_of_a_list_is_its_rows() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from aeron_magic.batch.result import Row, result_of\n"
        "from aeron_magic.prompts.items import items_of\n"
        "print(result_of([Row('x')], items_of(['x'])))"
    )
    assert printed(code) == "[Row('x', None, status='not asked')]\n"


def test_the_repr_of_a_row_is_short() -> None:
    """Its item, its values or the beginning of its reply, and the status."""
    row = Row("x" * 500, Reply("y" * 500), "complete", seconds=1.5)
    assert repr(row) == f"Row('{'x' * 58}…, '{'y' * 59}…', status='complete')"
    row = Row(7, Reply("{}"), "complete", values={"mood": "good"})
    assert repr(row) == "Row(7, {'mood': 'good'}, status='complete')"
