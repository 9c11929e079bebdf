"""The service's own words: every shape of an error body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from each_case import each_case

from aeron_magic.protocol.service_words import (
    MAX_LENGTH,
    error_code,
    is_error,
    is_error_event,
    service_words,
    words_of_text,
)

WORDS = "Rate limit reached"


@each_case(
    "body",
    [
        {"message": WORDS},
        {"Message": WORDS},
        {"MESSAGE": WORDS, "code": 7},
        {"errorMessage": WORDS, "errorType": "Throttled"},
        {"error_message": WORDS},
        {"error": WORDS},
        {"Error": {"Message": WORDS}},
        {"error": {"message": WORDS, "type": "requests", "code": "rate_limit"}},
        {"error": {"code": 429, "error": {"message": WORDS}}},
        {"error": "invalid_request", "error_description": WORDS},
        {"error": "Bad Request", "statusCode": 400, "message": [WORDS]},
        {"error": True, "message": WORDS},
        {"errors": [{"message": WORDS}]},
        {"errors": [WORDS, WORDS]},
        {"errors": [{"status": "429", "title": "Too Many Requests", "detail": WORDS}]},
        {"errors": {"message": WORDS}},
        {"errors": [[{"errors": [{"message": WORDS}]}]]},
        {"message": "", "errors": [{"message": WORDS}]},
        {"message": None, "detail": WORDS},
        {"detail": WORDS},
        {"detail": [{"loc": ["body", "user"], "msg": WORDS, "type": "value_error"}]},
        {"type": "about:blank", "title": "Too many", "status": 429, "detail": WORDS},
        {"type": "about:blank", "title": WORDS, "status": 429},
        {"type": "error", "error": {"type": "overloaded", "message": WORDS}},
        {"fault": {"faultstring": WORDS, "detail": {"errorcode": "policies"}}},
        {"data": {"message": WORDS}},
        {"response": {"error": {"message": WORDS}}},
        {"status": {"code": 3, "message": WORDS}},
        {"statusCode": 502, "body": json.dumps({"message": WORDS})},
        {"message": json.dumps({"error": {"message": WORDS}})},
        {"success": False, "errors": [{"code": 1000, "message": WORDS}], "messages": []},
        {"non_field_errors": [WORDS]},
        {"status": "FAILED", "status_code": "429", "message": f"  {WORDS}\n"},
        [{"error": {"message": WORDS}}],
        WORDS,
    ],
)
def test_the_message_is_found(body: Any) -> None:
    assert service_words(body) == WORDS
    assert words_of_text(json.dumps(body)) == WORDS


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"errors": [{"message": "a"}, {"message": "b"}]}, "a; b"),
        ({"errors": {"text": ["is too long"], "images": "are refused"}},
         "is too long; are refused"),
        ({"title": "Invalid", "errors": {"user.text": ["is missing"]}}, "is missing"),
        ({"status": "FAILED", "message": {"en": "No.", "hi": "नहीं"}}, "No.; नहीं"),
        ({"message": "[FROZEN]"}, "[FROZEN]"),
        ({"message": "x" * 5000}, "x" * MAX_LENGTH),
    ],
)  # fmt: skip
def test_several_messages_are_joined(body: Any, words: str) -> None:
    assert service_words(body) == words


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        [1, "x"],
        None,
        7,
        {"code": 5, "status": "FAILED"},
        {"error": {"code": 5, "type": "x"}},
        {"error": True},
        {"message": "<!DOCTYPE html><title>Sign in</title>"},
        {"message": "  <html>"},
        {"message": "Proxy says: <html><body>no</body></html>"},
        {"message": '{"secret": "raw"}'},
        {"message": '{"cut": "ra'},
        {"anything": "raw"},
        json.loads('{"error":' * 400 + '"deep"' + "}" * 400),
    ],
    ids=lambda body: str(body)[:40],
)
def test_another_shape_has_no_message(body: Any) -> None:
    """It is never shown raw; a page of markup is not a message."""
    assert service_words(body) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("upstream  connect\nerror", "upstream connect error"),
        ("<html>no</html>", None),
        ("<?xml version='1.0'?><Error/>", None),
        ("", None),
        ('{"cut": "of', None),
        ("[{", None),
        ("a < b", "a < b"),
        ("b\0a\0d\0", None),
    ],
)
def test_plain_text_is_its_own_message(text: str, words: str | None) -> None:
    assert words_of_text(text) == words


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status_code": "429"}, 429),
        ({"statusCode": 503}, 503),
        ({"error": {"code": 404}}, 404),
        ({"status": "FAILED"}, 0),
        ({"code": 7, "status": True}, 0),
        ({"status": "²00"}, 0),
    ],
)
def test_a_status_in_the_body_is_found(body: dict[str, Any], code: int) -> None:
    assert error_code(body) == code


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": "x"}, True),
        ({"errors": [{}]}, True),
        ({"success": False}, True),
        ({"ok": False}, True),
        ({"type": "error"}, True),
        ({"status": "Failed"}, True),
        ({"status": 500}, True),
        ({"error": None, "errors": []}, False),
        ({"message": "x"}, False),
        ({"status": "SUCCESS", "status_code": "200"}, False),
    ],
)
def test_signs_of_an_error(body: dict[str, Any], error: bool) -> None:
    assert is_error(body) is error


def test_names_of_error_events() -> None:
    assert all(map(is_error_event, ["error", "response_failed", "response.error", "ERROR"]))
    assert not any(map(is_error_event, ["", "message", "response_output", "terror"]))
