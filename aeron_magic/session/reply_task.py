"""A reply that is read on the background event loop."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from aeron_magic.client.io_loop import IOLoop
from aeron_magic.client.stream import AsyncStream
from aeron_magic.errors import AeronError
from aeron_magic.replies.reply import Reply

CLOSE_TIMEOUT = 0.5
"""Seconds that a cancelled reply is given to close its connection."""


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
            hint="Please report it, with what `%aeron last` shows.",
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
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._end)

    def cancel(self) -> None:
        """Stop reading and wait until the reply has ended, at most ``CLOSE_TIMEOUT``.

        If it has not, as when the loop waits for a locked history, ``reply`` has the text so far.
        """
        self.stop()
        if not self.done.wait(CLOSE_TIMEOUT):
            self.reply = replace(self._stream.reply, status="interrupted")
