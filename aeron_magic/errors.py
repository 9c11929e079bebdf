"""Every exception of aeron-magic, as one tree.

* AeronError
    * UsageError             an option, a value or a setting is invalid; nothing was sent
        * CredentialsError       no credentials, or they cannot be stored
        * ValueRefused           a value for the prompt is unknown, not printable, or secret
    * ServiceError           the service answered with an error
        * AuthenticationError    401, 403: credentials, or the caller's address is not allowed
        * TokenError             the context token is unknown or has expired
        * RateLimited            429
        * AccessRestricted       the agent's owner has frozen or blocked the caller
        * UnexpectedAnswer       not a response of this service (a web page, a redirect)
    * Unreachable            no connection was made: nothing was accepted
    * ReplyError             a reply was begun, and is incomplete
        * IncompleteReply        cut off, and could not be recovered
        * FailedReply            the service could not answer
        * Interrupted            stopped by the user (also a KeyboardInterrupt)
    * ReplyFormatError       the reply does not contain the requested JSON, table or code
    * CheckFailed            an answer does not pass its check
    * RecordingError         a recording is missing or damaged, or lacks the question
    * HistoryError           the local history cannot be read or written

Facts are attributes; `AeronError.lines` makes the text for the user from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any, Self

__all__ = [
    "AccessRestricted",
    "AeronError",
    "AuthenticationError",
    "CheckFailed",
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

LINE_WIDTH = 100
"""Characters of a line on the screen: JupyterLab wraps longer ones inside words."""

PARTIAL_SHOWN = 2_000
"""Characters of the partial text in the short block; ``partial`` holds all."""

MESSAGE_SHOWN = 500
"""Characters of the service's message in the short block."""

CHANGE_SHOWN = 80
"""Characters of each line of a difference in a table."""

TOKEN_SHOWN = 200
"""Characters of a token in the short block and in a hint."""


class AeronError(Exception):
    """An error with a remedy.

    Parameters
    ----------
    message
        What happened: one sentence.
    hint
        What to do next: one sentence, or empty.
    status_code
        The HTTP status, if the service answered.
    service_message
        The service's own message, if any.
    context_token
        The token of the reply concerned, if known.
    partial
        The text received before the error.
    """

    is_final = False
    """Whether the same question would end in the same way, so that asking it again is useless."""

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
        self.was_accepted = False
        """Whether the service accepted the question, and its reply did not surely fail."""
        self._notes: list[str] = []
        self.partial_shown = False
        """Whether the partial text is on the screen; the short block then omits it."""

    def without_frames(self) -> Self:
        """This error without the frames of its traceback, which keep all received data alive."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    def __str__(self) -> str:
        return _clean(self.message)

    @property
    def __notes__(self) -> list[str]:
        """What Python shows below an uncaught error: the facts, the remedy, and added notes."""
        return [*self._python_lines(), *self._notes]

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:
        self._notes = [note for note in notes if note not in self._python_lines()]

    def _python_lines(self) -> list[str]:
        """The facts and the remedy, which names what to do in Python before the magic."""
        import re

        *facts, hint = ["", *self.lines()[1:]]
        if self.hint:
            swapped = r"\2 (in a notebook \1)"
            hint = re.sub(r"(`[^`]+`) \(in Python:? ((?:[^()]|\([^()]*\))+)\)", swapped, hint)
        return list(filter(None, [*facts, hint]))

    def add_note(self, note: str) -> None:
        """Add a line to what Python shows below the error."""
        self._notes.append(note)

    def redact(self, secrets: Iterable[str]) -> None:
        """Replace each of ``secrets``, however it is spelled, in all texts of this error."""
        from aeron_magic.plaintext import redact

        secrets = tuple(secrets)
        for name in ("message", "hint", "service_message", "context_token", "partial"):
            if value := getattr(self, name):
                setattr(self, name, redact(str(value), secrets))
        self.args = (self.message,)

    def lines(self, *, partial_limit: int | None = PARTIAL_SHOWN) -> list[str]:
        """The short block for the user, line by line.

        ``partial_limit`` is the number of characters of the partial text; None shows all of it and
        of the service's message. A partial text on the screen is not repeated.
        """
        message_limit = None if partial_limit is None else MESSAGE_SHOWN
        shown = [f"{type(self).__name__}: {self}"]
        if self.status_code is not None:
            shown.append(f"  HTTP status: {self.status_code}")
        if self.service_message:
            shown.append(f"  the service says: {_start(self.service_message, message_limit)}")
        if self.context_token:
            limit = None if partial_limit is None else TOKEN_SHOWN
            shown.append(f"  context_token: {_start(self.context_token, limit)}")
        if self.partial and (partial_limit is None or not self.partial_shown):
            shown.append(f"  received so far: {_start(self.partial, partial_limit)}")
        if self.hint:
            shown.append(f"  → {_clean(self.hint)}")
        return shown

    def line(self) -> str:
        """What happened and the service's own words, on one line, for a table."""
        from aeron_magic.plaintext import strip_control_sequences, well_formed

        parts = [str(self)]
        if self.status_code is not None:
            parts.append(f"HTTP status {self.status_code}.")
        if self.service_message:
            parts.append(f"The service says: {self.service_message}")
        return " ".join(strip_control_sequences(well_formed(" ".join(parts))).split())

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        from textwrap import TextWrapper

        from aeron_magic.plaintext import printable

        wrapper = TextWrapper(
            LINE_WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        lines = [part for line in self.lines() for part in line.split("\n")]
        return [printable(part) for line in lines for part in wrapper.wrap(line) or [line]]


def is_safe_to_ask_again(error: AeronError) -> bool:
    """Whether asking again cannot be charged twice: nothing was accepted, or it surely failed."""
    if error.was_accepted:
        return False
    if isinstance(error, ServiceError):
        status = error.status_code  # 408: a gateway may have waited for the service
        refused = status is None or (400 <= status < 500 and status != 408)
        return refused and not isinstance(error, UnexpectedAnswer)
    return isinstance(error, UsageError | RecordingError | Unreachable | FailedReply)


def error_of_all(errors: Sequence[AeronError], rows: int, what: str) -> AeronError:
    """The error of a batch in which none of ``rows`` could do ``what``: the first, and how many."""
    first, failed = copy(errors[0]), len(errors)
    if len({str(error) for error in errors}) > 1:
        first.message = f"None of the {rows:,} rows {what}. The first: {first}"
    elif failed > 1:
        first.message = f"In {'all ' * (failed == rows)}{failed:,} rows: {first}"
    return first


def fetch_command(token: str) -> str:
    """The line that fetches the reply of ``token``, for a hint; one to copy unless it is long."""
    shown = len(token) <= TOKEN_SHOWN
    return f"`%aeron fetch {token}`" if shown else "`%aeron fetch TOKEN` with the context_token"


def _clean(text: str) -> str:
    # Imported here because it takes 4 ms, and this module is loaded with the extension.
    from aeron_magic.plaintext import strip_control_sequences, unlinked

    return unlinked(strip_control_sequences(text))


def _start(text: str, limit: int | None) -> str:
    text = _clean(text)
    return text if limit is None or len(text) <= limit else text[:limit] + " […]"


class UsageError(AeronError):
    """An option, a value or a setting is invalid. Nothing was sent."""


class CredentialsError(UsageError):
    """There are no credentials, or they cannot be stored."""


class ValueRefused(UsageError):
    """A value for the prompt is unknown, cannot be shown as text, or contains a secret."""


def invalid(name: str, value: object, hint: str) -> UsageError:
    """The error for the value of an argument."""
    return UsageError(f"Invalid {name}: {value!r}.", hint=hint)


def validate_count(name: str, value: object, least: int = 0, most: int | None = None) -> None:
    """Raise UsageError if an argument is not a whole number in these limits."""
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = "" if most is None else f" from {least:,} to {most:,}"
        raise invalid(name, value, f"Give a whole number{limits}.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The suggestion of the one of ``known`` that is nearest to ``name``; empty if none is near."""
    near = nearest(name, known)
    return f"Did you mean `{near}`? " if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that is nearest to ``name``; empty if none is near."""
    from difflib import get_close_matches  # only errors use it

    lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), lower, 1)
    return lower[near[0]] if near else ""


def unknown_argument(function: Callable[..., Any], name: str) -> UsageError:
    """The error for a keyword that ``function`` does not have; it collects these as ``unknown``."""
    from inspect import signature

    known = [one for one in signature(function).parameters if one != "unknown"]
    return UsageError(
        f"{function.__name__} has no argument {name!r}.",
        hint=f"{did_you_mean(name, known)}`help({function.__name__})` lists all.",
    )


class FailureCounter:
    """Counts refused credentials and failures to connect in a row, after which asking is useless.

    Parameters
    ----------
    most
        Failures after which nothing more is to be asked.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def add(self, error: AeronError | None) -> bool:
        """Count the end of a question; whether no other one is to be asked."""
        failed = isinstance(error, AuthenticationError | CredentialsError | Unreachable)
        self._count = self._count + 1 if failed else 0
        return self._count >= self._most


def missing_extra(what: str, extra: str) -> UsageError:
    """The error for ``what``, whose package is not installed: `extra` of pyproject.toml has it."""
    return UsageError(
        f"{what} needs a package that is not installed.",
        hint=f'Run `pip install "aeron-magic[{extra}]"`.',
    )


class ServiceError(AeronError):
    """The service answered with an error."""


class AuthenticationError(ServiceError):
    """The credentials were rejected, or the caller's address is not on the allow-list."""


class TokenError(ServiceError):
    """The context token is unknown to the service, or has expired."""


class RateLimited(ServiceError):
    """Too many requests (HTTP 429)."""


class AccessRestricted(ServiceError):
    """The agent's owner has frozen or blocked the caller; asking again changes nothing."""

    is_final = True


class UnexpectedAnswer(ServiceError):
    """The response does not come from this service: a web page, a redirect, other bytes."""


class Unreachable(AeronError):
    """No connection was made; the service has accepted nothing."""


class ReplyError(AeronError):
    """A reply was begun and is incomplete.

    ``partial`` is the text received; if ``context_token`` is set, the reply can be fetched by it.
    """


class IncompleteReply(ReplyError):
    """The reply was cut off and could not be recovered."""


class FailedReply(ReplyError):
    """The service could not answer."""


class Interrupted(ReplyError, KeyboardInterrupt):
    """The user stopped the question. It stops *Run All* like any KeyboardInterrupt.

    ``result`` is the result of a batch so far; None for a single question.
    """

    result: Any = None


class ReplyFormatError(AeronError):
    """The reply is complete, but does not contain the requested JSON, table or code."""


class CheckFailed(AeronError):
    """An answer does not pass its check, or a turn of a check was not answered."""


class RecordingError(AeronError):
    """A recording is missing or damaged, or does not contain the question.

    ``result`` is the result of a batch of which some rows are not recorded; else None.
    """

    result: Any = None

    def line(self) -> str:
        """As for other errors; two questions without the marks of ndiff, from their difference on.

        The marks have a meaning only below a line.
        """
        first, *rest = self.message.split("\n")
        changes = [one for one in rest if one.startswith(("-", "+"))]
        begin = 2
        if len(changes) == 2:
            pairs = enumerate(zip(*changes, strict=False))
            differ = (at for at, (one, other) in pairs if at >= 2 and one != other)
            begin = max(2, next(differ, 2) - CHANGE_SHOWN // 4)
        short = copy(self)
        short.message = first
        for one in changes:
            shown = _start(one[begin:], CHANGE_SHOWN)
            short.message += f" {one[:2]}{'…' * (begin > 2)}{shown}"
        return super(RecordingError, short).line()


class HistoryError(AeronError):
    """The local history cannot be read or written."""
