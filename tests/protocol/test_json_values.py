"""JSON decoding: the same values as the standard library."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.protocol.json_values import (
    MAX_DEPTH,
    checked,
    decode_as,
    decode_json,
    decode_json_object,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_unicode_encoding_is_decoded(encoding: str) -> None:
    """With or without a byte-order mark."""
    assert decode_json_object('{"a": "é"}'.encode(encoding)) == {"a": "é"}


@pytest.mark.parametrize(
    "data", ["", "x", "[]", "1", '{"a":', "[" * 100_000, '{"a":' * 100_000, "9" * 5000, b"\xff"]
)
def test_other_data_than_an_object_is_none(data: str | bytes) -> None:
    """Also nesting that exceeds a parser's limit."""
    assert decode_json_object(data) is None


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ('"\\ud83d"', "\ud83d"),
        ('{"text_chunk": "a\\ude00"}', {"text_chunk": "a\ude00"}),
        ("1e999", math.inf),
        ("-Infinity", -math.inf),
        ("\n[1 ]  ", [1]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "one\ntwo\t\x01"}', {"a": "one\ntwo\t\x01"}),
    ],
)
def test_what_only_one_of_the_decoders_accepts_is_decoded(data: str | bytes, value: Any) -> None:
    """Unpaired surrogates, infinite numbers, a byte-order mark, control characters."""
    assert decode_json(data) == value


@pytest.mark.parametrize("data", ["", "x", '{"a": 1}x', "[1,]", "{'a': 1}", "[" * 100_000])
def test_invalid_json_is_a_value_error(data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- the message is the decoder's
        decode_json(data)


@pytest.mark.parametrize("kind", [str, str.encode])
@pytest.mark.parametrize("unit", [("[", "]"), ('{"a":', "}")])
def test_json_that_is_too_deep_for_python_is_a_value_error(
    unit: tuple[str, str], kind: Callable[[str], str | bytes]
) -> None:
    """orjson decodes some levels more than ``str`` can show."""
    begin, end = unit
    assert str(decode_json(kind(begin * MAX_DEPTH + "1" + end * MAX_DEPTH)))
    for depth in (MAX_DEPTH + 1, 450, 1_000, 100_000):
        with pytest.raises(ValueError, match="deep"):
            decode_json(kind(begin * depth + "1" + end * depth))
    brackets = json.dumps(["[{" * MAX_DEPTH, [[]] * MAX_DEPTH])
    assert decode_json(kind(brackets)) == json.loads(brackets)


@given(VALUES)
def test_the_output_of_the_standard_library_is_decoded(value: Any) -> None:
    """As text and as bytes, escaped or not."""
    assert decode_json(json.dumps(value)) == value
    assert decode_json(json.dumps(value).encode()) == value
    plain = json.dumps(value, ensure_ascii=False)
    assert decode_json(plain) == value


class Line(msgspec.Struct, forbid_unknown_fields=True):
    status: Literal["good"] = "good"
    numbers: list[int] = []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"numbers":[1,"x"]}', "Expected `int`, got `str`, at `$.numbers[1]`"),
        (b'{"status":"evil"}', "invalid value, at `$.status`"),
        (b'{"status":"evil - at `$evil"}', "invalid value, at `$.status`"),
        (b'{"evil":1}', "unknown field"),
        (b'{"evil - at `$\\u001bevil":1}', "unknown field"),
        (b'{"evil - at `$evil":1}', "unknown field"),
        (b"evil", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"x":' * 5_000, "unknown field"),
    ],
)
def test_the_reason_of_a_refusal_repeats_no_content(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        decode_as(data, Line)


def test_values_are_validated_without_being_converted() -> None:
    assert checked((1, "a"), tuple[int, str]) == (1, "a")
    for wrong in (("1", "a"), (1, b"a"), (1,), None, float("nan")):
        with pytest.raises(ValueError, match="Expected"):
            checked(wrong, tuple[int, str])
