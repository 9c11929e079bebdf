"""A worker of a batch: sends one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aeron_magic.batch.task_queue import RowResult, Task, TaskQueue
from aeron_magic.client.aiohttp_transport import AiohttpFlowIO, AiohttpTransport
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
from aeron_magic.recording.record import key_of_token
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.base import Service, load
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings


class RateLimitedFlowIO(AiohttpFlowIO):
    """Waits for the rate limit before each request, and reports the pauses of the service.

    ``on_request`` is called before each request leaves; if it raises, nothing is sent.
    """

    on_request: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, transport: AiohttpTransport, queue: TaskQueue) -> None:
        super().__init__(transport, transport.timeout)
        self._queue = queue

    async def perform(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> StepResult:
        if not isinstance(step, Send | OpenStream):
            return await super().perform(step)
        await self._queue.acquire()
        self.on_request()
        result = await super().perform(step)
        if isinstance(result, Response) and result.status in (429, 503):
            wanted = requested_delay(result)
            if wanted is not None and wanted <= MAX_RETRY_AFTER:
                self._queue.pause(wanted)
        return result


class Worker:
    """Performs one task at a time.

    ``question`` is what all questions share; its text is replaced.
    """

    def __init__(
        self,
        queue: TaskQueue,
        transport: AiohttpTransport,
        settings: Settings,
        question: Question,
        recorder: Recorder | None = None,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._question = question
        self._recorder = recorder
        self._service: Service = load(settings)
        self._transport = transport

    async def run(self) -> None:
        """Perform tasks until there are no more."""
        while (task := await self._queue.take()) is not None:
            await self._perform(task)

    async def _perform(self, task: Task) -> None:
        question = self._question._replace(text=task.text)
        run = FlowRun(self._flow(task, question), self._settings, question.context_token)
        if service_info(self._settings.service).can_fetch:
            run.on_token = lambda token: self._on_token(task, token)
        flow_io = RateLimitedFlowIO(self._transport, self._queue)
        if task.token is None:
            flow_io.on_request = partial(self._queue.report_sending, task)
        stream = AsyncStream(run, flow_io)
        error: AeronError | None = None
        try:
            async with stream:
                await stream.finish()
        except AeronError as failure:
            error = failure
        except asyncio.CancelledError:
            self._finish(task, stream, interrupted(stream.reply))
            raise
        except Exception as failure:  # noqa: BLE001 - a failed row must not stop the others
            error = AeronError(
                f"Internal error: {type(failure).__name__}: {failure}", hint="Please report it."
            )
        self._finish(task, stream, error)

    def _flow(self, task: Task, question: Question) -> Flow[None]:
        service, settings = self._service, self._settings
        begun = None if task.token is None else service.fetch(task.token)
        if self._recorder is None:
            return begun or service.ask(question)
        return self._recorder.ask(
            question, settings.recording_id, service.ask, settings.secrets, begun=begun
        )

    def _on_token(self, task: Task, token: str) -> None:
        if key_of_token(token) is None:  # the token of a recorded reply cannot be fetched by
            self._queue.report_token(task, token)

    def _finish(self, task: Task, stream: AsyncStream, error: AeronError | None) -> None:
        if error is not None:
            # The frames of its traceback would keep all received data alive.
            error.__traceback__ = error.__context__ = error.__cause__ = None
        self._queue.report_result(task, RowResult(stream.reply, error))


def maybe_charged(service: str) -> RowResult:
    """The result of a row whose request may have left, and whose reply cannot be fetched."""
    error = IncompleteReply(
        "This question was sent before, and no reply can be fetched: it may have been charged, and "
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


async def run_workers(
    settings: Settings, make: Callable[[AiohttpTransport], Worker], count: int
) -> None:
    """Run ``count`` workers until all have ended; a cancellation ends them all."""
    async with open_transport(settings) as transport, asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(make(transport).run())


@asynccontextmanager
async def open_transport(settings: Settings) -> AsyncIterator[AiohttpTransport]:
    """A transport to the service, which is closed at the end."""
    addresses = filter(None, (settings.base_url, settings.stream_url))
    transport = AiohttpTransport(
        tuple(addresses), settings.timeout, settings.limits, settings.insecure
    )
    try:
        yield transport
    finally:
        await transport.close()
