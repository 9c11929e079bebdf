"""``Client`` and ``AsyncClient``: ask a service from Python.

Both drive the same flows; they differ by their awaits. What they share (folding events, turning a
failure into an error that carries the partial text) is in :class:`_Run`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from aeron_magic.errors import AeronError, FailedReply, Interrupted, ReplyError, UsageError
from aeron_magic.flow import Close, Flow, Open, Outcome, Pause, Question, Read, Send, Step
from aeron_magic.reply import Draft, Message, Reply, Status
from aeron_magic.services import Service, load
from aeron_magic.settings import Settings, resolve
from aeron_magic.wire import AsyncExchange, AsyncWire, Exchange, Wire

__all__ = ["AsyncClient", "AsyncStream", "Client", "Stream"]

T = TypeVar("T")
Order = Literal["asc", "desc"]
NetworkStep = Send | Open | Read | Close | Pause


class _Run(Generic[T]):
    """One flow under way, and the draft of the reply that its events make."""

    def __init__(self, flow: Flow[T], settings: Settings, sent_token: str | None = None) -> None:
        self.draft = Draft(settings.service, sent_token)
        self.value: T | None = None
        self.ended: Status | None = None
        self._flow: Generator[Step, Outcome, T] = flow
        self._secrets = settings.secrets
        self._began = time.monotonic()
        self._first: float | None = None
        self._seconds: float | None = None

    def send(self, outcome: Outcome) -> Step | None:
        """Tell the flow what came of its last step; its next step, or None at its end."""
        try:
            return self._flow.send(outcome)
        except StopIteration as stop:
            self.value = stop.value
            self.end(self.draft.status)
            return None
        except AeronError as error:
            self._explain(error)
            raise

    def take(self, step: list[Any]) -> str:
        """Fold events in; the text that can be shown now."""
        piece = self.draft.add(step)
        if piece and self._first is None:
            self._first = time.monotonic() - self._began
        return piece

    def end(self, status: Status) -> None:
        """The run is over; only the first end counts."""
        if self.ended is None:
            self.ended = status
            self._seconds = time.monotonic() - self._began
            self._flow.close()

    def interrupt(self) -> Interrupted:
        """The run is over because the user said so."""
        self.end("interrupted")
        return Interrupted(
            "The question was interrupted; what had come is kept.",
            hint="Run the cell again to ask once more.",
            context_token=self.draft.context_token,
            partial=self.draft.text,
        )

    def _explain(self, error: AeronError) -> None:
        partly = isinstance(error, ReplyError) and not isinstance(error, FailedReply)
        self.end("incomplete" if partly else "failed")
        error.partial = error.partial or self.draft.text
        error.context_token = error.context_token or self.draft.context_token
        error.redact(self._secrets)

    def reply(self) -> Reply:
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._began
        return self.draft.reply(status=self.ended, seconds=seconds, first_chunk_seconds=self._first)


class Stream:
    """A reply that is coming in: iterate to get its pieces, in order, ready to print.

    Use it as a context manager, so that leaving it early closes the connection. ``reply`` is the
    :class:`~aeron_magic.Reply` at any time, complete or not.
    """

    def __init__(self, run: _Run[Any], exchange: Exchange) -> None:
        self._run = run
        self._exchange = exchange
        self._pieces = self._drive()

    @property
    def reply(self) -> Reply:
        return self._run.reply()

    @property
    def draft(self) -> Draft:
        """The state behind the reply: notices, the introduction, what is not understood."""
        return self._run.draft

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def _drive(self) -> Iterator[str]:
        run, exchange = self._run, self._exchange
        outcome: Outcome = None
        try:
            while (step := run.send(outcome)) is not None:
                if isinstance(step, list):
                    outcome = None
                    if piece := run.take(step):
                        yield piece
                else:
                    outcome = exchange.do(step)
        except KeyboardInterrupt:
            raise run.interrupt() from None
        finally:
            exchange.close()
            run.end("interrupted")

    def finish(self) -> Reply:
        """Wait for the end of the reply; the reply."""
        for _ in self._pieces:
            pass
        return self.reply

    def close(self) -> None:
        """Stop reading and close the connection."""
        self._pieces.close()  # type: ignore[attr-defined]
        self._exchange.close()
        self._run.end("interrupted")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncStream:
    """The same as :class:`Stream`, with ``async with`` and ``async for``."""

    def __init__(self, run: _Run[Any], exchange: AsyncExchange) -> None:
        self._run = run
        self._exchange = exchange
        self._pieces = self._drive()

    @property
    def reply(self) -> Reply:
        return self._run.reply()

    @property
    def draft(self) -> Draft:
        """The state behind the reply: notices, the introduction, what is not understood."""
        return self._run.draft

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces

    async def _drive(self) -> AsyncIterator[str]:
        run, exchange = self._run, self._exchange
        outcome: Outcome = None
        try:
            while (step := run.send(outcome)) is not None:
                if isinstance(step, list):
                    outcome = None
                    if piece := run.take(step):
                        yield piece
                else:
                    outcome = await exchange.do(step)
        except asyncio.CancelledError:
            run.end("interrupted")
            raise
        finally:
            await exchange.close()
            run.end("interrupted")

    async def finish(self) -> Reply:
        """Wait for the end of the reply; the reply."""
        async for _ in self._pieces:
            pass
        return self.reply

    async def close(self) -> None:
        """Stop reading and close the connection."""
        await self._pieces.aclose()  # type: ignore[attr-defined]
        await self._exchange.close()
        self._run.end("interrupted")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def question(
    text: str, context_token: str | None = None, images: Iterable[str] = (), stream: bool = True
) -> Question:
    """A question that can be sent.

    Raises
    ------
    UsageError
        The text is empty, or an image is no http(s) address.
    """
    if not text.strip():
        raise UsageError("There is no question.", hint="Write it below the %%aeron line.")
    addresses = (images,) if isinstance(images, str) else tuple(images)
    for address in addresses:
        if not address.startswith(("https://", "http://")):
            raise UsageError(
                f"{address[:100]!r} is not an image's address.",
                hint="Images are given by an http(s) address that the service can load.",
            )
    return Question(text, addresses, context_token or None, stream)


class _Base:
    """What both clients do before anything is sent."""

    def __init__(
        self,
        service: str = "aeronpay",
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        chatbot_id: str | None = None,
        base_url: str | None = None,
        stream_url: str | None = None,
        timeout: float = 30.0,
        fetch_timeout: float = 120.0,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or resolve(
            service,
            base_url=base_url,
            stream_url=stream_url,
            client_id=client_id,
            client_secret=client_secret,
            chatbot_id=chatbot_id,
            timeout=timeout,
            fetch_timeout=fetch_timeout,
        )
        self.service: Service = load(self.settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.service!r}, {self.settings.base_url!r})"

    def _asking(self, asked: Question) -> _Run[None]:
        return _Run(self.service.ask(asked), self.settings, asked.context_token)


class Client(_Base):
    """Asks a service; every call blocks until it has its answer.

    Parameters
    ----------
    service
        ``"aeronpay"`` (default) or ``"chatzy"``.
    client_id, client_secret
        AeronPay's credentials; from ``AERON_CLIENT_ID`` and ``AERON_CLIENT_SECRET`` if missing.
    chatbot_id
        Chatzy's agent, a UUID; from ``CHATZY_CHATBOT_ID`` if missing.
    base_url, stream_url
        Addresses other than the vendor's; also ``AERON_BASE_URL``, ``CHATZY_BASE_URL``,
        ``CHATZY_STREAM_URL``.
    timeout
        Seconds of silence before a connection counts as lost (30).
    fetch_timeout
        Seconds in all to wait for an unfinished reply (120).
    settings
        All of the above at once.

    Raises
    ------
    UsageError, CredentialsError
        Something of this is wrong or missing.
    """

    def __init__(self, service: str = "aeronpay", **options: Any) -> None:
        super().__init__(service, **options)
        self._wire = Wire(self.settings.base_url, self.settings.timeout)

    def ask(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """Ask, and wait for the whole reply (AeronPay: create-response).

        Parameters
        ----------
        text
            The prompt.
        context_token
            The token of the reply to continue from; None begins a conversation.
        images
            http(s) addresses of images.
        stream
            Whether to read the reply chunk by chunk: it can then be recovered if the connection
            is lost.

        Raises
        ------
        AeronError
            The reply is not whole; ``partial`` and ``context_token`` say what there is.
        """
        with self.stream(text, context_token, images, stream=stream) as reading:
            return reading.finish()

    def stream(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        *,
        stream: bool = True,
        timeout: float | None = None,
    ) -> Stream:
        """Ask, and read the reply as it comes; see :meth:`ask` and :class:`Stream`."""
        asked = question(text, context_token, images, stream)
        return Stream(self._asking(asked), self._wire.exchange(timeout))

    def introduction(self) -> Stream:
        """Begin a conversation without a question: Chatzy's introductory message."""
        return self._start(self.service.introduce())

    def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """The stored reply of ``token`` (AeronPay: fetch-response).

        With ``wait`` it polls, for at most ``fetch_timeout`` seconds, while the service is still
        processing; without, the reply's status may be ``processing``.
        """
        with self._start(self.service.fetch(token, wait=wait)) as reading:
            return reading.finish()

    def history(self, token: str, order: Order = "asc") -> list[Message]:
        """The messages up to ``token`` (AeronPay: list-input), oldest first unless ``"desc"``."""
        run = _Run(self.service.history(token, order), self.settings)
        with Stream(run, self._wire.exchange()) as reading:
            reading.finish()
        return run.value or []

    def _start(self, flow: Flow[None]) -> Stream:
        return Stream(_Run(flow, self.settings), self._wire.exchange())

    def close(self) -> None:
        """Close the kept connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncClient(_Base):
    """The same as :class:`Client`, with ``await`` and ``async for``; for one event loop."""

    def __init__(self, service: str = "aeronpay", **options: Any) -> None:
        super().__init__(service, **options)
        self._wire = AsyncWire(self.settings.base_url, self.settings.timeout)

    async def ask(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """See :meth:`Client.ask`."""
        async with self.stream(text, context_token, images, stream=stream) as reading:
            return await reading.finish()

    def stream(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        *,
        stream: bool = True,
        timeout: float | None = None,
    ) -> AsyncStream:
        """See :meth:`Client.stream`."""
        asked = question(text, context_token, images, stream)
        return AsyncStream(self._asking(asked), self._wire.exchange(timeout))

    def introduction(self) -> AsyncStream:
        """See :meth:`Client.introduction`."""
        return self._start(self.service.introduce())

    async def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """See :meth:`Client.fetch`."""
        async with self.fetching(token, wait=wait) as reading:
            return await reading.finish()

    def fetching(self, token: str, *, wait: bool = True) -> AsyncStream:
        """The same as :meth:`fetch`, to be watched while it waits."""
        return self._start(self.service.fetch(token, wait=wait))

    async def history(self, token: str, order: Order = "asc") -> list[Message]:
        """See :meth:`Client.history`."""
        run = _Run(self.service.history(token, order), self.settings)
        async with AsyncStream(run, self._wire.exchange()) as reading:
            await reading.finish()
        return run.value or []

    def _start(self, flow: Flow[None]) -> AsyncStream:
        return AsyncStream(_Run(flow, self.settings), self._wire.exchange())

    async def close(self) -> None:
        """Close the kept connections."""
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
