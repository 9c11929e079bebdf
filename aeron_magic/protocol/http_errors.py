"""HTTP errors: a failed request or an error response as the exception that tells what to do."""

from __future__ import annotations

import re
from typing import Any

from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    IncompleteReply,
    RateLimited,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
)
from aeron_magic.protocol.flow import ConnectionLost, Response
from aeron_magic.protocol.json_values import decode_json, decode_text
from aeron_magic.protocol.retry import is_safe_to_resend
from aeron_magic.protocol.service_words import service_words, shape_of, words_of_text

MAX_DIGITS = 9
"""Digits of the longest pause, in seconds, that is shown."""

_ADDRESS = re.compile(r"\bips?\b|\bip[ -]?address|(?:allow|white|safe)[ -_]?list", re.IGNORECASE)

AUTHENTICATION = (
    "Check the credentials (`%aeron login` asks for them again; in Python, client_id=… and "
    "client_secret=…). AeronPay serves only allow-listed IP addresses: if the credentials are "
    "right, ask it to add this machine's address."
)

WHICH_ADDRESS = (
    "Check the base address (--base-url, in Python base_url=…; AERON_BASE_URL, CHATZY_BASE_URL)."
)


def decode_response(result: Response | ConnectionLost, url: str) -> dict[str, Any]:
    """The JSON object in the body of ``result``.

    Raises Unreachable: the connection failed. Raises ServiceError: the status is an error; one of
    the subclasses if the reason is known. Raises UnexpectedAnswer: the body is not a JSON object.
    """
    if isinstance(result, ConnectionLost):
        if result.sent and result.remedy:
            raise UnexpectedAnswer(
                f"The answer of {url} cannot be read: {result.reason}.", hint=result.remedy
            )
        raise _unreachable(result, url)
    if result.status // 100 != 2:
        raise error_for_response(result, url)
    body = json_object_of(result)
    if body is None:
        raise unexpected_body(result.status, _text_of(result), url)
    return body


def json_object_of(response: Response) -> dict[str, Any] | None:
    """The JSON object in a body, or None if it is something else."""
    try:
        value = _json_of(response)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _json_of(response: Response) -> Any:
    try:
        return decode_json(response.body)
    except ValueError:
        return decode_json(_text_of(response))


def _text_of(response: Response, limit: int | None = None) -> str:
    return decode_text(response.body[:limit], response.headers.get("content-type", ""))


def error_for_response(response: Response, url: str) -> ServiceError:
    """The exception for an error response, whose body may be JSON of any shape, text or a page."""
    try:
        body = _json_of(response)
    except ValueError:
        body = words_of_text(_text_of(response, 8_000))
    return error_for_status(response.status, body, url, response)


def error_for_status(
    status: int, body: Any, url: str, response: Response | None = None
) -> ServiceError:
    """The exception for an error with this HTTP status (or the status in its decoded ``body``)."""
    message = service_words(body)
    facts: dict[str, Any] = {"status_code": status, "service_message": message}
    if status in (401, 403) and _ADDRESS.search(message or ""):
        return AuthenticationError(
            "This machine's IP address is not on the service's allow-list.",
            hint="Ask the service to add it; the credentials may be right.",
            **facts,
        )
    if status in (401, 403):
        return AuthenticationError(
            "The service rejected the credentials.", hint=AUTHENTICATION, **facts
        )
    if status == 407:
        return ServiceError(
            "A proxy rejected the request: it asks for a user name and a password.",
            hint="HTTP_PROXY or HTTPS_PROXY can contain them: http://USER:PASSWORD@proxy:8080.",
            **facts,
        )
    if status == 429:
        wait = response.headers.get("retry-after", "") if response else ""
        is_number = wait.isdecimal() and len(wait) <= MAX_DIGITS
        after = f" The service asks for a pause of {int(wait)} s." if is_number else ""
        return RateLimited(
            f"Too many requests.{after}",
            hint="Try again after that." if after else "Wait a little, then try again.",
            **facts,
        )
    if 300 <= status < 400:
        return UnexpectedAnswer(
            f"{url} redirects to another address. Redirects are not followed: "
            "they would send the credentials there.",
            hint=WHICH_ADDRESS,
            **facts,
        )
    if status < 500 and is_about_a_token(message):
        return TokenError(
            "The context token is unknown to the service, or has expired.",
            hint="Start a new conversation (-n, in Python without context_token), or continue from "
            "another turn (--after, in Python its context_token).",
            **facts,
        )
    if status >= 500 or status == 408:
        return ServiceError(
            "The service failed.",
            hint="The request is not the cause: try again in a moment.",
            **facts,
        )
    if status == 404:
        return UnexpectedAnswer(
            f"Nothing was found at {url}.",
            hint=WHICH_ADDRESS,
            **facts,
        )
    if status == 413:
        return ServiceError(
            "The question is too long for the service.",
            hint="Shorten it, or the values that it inserts.",
            **facts,
        )
    problem = "Its message cannot be read" if response and response.cut else "It gave no reason"
    return ServiceError(
        "The service rejected the request.",
        hint="Its own message says why; change the question or its options accordingly."
        if message
        else f"{problem}: check the address (--base-url, in Python base_url) and the question.",
        **facts,
    )


def is_about_a_token(message: str | None) -> bool:
    """Whether ``message`` says that a token, or a conversation, is unknown or has expired."""
    words = (message or "").lower()
    # Chatzy's token is the id of a conversation.
    return any(thing in words for thing in ("token", "conversation")) and any(
        sign in words for sign in ("invalid", "expired", "unknown", "not found", "no such")
    )


def unexpected_body(status: int, text: str, url: str) -> UnexpectedAnswer:
    """The exception for a body that does not come from the service, such as a web page."""
    what = "something other than the service's JSON"
    message = None
    if not text.strip():
        what = "an empty body"
    elif "\0" in text[:8]:
        what = "text in another encoding than UTF-8, perhaps UTF-16, which cannot be read"
    elif (message := words_of_text(text[:8_000])) is None and text.lstrip().startswith("<"):
        what = "a web page"
    return UnexpectedAnswer(
        f"{url} answered with {what}.",
        hint="Check the address, and whether a proxy or a sign-in page is in between.",
        status_code=status,
        service_message=message,
    )


def no_reply(status: int, body: dict[str, Any], url: str) -> ServiceError:
    """The exception for a whole answer that is JSON, and no reply: the service refused."""
    if service_words(body) is not None:
        return error_for_status(status, body, url)
    return UnexpectedAnswer(
        f"{url} answered with JSON that is not a reply: {shape_of(body)}.",
        hint=WHICH_ADDRESS,
        status_code=status,
    )


def _unreachable(lost: ConnectionLost, url: str) -> Unreachable:
    return Unreachable(
        f"{url} cannot be reached: {lost.reason.rstrip('.')}.",
        hint=lost.remedy
        or "Check the network, the address, and the proxy if HTTPS_PROXY or the like names one; "
        "`%aeron connect sandbox` (in Python Client('sandbox')) works without them.",
    )


def question_lost(lost: ConnectionLost, url: str) -> AeronError:
    """The exception for a paid question whose connection was lost before any response."""
    return maybe_accepted(lost.reason) if lost.sent else _unreachable(lost, url)


def say_if_in_doubt(error: ServiceError, response: Response) -> ServiceError:
    """``error`` of a paid question, with the hint that the service may have accepted it."""
    status = error.status_code or response.status  # a body can have a status of its own
    if (status >= 500 or status == 408) and not is_safe_to_resend(response):
        error.hint = (
            "Ask again in a moment. If the question was accepted all the same, that may be "
            "charged a second time."
        )
    return error


def maybe_accepted(reason: str, service_message: str | None = None) -> IncompleteReply:
    """The exception for a paid question that the service may or may not have accepted."""
    return IncompleteReply(
        f"The context token of the reply did not arrive ({reason.rstrip('.')}). "
        "The question may have been accepted.",
        hint="Ask again if you want to; that may be charged a second time.",
        service_message=service_message,
    )
