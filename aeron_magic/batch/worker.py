"""Asks one row: with its rate limit, its recording, and its marks of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aeron_magic.client.aiohttp_transport import AiohttpFlowIO, AiohttpTransport
from aeron_magic.client.observe import LOGGER, Watch
from aeron_magic.client.stream import AsyncStream, FlowRun
from aeron_magic.errors import AeronError, IncompleteReply, Interrupted
from aeron_magic.protocol.flow import (
    Close,
    Flow,
    OpenStream,
    Question,
    ReadChunk,
    Response,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.protocol.retry import MAX_RETRY_AFTER, requested_delay
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one question."""

    reply: Reply | None = None
    error: AeronError | None = None

    @property
    def is_complete(self) -> bool:
        return self.error is None and self.reply is not None and self.reply.is_complete


class Marks(NamedTuple):
    """What is called while a row is asked."""

    sending: Callable[[], None]
    """Before a request leaves; nothing is sent if it raises an AeronError."""
    began: Callable[[str], None]
    """With the reply's token, as soon as it is known."""
    ended: Callable[[], None]
    """When no request of the row runs any more; at the latest, when the result is known."""


Asker = Callable[[Question, str | None, Marks], Awaitable[RowResult]]
"""Asks a question, or fetches its reply if it has a token; never raises an error."""


class Limiter(Protocol):
    """When requests may leave; see :class:`~aeron_magic.batch.rate_limiter.RateLimiter`."""

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
        super().__init__(transport, transport.timeout)
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


async def ask_row(
    flow: Flow[None],
    settings: Settings,
    parent: str | None,
    flow_io: AiohttpFlowIO,
    began: Callable[[str], None],
    watch: Watch | None = None,
) -> RowResult:
    """Perform ``flow``; a cancellation ends it with what was received."""
    run = FlowRun(flow, settings, parent, watch or Watch(settings, question=True))
    if service_info(settings.service).can_fetch:
        run.on_token = began
    stream = AsyncStream(run, flow_io)
    error: AeronError | None = None
    try:
        async with stream:
            await stream.finish()
    except AeronError as failure:
        error = failure
    except asyncio.CancelledError:
        error = interrupted(stream.reply)
    except Exception as failure:  # noqa: BLE001 - a failed row must not stop the others
        error = AeronError(
            f"Internal error: {type(failure).__name__}: {failure}", hint="Please report it."
        )
    return RowResult(stream.reply, error and without_frames(error))


def without_frames(error: AeronError) -> AeronError:
    """``error`` without the frames of its traceback, which keep all received data alive."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def maybe_charged(service: str) -> RowResult:
    """The result of a row whose request may have left, and whose reply cannot be fetched."""
    error = IncompleteReply(
        "This question was sent, and no reply can be fetched: it may have been charged, and "
        "is not asked again by itself.",
        hint="`ask_many(…, ask_again=True)`, or -n in a cell, asks it again; that may be charged a "
        "second time.",
    )
    return RowResult(Reply("", "incomplete", service=service), error)


def interrupted(reply: Reply) -> Interrupted:
    """The error of a row that was running when the user stopped the batch."""
    return Interrupted(
        "The batch was interrupted while this row was running.",
        hint="The finished rows are kept; run it again to ask the others.",
        context_token=reply.context_token,
        partial=reply.text,
    )


def make_transport(settings: Settings) -> AiohttpTransport:
    """A transport to the service."""
    addresses = filter(None, (settings.base_url, settings.stream_url))
    return AiohttpTransport(tuple(addresses), settings.timeout, settings.limits, settings.insecure)


@asynccontextmanager
async def open_transport(settings: Settings) -> AsyncIterator[AiohttpTransport]:
    """A transport to the service, which is closed at the end."""
    transport = make_transport(settings)
    try:
        yield transport
    finally:
        await transport.close()
