"""From an answer that is none to the exception that says what to do: one table for all services."""

from __future__ import annotations

from typing import Any

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
from aeron_magic.protocol.json_values import decode_json_object

__all__ = [
    "decode_response",
    "error_for_status",
    "maybe_accepted",
    "unexpected_body",
    "unreachable",
]

AUTHENTICATION = (
    "Check the credentials (`%aeron login` asks for them again). AeronPay serves only allow-listed "
    "IP addresses: if the credentials are right, ask it to add this machine's address."
)


def decode_response(answer: Response, url: str) -> dict[str, Any]:
    """The JSON object in ``answer``.

    Raises
    ------
    ServiceError
        The status says that the service refuses; one of its subclasses where the reason is known.
    UnexpectedAnswer
        The body is no JSON object.
    """
    body = decode_json_object(answer.body)
    if not answer.ok:
        raise error_for_status(answer.status, body or {}, url, answer)
    if body is None:
        raise unexpected_body(answer.status, answer.body.decode(errors="replace"), url)
    return body


def error_for_status(
    status: int, body: dict[str, Any], url: str, answer: Response | None = None
) -> ServiceError:
    """The exception for a refusal with this HTTP status (or the status its body claims)."""
    said = str(body.get("message") or body.get("msg") or body.get("error") or "") or None
    if said is None and answer is not None and not body:
        said = _plain_text(answer)
    facts: dict[str, Any] = {"status_code": status, "service_message": said}
    if status in (401, 403):
        return AuthenticationError(
            "The service refuses these credentials.", hint=AUTHENTICATION, **facts
        )
    if status == 429:
        wait = answer.headers.get("retry-after") if answer else None
        after = f" It asks for a pause of {wait} s." if wait and wait.isdecimal() else ""
        return RateLimited(
            f"Too many requests.{after}",
            hint="Ask again after that." if after else "Wait a little, then ask again.",
            **facts,
        )
    if 300 <= status < 400:
        return UnexpectedAnswer(
            f"{url} redirects elsewhere, and redirects are not followed: "
            "the credentials would travel with them.",
            hint="Check the address (--base-url, AERON_BASE_URL, CHATZY_BASE_URL).",
            **facts,
        )
    if status < 500 and _about_a_token(said):
        return TokenError(
            "The service does not know this context token, or it has expired.",
            hint="Begin anew with -n (or `context_token = None`), or continue from another turn "
            "with --after.",
            **facts,
        )
    if status >= 500:
        return ServiceError(
            "The service failed.",
            hint="It is not your question's fault: ask again in a moment.",
            **facts,
        )
    if status == 404 and said is None:
        return UnexpectedAnswer(
            f"There is nothing at {url}.", hint="Check the address (--base-url).", **facts
        )
    return ServiceError(
        f"There is nothing at {url}." if status == 404 else "The service refuses the request.",
        hint="Its own message says why; change the question or its options accordingly."
        if said
        else "It does not say why: check the address (--base-url) and the question.",
        **facts,
    )


def _plain_text(answer: Response) -> str | None:
    """The beginning of an error page that is no JSON, if it is text and not markup."""
    start = " ".join(answer.body[:800].decode(errors="replace").split())[:200]
    return None if start[:1] in ("", "<", "{", "[") else start


def _about_a_token(said: str | None) -> bool:
    words = (said or "").lower()
    # Chatzy's token is the id of a conversation.
    return any(thing in words for thing in ("token", "conversation")) and any(
        sign in words for sign in ("invalid", "expired", "unknown", "not found", "no such")
    )


def unexpected_body(status: int, text: str, url: str) -> UnexpectedAnswer:
    """The exception for a body that is not this service's: mostly somebody's web page."""
    start = " ".join(text.split())[:200]
    what = "a web page" if start.startswith("<") else "something else than the service's JSON"
    if not start:
        what = "an empty answer"
    return UnexpectedAnswer(
        f"{url} answered with {what}.",
        hint="Check the address, and whether a proxy or a sign-in page stands in between.",
        status_code=status,
        service_message=start or None,
    )


def unreachable(result: ConnectionLost, url: str) -> Unreachable:
    """The exception for a request that is safe to repeat and could not be made."""
    return Unreachable(
        f"{url} cannot be reached: {result.reason.rstrip('.')}.",
        hint="Check the network, the address, and the proxy if HTTPS_PROXY or the like names one; "
        "`%aeron connect sandbox` works without them.",
    )


def maybe_accepted(reason: str, service_message: str | None = None) -> IncompleteReply:
    """The exception for a paid question of which nobody knows whether the service took it up."""
    return IncompleteReply(
        f"The answer was cut off before the service named the reply ({reason.rstrip('.')}). "
        "The question may have been accepted.",
        hint="Ask again if you want to; that may be charged a second time.",
        service_message=service_message,
    )
