"""The token bucket, on a clock that only moves when somebody waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeron_magic.batch.rate_limiter import RateLimiter


class Clock:
    """Time passes by sleeping, and for all at once."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = until
            await asyncio.sleep(0)


def pace(rate: float | None) -> tuple[RateLimiter, Clock]:
    clock = Clock()
    return RateLimiter(rate, clock=clock, sleep=clock.sleep), clock


def leave(paced: RateLimiter, clock: Clock, count: int) -> list[float]:
    """When ``count`` requests leave that want to leave now, one after the other."""

    async def run() -> list[float]:
        times = []
        for _ in range(count):
            await paced.acquire()
            times.append(clock.now - 100.0)
        return times

    return asyncio.run(run())


def test_requests_are_spread_evenly() -> None:
    """At two a second they leave every half second, the first at once."""
    assert leave(*pace(2), 4) == [0.0, 0.5, 1.0, 1.5]


def test_without_a_rate_nobody_waits() -> None:
    """There is no limit but the one that the service sets."""
    assert leave(*pace(None), 3) == [0.0, 0.0, 0.0]


def test_a_quiet_time_is_not_saved_up() -> None:
    """After an hour without a request they are spread as ever."""
    paced, clock = pace(2)
    clock.now += 3600
    assert [time - 3600 for time in leave(paced, clock, 3)] == [0.0, 0.5, 1.0]


def test_a_fast_pace_catches_up_a_little() -> None:
    """What came a tenth of a second late does not slow a fast batch down."""
    paced, clock = pace(100)
    clock.now += 60
    at_once = [time for time in leave(paced, clock, 20) if time == 60.0]
    assert 9 <= len(at_once) <= 11


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_hold_holds_all(rate: float | None) -> None:
    """Nobody leaves before it is over, and a shorter hold does not shorten it."""
    paced, clock = pace(rate)
    paced.pause(3)
    paced.pause(1)
    assert leave(paced, clock, 2)[0] == pytest.approx(3)


def test_a_hold_reaches_those_who_wait_already() -> None:
    """Who was to leave in half a second waits for the end of the hold, too."""
    paced, clock = pace(2)

    async def run() -> float:
        await paced.acquire()
        waiting = asyncio.ensure_future(paced.acquire())
        await asyncio.sleep(0)
        paced.pause(5)
        await waiting
        return clock.now - 100

    assert asyncio.run(run()) >= 5


@given(
    rate=st.floats(0.1, 500),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=60),
    span=st.floats(0.2, 10),
)
def test_no_span_of_time_sees_more_than_the_rate(
    rate: float, gaps: list[float], span: float
) -> None:
    """Whenever requests want to leave: in any span at most its share, a little burst apart."""
    paced, clock = pace(rate)

    async def run() -> list[float]:
        times = []
        for gap in gaps:
            clock.now += gap
            await paced.acquire()
            times.append(clock.now)
        return times

    times = asyncio.run(run())
    most = rate * (span + 0.1) + 1 + 1e-6
    for begin in times:
        assert sum(begin <= time < begin + span for time in times) <= most + 1
