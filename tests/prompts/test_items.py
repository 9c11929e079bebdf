"""The items of lists, Series and DataFrames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from aeron_magic.errors import UsageError, ValueRefused
from aeron_magic.prompts.interpolation import interpolate
from aeron_magic.prompts.items import DataFrameRow, Items, items_of, render_prompts


class DatabaseRows:
    """As those of SQLAlchemy, whose ``columns`` is a method."""

    def columns(self) -> None: ...

    def __iter__(self) -> Iterator[str]:
        return iter("ab")


LISTS: dict[str, Callable[[], Any]] = {
    "list": lambda: ["a", "b"],
    "tuple": lambda: ("a", "b"),
    "rows of a database": DatabaseRows,
    "generator": lambda: (letter for letter in "ab"),
    "dictionary's values": lambda: {1: "a", 2: "b"}.values(),
    "numpy array": lambda: np.array(["a", "b"]),
    "pandas Series": lambda: pd.Series(["a", "b"], index=[5, 6]),
    "pandas Index": lambda: pd.Index(["a", "b"]),
    "polars Series": lambda: pl.Series(["a", "b"]),
}


def test_items_can_be_given_in_any_sequence_or_iterable() -> None:
    for kind, make in LISTS.items():
        assert list(items_of(make()).values) == ["a", "b"], kind


@pytest.mark.parametrize("library", [pd, pl])
def test_rows_of_a_frame_have_columns(library: Any) -> None:
    """By attribute and by key, with any name, and as JSON."""
    frame = library.DataFrame({"text": ["x", "y"], "items": [1, 2], "two words": [3, 4]})
    first, second = items_of(frame).values
    assert (first.text, first["text"], second.items, second["two words"]) == ("x", "x", 2, 4)
    question = interpolate(
        '{{row.text}} {{row.items}} {{row["two words"]}} {{row}}', {"row": first}
    )
    assert question == 'x 1 3 {"text": "x", "items": 1, "two words": 3}'


def test_a_row_is_json_whatever_its_columns_are_called() -> None:
    levels = pd.MultiIndex.from_tuples([("v", "min"), ("v", pd.Timestamp("2026-01-01"))])
    (row,) = items_of(pd.DataFrame([[1, None]], columns=levels)).values
    assert interpolate("{{row}}", {"row": row}) == '{"v / min": 1, "v / 2026-01-01": null}'
    with pytest.raises(ValueRefused, match=r"has no \.text"):
        interpolate("{{row.text}}", {"row": row})
    (row,) = items_of(pd.DataFrame([["a", "b"]])).values
    assert interpolate("{{row[0]}}", {"row": row}) == "a"
    for path in (".text", '["0"]'):
        with pytest.raises(ValueRefused) as caught:
            interpolate(f"{{{{row{path}}}}}", {"row": row})
        assert "It has `[0]`, `[1]`." in caught.value.hint


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("one text", "DataFrame, not str"),
        ({"a": 1}, "DataFrame, not dict"),
        (5, "DataFrame, not int"),
        (bytearray(b"x"), "DataFrame, not bytearray"),
        (np.array("x"), "DataFrame, not ndarray"),
        (pl.LazyFrame({"a": [1]}), "DataFrame, not LazyFrame"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "cannot be read"),
    ],
)
def test_other_types_are_rejected(source: Any, message: str) -> None:
    """The hint says what to give instead."""
    with pytest.raises(UsageError, match=message) as caught:
        items_of(source)
    assert caught.value.hint


def test_a_lazy_frame_that_can_be_iterated_is_rejected() -> None:
    """That of Dask gives the names of its columns: no question is asked of them."""
    dask_frames = pytest.importorskip("dask.dataframe")
    with pytest.raises(UsageError) as caught:
        items_of(dask_frames.from_pandas(pd.DataFrame({"a": ["x"]}), npartitions=1))
    assert ".compute()" in caught.value.hint


def test_rows_of_a_frame_are_compared_by_value() -> None:
    assert DataFrameRow({"a": 1}) == DataFrameRow({"a": 1}) != DataFrameRow({"a": 2})


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_numbers_of_few_bits_have_the_digits_that_the_notebook_shows(library: Any) -> None:
    frame = library.DataFrame({"a": np.array([0.1, 0.7], "f4"), "b": [0.1, 0.7]})
    rows = [interpolate("{{row.a}} {{row.b}}", {"row": row}) for row in items_of(frame).values]
    assert rows == ["0.1 0.1", "0.7 0.7"]
    assert items_of(frame["a"]).values == [0.1, 0.7]


def test_a_frame_of_many_numbers_of_few_bits_takes_linear_time() -> None:
    """Such as embeddings: the time of four times as many columns is about four times as long."""

    def seconds(columns: int) -> float:
        frame = pd.DataFrame(
            np.zeros((50, columns), "f4"), columns=[f"c{n}" for n in range(columns)]
        )
        began = time.process_time()
        items_of(frame)
        return time.process_time() - began

    small = min(seconds(500) for _ in range(2))
    assert min(seconds(2_000) for _ in range(2)) < 9 * small


def test_a_row_of_a_frame_is_a_mapping() -> None:
    """Its columns are attributes, too, and precede methods."""
    row: Any = DataFrameRow({"a": 1, "items": 2})
    assert isinstance(row, Mapping)
    assert dict(row) == {**row} == {"a": 1, "items": 2}
    assert (list(row), len(row), "a" in row, row.get("b")) == (["a", "items"], 2, True, None)
    assert (row.a, row.items, row["items"]) == (1, 2, 2)
    assert repr(row) == "DataFrameRow({'a': 1, 'items': 2})"
    assert str(DataFrameRow({"keys": 1})) == interpolate("{{row}}", {"row": {"keys": 1}})
    assert interpolate("{{row}}", {"row": DataFrameRow({"keys": 1})}) == '{"keys": 1}'


class _Broken(Mapping[str, int]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> int:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


class _Uncomparable(Fraction):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = Fraction.__hash__


def test_a_value_whose_own_methods_fail_concerns_its_row_only() -> None:
    items = [_Broken(), Decimal("sNaN"), _Uncomparable(1, 2), "fine"]
    broken, signaling, half, fine = render_prompts(items, "Say {{row}}", {}, (), len)
    assert "formatting it (_Broken) raised" in str(broken)
    assert "missing" in str(signaling)
    assert (half, fine) == ("Say 1/2", "Say fine")
    for path in ("row.x", "row.é", 'row["x"]'):
        with pytest.raises(ValueRefused):
            interpolate(f"{{{{{path}}}}}", {"row": _Broken()})
    frame = Items(items).with_columns({})
    assert list(frame.item[[0, 2, 3]]) == ["(_Broken)", "1/2", "fine"]
