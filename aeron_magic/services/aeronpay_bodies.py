"""The bodies of AeronPay: what a decoded answer says, whatever its shape."""

from __future__ import annotations

import re
from typing import Any

from aeron_magic.errors import FailedReply, IncompleteReply, TokenError
from aeron_magic.protocol.events import Completed
from aeron_magic.protocol.http_errors import error_for_status
from aeron_magic.protocol.json_values import decode_json, id_or_none, text_or_none
from aeron_magic.protocol.service_words import (
    error_code,
    is_error,
    is_error_event,
    reports_failure,
    service_words,
    shape_of,
)
from aeron_magic.replies.reply import Message

MAX_DIGITS = 18
"""Digits of the longest numeric string: the service's counts and codes are shorter."""

ACCEPTED = ("SUCCESS", "PENDING", "PROCESSING")

DOCUMENTED = ("response_initiated", "response_completed")
"""The events of a reply that goes well, besides its chunks."""

_SUCCESS = re.compile(r"(?<!not )\bsuccess", re.IGNORECASE)

_TOKEN = re.compile(r'"context_token"\s*+:\s*+("[^"\\]++(?:\\.[^"\\]*+)*+")')


def token_in(text: str) -> str | None:
    """The token that ``text``, JSON in any framing, names, even if its end is missing."""
    found = _TOKEN.search(text)
    try:
        return text_or_none(decode_json(found[1])) if found else None
    except ValueError:  # a damaged string
        return None


def refuses(body: dict[str, Any]) -> bool:
    """Whether an answer that is not what was asked for is a refusal."""
    return str(body.get("status")).upper() not in ACCEPTED


def raise_if_failed(
    body: dict[str, Any],
    url: str,
    token: str | None = None,
    *,
    event: str = "",
    begun: bool = False,
) -> dict[str, Any]:
    """``body``, unless it reports an error or a failed reply.

    ``begun``: the service has accepted the question, so an error concerns the reply.
    """
    failed = event.endswith("_failed") or str(body.get("response_status")).lower() == "failed"
    if not failed and event in DOCUMENTED and body.get("status") in (None, *ACCEPTED):
        return body
    # A status alone refuses; other signs of an error do only where a reply is missing.
    refused = reports_failure(body) or is_error_event(event)
    if not (refused or event or system_of(body) or body.get("response_status")):
        refused = is_error(body)
    if not (failed or refused):
        return body
    token = id_or_none(body.get("context_token")) or token
    if failed or begun:
        code = number_of(body.get("status_code")) or error_code(body)
        raise FailedReply(
            "The service could not answer.",
            hint="Ask again, or rephrase the question.",
            status_code=code if code >= 400 else None,  # else of the request, which succeeded
            service_message=_words_of_failure(body),
            context_token=token,
        )
    # The HTTP status may be 200: the status in the body counts.
    unnamed = 400 if reports_failure(body) else 200
    code = number_of(body.get("status_code")) or error_code(body) or unnamed
    error = error_for_status(code, body, url)
    if not isinstance(error, TokenError):
        error.context_token = token
    raise error


def _words_of_failure(body: dict[str, Any]) -> str | None:
    """The service's words about a failed reply; not those about the request, if it succeeded."""
    words = service_words(body)
    if words is None or not _SUCCESS.search(words):
        return words
    words = service_words({name: value for name, value in body.items() if value != words})
    return None if words is None or _SUCCESS.search(words) else words


def without_text(body: dict[str, Any], token: str | None = None) -> IncompleteReply:
    """The exception for a completed reply in which no text is found."""
    system = system_of(body)
    where = f"`system` holds {shape_of(system)}" if system else f"it holds {shape_of(body)}"
    is_blank = isinstance(system.get("text"), str)
    cause = "" if is_blank else "The service may have changed its format. "
    return IncompleteReply(
        f"The reply is completed, but its text is {'empty' if is_blank else 'missing'}: {where}.",
        hint=f"{cause}Ask again if you want to; that may be charged a second time.",
        service_message=service_words(body),
        context_token=id_or_none(body.get("context_token")) or token,
    )


def completed_event(body: dict[str, Any], *, recovered: bool = False) -> Completed:
    """The end of a reply; its text is None if it is missing or blank."""
    system = system_of(body)
    text = text_or_none(system.get("text"))
    return Completed(
        text=text if text and not text.isspace() else None,
        context_token=id_or_none(body.get("context_token")),
        parent_context_token=id_or_none(body.get("parent_context_token")),
        msg_id=str(system.get("msg_id") or ""),
        recovered=recovered,
    )


def messages_of(row: Any) -> list[Message]:
    if not isinstance(row, dict):
        return []
    msg_id = str(row.get("msg_id") or "")
    status = str(row.get("request_status") or row.get("response_status") or "")
    if isinstance(user := row.get("user"), dict):
        return [Message("user", str(user.get("text") or ""), msg_id, status)]
    return [Message("assistant", str(system_of(row).get("text") or ""), msg_id, status)]


def system_of(body: dict[str, Any]) -> dict[str, Any]:
    """``system``; ``{}`` if it is ``[]``, ``{}`` or null. In a list, the texts of all objects."""
    system = body.get("system")
    if not isinstance(system, list):
        return system if isinstance(system, dict) else {}
    parts = [part for part in system if isinstance(part, dict)]
    whole = {name: part[name] for part in reversed(parts) for name in part}
    for name, between in (("text", "\n\n"), ("text_chunk", "")):
        texts = [part[name] for part in parts if isinstance(part.get(name), str)]
        if any(texts):
            whole[name] = between.join(filter(None, texts))
    return whole


def number_of(value: Any) -> int | None:
    """``value`` as a number: the service sends numbers or strings."""
    if isinstance(value, int):
        return value
    plain = isinstance(value, str) and value.isdecimal() and len(value) <= MAX_DIGITS
    return int(value) if plain else None
