"""HTTP errors: a failed request or an error response as the exception that tells what to do."""

from __future__ import annotations

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
from aeron_magic.protocol.json_values import decode_json_object

AUTHENTICATION = (
    "Check the credentials (`%aeron login` asks for them again). AeronPay serves only allow-listed "
    "IP addresses: if the credentials are right, ask it to add this machine's address."
)


def decode_response(result: Response | ConnectionLost, url: str) -> dict[str, Any]:
    """The JSON object in the body of ``result``.

    Raises
    ------
    Unreachable
        The connection failed.
    ServiceError
        The status is an error; one of the subclasses if the reason is known.
    UnexpectedAnswer
        The body is not a JSON object.
    """
    if isinstance(result, ConnectionLost):
        raise _unreachable(result, url)
    body = decode_json_object(result.body)
    if result.status // 100 != 2:
        raise error_for_status(result.status, body or {}, url, result)
    if body is None:
        raise unexpected_body(result.status, result.body.decode(errors="replace"), url)
    return body


def error_for_status(
    status: int, body: dict[str, Any], url: str, response: Response | None = None
) -> ServiceError:
    """The exception for an error with this HTTP status (or the status in its body)."""
    message = str(body.get("message") or body.get("msg") or body.get("error") or "") or None
    if message is None and response is not None and not body:
        message = _plain_text(response)
    facts: dict[str, Any] = {"status_code": status, "service_message": message}
    if status in (401, 403):
        return AuthenticationError(
            "The service rejected the credentials.", hint=AUTHENTICATION, **facts
        )
    if status == 429:
        wait = response.headers.get("retry-after") if response else None
        after = f" The service asks for a pause of {wait} s." if wait and wait.isdecimal() else ""
        return RateLimited(
            f"Too many requests.{after}",
            hint="Ask again after that." if after else "Wait a little, then ask again.",
            **facts,
        )
    if 300 <= status < 400:
        return UnexpectedAnswer(
            f"{url} redirects to another address. Redirects are not followed: "
            "they would send the credentials there.",
            hint="Check the address (--base-url, AERON_BASE_URL, CHATZY_BASE_URL).",
            **facts,
        )
    if status < 500 and _is_about_a_token(message):
        return TokenError(
            "The context token is unknown to the service, or has expired.",
            hint="Start a new conversation with -n, or continue from another turn with --after.",
            **facts,
        )
    if status >= 500:
        return ServiceError(
            "The service failed.",
            hint="The question is not the cause: ask again in a moment.",
            **facts,
        )
    if status == 404 and message is None:
        return UnexpectedAnswer(
            f"Nothing was found at {url}.", hint="Check the address (--base-url).", **facts
        )
    return ServiceError(
        f"Nothing was found at {url}." if status == 404 else "The service rejected the request.",
        hint="Its own message says why; change the question or its options accordingly."
        if message
        else "It gave no reason: check the address (--base-url) and the question.",
        **facts,
    )


def _plain_text(response: Response) -> str | None:
    """The beginning of an error page that is plain text, neither JSON nor markup."""
    start = " ".join(response.body[:800].decode(errors="replace").split())[:200]
    return None if start[:1] in ("", "<", "{", "[") else start


def _is_about_a_token(message: str | None) -> bool:
    words = (message or "").lower()
    # Chatzy's token is the id of a conversation.
    return any(thing in words for thing in ("token", "conversation")) and any(
        sign in words for sign in ("invalid", "expired", "unknown", "not found", "no such")
    )


def unexpected_body(status: int, text: str, url: str) -> UnexpectedAnswer:
    """The exception for a body that does not come from the service, such as a web page."""
    start = " ".join(text.split())[:200]
    what = "a web page" if start.startswith("<") else "something other than the service's JSON"
    if not start:
        what = "an empty body"
    return UnexpectedAnswer(
        f"{url} answered with {what}.",
        hint="Check the address, and whether a proxy or a sign-in page is in between.",
        status_code=status,
        service_message=start or None,
    )


def _unreachable(lost: ConnectionLost, url: str) -> Unreachable:
    return Unreachable(
        f"{url} cannot be reached: {lost.reason.rstrip('.')}.",
        hint=lost.remedy
        or "Check the network, the address, and the proxy if HTTPS_PROXY or the like names one; "
        "`%aeron connect sandbox` works without them.",
    )


def question_lost(lost: ConnectionLost, url: str) -> AeronError:
    """The exception for a paid question whose connection was lost before any response."""
    return maybe_accepted(lost.reason) if lost.sent else _unreachable(lost, url)


def maybe_accepted(reason: str, service_message: str | None = None) -> IncompleteReply:
    """The exception for a paid question that the service may or may not have accepted."""
    return IncompleteReply(
        f"The answer was cut off before its context token arrived ({reason.rstrip('.')}). "
        "The question may have been accepted.",
        hint="Ask again if you want to; that may be charged a second time.",
        service_message=service_message,
    )
