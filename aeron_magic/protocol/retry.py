"""Retry: back-off arithmetic, the retry loop, and the deadline of a poll.

Requests that are safe to repeat (reading a reply or a history) are repeated after lost connections
and transient errors. A paid request is repeated only if the service certainly did not accept it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aeron_magic.protocol.events import Waiting
from aeron_magic.protocol.flow import (
    ConnectionLost,
    Flow,
    OpenStream,
    Request,
    Response,
    Send,
    Sleep,
)

MAX_ATTEMPTS = 4
FIRST_DELAY = 0.5
MAX_DELAY = 8.0
MAX_RETRY_AFTER = 60.0
"""Seconds; after a longer ``Retry-After`` the error is raised instead of waiting."""

ANNOUNCED = 1.0
"""Seconds; a longer pause is shown to the user."""

FIRST_POLL = 0.4
MAX_POLL = 5.0
MIN_REQUEST_TIMEOUT = 1.0
"""Seconds; the least timeout of a poll, even at the deadline."""

TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})

RetryRule = Callable[[Response | ConnectionLost], bool]


def is_transient(result: Response | ConnectionLost) -> bool:
    """Whether a request that is safe to repeat should be repeated after ``result``."""
    if isinstance(result, ConnectionLost):
        return not result.remedy
    return result.status in TRANSIENT_STATUSES


def is_safe_to_resend(result: Response | ConnectionLost) -> bool:
    """Whether even a paid request may be repeated: the service certainly did not accept it.

    That is the case if no connection was made, after 429, and after 503 with ``Retry-After``. But
    not if a part of the body is missing, which might have named the reply's token.
    """
    if isinstance(result, ConnectionLost):
        return not result.sent and not result.remedy
    refused = result.status == 429 or (result.status == 503 and "retry-after" in result.headers)
    return refused and not result.cut


def requested_delay(result: Response | ConnectionLost) -> float | None:
    """The seconds of a ``Retry-After`` header, which is a number or an HTTP date, or None.

    A date is relative to the server's ``Date`` header, so that the two clocks need not agree.
    """
    if isinstance(result, ConnectionLost):
        return None
    value = result.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    until, since = _date(value), _date(result.headers.get("date", ""))
    if until is None or since is None:
        return None
    return max(0.0, (until - since).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def backoff_delay(attempt: int, result: Response | ConnectionLost, jitter: float) -> float | None:
    """Seconds to wait after attempt number ``attempt`` (from 1), or None to stop retrying.

    ``jitter`` is a random number in [0, 1) that scales half of the delay, so that many clients do
    not retry at the same moment.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    asked = requested_delay(result)
    if asked is not None:
        return asked if asked <= MAX_RETRY_AFTER else None
    return min(MAX_DELAY, FIRST_DELAY * 2.0 ** (attempt - 1)) * (0.5 + 0.5 * jitter)


def retrying(
    request: Callable[[], Request],
    should_retry: RetryRule,
    *,
    stream: bool = False,
    patience: float = math.inf,
    jitter: Callable[[], float] = random.random,
) -> Flow[Response | ConnectionLost]:
    """Make the request, and repeat it while ``should_retry`` returns True and attempts are left.

    ``request`` is called for each attempt: each has a new reference id. ``should_retry`` is asked
    unless the status is 2xx. After ``patience`` seconds of lost attempts the request is not
    repeated.
    """
    attempt, lost = 1, 0.0
    while True:
        result = yield OpenStream(request()) if stream else Send(request())
        assert isinstance(result, Response | ConnectionLost)
        if isinstance(result, ConnectionLost):
            lost += result.elapsed
        elif result.status // 100 == 2:
            return result
        if lost >= patience or not should_retry(result):
            return result
        wait = backoff_delay(attempt, result, jitter())
        if wait is None:
            return result
        if wait >= ANNOUNCED:
            yield [Waiting(wait)]
        yield Sleep(wait)
        attempt += 1


class PollDeadline:
    """The time limit of a poll, with delays that grow.

    * ``seconds``: the time for all requests and delays together.
    * ``jitter``: returns random numbers in [0, 1) that scale half of each delay; by default it is
      not scaled.
    """

    def __init__(self, seconds: float, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self._remaining = seconds
        self._jitter = jitter
        self._interval = FIRST_POLL

    @property
    def remaining(self) -> float:
        """Seconds left for the next request: at least `MIN_REQUEST_TIMEOUT`."""
        return max(self._remaining, MIN_REQUEST_TIMEOUT)

    @property
    def expired(self) -> bool:
        return self._remaining <= 0

    def consume(self, result: Response | ConnectionLost) -> None:
        """Count the time that ``result`` took."""
        self._remaining -= result.elapsed

    def sleep(self, result: Response | ConnectionLost | None = None) -> Flow[None]:
        """Sleep before the next poll: back-off or Retry-After, capped by the time left."""
        asked = 0.0 if result is None else requested_delay(result) or 0.0
        interval = self._interval * (0.5 + 0.5 * self._jitter())
        seconds = max(0.0, min(max(asked, interval), self._remaining))
        self._remaining -= seconds
        self._interval = min(MAX_POLL, self._interval * 1.5)
        if asked >= ANNOUNCED:
            yield [Waiting(seconds)]
        yield Sleep(seconds)
