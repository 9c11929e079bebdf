"""A question under way: read on the background loop, watched from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from aeron_magic.client.client import AsyncStream
from aeron_magic.errors import AeronError
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.session.io_loop import IOLoop

__all__ = ["ReplyTask"]

CLOSE_TIMEOUT = 0.5
"""Seconds that a cancelled question is given to close its connection."""


class ReplyTask:
    """A reply that is coming in.

    Parameters
    ----------
    loop
        The loop that reads.
    stream
        What it reads.

    Attributes
    ----------
    changed
        Set when there is something new to show; whoever shows it clears it.
    sent
        Set when the service has been asked; at the latest, when there is something to show.
    done
        Set when the reply has ended, well or not, and its connection is closed.
    error
        Why it is not whole, once it has ended.
    """

    def __init__(self, loop: IOLoop, stream: AsyncStream) -> None:
        self.changed = threading.Event()
        self.sent = threading.Event()
        self.done = threading.Event()
        self.error: AeronError | None = None
        self._stream = stream
        stream.notify_sent(self.sent.set)
        self._loop = loop
        self._listeners: list[Callable[[], None]] = []
        self._begun = False
        self._future: Future[None] = loop.submit(self._read())
        self._future.add_done_callback(self._cancelled_before_start)

    @property
    def accumulator(self) -> ReplyAccumulator:
        """The state of the reply; read it from any thread."""
        return self._stream.accumulator

    @property
    def reply(self) -> Reply:
        """The reply as it stands."""
        return self._stream.reply

    async def _read(self) -> None:
        self._begun = True
        changed = self.changed
        try:
            async with self._stream as stream:
                async for _ in stream:
                    if not changed.is_set():
                        self.sent.set()  # a recorded reply is never asked for
                        changed.set()
                    for tell in self._listeners:
                        tell()
        except AeronError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - the cell must end, and say why
            self.error = AeronError(
                f"This should not have happened: {type(error).__name__}.",
                hint="Please report it, with what `%aeron error` shows.",
                partial=self.accumulator.text,
            )
            self.error.__cause__ = error
        finally:
            self._finish()
            self._notify()

    def _cancelled_before_start(self, future: Future[None]) -> None:
        if not self._begun:
            self._stream.abandon()
            self._finish()
            self._loop.call_soon(self._notify)

    def _finish(self) -> None:
        self.done.set()
        self.sent.set()
        self.changed.set()

    def _notify(self) -> None:
        for tell in self._listeners:
            tell()

    def add_listener(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called now, after each piece, and at the end; only on the background loop.

        It is called for every chunk: whoever shows something has to pace itself.
        """
        self._listeners.append(tell)
        tell()

    def stop(self) -> None:
        """Stop reading and close the connection, soon; what came is kept."""
        self._future.cancel()

    def cancel(self) -> None:
        """Stop reading and close the connection, now; what came is kept."""
        self.stop()
        self.done.wait(CLOSE_TIMEOUT)

    def wait(self) -> Reply:
        """Wait for the end; the reply, or the error."""
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.reply
