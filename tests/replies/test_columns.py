"""Requested columns: the specification, and replies against a key."""

from __future__ import annotations

import datetime
import enum
import itertools
import json
import unicodedata
from decimal import Decimal
from typing import Any, Literal

import pydantic
import pytest
from fresh_process import modules_after, printed

from aeron_magic.errors import ReplyFormatError, UsageError
from aeron_magic.replies.columns import MAX_VALUE, Columns

WANTED = Columns(
    "mood: positive|negative|neutral, refund: bool, amount: number?, n: int, day: date?"
)
UNFIT = object()

# What a reply has for each column, and what it means.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "mood": [
        ('"positive"', "positive"),
        ('"Negative"', "negative"),
        ('" NEUTRAL "', "neutral"),
        ('"positive."', UNFIT),
        ('"positive|negative"', UNFIT),
        ('["positive"]', UNFIT),
        ('{"value": "positive"}', UNFIT),
        ('"happy"', UNFIT),
        ('""', UNFIT),
        ("null", UNFIT),
        ("1", UNFIT),
        ('"\\ud83d"', UNFIT),
    ],
    "refund": [
        ("true", True),
        ('"yes"', True),
        ('"नहीं"', False),
        ('"FALSE"', False),
        ('"हाँ"', True),
        ('"perhaps"', UNFIT),
        ("1", UNFIT),
        ("0.0", UNFIT),
        ("null", UNFIT),
        ("[true]", UNFIT),
        ('"true or false"', UNFIT),
    ],
    "amount": [
        ("null", None),
        ("0", 0.0),
        ("-12.5", -12.5),
        ('"₹1,20,000"', 120_000.0),
        ('"1.2 lakh"', 120_000.0),
        ('"रु ५००"', 500.0),
        ('"5 करोड़"', 50_000_000.0),
        ("1e3", 1000.0),
        ('"about 500"', UNFIT),
        ('"500-600"', UNFIT),
        ('"1,5"', UNFIT),
        ('"12,345.678"', 12_345.678),
        ('"0,500"', UNFIT),
        ('"-0,125"', UNFIT),
        ('"0,12,345"', UNFIT),
        ('"€1.234"', UNFIT),
        ('"1.500 $"', UNFIT),
        ('"1.500/-"', UNFIT),
        ('"₹1.234 lakh"', 123_400.0),
        ('"€1.23"', 1.23),
        ('"$0.125"', 0.125),
        ('"$1,234.567"', 1_234.567),
        ('"1234.567 EUR"', 1_234.567),
        ('"12%"', UNFIT),
        ('"null"', UNFIT),
        ('""', UNFIT),
        ("true", UNFIT),
        ("NaN", UNFIT),
        ("1e400", UNFIT),
        ("9007199254740992", 2.0**53),
        ("9007199254740993", UNFIT),
        ('"9007199254740993"', UNFIT),
        ('"12345678901234567891"', UNFIT),
        ("9007199254740993.0", UNFIT),
        ("12345678901234567.89", UNFIT),
        ('"12345678901234567.89"', UNFIT),
        ("0.1234567890123456789", 0.12345678901234568),
        ("1e23", 1e23),
        ('"1e23"', 1e23),
        ("1e-400", UNFIT),
        ('"1e-400"', UNFIT),
        ("1e-99999999999999999999", UNFIT),
        ("-Infinity", UNFIT),
        ("[500]", UNFIT),
        ("1_000", UNFIT),
        ("1,20,000", UNFIT),
        ("012", UNFIT),
    ],
    "n": [
        ("7", 7),
        ("7.0", 7),
        ('"७"', 7),
        ('"1.2 lakh"', 120_000),
        ("-9223372036854775807", -(2**63) + 1),
        ('"1234567890123456789"', 1_234_567_890_123_456_789),
        ('"9223372036854775807"', 2**63 - 1),
        ('"1.000"', UNFIT),
        ('"-12.000"', UNFIT),
        ('"- 12.000"', UNFIT),
        ('"1.000/-"', UNFIT),
        ('"1.00"', 1),
        ('"1.500 lakh"', 150_000),
        ("9223372036854775808", UNFIT),
        ('"9223372036854775808"', UNFIT),
        ("1234567890123456789.0", UNFIT),
        ("1e-400", UNFIT),
        ("1e30", UNFIT),
        ("9" * 5000, UNFIT),
        ("7.5", UNFIT),
        ("false", UNFIT),
        ("null", UNFIT),
        ('"seven"', UNFIT),
    ],
    "day": [
        ("null", None),
        ('"2026-11-21"', datetime.date(2026, 11, 21)),
        ('"21/11/2026"', datetime.date(2026, 11, 21)),
        ('"२१ नवंबर २०२६"', datetime.date(2026, 11, 21)),
        ('"05/06/2026"', UNFIT),
        ('"2026-02-30"', UNFIT),
        ('"2026-13-01"', UNFIT),
        ('"86400"', UNFIT),
        ("86400", UNFIT),
        ('"tomorrow"', UNFIT),
        ('"0000-01-01"', UNFIT),
        ("20261121", UNFIT),
    ],
}
FORMS = (
    "{}",
    "```json\n{}\n```",
    "Here it is:\n\n{}\n\nIs there anything else?",
    "\ufeff {} ",
    "~~~\n{}",
    "**{}**",
)
OBJECT = '{"mood": "neutral", "refund": false, "amount": 5, "n": 1, "day": null}'
RIGHT = {"mood": "neutral", "refund": False, "amount": 5.0, "n": 1, "day": None}
# Whole replies, and what they mean.
REPLIES: list[tuple[str, Any]] = [
    (OBJECT.replace(', "day": null', ""), RIGHT),
    (OBJECT.replace('"day": null', '"Day": null'), UNFIT),
    (OBJECT.replace('"day": null', '"date": "2026-11-21"'), UNFIT),
    (OBJECT.replace("}", ', "reason": "none"}'), RIGHT),
    (OBJECT.replace("}", ', "mood": "positive"}'), UNFIT),
    (OBJECT.replace("}", ', "Mood ": "positive"}'), UNFIT),
    (OBJECT.replace("}", ', "x": {"mood": "positive", "n": 2}}'), RIGHT),
    (OBJECT.replace('"refund": false, ', ""), UNFIT),
    (OBJECT.replace('"mood"', "mood"), UNFIT),
    (OBJECT.replace('"', "'"), UNFIT),
    (OBJECT.replace("}", ",}"), UNFIT),
    (OBJECT.replace(":", "="), UNFIT),
    (OBJECT[:-1], UNFIT),
    (OBJECT[1:], UNFIT),
    (OBJECT + OBJECT, UNFIT),
    (f"{OBJECT}\n\nor\n\n{OBJECT[:-1]}", UNFIT),
    (f"[{OBJECT}, {OBJECT[:20]}", UNFIT),
    (OBJECT[1:] + OBJECT, UNFIT),
    (OBJECT.replace("}", ', "x": [NaN]}'), UNFIT),
    (f"{OBJECT}\n\nor\n\n{OBJECT.replace('neutral', 'positive')}", UNFIT),
    (f'{{"result": {OBJECT}}}', UNFIT),
    (f'{{"a": {OBJECT}, oops', UNFIT),
    (f"[{OBJECT}, {OBJECT}]", UNFIT),
    (json.dumps(OBJECT), UNFIT),
    (f"{{{{row}}}} is {OBJECT}", UNFIT),
    ("{" * 100_000, UNFIT),
    ('{"a":' * 100_000 + "1" + "}" * 100_000, UNFIT),
    ("[" * 100_000 + "{}", UNFIT),
    ("", UNFIT),
    ("positive", UNFIT),
    ("null", UNFIT),
    ("}{", UNFIT),
    ("{}", UNFIT),
    ("I cannot help with that.", UNFIT),
    ("| mood |\n|---|\n| neutral |", UNFIT),
    ("\x00" + OBJECT, RIGHT),
    (OBJECT.replace("neutral", "neu\ntral"), UNFIT),
]


def made(**given: str) -> str:
    """The JSON of a reply."""
    usual = {name: values[0][0] for name, values in VALUES.items()} | given
    return "{" + ", ".join(f'"{name}": {value}' for name, value in usual.items()) + "}"


def checked(reply: str, wanted: Columns = WANTED) -> Any:
    try:
        return wanted.values(reply)
    except ReplyFormatError:
        return UNFIT


def test_each_hostile_reply_is_right_or_unfit() -> None:
    """None is wrong: 400 replies with a value in another form, or in another setting."""
    usual = {name: values[0][1] for name, values in VALUES.items()}
    count = 0
    for name, values in VALUES.items():
        for (value, meaning), form in itertools.product(values, FORMS):
            right = UNFIT if meaning is UNFIT else {**usual, name: meaning}
            found = checked(form.format(made(**{name: value})))
            assert found == right, (name, value, form)
            assert found is UNFIT or type(found[name]) is type(right[name])
            count += 1
    for reply, meaning in REPLIES:
        assert checked(reply) == meaning, reply[:200]
        count += 1
    assert count >= 400


def test_control_characters_in_a_text_may_be_unescaped() -> None:
    assert Columns("a: text").values('{"a": "x\ny"}') == {"a": "x\ny"}


def test_an_error_says_what_does_not_fit() -> None:
    """In pydantic's words, with the value: short, and on one line."""
    with pytest.raises(ReplyFormatError) as caught:
        WANTED.values(made(mood='"good"', amount='"much"'))
    moods = "mood: Input should be 'positive', 'negative' or 'neutral' (got "
    assert f"{moods}'good')" in str(caught.value)
    for value, shown in {
        '"a\\n\\u001b[31mb"': "'a b'",
        f'"{"x" * 5000}"': f"'{'x' * (MAX_VALUE - 1)}…'",
        "null": "null",
        "true": "true",
        "1.5": "1.5",
    }.items():
        with pytest.raises(ReplyFormatError) as caught_too:
            WANTED.values(made(mood=value))
        assert f"{moods}{shown})" in str(caught_too.value)
    with pytest.raises(ReplyFormatError) as no_value:
        WANTED.values(made(mood='["good"]'))
    assert "(got" not in str(no_value.value)
    with pytest.raises(ReplyFormatError) as in_list:
        Columns("sums: [number]").values('{"sums": [null]}')
    assert "accepts" not in str(in_list.value)
    assert "amount: Input should be a valid number" in str(caught.value)


def test_the_reason_of_a_null_says_what_accepts_it() -> None:
    class Sale(pydantic.BaseModel):
        amount: float

    for wanted, mark in (("amount: number", "?"), (Sale, "| None")):
        with pytest.raises(ReplyFormatError, match="accepts null") as caught:
            Columns(wanted).values('{"amount": null}')
        said = f"Input should be a valid number (got null); a type with {mark} accepts null."
        assert str(caught.value).endswith(said)


def test_a_long_reason_is_cut() -> None:
    for reply in (made(amount="9" * 4000 + ".5e400"), '{"' + "k" * 9000 + '": 1}'):
        with pytest.raises(ReplyFormatError) as caught:
            WANTED.values(reply)
        assert len(str(caught.value)) < 400


def test_the_instruction_is_plain_text() -> None:
    wanted = Columns("mood: good|very bad, tags: [text], day: date?")
    assert wanted.instruction == (
        "Answer with one JSON object and nothing else. It has these keys:\n"
        '- "mood": "good" or "very bad"\n'
        '- "tags": a list; each entry is text\n'
        '- "day": a date as YYYY-MM-DD, or null if there is none'
    )
    assert wanted.kinds == {"mood": "text", "tags": "[text]", "day": "date"}


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u2800", "\\u0000", "\ufeff\n"])
def test_a_text_that_cannot_be_seen_does_not_fit(text: str) -> None:
    for wanted in (Columns("a: text"), Columns("a: text?"), Columns("a: [text]")):
        value = f'["{text}"]' if wanted.kinds["a"] == "[text]" else f'"{text}"'
        assert checked(f'{{"a": {value}}}', wanted) is UNFIT


def test_lists() -> None:
    wanted = Columns("tags: [a|b], sums: [number], words: [text]?")
    good = '{"tags": ["A"], "sums": ["1.2 lakh", 5], "words": ["x", 7]}'
    assert checked(good, wanted) == {"tags": ["a"], "sums": [120_000.0, 5.0], "words": ["x", "7"]}
    for bad in (
        '{"tags": "a", "sums": []}',
        '{"tags": ["c"], "sums": []}',
        '{"tags": [], "sums": [NaN]}',
        '{"tags": [], "sums": ["1e400"]}',
        '{"tags": [], "sums": [1e400]}',
        '{"tags": [], "sums": [null]}',
        '{"tags": [[]], "sums": []}',
    ):
        assert checked(bad, wanted) is UNFIT
    empty = {"tags": [], "sums": [], "words": None}
    assert checked('{"tags": [], "sums": []}', wanted) == empty


def test_a_column_may_have_any_name() -> None:
    """Also one that pydantic's models use themselves."""
    names = ("json", "copy", "model_config", "model_x", "schema", "_private", "नाम", "class")
    wanted = Columns(", ".join(f"{name}: text" for name in names))
    assert checked(json.dumps(dict.fromkeys(names, "x")), wanted) == dict.fromkeys(names, "x")


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        ("", "`` is not a column"),
        ("mood", "`mood` is not a column"),
        ("mood: ", "is not a column"),
        ("mood: happy", "`happy` is not a type"),
        ("mood: a|", "`a|` is not a type"),
        ("mood: a|A", "is not a type"),
        ("mood: text, mood: int", "named twice"),
        ("mood: text, Mood: int", "named twice"),
        ("mood: 'a'|'b'", "is not a type"),
        ('mood: ["a"|"b"]', "is not a type"),
        ("a b: text", "is not a column"),
        ("x: text,", "`` is not a column"),
        ("x: [a", "is not a type"),
        ("x: [[number]]", "a list of lists"),
        (f"x: {'[' * 2000}text{']' * 2000}", "a list of lists"),
        ("x\ud800: text", "is not a column"),
        ("x: ?", "is not a type"),
        ("mood: positive|negative; n: number", "it has `;`, `:` or"),
        ("mood: good|bad n: number", "it has `;`, `:` or"),
        ("n: number; mood: good|bad", "it has `;`, `:` or"),
        ("mood: good;bad|none", "it has `;`, `:` or"),
        ("mood: [good|bad; n: number]", "it has `;`, `:` or"),
        ("mood: a\\|b|c", "a backslash"),
    ],
)
def test_other_specifications_are_refused(specification: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Columns(specification)
    assert said in str(caught.value)
    assert "pydantic model" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *dict.fromkeys(("str", "String", "TEXT"), "text").items(),
        *dict.fromkeys(("float", "double", "Decimal", "numbr"), "number").items(),
        *dict.fromkeys(("integer", "Int"), "int").items(),
        *dict.fromkeys(("boolean", "Bool"), "bool").items(),
        *dict.fromkeys(("datetime",), "date").items(),
        ("list", "[text]"),
        ("enum", "a|b|c"),
    ],
)
def test_another_name_of_a_type_has_a_suggestion(written: str, meant: str) -> None:
    for kind in (written, f"{written}?", f"[{written}]"):
        with pytest.raises(UsageError) as caught:
            Columns(f"x: {kind}")
        assert caught.value.hint.startswith(f"Did you mean `{meant}`? ")
    with pytest.raises(UsageError) as other:
        Columns("x: happy")
    assert "Did you mean" not in other.value.hint


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Part(pydantic.BaseModel):
    name: str


class Ticket(pydantic.BaseModel):
    """A model of the user's."""

    mood: Literal["good", "bad"]
    amount: float | None = pydantic.Field(description="in rupees")
    count: int = pydantic.Field(ge=0)
    level: Level
    price: Decimal = Decimal(0)
    parts: list[Part] = []
    day: datetime.date | None = None
    at: datetime.datetime | None = None

    @pydantic.field_validator("mood")
    @classmethod
    def _not_bad(cls, value: str) -> str:
        if value == "bad":
            raise RuntimeError("no")
        return value


def test_a_model_of_the_user_is_used_as_it_is() -> None:
    """Its constraints and defaults hold; the schema is the request."""
    wanted = Columns(Ticket)
    assert json.dumps(Ticket.model_json_schema()) in wanted.instruction
    reply = (
        '{"mood": "good", "amount": "₹500", "count": "३", "level": "High", "price": "1.10",'
        ' "parts": [{"name": "x"}], "day": "21 Nov 2026", "at": "2026-11-21T10:00:00"}'
    )
    assert checked(reply, wanted) == {
        "mood": "good",
        "amount": 500.0,
        "count": 3,
        "level": "high",
        "price": 1.1,
        "parts": '[{"name": "x"}]',
        "day": datetime.date(2026, 11, 21),
        "at": "2026-11-21T10:00:00",
    }
    assert wanted.kinds == {
        "mood": "text",
        "amount": "number",
        "count": "int",
        "level": "json",
        "price": "number",
        "parts": "json",
        "day": "date",
        "at": "json",
    }
    for old, new in (
        ('"३"', "-1"),
        ("High", "medium"),
        ("good", "bad"),
        ('"३"', "9" * 30),
        ("1.10", "12345678901234567.89"),
        ("1.10", "1e-400"),
    ):
        assert checked(reply.replace(old, new), wanted) is UNFIT


def test_texts_are_compared_in_one_form_of_unicode() -> None:
    """Keyboards and services write letters with a mark as one character, or as two."""
    for form, other in itertools.product(("NFC", "NFD"), repeat=2):
        wanted = Columns(unicodedata.normalize(form, "thé: café au lait|बड़ा, n: int?"))
        (name, _) = wanted.kinds
        for option in ("Café\u00a0au lait", "बड़ा"):
            reply = unicodedata.normalize(other, json.dumps({"thé": option}, ensure_ascii=False))
            found = checked(reply, wanted)
            assert unicodedata.normalize("NFC", found[name]) == unicodedata.normalize(
                "NFC", option.lower().replace("\u00a0", " ")
            )
    assert checked('{"the\u0301": "बड़ा", "th\u00e9": "बड़ा"}', wanted) is UNFIT


def test_a_field_is_read_by_each_of_its_names() -> None:
    class Choices(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(populate_by_name=True)
        total: float | None = pydantic.Field(
            None, validation_alias=pydantic.AliasChoices("sum", "amount")
        )
        note: str | None = pydantic.Field(None, alias="remark")

    wanted = Columns(Choices)
    for key in ("sum", "amount", "total"):
        found = {"total": 120_000.0, "note": None}
        assert checked(f'{{"{key}": "1.2 lakh", "other": 1}}', wanted) is UNFIT
        assert checked(f'{{"{key}": "1.2 lakh"}}', wanted) == found
    assert checked('{"note": "x"}', wanted) == {"total": None, "note": "x"}


def test_a_field_that_the_schema_does_not_ask_for_is_refused() -> None:
    class Path(pydantic.BaseModel):
        total: float = pydantic.Field(validation_alias=pydantic.AliasPath("sums", 0))

    with pytest.raises(UsageError, match="reads total by a path"):
        Columns(Path)


def test_choices_of_whole_numbers_are_numbers() -> None:
    class Rating(enum.IntEnum):
        BAD = 1
        GOOD = 5

    class Stars(pydantic.BaseModel):
        stars: Literal[1, 2, 3]
        rating: Rating

    wanted = Columns(Stars)
    assert wanted.kinds == {"stars": "int", "rating": "int"}
    found = checked('{"stars": "3", "rating": 5}', wanted)
    assert found == {"stars": 3, "rating": 5}
    assert type(found["rating"]) is int
    assert checked('{"stars": 4, "rating": 5}', wanted) is UNFIT


def test_how_a_model_is_written_does_not_change_its_values() -> None:
    """Also fields that it leaves out of its own JSON."""

    class Note(pydantic.BaseModel):
        note: str = pydantic.Field(exclude=True)
        part: Part

        @pydantic.model_serializer
        def _other(self) -> dict[str, int]:
            return {"other": 1}

    found = checked('{"note": "x", "part": {"name": "y"}}', Columns(Note))
    assert found == {"note": "x", "part": '{"name": "y"}'}


def test_a_part_of_a_model_is_valid_json() -> None:
    """The JSON of a field has no numbers that JSON does not have."""

    class Sums(pydantic.BaseModel):
        sums: list[list[float]]

    wanted = Columns(Sums)
    assert checked('{"sums": [[1.5]]}', wanted) == {"sums": "[[1.5]]"}
    for value in ("NaN", "-Infinity", "1e400"):
        assert checked(f'{{"sums": [[{value}]]}}', wanted) is UNFIT


def test_half_a_surrogate_pair_is_no_part_of_an_option() -> None:
    assert checked('{"a": "b"}', Columns("a: \ud800|b")) == {"a": "b"}


def test_a_misspelled_key_is_not_replaced_by_a_default() -> None:
    class Order(pydantic.BaseModel):
        total: float = pydantic.Field(0, validation_alias="sum")

    wanted = Columns(Order)
    assert checked('{"sum": "1.2 lakh"}', wanted) == {"total": 120_000.0}
    assert checked("{}", wanted) == {"total": 0.0}
    assert checked('{"total": 5}', wanted) is UNFIT


def test_what_is_no_model_is_refused() -> None:
    class Empty(pydantic.BaseModel):
        pass

    class Several(pydantic.RootModel[list[int]]):
        """Not an object."""

    for wrong in (Empty, Several, 5, int, ["a"], Ticket.model_construct()):
        with pytest.raises(UsageError, match="describes no columns"):
            Columns(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Several describes"):
        Columns(Several)


def test_pydantic_is_imported_only_when_used() -> None:
    assert not {"pydantic", "pandas"} & set(modules_after("import aeron_magic.batch.result"))
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from aeron_magic import ask_many, UsageError\n"
        "try: ask_many(['x'], columns='a: text')\n"
        "except UsageError as error: print(error, error.hint)"
    )
    assert "pip install 'aeron-magic[tables]'" in printed(code)


def test_all_columns_that_do_not_fit_are_named() -> None:
    """Also beside a value that has no form of its type."""
    columns = Columns("mood: good|bad, day: date, n: int")
    with pytest.raises(ReplyFormatError) as caught:
        columns.values('{"mood": "so", "day": "today", "n": "x"}')
    for name in ("mood", "day", "n"):
        assert f"{name}: " in caught.value.message
    assert caught.value.message.count("; ") == 2


def test_the_columns_of_an_inner_model_are_named_too() -> None:
    """Also one with the name of an outer column that has no form of its type."""

    class Inner(pydantic.BaseModel):
        day: int

    class Outer(pydantic.BaseModel):
        day: datetime.date
        inner: Inner

    with pytest.raises(ReplyFormatError, match=r"day: .*; inner\.day: "):
        Columns(Outer).values('{"day": "today", "inner": {"day": "x"}}')


def test_a_column_whose_name_is_not_one_of_python_says_so() -> None:
    with pytest.raises(UsageError, match="is not a column: `my mood` is not a name of Python"):
        Columns("my mood: a|b")
