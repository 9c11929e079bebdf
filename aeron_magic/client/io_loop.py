"""An event loop in a thread.

A kernel's own loop does not run while a cell runs, and a blocking read cannot be stopped from
another thread. A task on a separate loop keeps running, and ends within a millisecond when
cancelled.

Work on the loop gets a copy of the caller's context variables, by which ipykernel finds the cell
that an output belongs to: submit work only from the cell or message handler that it belongs to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from aeron_magic.forks import restart_after_fork

T = TypeVar("T")

POLL_INTERVAL = 0.1
"""Seconds between two calls of what watches some work."""

CLOSE_TIMEOUT = 5.0
"""Seconds that cancelled work may take to end."""


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
