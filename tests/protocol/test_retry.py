"""Retry: arithmetic with a random number and a clock that are given, so that nothing waits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
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
    retry_after,
    retrying,
)

NOT_SENT = ConnectionLost("refused", sent=False)
SENT = ConnectionLost("reset")
NOW = "Sun, 22 Nov 2026 10:00:00 GMT"


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


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
    """A date counts from the server's own clock; what is neither is as good as nothing."""
    assert retry_after(value, now) == seconds


@given(st.text(), st.text() | st.just(NOW))
def test_no_header_is_too_strange(value: str, now: str) -> None:
    """Whatever a server writes there, it is a time that is not negative, or None."""
    seconds = retry_after(value, now)
    assert seconds is None or seconds >= 0


def test_an_answer_says_how_long_to_wait() -> None:
    """By Retry-After and its own Date; a lost connection says nothing."""
    dated = answer(503, retry_after="Sun, 22 Nov 2026 10:00:09 GMT", date=NOW)
    assert requested_delay(dated) == 9.0
    assert requested_delay(answer(429)) is None
    assert requested_delay(SENT) is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_refusals_are_repeated_where_it_is_safe(status: int) -> None:
    """These are over in a moment, mostly."""
    assert is_transient(answer(status))


@pytest.mark.parametrize("status", [200, 204, 301, 302, 400, 401, 403, 404, 409, 422, 501, 505])
def test_other_answers_are_final(status: int) -> None:
    """Asking again would bring the same."""
    assert not is_transient(answer(status))


def test_lost_connections_are_passing() -> None:
    """Whether or not the request was sent."""
    assert is_transient(SENT)
    assert is_transient(NOT_SENT)


def test_a_paid_request_is_repeated_only_where_nothing_was_taken_up() -> None:
    """Not connected, 429, 503 with Retry-After; nothing else."""
    again = [NOT_SENT, answer(429), answer(429, retry_after="1"), answer(503, retry_after="1")]
    assert all(is_safe_to_resend(result) for result in again)
    final = [SENT, answer(503), *map(answer, (200, 302, 400, 403, 408, 500, 502, 504))]
    assert not any(is_safe_to_resend(outcome) for outcome in final)


def test_waits_double_and_half_of_each_is_drawn() -> None:
    """Many clients do not come back at the same moment."""
    most = [backoff_delay(attempt, SENT, 1.0) for attempt in range(1, MAX_ATTEMPTS)]
    least = [backoff_delay(attempt, SENT, 0.0) for attempt in range(1, MAX_ATTEMPTS)]
    assert most == [FIRST_DELAY * 2**n for n in range(MAX_ATTEMPTS - 1)]
    assert least == [wait / 2 for wait in most if wait is not None]


@given(st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 1))
def test_no_wait_is_longer_than_the_longest(attempt: int, chance: float) -> None:
    """Where the server does not ask for it."""
    wait = backoff_delay(attempt, SENT, chance)
    assert wait is not None
    assert 0 < wait <= MAX_DELAY


def test_a_wait_that_the_server_asks_for_is_kept_to() -> None:
    """To the second, whatever the chance."""
    assert backoff_delay(1, answer(429, retry_after="7"), 0.3) == 7.0


def test_too_long_a_wait_is_told_and_not_waited() -> None:
    """The user may have other plans for the next hour."""
    too_long = answer(429, retry_after=str(int(MAX_RETRY_AFTER) + 1))
    assert backoff_delay(1, too_long, 0.5) is None


def test_patience_ends_with_the_last_attempt() -> None:
    """Also where the server asks for another."""
    assert backoff_delay(MAX_ATTEMPTS, answer(429, retry_after="1"), 0.5) is None


def run(results: list[StepResult], *, stream: bool = False) -> tuple[list[object], object]:
    """What `repeat` yields where these answers come, and what it returns."""
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
    """Each has a reference id of its own, so the request is made anew."""
    steps, result = run([SENT, answer(500), answer(200)])
    urls = [step.request.url[-1] for step in steps if isinstance(step, Send)]
    pauses = [step.seconds for step in steps if isinstance(step, Sleep)]
    assert urls == ["0", "1", "2"]
    assert pauses == [0.5, 1.0]
    assert result == answer(200)


def test_the_last_outcome_comes_back_when_patience_is_over() -> None:
    """The caller makes an error of it."""
    steps, result = run([answer(500)] * MAX_ATTEMPTS)
    assert sum(isinstance(step, Send) for step in steps) == MAX_ATTEMPTS
    assert result == answer(500)


def test_a_good_answer_is_not_repeated() -> None:
    """One request, no pause."""
    steps, result = run([answer(200)])
    assert len(steps) == 1
    assert result == answer(200)


def test_a_stream_is_opened_and_not_sent_for() -> None:
    """Each attempt, too."""
    steps, _ = run([SENT, answer(200)], stream=True)
    assert [type(step) for step in steps] == [OpenStream, Sleep, OpenStream]


def pauses_of(patience: PollDeadline, result: Response | None = None) -> list[float]:
    pauses: list[float] = []
    while not patience.expired:
        pauses += [step.seconds for step in patience.sleep(result) if isinstance(step, Sleep)]
    return pauses


def test_pauses_grow_and_sum_up_to_the_whole_patience() -> None:
    """The last one is as long as what is left."""
    pauses = pauses_of(PollDeadline(60.0))
    assert sum(pauses) == pytest.approx(60.0)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert pauses[0] == 0.4
    assert max(pauses) == MAX_POLL


def test_half_of_a_pause_is_drawn() -> None:
    """By the chance that is given."""
    assert next(iter(PollDeadline(60.0, lambda: 0.0).sleep())) == Sleep(0.2)


def test_an_outcome_may_ask_for_a_longer_pause_but_not_beyond_the_end() -> None:
    """Retry-After is kept to, and so is the user's own limit."""
    assert pauses_of(PollDeadline(20.0), answer(200, retry_after="15")) == [15.0, 5.0]


def test_requests_use_patience_up_too() -> None:
    """It is the time in all; the last request still gets a moment."""
    patience = PollDeadline(10.0)
    patience.consume(Response(200, {}, elapsed=4.0))
    assert patience.remaining == 6.0
    assert not patience.expired
    patience.consume(ConnectionLost("silence", elapsed=6.0))
    assert patience.expired
    assert patience.remaining == MIN_REQUEST_TIMEOUT
