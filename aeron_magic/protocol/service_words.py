"""The service's own words in an error, whatever the shape of its body.

An error body is documented by neither service, and gateways in between send their own: the message
is searched under the names that are in use, in objects and lists at any depth. A body in which none
is found is never shown, and neither is a web page.
"""

from __future__ import annotations

import re
from typing import Any

from aeron_magic.protocol.json_values import decode_json

MAX_DEPTH = 12
MAX_ITEMS = 10
"""Messages that are taken from one list."""
MAX_LENGTH = 2_000
"""Characters of all messages together."""

# Without case, "_" and "-". The most specific ones come first.
_NAMES = (
    *("message", "errormessage", "errormsg", "errmsg", "msg", "errordescription", "detail"),
    *("description", "errors", "error", "err", "nonfielderrors", "details", "reason"),
    *("faultstring", "fault", "exception", "statusmessage", "responsemessage", "title", "messages"),
)
_WRAPPERS = ("data", "response", "result", "body", "status", "meta")
_BY_FIELD = ("errors", "error", "detail", "details", "message", "messages")
"""May hold an object whose keys are the names of fields of the request, or of languages."""

_MARKUP = re.compile(
    r"<(?:!doctype|\?xml|/?(?:html|head|body|title|script|style|h1|p|div)\b)", re.IGNORECASE
)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_ERROR_EVENT = re.compile(r"(?:^|[_.:-])(?:error|failed|failure)$", re.IGNORECASE)
_FAILURES = ("FAILED", "FAILURE", "FAIL", "ERROR", "BAD_REQUEST_ERROR")


def service_words(body: Any) -> str | None:
    """The message in ``body``, a decoded JSON value; None if there is none."""
    if isinstance(body, list):
        body = [item for item in body if isinstance(item, dict)]
    return _words(body, MAX_DEPTH)


def words_of_text(text: str) -> str | None:
    """The message in ``text``, which is JSON or plain text; a page of markup has none."""
    text = " ".join(text.split())
    # Another encoding than UTF-8 leaves null characters.
    return None if "\0" in text or _TAG.match(text) else _words(text, MAX_DEPTH)


def is_error_event(event: str) -> bool:
    """Whether an event of this name reports an error."""
    return _ERROR_EVENT.search(event) is not None


def reports_failure(body: dict[str, Any]) -> bool:
    """Whether the status of ``body`` says that the request failed."""
    return str(body.get("status")).upper() in _FAILURES


def is_error(body: dict[str, Any]) -> bool:
    """Whether ``body`` reports an error, in any way that is in use."""
    if reports_failure(body) or is_error_event(str(body.get("type"))):
        return True
    fields = _fields(body)
    if any(fields.get(name) for name in ("error", "errors", "err", "fault", "exception")):
        return True
    return fields.get("success") is False or fields.get("ok") is False or error_code(body) >= 400


def error_code(body: dict[str, Any]) -> int:
    """The HTTP status that ``body`` names; 0 if it names none."""
    places = [body, *(value for value in body.values() if isinstance(value, dict))]
    for fields in map(_fields, places):
        for name in ("statuscode", "status", "code"):
            value = fields.get(name)
            if isinstance(value, int | str) and re.fullmatch("[1-5][0-9]{2}", str(value), re.ASCII):
                return int(value)
    return 0


def shape_of(body: dict[str, Any]) -> str:
    """The names of the fields of ``body``, without their values."""
    return "{" + ", ".join(f"{key}"[:40] for key in list(body)[:12]) + "}"


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"[_\-\s]", "", str(key)).lower(): value for key, value in body.items()}


def _words(value: Any, depth: int) -> str | None:
    if not depth:
        return None
    if isinstance(value, str):
        return _sentence(value.strip(), depth)
    if isinstance(value, list):
        return _joined(_words(item, depth - 1) for item in value[:MAX_ITEMS])
    if not isinstance(value, dict):
        return None
    fields = _fields(value)
    for name in _NAMES:
        found = fields.get(name)
        if words := _words(found, depth - 1):
            return words
        if name in _BY_FIELD and isinstance(found, dict):
            parts = list(found.values())[:MAX_ITEMS]
            texts = name in ("errors", "message", "messages")  # elsewhere, a text may be a code
            parts = [part for part in parts if texts or isinstance(part, list | dict)]
            if words := _words(parts, depth - 1):
                return words
    for name in _WRAPPERS:
        found = fields.get(name)
        if isinstance(found, str) and name != "body":
            continue
        if words := _words(found, depth - 1):
            return words
    return None


def _joined(parts: Any) -> str | None:
    return "; ".join(dict.fromkeys(filter(None, parts)))[:MAX_LENGTH] or None


def _sentence(text: str, depth: int) -> str | None:
    """``text`` as a message; JSON inside a string is searched, too."""
    if text[:1] in ("{", "[", '"'):
        try:
            value = decode_json(text)
        except ValueError:  # damaged, or text such as "[FROZEN]"
            return None if text[0] == "{" or text[1:2] in '{["' else text[:MAX_LENGTH]
        return service_words(value) if depth == MAX_DEPTH else _words(value, depth - 1)
    return None if _MARKUP.search(text) else text[:MAX_LENGTH] or None
