"""One question of a batch: its arguments, its marks, and how it is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from aeron_magic.client.aiohttp_transport import AiohttpFlowIO
from aeron_magic.client.stream import AsyncStream, FlowRun, Watch
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.errors import AeronError, FailedReply, IncompleteReply, Interrupted
from aeron_magic.protocol.flow import Flow, Question
from aeron_magic.recording.record import key_of_token
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings


class BatchConfig(NamedTuple):
    """The arguments of a batch; see :func:`~aeron_magic.batch.api.ask_many`.

    ``question`` is what all questions share; its text is replaced.
    """

    settings: Settings
    question: Question = Question("")
    concurrency: int = 8
    rate: float | None = None
    recorder: Recorder | None = None
    kept: KeptRows | None = None
    ask_again: bool = False
    at_most: int | None = None
    dask: Any = None


class RowResult(NamedTuple):
    """The result of one question."""

    reply: Reply | None = None
    error: AeronError | None = None

    @property
    def is_complete(self) -> bool:
        return self.error is None and self.reply is not None and self.reply.is_complete


class BatchQuestion:
    """A question of a batch, and what is known of its reply.

    Attributes:
    * ``rows``: the number of rows with this question.
    * ``key``: the key among the kept rows.
    * ``token``: the token by which the reply can be fetched, if the service has begun it.
    * ``result``: the result; None until there is one.
    * ``is_ours``: whether it was among the kept rows when this run began, or was marked as sent by
      this run: no other kernel asks it then.
    * ``is_sent``: whether a request was sent in this run.
    * ``awaits_token``: whether it was sent, and its token is not known yet.
    * ``asked_elsewhere``: whether it was not sent because another kernel has asked it since this
      run began.
    * ``place``: released when no request of it runs any more; at the latest, when the result is
      known.
    """

    def __init__(self, config: BatchConfig, stopped: threading.Event, text: str, rows: int) -> None:
        self.question = config.question._replace(text=text)
        self.rows = rows
        self.token: str | None = None
        self.result: RowResult | None = None
        self.is_ours = self.is_sent = self.awaits_token = self.asked_elsewhere = False
        self.place: asyncio.Semaphore | None = None
        self.watch: Watch | None = None
        self._kept = config.kept
        self._address = config.settings.conversation_scope
        self._stopped = stopped
        self.key = config.kept.key(self.question, config.settings) if config.kept else ""

    def sending(self) -> None:
        """A request is about to leave; it does not if this raises an exception."""
        if self._stopped.is_set():
            raise asyncio.CancelledError  # it was waiting for the rate limit
        if self.token is not None:
            return
        kept = self._kept
        if kept is not None and not kept.mark_sent(self.key, self._address, again=self.is_ours):
            self.asked_elsewhere = True
            raise AeronError(
                "Another kernel is asking this question now.",
                hint="Run it again when that has ended: the reply is kept.",
            )
        self.is_sent = self.is_ours = self.awaits_token = True
        self.asked_elsewhere = False

    def refused(self) -> None:
        """The service has refused its request, as with 429: it can be asked again."""
        if self.awaits_token:
            self.awaits_token = self.is_ours = False
            if self._kept is not None:
                self._kept.release(self.key)

    def began(self, token: str) -> None:
        """The token of the reply is known; that of a recorded reply is not one to fetch by."""
        if key_of_token(token) is None:
            self.token, self.awaits_token = token, False
            if self._kept is not None:
                self._kept.mark_token(self.key, token)

    def ended(self) -> None:
        """No request of it runs any more."""
        place, self.place = self.place, None
        if place is not None:
            place.release()

    def maybe_charged(self, reply: Reply) -> RowResult:
        """The result of this row if its reply cannot be fetched; ``reply`` is what was received."""
        return maybe_charged(reply, is_kept=self._kept is not None)

    def keep(self, result: RowResult) -> None:
        """Keep the result, for this run and the next ones.

        Of an interrupted row that cannot be fetched, it is what the next run would find.
        """
        reply, error = result
        if isinstance(error, Interrupted) and reply is not None and self.token is None:
            result = self.maybe_charged(reply)
        self.result, self.awaits_token, error = result, False, result.error
        if error is not None and self.token is not None and not isinstance(error, FailedReply):
            error.was_accepted = True
        if self._kept is not None and self._kept.end(self.key, *result):
            self.is_ours = False


async def ask_row(
    flow: Flow[None],
    settings: Settings,
    parent: str | None,
    flow_io: AiohttpFlowIO,
    began: Callable[[str], None],
    watch: Watch | None = None,
) -> RowResult:
    """Perform ``flow``; a cancellation ends it with what was received.

    The ``on_pause`` of ``flow_io`` is called until the question was accepted.
    """
    run = FlowRun(flow, settings, parent, watch or Watch(settings, question=True))

    def accepted(token: str) -> None:
        flow_io.on_pause = None
        if service_info(settings.service).can_fetch:
            began(token)

    run.on_token = accepted
    stream = AsyncStream(run, flow_io)
    error: AeronError | None = None
    try:
        async with stream:
            await stream.finish()
    except AeronError as failure:
        error = failure
    except asyncio.CancelledError:
        error = run.interrupt()
    except Exception as failure:  # noqa: BLE001 - a failed row must not stop the others
        error = AeronError(
            f"Internal error: {type(failure).__name__}: {failure}", hint="Please report it."
        )
    return RowResult(stream.reply, error and error.without_frames())


def maybe_charged(reply: Reply, *, is_kept: bool = True) -> RowResult:
    """The result of a row whose request may have left, and whose reply cannot be fetched.

    ``reply`` is what was received; the next run asks the row again unless it ``is_kept``.
    """
    what = "This question was sent, and no reply can be fetched: it may have been charged"
    error = IncompleteReply(
        f"{what}.", hint="The next run asks all rows again: give it the others."
    )
    if is_kept:
        error = IncompleteReply(
            f"{what}, and is not asked again by itself.",
            hint="`ask_many(…, ask_again=True)`, or -n in a cell, asks it again; that may be "
            "charged a second time.",
        )
    return RowResult(replace(reply, status="incomplete"), error)
