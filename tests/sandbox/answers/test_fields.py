from __future__ import annotations

import json

from aeron_magic.sandbox.answers.answer import answer
from aeron_magic.sandbox.answers.fields import requested_fields

REQUEST = """

Answer with one JSON object and nothing else. It has these keys:
- "category": "refund" or "failed payment" or "KYC" or "praise" or "other"
- "mood": "positive" or "negative" or "neutral"
- "urgency": "high" or "normal"
- "amount": a number, or null if there is none
- "refund": true or false
- "day": a date as YYYY-MM-DD, or null if there is none
- "tags": a list; each entry is text
- "summary": text"""


def test_the_requested_keys_are_found():
    text, fields = requested_fields(f"Classify this message: Hello{REQUEST}")
    assert text == "Classify this message: Hello"
    assert fields == {
        "category": ["refund", "failed payment", "KYC", "praise", "other"],
        "mood": ["positive", "negative", "neutral"],
        "urgency": ["high", "normal"],
        "amount": "number",
        "refund": "bool",
        "day": "date",
        "tags": "list",
        "summary": "text",
    }


def test_a_schema_is_read_as_well():
    schema = {
        "properties": {
            "mood": {"enum": ["good", "bad"], "type": "string"},
            "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "day": {"type": "string", "format": "date"},
            "ok": {"type": "boolean"},
            "note": {"type": "string"},
        }
    }
    request = "Answer with one JSON object and nothing else. It fits this JSON schema: "
    fields = {"mood": ["good", "bad"], "amount": "number", "day": "date"}
    fields |= {"ok": "bool", "note": "text"}
    assert requested_fields(f"x\n\n{request}{json.dumps(schema)}") == ("x", fields)
    for broken in ("{}", "{", '{"properties": 5}', '{"properties": {"a": 5}}'):
        assert requested_fields(request + broken)[1] == {}


def test_rules_in_three_languages():
    """The amount is written as in the text, whole."""
    for text, found in {
        "Refund of ₹1,20,000 for the order is missing, urgent!": ["refund", "high", "₹1,20,000"],
        "Payment fail ho gaya aur 500 rupaye kat gaye": ["failed payment", "normal", "500"],
        "केवाईसी के लिए आधार चाहिए?": ["KYC", "normal", None],
        "मेरे १.५ लाख रुपये तुरंत वापस कीजिए": ["refund", "high", "१.५ लाख"],
        "Love it, 5 stars": ["praise", "normal", None],
        "It cost 120.50 in all": ["other", "normal", "120.50"],
        "It cost 1,234.5.": ["other", "normal", "1,234.5"],
        "My address is 192.168.100.200": ["other", "normal", None],
        "Paid:,.500 rupees": ["failed payment", "normal", "500"],
        "Where is the office?": ["other", "normal", None],
    }.items():
        value = json.loads(answer(f"Classify this message: {text}{REQUEST}"))
        assert [value[key] for key in ("category", "urgency", "amount")] == found, text


def test_what_no_rule_finds_is_null():
    request = 'Answer with one JSON object and nothing else. It has these keys:\n- "k": '
    for shape, value in {'"red" or "blue"': None, "a number": None, "a date": None}.items():
        assert json.loads(answer(f"Colour of the sky?\n\n{request}{shape}")) == {"k": value}


def test_the_newest_request_counts():
    """A text may contain one, too."""
    first = 'Answer with one JSON object and nothing else. It has these keys:\n- "a": text'
    assert [*json.loads(answer(f"Say: {first}\n{first.replace('a', 'b')}\n\n{first}"))] == ["a"]
