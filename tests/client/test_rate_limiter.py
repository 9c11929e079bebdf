"""The token bucket, on a clock that advances only while a coroutine sleeps."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.client.rate_limiter import RateLimiter


class Clock:
    """A clock that sleeping advances, for all coroutines at once."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = until
            await asyncio.sleep(0)


def limiter_at(rate: float | None) -> tuple[RateLimiter, Clock]:
    clock = Clock()
    return RateLimiter(rate, clock=clock, sleep=clock.sleep), clock


def send(limiter: RateLimiter, clock: Clock, count: int) -> list[float]:
    """When each of ``count`` requests is sent, if all are ready now."""

    async def run() -> list[float]:
        times = []
        for _ in range(count):
            await limiter.acquire()
            times.append(clock.now - 100.0)
        return times

    return asyncio.run(run())


def test_requests_are_spread_evenly() -> None:
    """At two per second, one every half second, the first at once."""
    assert send(*limiter_at(2), 4) == [0.0, 0.5, 1.0, 1.5]


def test_without_a_rate_no_request_waits() -> None:
    assert send(*limiter_at(None), 3) == [0.0, 0.0, 0.0]


def test_an_idle_time_allows_no_burst() -> None:
    """After an hour without a request they are spread as before."""
    limiter, clock = limiter_at(2)
    clock.now += 3600
    assert [time - 3600 for time in send(limiter, clock, 3)] == [0.0, 0.5, 1.0]


def test_a_high_rate_allows_a_small_burst() -> None:
    """Requests that are a tenth of a second late do not slow a fast batch down."""
    limiter, clock = limiter_at(100)
    clock.now += 60
    at_once = [time for time in send(limiter, clock, 20) if time == 60.0]
    assert 9 <= len(at_once) <= 11


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_pause_delays_all_requests(rate: float | None) -> None:
    """No request is sent during it, and a shorter pause does not shorten it."""
    limiter, clock = limiter_at(rate)
    limiter.pause(3)
    limiter.pause(1)
    assert send(limiter, clock, 2)[0] == pytest.approx(3)


def test_a_pause_delays_requests_that_wait_already() -> None:
    """A request that is due in half a second waits for the end of the pause."""
    limiter, clock = limiter_at(2)

    async def run() -> float:
        await limiter.acquire()
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        limiter.pause(5)
        await waiting
        return clock.now - 100

    assert asyncio.run(run()) >= 5


def test_a_request_that_was_counted_elsewhere_waits_for_the_pause_only() -> None:
    """As the first of each row on a worker; the rate is that of the others."""
    limiter, clock = limiter_at(2)

    async def run() -> list[float]:
        limiter.pause(3)
        times = []
        for wait in (limiter.resumed, limiter.resumed, limiter.acquire, limiter.acquire):
            await wait()
            times.append(clock.now - 100.0)
        return times

    assert asyncio.run(run()) == [3.0, 3.0, 3.0, 3.5]


@given(
    rate=st.floats(0.1, 500),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=60),
    span=st.floats(0.2, 10),
)
def test_no_time_span_has_more_requests_than_the_rate_allows(
    rate: float, gaps: list[float], span: float
) -> None:
    """Whenever requests are ready: at most the span's share, plus a small burst."""
    limiter, clock = limiter_at(rate)

    async def run() -> list[float]:
        times = []
        for gap in gaps:
            clock.now += gap
            await limiter.acquire()
            times.append(clock.now)
        return times

    times = asyncio.run(run())
    most = rate * (span + 0.1) + 1 + 1e-6
    for begin in times:
        assert sum(begin <= time < begin + span for time in times) <= most + 1


def test_a_request_that_did_not_wait_is_counted() -> None:
    """Those that wait already are delayed, too."""

    async def run(limiter: RateLimiter, clock: Clock) -> list[float]:
        times = []

        async def one() -> None:
            await limiter.acquire()
            times.append(clock.now - 100.0)

        waiting = [asyncio.ensure_future(one()) for _ in range(3)]
        await asyncio.sleep(0)
        limiter.charge()
        await asyncio.gather(*waiting)
        return times

    assert asyncio.run(run(*limiter_at(2))) == [0.0, 1.0, 1.5]
