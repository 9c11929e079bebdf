"""An event loop in a thread, and the replies that are read on it.

A kernel's own loop does not run while a cell runs, and a blocking read cannot be stopped from
another thread. A task on a separate loop keeps running, and ends within a millisecond when
cancelled.

Work on the loop gets a copy of the caller's context variables, by which ipykernel finds the cell
that an output belongs to: submit work only from the cell or message handler that it belongs to.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from aeron_magic.client.stream import AsyncStream
from aeron_magic.errors import AeronError
from aeron_magic.forks import restart_after_fork
from aeron_magic.replies.reply import Reply

T = TypeVar("T")

POLL_INTERVAL = 0.1
"""Seconds between two calls of what watches some work."""

TOKEN_GRACE = 0.7
"""Seconds after an interrupt in which what was sent may still get its token."""

CLOSE_TIMEOUT = 5.0
"""Seconds that cancelled work may take to end."""

REPLY_CLOSE_TIMEOUT = 0.5
"""Seconds that a cancelled reply is given to close its connection."""


class IOLoop:
    """An event loop in a daemon thread, which starts with the first work."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        restart_after_fork(self)

    def after_fork(self) -> None:
        """Begin again in a forked process, where the thread does not run."""
        self._left, self._loop, self._thread = self._loop, None, None
        self._lock = threading.Lock()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start ``work`` on the loop; its future can be cancelled from any thread."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._running())
        except BaseException:
            # An interrupt can come when it runs already.
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()
            raise

    def call_soon(self, act: Callable[[], object]) -> None:
        """Call ``act`` on the loop; calls are made in the order of submission."""
        self._running().call_soon_threadsafe(act)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=[self._loop], name="aeron-magic", daemon=True
                )
                self._thread.start()
            return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and wait for it; an interrupt of the caller cancels it."""
        future = self.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel all work and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        wait((asyncio.run_coroutine_threadsafe(_cancel_all(), loop),), CLOSE_TIMEOUT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_TIMEOUT)


def wait_for(work: Future[T], watch: Callable[[], object]) -> T:
    """The result of ``work``; until it has ended, ``watch`` is called repeatedly."""
    while not wait((work,), POLL_INTERVAL).done:
        watch()
    return work.result()


def await_tokens(awaited: Callable[[], bool]) -> None:
    """After an interrupt, wait a moment while ``awaited`` returns true: until what was sent has a
    token. A second interrupt ends it.
    """
    end = time.monotonic() + TOKEN_GRACE
    with suppress(KeyboardInterrupt):
        while awaited() and time.monotonic() < end:
            time.sleep(0.02)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class ReplyTask:
    """A reply that is read on the loop and can be watched from any thread.

    A subclass can override ``on_start``, ``on_chunk``, ``on_end`` and ``on_done``.

    * ``loop``: the loop to read on; reading starts at once.

    Attributes:
    * ``sent``: set when the request was sent; at the latest, when there is text or the reply has
      ended.
    * ``changed``: set when there is more to show; the reader clears it.
    * ``done``: set when the reply has ended and ``reply`` and ``error`` are final.
    * ``reply``: the reply; empty until it has ended.
    * ``error``: why the reply is incomplete; None if it is complete or was stopped.
    """

    def __init__(self, loop: IOLoop, stream: AsyncStream) -> None:
        self.accumulator = stream.accumulator
        self.sent = threading.Event()
        self.changed = threading.Event()
        self.done = threading.Event()
        self.reply = Reply("", status="processing")
        self.error: AeronError | None = None
        self._loop = loop
        self._stream = stream
        self._task: asyncio.Task[None] | None = None
        stream.flow_io.on_sent = self.sent.set
        loop.call_soon(self._start)

    def on_start(self) -> None:
        """Called on the loop before anything is read."""

    def on_chunk(self) -> None:
        """Called on the loop after each chunk of text."""

    def on_end(self) -> None:
        """Called on the loop when ``reply`` and ``error`` are known, before ``done`` is set."""

    def on_done(self) -> None:
        """Called on the loop after ``done`` was set: no other thread waits for this."""

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._read())
        self._task.add_done_callback(self._end)
        self.on_start()

    async def _read(self) -> None:
        try:
            async for _ in self._stream.pieces:
                if not self.changed.is_set():
                    self.sent.set()  # a recorded reply has no request
                    self.changed.set()
                self.on_chunk()
        except AeronError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - the cell must end, and show why
            self.error = self._internal_error(error)
            await self._stream.close()  # in all other cases the stream has closed itself

    def _end(self, _task: object = None) -> None:
        if self.done.is_set():
            return
        self.reply = self._stream.end()
        try:
            self.on_end()
        except Exception as error:  # noqa: BLE001 - the cell must end, and show why
            self.error = self.error or self._internal_error(error)
        finally:
            self.done.set()
            self.sent.set()
            self.changed.set()
        self.on_done()

    def _internal_error(self, error: Exception) -> AeronError:
        wrapped = AeronError(
            f"Internal error: {type(error).__name__}.",
            hint="Please report it, with the traceback.",
            partial=self.accumulator.text,
        )
        wrapped.__cause__ = error
        return wrapped

    def stop(self) -> None:
        """Stop reading and close the connection, without waiting; received text is kept."""
        self._loop.call_soon(self._stop)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        asyncio.get_running_loop().call_later(REPLY_CLOSE_TIMEOUT, self._end)

    def cancel(self) -> None:
        """Stop reading and wait until the reply has ended, at most ``REPLY_CLOSE_TIMEOUT``.

        If it has not, as when the loop waits for a locked history, ``reply`` has the text so far.
        """
        self.stop()
        if not self.done.wait(REPLY_CLOSE_TIMEOUT):
            self.reply = replace(self._stream.reply, status="interrupted")
