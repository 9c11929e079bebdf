"""Retry: the arithmetic, with given random numbers and times."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aeron_magic.protocol.flow import (
    ConnectionLost,
    OpenStream,
    Request,
    Response,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.protocol.retry import (
    FIRST_DELAY,
    MAX_ATTEMPTS,
    MAX_DELAY,
    MAX_POLL,
    MAX_RETRY_AFTER,
    MIN_REQUEST_TIMEOUT,
    PollDeadline,
    backoff_delay,
    is_safe_to_resend,
    is_transient,
    requested_delay,
    retrying,
)

NOT_SENT = ConnectionLost("refused", sent=False)
SENT = ConnectionLost("reset")
NOW = "Sun, 22 Nov 2026 10:00:00 GMT"


def response(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


def delay_of(value: str | None, now: str | None) -> float | None:
    headers = {"retry-after": value, "date": now}
    return requested_delay(
        Response(200, {name: text for name, text in headers.items() if text is not None})
    )


@pytest.mark.parametrize(
    ("value", "now", "seconds"),
    [
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("0", NOW, 0.0),
        ("Sun, 22 Nov 2026 10:00:30 GMT", NOW, 30.0),
        ("Sunday, 22-Nov-26 10:00:30 GMT", NOW, 30.0),
        ("Sun, 22 Nov 2026 10:00:30", NOW, 30.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", NOW, 0.0),
        ("Sun, 22 Nov 2026 10:00:30 GMT", None, None),
        ("Sun, 22 Nov 2026 10:00:30 GMT", "yesterday", None),
        ("soon", NOW, None),
        ("-5", NOW, None),
        ("1.5", NOW, None),
        ("²", NOW, None),
        ("", NOW, None),
        (None, NOW, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    value: str | None, now: str | None, seconds: float | None
) -> None:
    """A date is relative to the server's clock; an invalid value is ignored."""
    assert delay_of(value, now) == seconds


@given(st.text(), st.text() | st.just(NOW))
@example("0\x1f", NOW)  # float() does not accept all blanks that strip() removes
def test_any_header_gives_a_time_or_none(value: str, now: str) -> None:
    seconds = delay_of(value, now)
    assert seconds is None or seconds >= 0


def test_the_requested_delay_is_read_from_retry_after_and_date() -> None:
    dated = response(503, retry_after="Sun, 22 Nov 2026 10:00:09 GMT", date=NOW)
    assert requested_delay(dated) == 9.0
    assert requested_delay(response(429)) is None
    assert requested_delay(SENT) is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_statuses(status: int) -> None:
    assert is_transient(response(status))


@pytest.mark.parametrize("status", [200, 204, 301, 302, 400, 401, 403, 404, 409, 422, 501, 505])
def test_other_statuses_are_final(status: int) -> None:
    assert not is_transient(response(status))


def test_lost_connections_are_transient() -> None:
    """Whether or not the request was sent."""
    assert is_transient(SENT)
    assert is_transient(NOT_SENT)


def test_a_paid_request_is_repeated_only_if_it_was_not_accepted() -> None:
    """Not connected, 429, 503 with Retry-After; nothing else."""
    again = [
        NOT_SENT,
        response(429),
        response(429, retry_after="1"),
        response(503, retry_after="1"),
    ]
    assert all(is_safe_to_resend(result) for result in again)
    final = [SENT, response(503), *map(response, (200, 302, 400, 403, 408, 500, 502, 504))]
    assert not any(is_safe_to_resend(result) for result in final)


def test_delays_double_and_half_of_each_is_random() -> None:
    """Many clients do not retry at the same moment."""
    most = [backoff_delay(attempt, SENT, 1.0) for attempt in range(1, MAX_ATTEMPTS)]
    least = [backoff_delay(attempt, SENT, 0.0) for attempt in range(1, MAX_ATTEMPTS)]
    assert most == [FIRST_DELAY * 2**n for n in range(MAX_ATTEMPTS - 1)]
    assert least == [wait / 2 for wait in most if wait is not None]


@given(st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 1))
def test_a_delay_is_at_most_the_maximum(attempt: int, jitter: float) -> None:
    """Unless the server requests a longer one."""
    wait = backoff_delay(attempt, SENT, jitter)
    assert wait is not None
    assert 0 < wait <= MAX_DELAY


def test_a_delay_that_the_server_requests_is_used_without_jitter() -> None:
    assert backoff_delay(1, response(429, retry_after="7"), 0.3) == 7.0


def test_too_long_a_requested_delay_ends_the_retries() -> None:
    too_long = response(429, retry_after=str(int(MAX_RETRY_AFTER) + 1))
    assert backoff_delay(1, too_long, 0.5) is None


def test_retries_end_with_the_last_attempt() -> None:
    """Even if the server requests a delay."""
    assert backoff_delay(MAX_ATTEMPTS, response(429, retry_after="1"), 0.5) is None


def run(results: list[StepResult], *, stream: bool = False) -> tuple[list[object], object]:
    """The steps that `retrying` yields for these results, and its return value."""
    ids = itertools.count()
    flow = retrying(
        lambda: Request("POST", f"https://api.test/{next(ids)}"),
        is_transient,
        stream=stream,
        jitter=lambda: 1.0,
    )
    steps: list[object] = []
    given = iter(results)
    result: StepResult = None
    try:
        while True:
            step = flow.send(result)
            steps.append(step)
            result = next(given) if isinstance(step, Send | OpenStream) else None
    except StopIteration as stop:
        return steps, stop.value


def test_each_attempt_is_a_new_request() -> None:
    """Each has a new reference id."""
    steps, result = run([SENT, response(500), response(200)])
    urls = [step.request.url[-1] for step in steps if isinstance(step, Send)]
    pauses = [step.seconds for step in steps if isinstance(step, Sleep)]
    assert urls == ["0", "1", "2"]
    assert pauses == [0.5, 1.0]
    assert result == response(200)


def test_the_last_result_is_returned_after_the_last_attempt() -> None:
    """The caller raises its error."""
    steps, result = run([response(500)] * MAX_ATTEMPTS)
    assert sum(isinstance(step, Send) for step in steps) == MAX_ATTEMPTS
    assert result == response(500)


def test_a_successful_request_is_not_repeated() -> None:
    steps, result = run([response(200)])
    assert len(steps) == 1
    assert result == response(200)


def test_each_attempt_of_a_stream_opens_it() -> None:
    steps, _ = run([SENT, response(200)], stream=True)
    assert [type(step) for step in steps] == [OpenStream, Sleep, OpenStream]


def delays_of(deadline: PollDeadline, result: Response | None = None) -> list[float]:
    delays: list[float] = []
    while not deadline.expired:
        delays += [step.seconds for step in deadline.sleep(result) if isinstance(step, Sleep)]
    return delays


def test_poll_delays_grow_and_sum_up_to_the_time_limit() -> None:
    """The last one is the time left."""
    pauses = delays_of(PollDeadline(60.0))
    assert sum(pauses) == pytest.approx(60.0)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert pauses[0] == 0.4
    assert max(pauses) == MAX_POLL


def test_half_of_a_poll_delay_is_random() -> None:
    assert next(iter(PollDeadline(60.0, lambda: 0.0).sleep())) == Sleep(0.2)


def test_a_retry_after_is_limited_by_the_deadline() -> None:
    assert delays_of(PollDeadline(20.0), response(200, retry_after="15")) == [15.0, 5.0]


def test_requests_count_towards_the_deadline() -> None:
    """The last request still has a minimum timeout."""
    deadline = PollDeadline(10.0)
    deadline.consume(Response(200, {}, elapsed=4.0))
    assert deadline.remaining == 6.0
    assert not deadline.expired
    deadline.consume(ConnectionLost("silence", elapsed=6.0))
    assert deadline.expired
    assert deadline.remaining == MIN_REQUEST_TIMEOUT
