"""How fast requests leave: a token bucket for all of them, and the wish of the service to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["RateLimiter"]

BURST = 0.1
"""Seconds for which requests that came too late may catch up; at least one may always leave."""


class RateLimiter:
    """A token bucket whose tokens are times at which a request may leave.

    Parameters
    ----------
    rate
        Requests per second over any longer while; None: no limit.
    clock, sleep
        Seconds that only grow, and a way to wait for some.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        # The bucket holds one token more than may be saved up.
        self._saved = max(0.0, BURST - self._interval)
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._held = self._next

    def pause(self, seconds: float) -> None:
        """No request leaves for so long: the service has asked for that."""
        self._held = max(self._held, self._clock() + seconds)

    def reserve(self) -> float:
        """Take the next token; the seconds until it may be used."""
        now = self._clock()
        at = max(self._next, self._held, now - self._saved)
        self._next = at + self._interval
        return max(0.0, at - now)

    async def acquire(self) -> None:
        """Wait until a request may leave."""
        while (wait := self.reserve()) > 0:
            await self._sleep(wait)
            if self._clock() >= self._held:
                return
