"""Streams of a reply: the two drivers of a flow, one plain and one ``async``.

What they share is in :class:`FlowRun`; :class:`Watch` reports it. The logger ``aeron_magic`` gets
each request (DEBUG), and each wait, recovery and end (INFO), without content, tokens or secrets;
these are also the events of the question's span (:mod:`aeron_magic.client.telemetry`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

from aeron_magic.client.httpx_transport import AsyncFlowIO, FlowIO
from aeron_magic.client.logs import LOGGER
from aeron_magic.errors import (
    AccessRestricted,
    AeronError,
    FailedReply,
    Interrupted,
    RateLimited,
    ReplyError,
)
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.events import Recovering
from aeron_magic.protocol.flow import (
    READ,
    Close,
    ConnectionLost,
    Flow,
    OpenStream,
    ReadChunk,
    Response,
    Send,
    Sleep,
    Step,
    StepResult,
)
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply, Status
from aeron_magic.services.settings import Settings

SURELY_FAILED = (FailedReply, AccessRestricted)
"""The reply did not come, although a token may be known."""

T = TypeVar("T")
E = TypeVar("E", FlowIO, AsyncFlowIO)


PROVIDER = "OTEL_PYTHON_TRACER_PROVIDER"
"""The variable that names a provider of spans."""

_numbers = itertools.count(1)


class Watch:
    """Observes one run of a flow, or all runs of a question of a batch.

    * ``question``: whether it is a question, which gets a span; else a fetch or a list.
    * ``repeated``: whether a question that is refused with 429 is asked again: its span stays open.
    """

    def __init__(
        self, settings: Settings, *, question: bool = False, repeated: bool = False
    ) -> None:
        self._settings = settings
        self._is_question = question
        self._repeated = repeated
        self._name = f"{settings.service} {next(_numbers)}"
        self._requests = 0
        self._span: Any = None
        self._sent: Send | OpenStream | None = None
        self.refused: tuple[str, ReplyAccumulator, AeronError | None] | None = None
        """How the last run ended, if the question may be asked again; :meth:`close` ends it."""
        self.is_waiting = True
        """Whether :meth:`received` is to be called with the next result: not for each chunk."""

    def received(self, result: StepResult) -> None:
        """The flow begins, or gets the result of a request."""
        sent, self._sent, self.is_waiting = self._sent, None, False
        if sent is None:
            self._begin()
        if sent is None or not isinstance(result, Response | ConnectionLost):
            return
        url = urlsplit(sent.request.url)
        method, endpoint = sent.request.method, url.path.rpartition("/")[2]
        if isinstance(result, Response):
            outcome = f"HTTP {result.status}"
            facts: dict[str, Any] = {"http.response.status_code": result.status}
        else:
            outcome = result.reason if result.sent else f"no connection: {result.reason}"
            facts = {"aeron_magic.connection": "lost" if result.sent else "none"}
        self._event("request", {"aeron_magic.endpoint": endpoint, **facts})
        LOGGER.debug(
            "%s: request %d, %s %s at %s: %s after %.3f s",
            *(self._name, self._requests, method, endpoint, url.hostname, outcome, result.elapsed),
        )

    def next(self, step: Send | OpenStream | ReadChunk | Close | Sleep) -> None:
        """The flow's next step, other than events and reads."""
        if isinstance(step, Send | OpenStream):
            self._sent, self.is_waiting = step, True
            self._requests += 1
        elif isinstance(step, Sleep) and self._requests:  # else a replay makes a recorded pause
            self._event("wait", {"aeron_magic.seconds": step.seconds})
            LOGGER.info("%s: waits %.2f s", self._name, step.seconds)

    def recovering(self) -> None:
        """The reply's stream was lost; without a request, it was when it was recorded."""
        if not self._requests:
            return
        self._event("recovery", {})
        LOGGER.info("%s: the stream was lost; recovers the reply", self._name)

    def _begin(self) -> None:
        """Start the span, where a program can have set a provider of spans."""
        if self._is_question and ("opentelemetry.trace" in sys.modules or PROVIDER in os.environ):
            from aeron_magic.client.telemetry import start_span

            self._span = start_span(self._settings)

    def end(self, status: str, accumulator: ReplyAccumulator, error: AeronError | None) -> None:
        """The run has ended with ``status``."""
        refused = self._repeated and isinstance(error, RateLimited)
        self.refused = (status, accumulator, error) if refused else None
        if refused or not self._is_question:
            return
        kind = type(error).__name__ if error is not None else ""
        if LOGGER.isEnabledFor(logging.INFO):
            LOGGER.info(
                "%s: %s after %s%s",
                *(self._name, status, plural(self._requests, "request")),
                f" ({kind})" if kind else "",
            )
        span, self._span = self._span, None
        if span is None:
            return
        from aeron_magic.client.telemetry import end_span

        end_span(span, status, self._requests, accumulator.reply(), kind)

    def close(self) -> None:
        """End a question that was refused, and is not asked again."""
        self._repeated = False
        if self.refused is not None:
            self.end(*self.refused)

    def _event(self, name: str, facts: dict[str, Any]) -> None:
        if self._span is not None:
            self._span.add_event(f"aeron_magic.{name}", facts)


class FlowRun(Generic[T]):
    """A running flow, and the accumulator of its events; ``watch`` reports it."""

    def __init__(
        self,
        flow: Flow[T],
        settings: Settings,
        request_token: str | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.accumulator = ReplyAccumulator(settings.service, request_token, settings.secrets)
        self.value: T | None = None
        self.ended: Status | None = None
        self.on_token: Callable[[str], None] | None = None
        """Called once with the reply's token, as soon as it is known."""
        self.on_end: Callable[[FlowRun[T]], None] | None = None
        """Called once, when the run has ended."""
        self._flow: Generator[Step, StepResult, T] = flow
        self._settings = settings
        self._watch = watch or Watch(settings)
        self._began = time.monotonic()
        self._first: float | None = None
        self._seconds: float | None = None

    def send(self, result: StepResult) -> Step | None:
        """Send the flow the result of its last step; its next step, or None at its end."""
        if (watch := self._watch).is_waiting:
            watch.received(result)
        try:
            step = self._flow.send(result)
        except StopIteration as stop:
            self.value = stop.value
            self.end(self.accumulator.status)
            return None
        if step is not READ and not isinstance(step, list):
            watch.next(step)
        return step

    def apply(self, step: list[Any]) -> str:
        """Apply events; the text that can be shown now."""
        if step and type(step[0]) is Recovering:
            self._watch.recovering()
        piece = self.accumulator.add(step)
        if self.on_token is not None and (token := self.accumulator.context_token) is not None:
            call, self.on_token = self.on_token, None
            call(token)
        if piece and self._first is None:
            self._first = time.monotonic() - self._began
        return piece

    def end(self, status: Status, error: AeronError | None = None) -> None:
        """End the run with ``status``; only the first call counts."""
        if self.ended is None:
            self.ended = status
            self._seconds = time.monotonic() - self._began
            self._flow.close()
            self._watch.end(status, self.accumulator, error)
            if self.on_end is not None:
                self.on_end(self)

    def interrupt(self) -> Interrupted:
        """End the run because the user interrupted it; the exception to raise."""
        self.end("interrupted")
        error = Interrupted(
            "The question was interrupted; the text received so far is kept.",
            hint="Ask again if you want the whole reply.",
        )
        self.fail(error)
        return error

    def fail(self, error: AeronError) -> None:
        """End the run because of ``error``, and add what is known of the reply to it."""
        # Once a token is known, the service has accepted the question, and the reply may be fetched
        # later: whatever else prevents that now.
        surely_failed = isinstance(error, SURELY_FAILED)
        error.was_accepted |= self.accumulator.context_token is not None and not surely_failed
        partly = (error.was_accepted or isinstance(error, ReplyError)) and not surely_failed
        self.end("incomplete" if partly else "failed", error)
        error.partial = error.partial or self.accumulator.text
        error.context_token = error.context_token or self.accumulator.context_token
        error.redact(self._settings.secrets)

    def reply(self) -> Reply:
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._began
        return self.accumulator.reply(
            status=self.ended, seconds=seconds, first_chunk_seconds=self._first
        )


class _Stream(Generic[E]):
    """What both streams offer; ``run`` and ``flow_io`` report the reply's token and requests."""

    def __init__(self, run: FlowRun[Any], flow_io: E) -> None:
        self.run = run
        self.flow_io: E = flow_io
        self.accumulator: ReplyAccumulator = run.accumulator
        """The state behind the reply: notices, the introduction, what is not understood."""

    @property
    def reply(self) -> Reply:
        """The reply so far; its ``status`` tells whether it is complete."""
        return self.run.reply()


class Stream(_Stream[FlowIO]):
    """A reply that is being received: iterate to get its pieces, in order, ready to print.

    Created by :meth:`aeron_magic.Client.stream`. Use it as a context manager: leaving it early
    closes the connection, and the reply is ``interrupted``. The iteration raises what
    :meth:`aeron_magic.Client.ask` raises.
    """

    def __init__(self, run: FlowRun[Any], flow_io: FlowIO) -> None:
        super().__init__(run, flow_io)
        self._pieces = self._drive()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def _drive(self) -> Generator[str]:
        run, flow_io = self.run, self.flow_io
        result: StepResult = None
        try:
            while (step := run.send(result)) is not None:
                if step is READ:
                    result = flow_io.read()
                elif isinstance(step, list):
                    result = None
                    if piece := run.apply(step):
                        yield piece
                else:
                    result = flow_io.perform(step)
        except AeronError as error:
            run.fail(error)
            raise
        except KeyboardInterrupt:
            raise run.interrupt() from None
        except GeneratorExit:
            run.end("interrupted")
            raise
        finally:
            flow_io.close()
            run.end("incomplete")

    def finish(self) -> Reply:
        """Read to the end, and return the reply. Raises as :meth:`aeron_magic.Client.ask`."""
        for _ in self._pieces:
            pass
        return self.reply

    def close(self) -> None:
        """Stop reading and close the connection."""
        self._pieces.close()
        self.flow_io.close()
        self.run.end("interrupted")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncStream(_Stream[AsyncFlowIO]):
    """The same as :class:`Stream`, with ``async with`` and ``async for``."""

    def __init__(self, run: FlowRun[Any], flow_io: AsyncFlowIO) -> None:
        super().__init__(run, flow_io)
        self.pieces = self._drive()
        """What an iteration yields."""

    def __aiter__(self) -> AsyncIterator[str]:
        return self.pieces

    async def _drive(self) -> AsyncGenerator[str]:
        run, flow_io = self.run, self.flow_io
        result: StepResult = None
        try:
            while (step := run.send(result)) is not None:
                if step is READ:
                    result = await flow_io.read()
                elif isinstance(step, list):
                    result = None
                    if piece := run.apply(step):
                        yield piece
                else:
                    result = await flow_io.perform(step)
        except AeronError as error:
            run.fail(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            run.end("interrupted")
            raise
        finally:
            await flow_io.close()
            run.end("incomplete")

    def end(self) -> Reply:
        """End the reply, as ``interrupted`` if it has not ended; return it.

        The connection stays open; see :meth:`close`.
        """
        self.run.end("interrupted")
        return self.run.reply()

    async def finish(self) -> Reply:
        """See :meth:`Stream.finish`."""
        async for _ in self.pieces:
            pass
        return self.reply

    async def close(self) -> None:
        """Stop reading and close the connection."""
        await self.pieces.aclose()
        await self.flow_io.close()
        self.run.end("interrupted")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
