"""When requests may be sent: a token bucket, and the pauses that the service asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from aeron_magic.client.aiohttp_transport import AiohttpFlowIO, AiohttpTransport
from aeron_magic.client.logs import LOGGER
from aeron_magic.protocol.flow import (
    Close,
    OpenStream,
    ReadChunk,
    Response,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.protocol.retry import MAX_RETRY_AFTER, requested_delay

BURST = 0.1
"""Seconds by which late requests may catch up with the rate; one request may always be sent."""


class RateLimiter:
    """A token bucket; each token is the time at which one request may be sent.

    * ``rate``: requests per second, averaged over more than ``BURST``; None: no limit.
    * ``clock``, ``sleep``: monotonic seconds, and a coroutine that waits for some.
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
        self._paused_until = self._next
        self._turn = asyncio.Lock()

    def pause(self, seconds: float) -> bool:
        """Send no request for this time; whether that is longer than before, by more than 0.1 s."""
        before, until = self._paused_until, self._clock() + seconds
        self._paused_until = max(before, until)
        return until > before + 0.1

    async def resumed(self) -> None:
        """Wait for the end of the pause, without taking a token."""
        while (wait := self._paused_until - self._clock()) > 0:
            await self._sleep(wait)

    async def acquire(self) -> None:
        """Wait until a request may be sent; the first to wait is the first to go."""
        async with self._turn:
            while (wait := max(self._next, self._paused_until) - self._clock()) > 0:
                await self._sleep(wait)
            self.charge()

    def charge(self) -> None:
        """Take a token, also one that is not there yet."""
        self._next = max(self._next, self._clock() - self._saved) + self._interval


class Limiter(Protocol):
    """When requests may leave; see :class:`RateLimiter`."""

    async def acquire(self) -> None: ...

    def pause(self, seconds: float) -> object: ...


class RateLimitedFlowIO(AiohttpFlowIO):
    """Waits for the rate limit before each request, and passes on the pauses of the service."""

    def __init__(
        self,
        transport: AiohttpTransport,
        limiter: Limiter,
        sending: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(transport)
        self._limiter = limiter
        self._sending = sending

    async def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        if not isinstance(step, Send | OpenStream):
            return await super().perform(step)
        await self._limiter.acquire()
        self._sending()
        result = await super().perform(step)
        if isinstance(result, Response) and result.status in (429, 503):
            wanted = requested_delay(result)
            if wanted is not None and wanted <= MAX_RETRY_AFTER:
                LOGGER.info("The service asks a batch to wait %.2f s.", wanted)
                self._limiter.pause(wanted)
        return result
