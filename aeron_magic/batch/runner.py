"""Runs one batch: a task for each row in flight, on an event loop in a thread of the batch.

In a notebook's cell, the caller's thread already runs an event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from aeron_magic.batch.rate_limiter import RateLimiter
from aeron_magic.batch.worker import (
    Asker,
    Marks,
    RateLimitedFlowIO,
    RowResult,
    ask_row,
    interrupted,
    maybe_charged,
    open_transport,
    without_frames,
)
from aeron_magic.client.observe import Watch
from aeron_magic.client.stream import AsyncStream, FlowRun
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.errors import (
    AeronError,
    AuthenticationError,
    FailedReply,
    IncompleteReply,
    Interrupted,
    RateLimited,
    RecordingError,
    TokenError,
    Unreachable,
    is_safe_to_ask_again,
)
from aeron_magic.markdown_text import plural
from aeron_magic.protocol.events import Completed, Started
from aeron_magic.protocol.flow import Flow, Question
from aeron_magic.recording.record import key_of_token, turn_key
from aeron_magic.recording.recorder import Recorder
from aeron_magic.replies.reply import Reply
from aeron_magic.services.base import load
from aeron_magic.services.catalog import service_info
from aeron_magic.services.settings import Settings

MAX_TRIES = 5
"""Maximum attempts for a row answered with 429; each attempt includes its own retries."""

MAX_CONSECUTIVE_FAILURES = 24
"""Consecutive authentication or connection failures that stop the batch."""

POLL_INTERVAL = 0.1
"""Seconds between two updates of the progress."""

GRACE = 0.7
"""Seconds after an interrupt in which rows that were sent may still get their tokens."""

CLOSE_TIMEOUT = 5.0
"""Seconds that an interrupted batch may take to close its connections."""


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


class Counts(NamedTuple):
    """What a batch does, before anything is sent; all but ``rows`` count different questions.

    ``kept`` are answered already, ``to_fetch`` have a token by which the reply is fetched, and
    ``in_doubt`` may have been charged and are not asked. Each of ``to_ask`` is one paid request;
    earlier questions that are sent again before are counted, too. ``refused`` are the rows that
    give no question, such as those with a missing value.
    """

    rows: int
    questions: int
    kept: int
    to_fetch: int
    in_doubt: int
    to_ask: int
    refused: int = 0

    def __str__(self) -> str:
        refused = f" ({self.refused:,} cannot be sent)" if self.refused else ""
        counts = [
            plural(self.rows, "row") + refused,
            plural(self.questions, "different question"),
        ]
        counts.append(f"{self.kept:,} already answered")
        counts += [f"{self.to_fetch:,} to fetch"] if self.to_fetch else []
        counts += [f"{self.in_doubt:,} in doubt"] if self.in_doubt else []
        return ", ".join([*counts, f"{self.to_ask:,} to ask"])


class BatchRun:
    """The rows of a batch. Rows with the same question share one request.

    ``texts`` has the question of each row, or the error that made it impossible to build.
    ``counts`` says what will be done; nothing is sent before :meth:`run`.
    """

    def __init__(self, config: BatchConfig, texts: Sequence[str | AeronError]) -> None:
        self._config = config
        self._service = load(config.settings)
        self._texts = texts
        self._rows = Counter(text for text in texts if isinstance(text, str))
        self._results: dict[str, RowResult] = {}
        self._tokens: dict[str, str] = {}
        """Tokens of replies that the service has started."""
        self._unnamed: set[str] = set()
        """Questions that were sent and whose token is not known yet."""
        self._to_ask: list[str] = []
        for text in self._rows:
            if (known := self._known(text)) is None:
                self._to_ask.append(text)
            else:
                self._results[text] = known
        self.counts = Counts(
            len(texts),
            len(self._rows),
            sum(known.is_complete for known in self._results.values()),
            len(self._tokens),
            sum(isinstance(known.error, IncompleteReply) for known in self._results.values()),
            len(self._to_ask) - len(self._tokens) + self._to_resend(),
            sum(isinstance(text, AeronError) for text in texts),
        )
        self._finished = len(texts) - sum(self._rows[text] for text in self._to_ask)
        self._sent: set[str | AeronError] = set()
        self._again: list[str] = []
        self._refused: dict[str, Watch] = {}
        self._consecutive_failures = 0
        self._stopped = False
        self._failure: BaseException | None = None
        self._main: asyncio.Task[None] | None = None

    @property
    def results(self) -> list[RowResult | None]:
        """The result of each row so far; None if it has none."""
        return [
            self._results.get(text) if isinstance(text, str) else RowResult(error=text)
            for text in self._texts
        ]

    @property
    def asked(self) -> list[bool]:
        """Whether each row's question was sent in this run."""
        return [text in self._sent for text in self._texts]

    def _to_resend(self) -> int:
        recorder, config = self._config.recorder, self._config
        if recorder is None or not self._to_ask:
            return 0
        return recorder.to_resend(config.question, config.settings.recording_id)

    def _question(self, text: str) -> Question:
        return self._config.question._replace(text=text)

    def _key(self, text: str) -> str:
        config, settings = self._config, self._config.settings
        scope = (config.kept and config.kept.scope) or settings.conversation_scope
        parent = config.question.context_token or ""
        service = f"{settings.recording_id} {scope}"
        return turn_key(service, text, config.question.images, parent)

    def _known(self, text: str) -> RowResult | None:
        """The result that needs no request: recorded, kept, or in doubt."""
        recorder, question = self._config.recorder, self._question(text)
        mode = recorder.mode if recorder is not None else "off"
        if recorder is not None and mode in ("auto", "replay"):
            found = recorder.store.find(recorder.key(question, self._config.settings.recording_id))
            if mode == "replay" or (found is not None and found.is_complete):
                result = self._without_network(question)
                if found is None or result.reply is None:
                    return result
                return replace(result, reply=replace(result.reply, seconds=found.seconds))
        if self._config.kept is None or mode == "record":
            return None
        state = self._config.kept.get(self._key(text), self._config.settings.conversation_scope)
        if state is None or (self._config.ask_again and not state.token):
            return None
        if isinstance(state.reply, Reply):
            return self._recorded(question, RowResult(state.reply))
        if state.token:
            self._tokens[text] = state.token
            return None
        return maybe_charged(self._config.settings.service)

    def _recorded(self, question: Question, result: RowResult) -> RowResult:
        """``result``, recorded if there is a recorder; it was received without it."""
        reply = result.reply
        if reply is not None and result.is_complete and self._config.recorder is not None:
            self._without_network(question, _kept_flow(reply))
        return result

    def _without_network(self, question: Question, begun: Flow[None] | None = None) -> RowResult:
        """What the recorder replays, or records of ``begun``."""
        settings = self._config.settings
        watch = Watch(settings, question=begun is None)
        run = FlowRun(self._flow(question, begun), settings, question.context_token, watch)
        try:
            while (step := run.send(None)) is not None:
                if isinstance(step, list):
                    run.apply(step)
        except AeronError as error:
            run.fail(error)
            return RowResult(run.reply(), without_frames(error))
        return RowResult(run.reply())

    def _flow(self, question: Question, begun: Flow[None] | None) -> Flow[None]:
        settings, recorder = self._config.settings, self._config.recorder
        if recorder is None:
            return begun or self._service.ask(question)
        return recorder.ask(
            question, settings.recording_id, self._service.ask, settings.secrets, begun=begun
        )

    def run(self, watch: Callable[[int], object] = lambda finished: None) -> None:
        """Run to the end; ``watch`` is called repeatedly with the number of finished rows.

        Raises
        ------
        Interrupted
            The user stopped it; the results so far are kept.
        AeronError
            The batch could not start.
        """
        ended = threading.Event()

        def work() -> None:
            try:
                if self._to_ask:
                    asyncio.run(self._work())
            except asyncio.CancelledError:
                pass  # by the interrupt below, which raises its own error
            except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
                self._failure = failure
            finally:
                ended.set()

        # The context has the caller's span, of which those of the rows are children.
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(work,), name="aeron-magic-batch", daemon=True
        )
        try:
            thread.start()
            while not ended.wait(POLL_INTERVAL):
                watch(self._finished)
        except KeyboardInterrupt:
            self._stopped = True
            if self._main is not None and not ended.is_set():
                self._await_tokens(ended)
                with suppress(RuntimeError):  # it has ended meanwhile
                    self._main.get_loop().call_soon_threadsafe(self._main.cancel)
            ended.wait(CLOSE_TIMEOUT)
            complete = sum(one is not None and one.is_complete for one in self.results)
            raise Interrupted(
                f"The batch was interrupted with {complete:,} of "
                f"{plural(len(self._texts), 'row')} answered.",
                hint="The finished rows are kept; run it again to ask the others.",
            ) from None
        watch(self._finished)
        if (failure := self._failure) is not None:
            while isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            raise failure

    def _await_tokens(self, ended: threading.Event) -> None:
        """Wait a moment for the tokens of rows that were sent; a second interrupt ends it."""
        if not service_info(self._config.settings.service).can_fetch:
            return
        end = time.monotonic() + GRACE
        with suppress(KeyboardInterrupt):
            while self._unnamed and time.monotonic() < end and not ended.wait(0.02):
                pass

    async def _work(self) -> None:
        self._main = asyncio.current_task()
        if self._stopped:
            return
        limiter = RateLimiter(self._config.rate)
        try:
            async with self._open_asker(limiter) as ask:
                questions: Iterable[str] = self._to_ask
                for _ in range(MAX_TRIES):
                    await self._ask_all(ask, questions)
                    questions, self._again = self._again, []
        finally:
            for watch in self._refused.values():
                watch.close()

    @asynccontextmanager
    async def _open_asker(self, limiter: RateLimiter) -> AsyncIterator[Asker]:
        config, settings = self._config, self._config.settings
        live = await self._resend_earlier(limiter)
        if config.dask is not None:
            from aeron_magic.batch.dask_tasks import DaskAsker

            async with DaskAsker(config.dask, settings, limiter, config.rate) as dask:

                async def ask_there(
                    question: Question, token: str | None, marks: Marks
                ) -> RowResult:
                    there = question._replace(context_token=live.context_token)
                    return self._recorded(question, await dask(there, token, marks))

                yield ask_there
            return
        async with open_transport(settings) as transport:

            async def ask(question: Question, token: str | None, marks: Marks) -> RowResult:
                begun = None if token is None else self._service.fetch(token)
                flow = self._flow(question, begun)
                flow_io = RateLimitedFlowIO(transport, limiter, marks.sending)
                after = live.context_token
                watch = self._refused.pop(question.text, None) or Watch(
                    settings, question=True, repeated=True
                )
                result = await ask_row(flow, settings, after, flow_io, marks.began, watch)
                if watch.refused is not None:
                    self._refused[question.text] = watch
                return result

            yield ask

    async def _resend_earlier(self, limiter: RateLimiter) -> Question:
        """Send the replayed questions that the rows continue from again: once, before all rows.

        The result has the service's token.

        Raises
        ------
        AeronError
            They cannot be sent; nothing else was.
        """
        config, recorder = self._config, self._config.recorder
        token = config.question.context_token
        if recorder is None or not token or not key_of_token(token):
            return config.question
        service = config.settings.recording_id
        flow = recorder.with_live_token(config.question, service, self._service.ask)
        run = FlowRun(flow, config.settings, token)
        async with open_transport(config.settings) as transport:
            await AsyncStream(run, RateLimitedFlowIO(transport, limiter)).finish()
        assert run.value is not None
        return run.value

    async def _ask_all(self, ask: Asker, questions: Iterable[str]) -> None:
        places = asyncio.Semaphore(self._config.concurrency)
        async with asyncio.TaskGroup() as group:
            for text in questions:
                await places.acquire()
                if self._stopped:
                    break
                group.create_task(self._row(ask, text, places))

    async def _row(self, ask: Asker, text: str, places: asyncio.Semaphore) -> None:
        leave = iter((places.release,))

        def ended() -> None:
            for release in leave:
                release()

        marks = Marks(partial(self._sending, text), partial(self._began, text), ended)
        try:
            result = await ask(self._question(text), self._tokens.get(text), marks)
        finally:
            ended()
        self._unnamed.discard(text)
        error = result.error
        if error is not None and text in self._tokens and not isinstance(error, FailedReply):
            error.was_accepted = True
        if isinstance(error, RateLimited) and not error.was_accepted:
            self._again.append(text)
        if self._config.kept is not None:
            with suppress(RecordingError):  # the row stays marked as under way
                self._keep(self._config.kept, text, result)
        if text not in self._results:
            self._finished += self._rows[text]
        self._results[text] = result
        hopeless = isinstance(error, AuthenticationError | Unreachable)
        self._consecutive_failures = self._consecutive_failures + 1 if hopeless else 0
        if self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            self._stopped = True

    def _keep(self, kept: KeptRows, text: str, result: RowResult) -> None:
        key, error = self._key(text), result.error
        if result.is_complete and result.reply is not None:
            kept.keep(key, result.reply)
        elif isinstance(error, TokenError) and text in self._tokens:
            kept.mark_token(key, "")  # it was accepted, and cannot be fetched
        elif error is not None and is_safe_to_ask_again(error):
            kept.release(key)

    def _sending(self, text: str) -> None:
        if self._stopped:
            raise interrupted(Reply(""))  # it was waiting for the rate limit
        if text in self._tokens:
            return
        self._sent.add(text)
        self._unnamed.add(text)
        if self._config.kept is not None:
            self._config.kept.mark_sent(self._key(text), self._config.settings.conversation_scope)

    def _began(self, text: str, token: str) -> None:
        if key_of_token(token) is not None:
            return  # the token of a recorded reply cannot be fetched by
        self._unnamed.discard(text)
        self._tokens[text] = token
        if self._config.kept is not None:
            with suppress(RecordingError):  # the reply is being received
                self._config.kept.mark_token(self._key(text), token)


def _kept_flow(reply: Reply) -> Flow[None]:
    """The events of a reply that was received before."""
    token, parent = reply.context_token, reply.parent_context_token
    yield [
        Started(token, parent),
        Completed(reply.text, token, parent, reply.msg_id, reply.status == "recovered"),
    ]
