"""Framing: the frames do not depend on how the bytes were cut into reads."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from cpu_time import least_cpu
from fresh_process import modules_after
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aeron_magic.protocol.framing import UNPARSED_LIMIT, Frame, FrameDecoder
from aeron_magic.protocol.limits import Limits

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
SAMPLES = sorted(path for path in WIRE.glob("*/*") if not path.name.endswith(".frames.json"))
LABELS = ("", "text/event-stream", "application/json; charset=latin-1", "text/html", "nonsense")


def read(chunks: Iterable[bytes], label: str = "") -> tuple[list[Frame], str, str]:
    decoder = FrameDecoder(label)
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    decoder.close()
    return frames, decoder.kind, decoder.unparsed


def frames_of(body: bytes | str, label: str = "") -> list[Frame]:
    """The frames of ``body``, asserted to be the same in one read and byte by byte."""
    raw = body.encode() if isinstance(body, str) else body
    frames = read([raw], label)[0]
    assert read((raw[i : i + 1] for i in range(len(raw))), label)[0] == frames
    return frames


def data_of(body: bytes | str, label: str = "") -> list[str]:
    return [frame.data for frame in frames_of(body, label)]


def expected(path: Path) -> tuple[list[Frame], str, str]:
    document = json.loads(path.with_name(f"{path.name}.frames.json").read_text("utf-8"))
    return [Frame(**frame) for frame in document["frames"]], document["kind"], document["rest"]


# The samples.


def test_both_services_have_samples() -> None:
    """An empty glob would pass every test below."""
    assert {path.parent.name for path in SAMPLES} == {"aeronpay", "chatzy"}
    assert len(SAMPLES) > 60


def test_a_sample_reads_as_expected_with_any_content_type() -> None:
    """The bytes decide; a wrong content type changes nothing."""
    for path in SAMPLES:
        for label in LABELS:
            # The one sample whose bytes are ambiguous is the garbage.
            if not (path.name == "garbage.txt" and label == "text/event-stream"):
                assert read([path.read_bytes()], label) == expected(path), (path, label)


def test_a_sample_reads_the_same_byte_by_byte() -> None:
    """The same frames, kind and unparsed rest."""
    for path in SAMPLES:
        body = path.read_bytes()
        assert read(body[i : i + 1] for i in range(len(body))) == expected(path), path


def test_a_sample_reads_the_same_split_at_every_place() -> None:
    """In two reads."""
    for path in SAMPLES:
        body, whole = path.read_bytes(), expected(path)
        for place in range(1, len(body)):
            assert read((body[:place], body[place:])) == whole, (path, place)


def test_json_frames_of_a_sample_are_json() -> None:
    for path in SAMPLES:
        for frame in read([path.read_bytes()])[0]:
            if frame.data.startswith("{"):
                assert isinstance(json.loads(frame.data), dict), path


# Server-sent events by the standard: what libraries often get wrong.


def test_a_byte_order_mark_does_not_hide_the_first_event() -> None:
    assert data_of("\ufeffdata: first\n\ndata: second\n\n") == ["first", "second"]


def test_only_one_byte_order_mark_is_skipped() -> None:
    assert data_of("\ufeff\ufeffdata: lost\n\ndata: kept\n\n", "text/event-stream") == ["kept"]


def test_the_charset_is_utf_8_whatever_the_content_type() -> None:
    assert data_of("data: é\n\n", "text/event-stream; charset=iso-8859-1") == ["é"]


def test_invalid_utf_8_is_replaced() -> None:
    assert data_of(b"data: \xff\xe2\x82\n\ndata: \xe2\x82\xac\n\n") == ["\ufffd\ufffd", "€"]


def test_an_event_whose_lines_end_in_cr_is_returned_at_once() -> None:
    """Without waiting for the next byte, which may be a line feed."""
    decoder = FrameDecoder()
    assert decoder.feed(b"data: now\r\r") == [Frame("now")]
    assert decoder.feed(b"\ndata: next\r\n\r") == [Frame("next")]
    assert decoder.feed(b"\ndata: last\n\n") == [Frame("last")]


def test_an_empty_read_between_cr_and_lf_adds_no_line() -> None:
    assert read([b"data: a\r", b"", b"\ndata: b\r", b"", b"\n\r\n"])[0] == [Frame("a\nb")]


@pytest.mark.parametrize(
    "block",
    ["\n", ": keep-alive\n\n", "event: ping\n\n", "retry: 9\n\n", "id: 7\n\n", "other: x\n\n"],
)
def test_a_block_without_data_is_not_an_event(block: str) -> None:
    """Neither before the first id nor after it."""
    assert data_of(f"data: a\n\n{block}data: b\n\n") == ["a", "b"]
    assert data_of(f"id: 7\ndata: a\n\n{block}data: b\n\n") == ["a", "b"]


def test_a_type_without_data_is_not_kept_for_the_next_event() -> None:
    assert frames_of("event: ping\n\ndata: a\n\n") == [Frame("a")]


def test_an_empty_data_line_is_an_event() -> None:
    """The example of the standard: one empty event, one of two empty lines, one unfinished."""
    assert data_of("data\n\ndata\ndata\n\ndata:") == ["", "\n"]


@pytest.mark.parametrize("value", ["-5", "+5", "1_000", "٣", "", "9" * 5_000, "3000"])
def test_retry_is_ignored(value: str) -> None:
    assert data_of(f"retry: {value}\n\nretry: {value}\ndata: a\n\n") == ["a"]


def test_other_line_separators_do_not_end_a_line() -> None:
    for mark in "\u2028\u2029\u0085\x0b\x0c\x1c\x1e":
        assert data_of(f"data: a{mark}b\n\n") == [f"a{mark}b"]


# Server-sent events by the standard, the rest of it.


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_all_three_line_ends_end_a_line(end: str) -> None:
    assert data_of(f"data: a{end}data: b{end}{end}data: c{end}{end}") == ["a\nb", "c"]


def test_only_one_leading_space_is_removed() -> None:
    assert data_of("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n") == ["a", "a", " a", "\ta"]


def test_an_id_persists_until_the_next_one() -> None:
    frames = frames_of("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\n")
    assert [frame.id for frame in frames] == ["1", "1", "2", ""]


def test_an_empty_id_resets_the_id() -> None:
    assert frames_of("id: 1\ndata: a\n\nid:\n\ndata: b\n\n") == [Frame("a", "1"), Frame("b")]


def test_an_id_with_a_nul_is_ignored() -> None:
    frames = frames_of("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")
    assert [frame.id for frame in frames] == ["1", "1"]


def test_the_default_type_is_empty_even_if_it_is_named() -> None:
    frames = frames_of("event: message\ndata: a\n\nevent:\ndata: a\n\nevent: x\ndata: a\n\n")
    assert [frame.event for frame in frames] == ["", "", "x"]


def test_the_last_of_two_types_counts() -> None:
    assert frames_of("event: a\nevent: b\ndata: x\n\n") == [Frame("x", "", "b")]


def test_field_names_must_match_exactly() -> None:
    """No capitals, no space before the colon or the name, no longer name."""
    assert data_of("data: a\nData: b\ndata : c\n data: d\ndatum: e\n\n") == ["a"]


def test_an_unfinished_event_is_discarded_at_the_end() -> None:
    for tail in ("data: cut", "data: cut\n", "data: cut\nid: 3\n", "data: cut\r\n"):
        assert data_of(f"data: a\n\n{tail}") == ["a"]


LINES = [
    *("", "data: x", "data:x", "data", "data:  y", "data: {}", "DATA: x", "data : x", " data: x"),
    *(
        "data: é\u2028€",
        ": c",
        ":",
        "id: 1",
        "id:1",
        "id",
        "id: 2\0",
        "id:",
        "retry: -5",
        "retry: 5",
    ),
    *("event: e", "event:e", "event: message", "event", "event: ", "retry", "other: z"),
]


def by_the_standard(text: str) -> list[Frame]:
    """The frames of an event stream, by the steps of the standard."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    frames: list[Frame] = []
    data = event = last_id = ""
    for line in lines:
        if not line:
            if data:
                frames.append(Frame(data.removesuffix("\n"), last_id, event))
            data = event = ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = "" if value == "message" else value
            elif name == "data":
                data += value + "\n"
            elif name == "id" and "\0" not in value:
                last_id = value
    return frames


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(LINES), max_size=14),
    st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=14, max_size=14),
    st.booleans(),
    st.lists(st.integers(0, 120), max_size=6),
)
@example(["data: x", "", "id: 1", "data: x", "", "id", "", "data: x", ""], ["\n"] * 14, False, [])
def test_any_lines_in_any_reads_read_by_the_standard(
    lines: list[str], ends: list[str], marked: bool, places: list[int]
) -> None:
    """In one read, in several, and byte by byte."""
    text = "\ufeff" * marked + "".join(line + end for line, end in zip(lines, ends, strict=False))
    body = text.encode()
    cuts = sorted({0, len(body), *(place for place in places if place < len(body))})
    reads = [body[a:b] for a, b in pairwise(cuts)]
    whole = read([body], "text/event-stream")
    assert whole[0] == by_the_standard(text)
    assert read(reads, "text/event-stream") == whole
    assert read([body[i : i + 1] for i in range(len(body))], "text/event-stream") == whole


# JSON.


def test_objects_follow_each_other_in_any_way() -> None:
    for between in ("", "\n", "\r\n", " \n\t", ",", ",\n "):
        assert data_of(between.join(['{"a":1}', '{"b":{"c":[{}]}}', "{}"])) == [
            '{"a":1}',
            '{"b":{"c":[{}]}}',
            "{}",
        ]


def test_an_array_of_objects_gives_its_elements() -> None:
    assert data_of('\ufeff [\n {"a": [1, {"b": 2}]},\n {}\n]\n') == ['{"a": [1, {"b": 2}]}', "{}"]
    assert read([b"[ ]"]) == ([], "json", "")


def test_braces_in_a_string_do_not_count() -> None:
    for text in ("}", "{", '"', "\\", '\\"}', '}{"', "\\\\", "]["):
        document = json.dumps({text: {"x": [text, {text: {text: text}}]}})
        assert data_of(document * 2) == [document] * 2


KEYS = st.text(max_size=3)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('{}[]"\\,: é😀\n'), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(KEYS, JSON_VALUES, max_size=4), min_size=1, max_size=4),
    st.sampled_from(["", "\n", " ", ",\r\n"]),
    st.booleans(),
    st.sampled_from([None, 2]),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_any_objects_in_any_reads_are_returned_unchanged(
    objects: list[dict[str, object]],
    between: str,
    ascii_only: bool,
    indent: int | None,
    places: list[int],
) -> None:
    """However deep, escaped, indented or cut."""
    texts = [json.dumps(each, ensure_ascii=ascii_only, indent=indent) for each in objects]
    body = between.join(texts).encode()
    cuts = sorted({0, len(body), *(place for place in places if place < len(body))})
    for reads in (
        [body],
        [body[a:b] for a, b in pairwise(cuts)],
        [body[i : i + 1] for i in range(len(body))],
    ):
        frames, kind, rest = read(reads)
        assert [frame.data for frame in frames] == texts
        assert (kind, rest) == ("json", "")


def test_an_unfinished_object_is_unparsed() -> None:
    assert read([b'{"a":1}\n{"b', b'":"\\']) == ([Frame('{"a":1}')], "json", '{"b":"\\')


def test_garbage_after_an_object_ends_the_reading() -> None:
    """The frames before it stay, and the kind is still JSON."""
    frames, kind, rest = read([b'{"a":1} Internal', b" error {}"])
    assert (frames, kind, rest) == ([Frame('{"a":1}')], "json", "Internal error {}")


def test_garbage_before_any_object_makes_the_body_other() -> None:
    assert read([b"[] oh", b" no"]) == ([], "other", "oh no")


# The kind of the body.


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", ""),
        (" \r\n", ""),
        ("data: x", "sse"),
        ("\n\n:", "sse"),
        ("retry\n", "sse"),
        ("{", "json"),
        ("\ufeff\n{", "json"),
        ("[ {", "json"),
        ("<", "other"),
        ("database error: x", "other"),
        ("data error: x", "other"),
        ("dat", "other"),
        ("[DONE]", "other"),
        ("[", "other"),
        ("404", "other"),
        ("null", "other"),
    ],
)
def test_the_first_bytes_decide_the_kind(body: str, kind: str) -> None:
    raw = body.encode()
    assert read([raw])[1] == kind
    assert read(raw[i : i + 1] for i in range(len(raw)))[1] == kind


@pytest.mark.parametrize("label", ["text/event-stream", "Text/Event-Stream;charset=utf-8"])
def test_the_content_type_decides_if_the_bytes_are_ambiguous(label: str) -> None:
    """An unknown field may begin an event stream."""
    assert data_of("x-trace: 1\ndata: a\n\n", label) == ["a"]
    assert data_of("[\ndata: a\n\n", label) == ["a"]
    assert data_of("x-trace: 1\ndata: a\n\n", "text/plain") == []


def test_the_kind_is_known_as_soon_as_the_bytes_decide() -> None:
    decoder = FrameDecoder()
    kinds = []
    for byte in b"data:":
        decoder.feed(bytes([byte]))
        kinds.append(decoder.kind)
    assert kinds == ["", "", "", "", "sse"]


def test_unknown_fields_are_unparsed() -> None:
    """So an error in the middle of an event stream can be shown."""
    frames, kind, rest = read([b'data: a\n\n{"status":"FAILED"}\n\ndata: b\n\n'])
    assert ([frame.data for frame in frames], kind) == (["a", "b"], "sse")
    assert rest == '{"status":"FAILED"}\n'


@pytest.mark.parametrize(
    "unit", ["<p>é</p>", '{"a": "é', "data: é", "x: é\n", "{", "[", " ", '{} "é" ', "{}{"]
)
@pytest.mark.parametrize("label", ["", "text/event-stream"])
def test_unparsed_text_is_bounded(unit: str, label: str) -> None:
    body = (unit * (3 * UNPARSED_LIMIT)).encode()
    decoder = FrameDecoder(label)
    for place in range(0, len(body), 1_000):
        decoder.feed(body[place : place + 1_000])
    decoder.close()
    assert len(decoder.unparsed) <= UNPARSED_LIMIT


@pytest.mark.parametrize("start", [b"data: ", b'{"a": "', b"{", b"data: x\n", b"x: "])
def test_reading_stops_after_the_limit(start: bytes) -> None:
    decoder = FrameDecoder("text/event-stream", Limits(frame=1_000))
    for _ in range(200):
        assert decoder.feed(start + b"x" * 10) == []
    assert decoder.kind == "other"
    assert decoder.feed(b'x"}\n\ndata: late\n\n') == []
    assert len(decoder.unparsed) <= UNPARSED_LIMIT


@pytest.mark.parametrize("start", ["<html>", "{", "data: ", '{"a": 1} oh'])
def test_a_body_after_the_limit_is_not_kept_in_memory(start: str) -> None:
    """A megabyte leaves some kilobytes."""
    chunk = b"x" * 1_000
    decoder = FrameDecoder(limits=Limits(frame=10_000))
    decoder.feed(start.encode())
    tracemalloc.start()
    try:
        for _ in range(1_000):
            # New bytes for each read, as from a socket.
            decoder.feed(bytes(bytearray(chunk)))
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()


def test_frames_reset_the_limit() -> None:
    """The limit is not for the whole reply."""
    decoder = FrameDecoder(limits=Limits(frame=100))
    for _ in range(1_000):
        assert decoder.feed(b"data: x") == []
        assert decoder.feed(b"\n\n") == [Frame("x")]


TOKENS = [
    *(
        "{",
        "}",
        '"',
        "\\",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\r",
        "<",
        "data:",
        "dat",
        "id: 1",
        "event",
    ),
    *('{"a":1}', '"}"', "é", "\ufeff", "\0", "\n\n", "data: x\n\n", "x"),
]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(TOKENS), max_size=16).map("".join),
    st.sampled_from(["", "text/event-stream"]),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_any_bytes_read_the_same_in_any_reads(text: str, label: str, places: list[int]) -> None:
    """Also bytes that are not a stream of any kind."""
    body = text.encode()
    cuts = sorted({0, len(body), *(place for place in places if place < len(body))})
    whole = read([body], label)
    assert read([body[a:b] for a, b in pairwise(cuts)], label) == whole
    assert read([body[i : i + 1] for i in range(len(body))], label) == whole


# Cost.


def seconds(body: bytes, enough: float = 0.0) -> float:
    """The least CPU time of reading ``body`` byte by byte."""
    reads = [body[i : i + 1] for i in range(len(body))]

    def work() -> None:
        assert len(read(reads)[0]) == 1

    return least_cpu(work, enough)


@pytest.mark.parametrize(
    ("start", "unit", "end"),
    [
        ('{"text":"', "a\\n {", '"}'),
        ('{"text":["', '","', '"]}'),
        ('{"a":[', '{"b":{"c":1}},', "0]}"),
        ("data: ", "xyz ", "\n\n"),
        ("", "data: x\n", "\n"),
    ],
    ids=["string", "strings", "objects", "line", "lines"],
)
def test_a_long_frame_costs_in_proportion_to_its_length(start: str, unit: str, end: str) -> None:
    """Byte by byte, eight times the length costs about eight times as much, not sixty-four."""
    short, long = (f"{start}{unit * (n // len(unit))}{end}".encode() for n in (12_500, 100_000))
    limit = 24 * seconds(short)
    assert seconds(long, limit) < limit


def test_framing_imports_no_http_library() -> None:
    found = modules_after(
        "from aeron_magic.protocol.framing import FrameDecoder\n"
        "assert FrameDecoder().feed(b'data: {}\\n\\n') and FrameDecoder().feed(b'{}')"
    )
    assert not found & {"httpx", "anyio", "asyncio", "threading"}
