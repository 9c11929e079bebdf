"""A JSON object with requested keys about a text, by rules that a reader can check in a minute.

* A key whose values are positive and negative: good words against bad ones.
* Any other choice: the choice with most of its words in the text; words are its own, and for a few
  topics of a payment service those in ``_TOPICS``. Without any, ``high`` is left to the others.
* A number: the first one with a sign or word of money, else the first with three digits or more
  before the point, as it is written.
* True or false: whether a word of the key is in the text.

A value that no rule finds is null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .sentiment import sentiment, words_of

_REQUEST = re.compile(r"^Answer with one JSON object and nothing else\.", re.MULTILINE)
_KEY = re.compile(r'^- (?P<key>"(?:[^"\\]|\\.)*"): (?P<shape>.*)$', re.MULTILINE)
_SCHEMA = re.compile(r"this JSON schema: (\{.*\})", re.DOTALL)

_TOPICS = {
    "refund": """refund return cancel cashback reimburse chargeback wapas wapis vapas lauta
        रिफंड वापस वापसी लौटा कैशबैक रद्द""",
    "failed payment": """payment paid pay transaction transfer upi fail debit declined pending stuck
        processing recharge autopay otp bheje atka atak kat kata पेमेंट भुगतान लेनदेन यूपीआई फेल असफल
        अटका कटे कट पेंडिंग रिचार्ज ओटीपी भेजे""",
    "kyc": """kyc verif aadhaar aadhar pan passport document licence selfie केवाईसी सत्यापन आधार पैन
        दस्तावेज कागज पासपोर्ट""",
    "high": """urgent immediate emergency asap hurry today tonight turant jaldi abhi aaj तुरंत फौरन
        जल्दी अभी आज""",
}
_OTHERWISE = ("other", "none", "unknown", "normal", "low", "medium", "neutral")
"""Choices for a text with no word of any other choice, the first of them that is offered."""

_PRAISE = ("praise", "compliment", "thanks")
_MONEY = r"(?:₹|rs\.?|inr|रु\.?)\s*\d[\d,]*(?:\.\d+)?"
_UNIT = r"(?:\s*(?:k|lakhs?|lacs?|crores?|लाख|करोड़|हज़ार|हजार)(?![^\W\d_]))?"
_NUMBERS = (
    re.compile(_MONEY + _UNIT, re.IGNORECASE),
    re.compile(
        # From the beginning of a run, which is read once.
        rf"(?<![\d,.])[,.]*+\d[\d,.]*+(?:{_UNIT}(?=\s*(?:rupees?|rupaye|रुपये|रुपए))"
        rf"|\s*(?:lakhs?|crores?|लाख|करोड़))",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<![\w,.])\d(?:,?\d){{2,}}(?:\.\d+)?{_UNIT}(?![\w,]|\.\d)", re.IGNORECASE),
)


def requested_fields(question: str) -> tuple[str, dict[str, Any]]:
    """The question before a request for keys, and the keys with what their values may be.

    That is a list of choices, or ``text``, ``number``, ``bool``, ``date`` or ``list``.
    """
    requests = [*_REQUEST.finditer(question)]
    if not requests:
        return question, {}
    begin = requests[-1]  # the text may contain one, too
    text, request = question[: begin.start()].rstrip(), question[begin.end() :]
    if schema := _SCHEMA.search(request):
        try:
            properties = json.loads(schema[1])["properties"]
            return text, {key: _kind_of_schema(part) for key, part in properties.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return question, {}
    return text, {json.loads(one["key"]): _kind(one["shape"]) for one in _KEY.finditer(request)}


def _kind(shape: str) -> Any:
    if shape.startswith("a list"):
        return "list"
    if options := re.findall(r'"(?:[^"\\]|\\.){0,200}+"', shape):
        return [json.loads(option) for option in options]
    names = {"a number": "number", "a whole": "number", "true or": "bool", "a date": "date"}
    return names.get(" ".join(shape.split()[:2]).rstrip(","), "text")


def _kind_of_schema(part: Mapping[str, Any]) -> Any:
    part = next((one for one in part.get("anyOf", ()) if one.get("type") != "null"), part)
    if "enum" in part:
        return part["enum"]
    if part.get("format") == "date":
        return "date"
    names = {"number": "number", "integer": "number", "boolean": "bool", "array": "list"}
    return names.get(part.get("type", ""), "text")


def fields_of(text: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each field that the rules find in ``text``."""
    return {key: _value(text, key, kind) for key, kind in fields.items()}


def _value(text: str, key: str, kind: Any) -> Any:
    if isinstance(kind, list):
        return _choice(text, [str(one) for one in kind])
    match kind:
        case "bool":
            return _count(text, key.replace("_", " ")) > 0
        case "number":
            found = (pattern.search(text) for pattern in _NUMBERS)
            return next((one[0].lstrip(",.") for one in found if one), None)
        case "date":
            day = re.search(r"\b\d{4}-\d\d-\d\d\b", text)
            return day and day[0]
        case "list":
            return []
    return re.split(r"(?<=[.!?।])\s", text.strip(), maxsplit=1)[0] or None


def _choice(text: str, options: Sequence[str]) -> str | None:
    if {"positive", "negative"} <= set(options):
        found: str = sentiment(text)
        return found if found in options else None
    counts = {option: _count(text, option) for option in options}
    best = max(options, key=lambda option: counts[option])
    if counts[best]:
        return best
    if sentiment(text) == "positive":
        best = next((one for one in options if one.casefold() in _PRAISE), best)
        if best.casefold() in _PRAISE:
            return best
    return next((one for one in _OTHERWISE if one in options), None)


def _count(text: str, topic: str) -> int:
    """How many words of ``text`` begin with a word of the topic; short ones must be equal."""
    stems = words_of(f"{topic} {_TOPICS.get(topic.casefold(), '')}")
    return sum(
        any(word == stem or (len(stem) > 3 and word.startswith(stem)) for stem in stems)
        for word in words_of(text)
    )
