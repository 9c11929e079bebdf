"""HTTP errors: each error response becomes the exception that tells what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from each_case import each_case

from aeron_magic.errors import (
    AuthenticationError,
    IncompleteReply,
    RateLimited,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
)
from aeron_magic.protocol.flow import ConnectionLost, Response
from aeron_magic.protocol.http_errors import (
    decode_response,
    error_for_status,
    maybe_accepted,
    question_lost,
    unexpected_body,
)

URL = "https://api.test/ai/fetch-response"
HTML = b"<!doctype html>\n<title>Sign in</title>"


def response(status: int, body: Any = b"", **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@each_case(
    ("given", "kind", "message"),
    [
        (response(401), AuthenticationError, None),
        (response(403, {"message": "IP not allowed"}), AuthenticationError, "IP not allowed"),
        (response(403, HTML), AuthenticationError, None),
        (response(429, {"message": "slow down"}), RateLimited, "slow down"),
        (
            response(400, {"message": "Invalid context token."}),
            TokenError,
            "Invalid context token.",
        ),
        (response(404, {"message": "No such route"}), UnexpectedAnswer, "No such route"),
        (response(404, {"message": "Token not found"}), TokenError, "Token not found"),
        (response(410, {"error": "The token has expired"}), TokenError, "The token has expired"),
        (response(400, {"msg": "No such conversation"}), TokenError, "No such conversation"),
        (
            response(400, {"message": "user.text is required"}),
            ServiceError,
            "user.text is required",
        ),
        (response(400, b"bad   request\n"), ServiceError, "bad request"),
        (response(400, HTML), ServiceError, None),
        (response(400, b"[1, 2]"), ServiceError, None),
        (response(500, {"message": "invalid token cache"}), ServiceError, "invalid token cache"),
        (response(502, HTML), ServiceError, None),
        (response(404, HTML), UnexpectedAnswer, None),
        (response(302, b"", location="https://evil.test/"), UnexpectedAnswer, None),
        (response(200, HTML), UnexpectedAnswer, None),
        (response(200, b""), UnexpectedAnswer, None),
        (response(200, b"[]"), UnexpectedAnswer, None),
        (response(200, b"\xff\xfe\x00"), UnexpectedAnswer, None),
    ],
)
def test_each_error_response_has_its_exception(
    given: Response, kind: type[ServiceError], message: str | None
) -> None:
    """With the status, the service's message if there is one, and always a hint."""
    with pytest.raises(ServiceError) as caught:
        decode_response(given, URL)
    assert type(caught.value) is kind
    assert caught.value.status_code == given.status
    assert caught.value.service_message == message
    assert caught.value.hint


def test_an_object_is_returned_whatever_it_contains() -> None:
    """The service's own file interprets it."""
    assert decode_response(response(200, {"status": "FAILED"}), URL) == {"status": "FAILED"}


def test_the_target_of_a_redirect_is_not_shown() -> None:
    """It may contain a secret."""
    error = error_for_status(302, {}, URL, response(302, location="https://evil.test/?key=1"))
    assert URL in str(error)
    assert "evil" not in "\n".join(error.lines())


def test_a_proxy_that_asks_for_a_password_is_named() -> None:
    error = error_for_status(407, None, URL)
    assert "proxy" in str(error)
    assert "HTTPS_PROXY" in error.hint


@pytest.mark.parametrize(
    ("wait", "shown"),
    [("7", True), ("²", False), ("9" * 60_000, False), ("soon", False)],
    ids=range(4),
)
def test_a_retry_after_in_seconds_is_shown(wait: str, shown: bool) -> None:
    error = error_for_status(429, {}, URL, response(429, retry_after=wait))
    assert (f"a pause of {wait} s" in str(error)) is shown
    assert ("Wait a little" in error.hint) is not shown


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        ("IP not allowed", True),
        ("Your ip address 10.1.2.3 is not whitelisted", True),
        ("Caller is not on the allow-list", True),
        ("Unauthorized IP", True),
        ("Invalid client-secret", False),
        ("Check the recipient", False),
        ("", False),
    ],
)
def test_a_refused_address_is_not_taken_for_wrong_credentials(words: str, listed: bool) -> None:
    error = error_for_status(403, {"message": words}, URL)
    assert type(error) is AuthenticationError
    assert ("allow-list" in str(error)) is listed
    assert ("credentials" in str(error)) is not listed
    assert ("in Python, client_id=…" in error.hint) is not listed


def test_a_hint_mentions_a_message_only_if_there_is_one() -> None:
    assert "message says why" in error_for_status(400, {"message": "bad"}, URL).hint
    assert "It gave no reason" in error_for_status(400, {}, URL).hint
    unread = Response(400, {}, b"", cut=True)
    assert "Its message cannot be read" in error_for_status(400, None, URL, unread).hint


def test_a_question_that_is_too_long_is_shortened() -> None:
    error = error_for_status(413, None, URL)
    assert "too long" in str(error)
    assert "Shorten it" in error.hint


def test_a_404_names_the_address() -> None:
    """With or without a message: usually it is another server."""
    for body in ({"message": "Route not found"}, {}):
        error = error_for_status(404, body, URL)
        assert URL in str(error)
        assert "base address (--base-url, in Python base_url=…;" in error.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [("<html>", "a web page"), ("", "an empty body"), ("hi", "something other")],
)
def test_an_unexpected_body_is_described(text: str, what: str) -> None:
    assert what in str(unexpected_body(200, text, URL))


def test_a_lost_connection_names_address_and_reason() -> None:
    """And the sandbox, which needs neither network nor account."""
    error = question_lost(ConnectionLost("no route to host", sent=False), URL)
    assert type(error) is Unreachable
    assert URL in str(error)
    assert "no route to host" in str(error)
    assert "sandbox" in error.hint


def test_a_question_that_may_have_been_accepted_may_be_charged_twice() -> None:
    assert type(question_lost(ConnectionLost("reset"), URL)) is IncompleteReply
    error = maybe_accepted("reset", "words")
    assert type(error) is IncompleteReply
    assert "may have been accepted" in str(error)
    assert "reset" in str(error)
    assert "charged" in error.hint
    assert error.service_message == "words"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_hints_fit_cells_panels_and_scripts(status: int) -> None:
    """The panel and Python have no cell to run again."""
    for error in (error_for_status(status, {"message": "no"}, URL), maybe_accepted("cut")):
        assert "cell" not in error.hint


def test_a_reason_that_is_a_sentence_keeps_one_full_stop() -> None:
    assert "(It hung up). The" in str(maybe_accepted("It hung up."))
    with pytest.raises(Unreachable) as caught:
        decode_response(ConnectionLost("It hung up."), URL)
    assert str(caught.value).endswith("It hung up.")
