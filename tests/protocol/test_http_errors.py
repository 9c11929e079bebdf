"""Refusals: one table from an answer to the exception that says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    unexpected_body,
    unreachable,
)

URL = "https://api.test/ai/fetch-response"
HTML = b"<!doctype html>\n<title>Sign in</title>"


def answer(status: int, body: Any = b"", **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (answer(401), AuthenticationError, None),
        (answer(403, {"message": "IP not allowed"}), AuthenticationError, "IP not allowed"),
        (answer(403, HTML), AuthenticationError, None),
        (answer(429, {"message": "slow down"}), RateLimited, "slow down"),
        (answer(400, {"message": "Invalid context token."}), TokenError, "Invalid context token."),
        (answer(404, {"message": "Token not found"}), TokenError, "Token not found"),
        (answer(410, {"error": "The token has expired"}), TokenError, "The token has expired"),
        (answer(400, {"msg": "No such conversation"}), TokenError, "No such conversation"),
        (answer(400, {"message": "user.text is required"}), ServiceError, "user.text is required"),
        (answer(400, b"bad   request\n"), ServiceError, "bad request"),
        (answer(400, HTML), ServiceError, None),
        (answer(400, b"[1, 2]"), ServiceError, None),
        (answer(500, {"message": "invalid token cache"}), ServiceError, "invalid token cache"),
        (answer(502, HTML), ServiceError, None),
        (answer(404, HTML), UnexpectedAnswer, None),
        (answer(302, b"", location="https://evil.test/"), UnexpectedAnswer, None),
        (answer(200, HTML), UnexpectedAnswer, "<!doctype html> <title>Sign in</title>"),
        (answer(200, b""), UnexpectedAnswer, None),
        (answer(200, b"[]"), UnexpectedAnswer, "[]"),
        (answer(200, b"\xff\xfe\x00"), UnexpectedAnswer, "\ufffd\ufffd\x00"),
    ],
    ids=lambda value: f"{value.status}-{value.body[:12]!r}" if isinstance(value, Response) else "",
)
def test_each_refusal_has_its_exception(
    given: Response, kind: type[ServiceError], says: str | None
) -> None:
    """With the status, the service's own words where it has some, and always a remedy."""
    with pytest.raises(ServiceError) as caught:
        decode_response(given, URL)
    assert type(caught.value) is kind
    assert caught.value.status_code == given.status
    assert caught.value.service_message == says
    assert caught.value.hint


def test_an_object_is_no_refusal() -> None:
    """Whatever it says: that is the service's file to judge."""
    assert decode_response(answer(200, {"status": "FAILED"}), URL) == {"status": "FAILED"}


def test_a_redirect_does_not_say_where_to() -> None:
    """The address may hold somebody's secret; that it is not followed is what counts."""
    error = error_for_status(302, {}, URL, answer(302, location="https://evil.test/?key=1"))
    assert URL in str(error)
    assert "evil" not in "\n".join(error.lines())


@pytest.mark.parametrize(("wait", "said"), [("7", True), ("²", False), ("soon", False)])
def test_the_pause_that_is_asked_for_is_told(wait: str, said: bool) -> None:
    """In seconds, where it is a number."""
    error = error_for_status(429, {}, URL, answer(429, retry_after=wait))
    assert (f"a pause of {wait} s" in str(error)) is said
    assert ("Wait a little" in error.hint) is not said


def test_a_hint_points_to_a_message_only_where_there_is_one() -> None:
    """An empty 400 says nothing."""
    assert "message says why" in error_for_status(400, {"message": "bad"}, URL).hint
    assert "does not say why" in error_for_status(400, {}, URL).hint


def test_a_404_names_the_address() -> None:
    """Whether the server says something of its own or not: mostly it is another server."""
    assert URL in str(error_for_status(404, {"message": "Route not found"}, URL))
    assert URL in str(error_for_status(404, {}, URL))


@pytest.mark.parametrize(
    ("text", "what"),
    [("<html>", "a web page"), ("", "an empty answer"), ("hi", "something else")],
)
def test_a_foreign_answer_is_named(text: str, what: str) -> None:
    """A web page, nothing, or something else."""
    assert what in str(unexpected_body(200, text, URL))


def test_a_lost_connection_names_address_and_reason() -> None:
    """And the sandbox, which needs neither network nor account."""
    error = unreachable(ConnectionLost("no route to host"), URL)
    assert type(error) is Unreachable
    assert URL in str(error)
    assert "no route to host" in str(error)
    assert "sandbox" in error.hint


def test_doubt_is_told_with_its_price() -> None:
    """Nobody knows whether the question was taken, so it is not sent again."""
    error = maybe_accepted("reset", "words")
    assert type(error) is IncompleteReply
    assert "may have been accepted" in str(error)
    assert "reset" in str(error)
    assert "charged" in error.hint
    assert error.service_message == "words"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_hints_fit_cells_panels_and_scripts(status: int) -> None:
    """Who asks in the panel or from Python has no cell to run again."""
    for error in (error_for_status(status, {"message": "no"}, URL), maybe_accepted("cut")):
        assert "cell" not in error.hint


def test_a_reason_that_is_a_sentence_ends_within_ours() -> None:
    """With one full stop."""
    assert "(It hung up). The" in str(maybe_accepted("It hung up."))
    assert str(unreachable(ConnectionLost("It hung up."), URL)).endswith("It hung up.")
