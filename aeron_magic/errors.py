"""Every exception of aeron-magic, as one tree.

* AeronError
    * UsageError             an option, a value or a setting is wrong; nothing was sent
        * CredentialsError       no credentials, or they cannot be stored
        * ValueRefused           a value for the prompt is unknown, not printable, or secret
    * ServiceError           the service answered, and the answer is a refusal
        * AuthenticationError    401, 403: credentials, or the caller's address is not allowed
        * TokenError             the context token is unknown or has expired
        * RateLimited            429
        * UnexpectedAnswer       not an answer of this service at all (a web page, a redirect)
    * Unreachable            the connection was never made: surely nothing was accepted
    * ReplyError             a reply was begun, and is not whole
        * IncompleteReply        cut off, and it could not be recovered
        * FailedReply            the service says that it failed
        * Interrupted            stopped by the user (a KeyboardInterrupt too)
    * ReplyFormatError       the reply is whole, but holds no JSON, table or code as asked
    * RecordingError         a recording is missing, damaged or does not hold the question
    * HistoryError           the local history cannot be read or written

Facts are attributes; the sentence a person reads is made from them in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "AeronError",
    "AuthenticationError",
    "CredentialsError",
    "FailedReply",
    "HistoryError",
    "IncompleteReply",
    "Interrupted",
    "RateLimited",
    "RecordingError",
    "ReplyError",
    "ReplyFormatError",
    "ServiceError",
    "TokenError",
    "UnexpectedAnswer",
    "Unreachable",
    "UsageError",
    "ValueRefused",
]

PARTIAL_SHOWN = 2_000
"""Characters of the partial text that the short block shows; the rest stays in ``partial``."""

MESSAGE_SHOWN = 500
"""Characters of the service's own words that the short block shows."""


class AeronError(Exception):
    """Something went wrong, and here is what to do about it.

    Parameters
    ----------
    message
        What happened: one sentence.
    hint
        What to do next: one sentence, or empty.
    status_code
        The HTTP status, where the service answered.
    service_message
        The service's own words, where it had some.
    context_token
        The token of the reply concerned, where it is known.
    partial
        The text received before the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status_code: int | None = None,
        service_message: str | None = None,
        context_token: str | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status_code = status_code
        self.service_message = service_message
        self.context_token = context_token
        self.partial = partial
        self.partial_shown = False
        """Whether the partial text stands on the screen already; the short block then omits it."""

    def __str__(self) -> str:
        return _clean(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders when a batch runs on a cluster.
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))

    def redact(self, secrets: Iterable[str]) -> None:
        """Replace each of ``secrets`` wherever this error would show it."""
        for secret in filter(None, secrets):
            for name in ("message", "hint", "service_message", "context_token", "partial"):
                value = getattr(self, name)
                if value and secret in value:
                    setattr(self, name, value.replace(secret, "[secret]"))
        self.args = (self.message,)

    def lines(self, *, partial_limit: int | None = PARTIAL_SHOWN) -> list[str]:
        """The short block a person reads, line by line.

        ``partial_limit`` is the number of characters of the partial text to show; None shows all,
        and all of the service's own words. What stands on the screen already is not shown twice.
        """
        message_limit = None if partial_limit is None else MESSAGE_SHOWN
        shown = [f"{type(self).__name__}: {self}"]
        if self.status_code is not None:
            shown.append(f"  HTTP status: {self.status_code}")
        if self.service_message:
            shown.append(f"  the service says: {_start(self.service_message, message_limit)}")
        if self.context_token:
            shown.append(f"  context_token: {_clean(self.context_token)}")
        if self.partial and (partial_limit is None or not self.partial_shown):
            shown.append(f"  received so far: {_start(self.partial, partial_limit)}")
        if self.hint:
            shown.append(f"  → {_clean(self.hint)}")
        return shown

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return self.lines()


def _clean(text: str) -> str:
    from aeron_magic.plaintext import (
        strip_control_sequences,  # 4 ms, and this module is loaded with the extension
    )

    return strip_control_sequences(text)


def _start(text: str, limit: int | None) -> str:
    text = _clean(text)
    return text if limit is None or len(text) <= limit else text[:limit] + " […]"


def _rebuild(kind: type[AeronError], message: str, state: dict[str, object]) -> AeronError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class UsageError(AeronError):
    """An option, a value or a setting is wrong. Nothing was sent."""


class CredentialsError(UsageError):
    """There are no credentials, or they cannot be stored."""


class ValueRefused(UsageError):
    """A value for the prompt is unknown, cannot be shown as text, or holds a secret."""


class ServiceError(AeronError):
    """The service answered, and its answer is a refusal."""


class AuthenticationError(ServiceError):
    """The credentials are refused, or the caller's address is not on the allow-list."""


class TokenError(ServiceError):
    """The context token is unknown to the service, or has expired."""


class RateLimited(ServiceError):
    """Too many requests (HTTP 429)."""


class UnexpectedAnswer(ServiceError):
    """What came back is no answer of this service: a web page, a redirect, other bytes."""


class Unreachable(AeronError):
    """The connection was never made; the service has accepted nothing."""


class ReplyError(AeronError):
    """A reply was begun and is not whole.

    ``partial`` holds what came; by ``context_token``, where it is known, the reply can be fetched.
    """


class IncompleteReply(ReplyError):
    """The reply was cut off, and could not be recovered."""


class FailedReply(ReplyError):
    """The service says that it could not answer."""


class Interrupted(ReplyError, KeyboardInterrupt):
    """The user stopped the question; it stops *Run All* like any KeyboardInterrupt.

    ``result`` is what a batch had done by then; None for a single question.
    """

    result: Any = None


class ReplyFormatError(AeronError):
    """The reply is whole, but does not hold what was asked of it."""


class RecordingError(AeronError):
    """A recording is missing or damaged, or does not hold the question."""


class HistoryError(AeronError):
    """The local history cannot be read or written."""
