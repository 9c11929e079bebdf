"""Streams of a reply: the two drivers of a flow, one plain and one ``async``.

What they share is in :class:`FlowRun`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

from aeron_magic.client.httpx_transport import AsyncFlowIO, FlowIO
from aeron_magic.client.observe import Watch
from aeron_magic.errors import AccessRestricted, AeronError, FailedReply, Interrupted, ReplyError
from aeron_magic.protocol.events import Recovering
from aeron_magic.protocol.flow import READ, Flow, Step, StepResult
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply, Status
from aeron_magic.services.settings import Settings

SURELY_FAILED = (FailedReply, AccessRestricted)
"""There is no reply, although a token may be known."""

T = TypeVar("T")
E = TypeVar("E", FlowIO, AsyncFlowIO)


class FlowRun(Generic[T]):
    """A running flow, and the accumulator of its events; ``watch`` reports it to logs and spans."""

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
        partly = error.was_accepted or (isinstance(error, ReplyError) and not surely_failed)
        self.end("incomplete" if partly else "failed", error)
        error.partial = error.partial or self.accumulator.text
        error.context_token = error.context_token or self.accumulator.context_token
        error.redact(self._settings.secrets)

    def reply(self) -> Reply:
        """The reply as it is now."""
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._began
        return self.accumulator.reply(
            status=self.ended, seconds=seconds, first_chunk_seconds=self._first
        )


class _Stream(Generic[E]):
    """What both streams offer."""

    def __init__(self, run: FlowRun[Any], flow_io: E) -> None:
        self._run = run
        self._flow_io: E = flow_io
        self.accumulator: ReplyAccumulator = run.accumulator
        """The state behind the reply: notices, the introduction, what is not understood."""

    @property
    def reply(self) -> Reply:
        """The reply so far; its ``status`` tells whether it is complete."""
        return self._run.reply()


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
        run, flow_io = self._run, self._flow_io
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
        self._flow_io.close()
        self._run.end("interrupted")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncStream(_Stream[AsyncFlowIO]):
    """The same as :class:`Stream`, with ``async with`` and ``async for``.

    Attributes
    ----------
    pieces
        What an iteration yields.
    on_token
        Called once, on the loop, with the reply's token as soon as it is known.
    on_sent
        Called on the loop whenever a request has left this machine.
    """

    def __init__(self, run: FlowRun[Any], flow_io: AsyncFlowIO) -> None:
        super().__init__(run, flow_io)
        self.on_token: Callable[[str], None] | None = None
        self.on_sent: Callable[[], None] | None = None
        self.pieces = self._drive()

    def __aiter__(self) -> AsyncIterator[str]:
        return self.pieces

    async def _drive(self) -> AsyncGenerator[str]:
        run, flow_io = self._run, self._flow_io
        if self.on_token is not None:
            run.on_token = self.on_token
        if self.on_sent is not None:
            flow_io.on_sent = self.on_sent
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
        self._run.end("interrupted")
        return self._run.reply()

    async def finish(self) -> Reply:
        """See :meth:`Stream.finish`."""
        async for _ in self.pieces:
            pass
        return self.reply

    async def close(self) -> None:
        """Stop reading and close the connection."""
        await self.pieces.aclose()
        await self._flow_io.close()
        self._run.end("interrupted")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
