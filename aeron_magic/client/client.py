"""``Client`` and ``AsyncClient``: ask a service from Python."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, Self, TypeVar
from weakref import WeakSet, finalize

from aeron_magic.client.embedded import SANDBOX, Answers, sandbox_settings, start_sandbox
from aeron_magic.client.httpx_transport import (
    AsyncHttpxTransport,
    HttpxTransport,
    open_transport,
)
from aeron_magic.client.logs import keep_out_of_logs
from aeron_magic.client.stream import AsyncStream, FlowRun, Stream, Watch
from aeron_magic.errors import TOKEN_SHOWN, UsageError, unknown_argument
from aeron_magic.markdown_text import truncate
from aeron_magic.plaintext import VISIBLE, TextFilter
from aeron_magic.protocol.flow import Question
from aeron_magic.protocol.limits import Limits
from aeron_magic.replies.reply import Message, Reply
from aeron_magic.services.base import Service, load
from aeron_magic.services.catalog import DEFAULT_SERVICE
from aeron_magic.services.settings import Settings, refuse_in_replay, resolve_settings

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder

W = TypeVar("W", HttpxTransport, AsyncHttpxTransport)
S = TypeVar("S", Stream, AsyncStream)
Order = Literal["asc", "desc"]

IDLE_INTERVAL = 0.1
"""Seconds between two looks at whether a client is idle."""

IMAGE = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def make_question(
    text: str, context_token: str | None = None, images: Iterable[str] = (), stream: bool = True
) -> Question:
    """A valid question.

    Raises
    ------
    UsageError
        The text is empty, an image is not an http(s) address, or the token is not a string.
    """
    if not isinstance(text, str) or not VISIBLE.search(text):
        is_text = isinstance(text, str | None)
        raise UsageError(
            "The question is empty."
            if is_text
            else f"A question is a text, not {type(text).__name__}.",
            hint="Give a text that is not blank: below %%aeron, after `%aeron ask`, or in Python "
            "as the first argument.",
        )
    if not isinstance(images, Iterable):
        raise UsageError(
            f"images must be a list of addresses, not {type(images).__name__}.",
            hint="Leave it out, or give the http(s) address of each image.",
        )
    addresses = (images,) if isinstance(images, str) else tuple(images)
    for address in addresses:
        if not (isinstance(address, str) and IMAGE.fullmatch(address)):
            raise UsageError(
                f"{str(address)[:100]!r} is not an image's address.",
                hint="Images are given by an http(s) address that the service can load.",
            )
    token = None if context_token in (None, "") else validate_token(context_token)
    return Question(text, addresses, token, stream)


def validate_token(token: object) -> str:
    """``token``, if it is a string that is not empty.

    Raises
    ------
    UsageError
        It is not.
    """
    if not isinstance(token, str) or not token.strip():
        raise UsageError(
            f"{truncate(repr(token), TOKEN_SHOWN)} is not a context token.",
            hint="It is the string in a reply's `context_token`.",
        )
    return token


def validate_prompt(settings: Settings, text: str) -> None:
    """Refuse a question that is not valid, or that ``settings`` do not allow."""
    settings.validate(make_question(text))


class _Client(Generic[W, S]):
    """What both clients share."""

    _transport_class: ClassVar[Any]
    _stream_class: ClassVar[Any]
    _needs_permission: ClassVar[bool] = True
    """Whether ``AERON_RECORD_MODE`` decides if a client without a recording may be made."""

    def __init__(
        self,
        service: str = DEFAULT_SERVICE,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        chatbot_id: str | None = None,
        base_url: str | None = None,
        stream_url: str | None = None,
        timeout: float = 30.0,
        fetch_timeout: float = 120.0,
        limits: Limits | None = None,
        insecure: bool = False,
        settings: Settings | None = None,
        recorder: Recorder | None = None,
        answers: Answers | None = None,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise unknown_argument(type(self), name)
        if answers is not None and (settings is not None or service != SANDBOX):
            raise UsageError(
                "answers is an argument of the sandbox only.",
                hint=f"Write `{type(self).__name__}({SANDBOX!r}, answers=…)`, or leave it out.",
            )
        options: dict[str, Any] = {
            "base_url": base_url,
            "stream_url": stream_url,
            "timeout": timeout,
            "fetch_timeout": fetch_timeout,
            "limits": limits,
            "insecure": insecure,
        }
        self._stop_sandbox: Callable[[], object] | None = None
        if settings is not None:
            if not isinstance(settings, Settings):
                raise UsageError(
                    f"settings must be a Settings, not {type(settings).__name__}.",
                    hint="`resolve_settings` of aeron_magic.services.settings makes it.",
                )
            if recorder is None and self._needs_permission:
                refuse_in_replay(settings)
            self.settings = settings
        elif service == SANDBOX:
            sandbox = start_sandbox(answers)
            # Without a call at exit: its threads end with the process.
            self._stop_sandbox = stop = finalize(self, sandbox.stop)
            stop.atexit = False
            self.settings = sandbox_settings(sandbox, **options)
        else:
            if recorder is None:
                refuse_in_replay()
            self.settings = resolve_settings(
                service,
                client_id=client_id,
                client_secret=client_secret,
                chatbot_id=chatbot_id,
                **options,
            )
        self.service: Service = load(self.settings)
        self.recorder = recorder
        self._transport: W = open_transport(self._transport_class, self.settings)
        keep_out_of_logs(self.settings.secrets)
        self._closed = False
        self._running: WeakSet[FlowRun[Any]] = WeakSet()

    def _stream_for(self, run: FlowRun[Any]) -> S:
        if self._closed:
            raise UsageError("This client is closed.", hint="Create another one to ask again.")
        self._running.add(run)
        run.on_end = self._running.discard
        stream: S = self._stream_class(run, self._transport.flow_io())
        return stream

    def _end(self) -> None:
        """No further call; a sandbox that was started for this client ends."""
        self._closed = True
        if self._stop_sandbox is not None:
            self._stop_sandbox()

    def __repr__(self) -> str:
        service = self.settings.service if self._stop_sandbox is None else SANDBOX
        return f"{type(self).__name__}({service!r}, {self.settings.base_url!r})"

    def stream(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        *,
        stream: bool = True,
    ) -> S:
        """Ask, and read the reply as it arrives.

        The request is sent when the first piece is read; the iteration raises what :meth:`ask`
        raises.

        Parameters
        ----------
        text, context_token, images, stream
            As for :meth:`ask`.

        Returns
        -------
        Stream or AsyncStream
            Yields the pieces of the reply; close it, or use it as a context manager.

        Raises
        ------
        UsageError
            The question, an image or the token is invalid.
        ValueRefused
            The question contains a client secret.
        """
        return self.stream_question(make_question(text, context_token, images, stream))

    def stream_question(self, question: Question) -> S:
        """The same as :meth:`stream`, for a question that :func:`make_question` has built."""
        settings, ask = self.settings, self.service.ask
        pattern = settings.secret_pattern
        texts = (question.text, *question.images, question.context_token or "")
        if pattern is not None and pattern.search("\n".join(texts)):
            settings.validate(question)  # here only: a call less for other questions
        if self.recorder is None:
            flow = ask(question)
        else:
            flow = self.recorder.ask(question, settings.recording_id, ask, settings.secrets)
        watch = Watch(settings, question=True)
        return self._stream_for(FlowRun(flow, settings, question.context_token, watch))

    def stream_introduction(self) -> S:
        """Start a conversation with the agent's introductory message, without a question.

        Chatzy only (*init_conversation*). After the stream was read, the message is its
        ``accumulator.introduction``, and ``reply.context_token`` continues the conversation.
        AeronPay has no such message, and nothing is sent.
        """
        return self._stream_for(FlowRun(self.service.introduction(), self.settings))

    def stream_fetch(self, token: str, *, wait: bool = True) -> S:
        """As :meth:`fetch`, as a stream, whose only piece comes at the end.

        Errors are raised by the iteration.
        """
        validate_token(token)
        if self.recorder is None:
            flow = self.service.fetch(token, wait=wait)
        else:
            flow = self.recorder.fetch(token, partial(self.service.fetch, wait=wait))
        return self._stream_for(FlowRun(flow, self.settings, token))

    def _listing(self, token: str, order: Order) -> FlowRun[list[Message]]:
        return FlowRun(self.service.history(validate_token(token), order), self.settings)


def _redacted(messages: list[Message] | None, settings: Settings) -> list[Message]:
    clean = TextFilter(settings.secrets).clean
    return [replace(message, text=clean(message.text)) for message in messages or ()]


class Client(_Client[HttpxTransport, Stream]):
    """A client of a service; every call blocks until its result is there.

    Any number of threads may ask with one client at once. A :class:`Stream` belongs to the thread
    that reads it; do not close the client while others ask.

    Parameters
    ----------
    service
        ``"aeronpay"`` (default), ``"chatzy"``, or ``"sandbox"``: that starts an embedded service,
        which acts as AeronPay, needs no account, and ends with the client.
    client_id, client_secret
        AeronPay's credentials; by default ``AERON_CLIENT_ID`` and ``AERON_CLIENT_SECRET``.
    chatbot_id
        Chatzy's agent, a UUID; by default ``CHATZY_CHATBOT_ID``.
    base_url, stream_url
        Addresses other than the vendor's; also ``AERON_BASE_URL``, ``CHATZY_BASE_URL``,
        ``CHATZY_STREAM_URL``.
    timeout
        Seconds of silence after which a connection counts as lost (30).
    fetch_timeout
        Seconds in all to wait for an unfinished reply (120).
    limits
        The most that is accepted from the service; see
        :class:`aeron_magic.protocol.limits.Limits`.
    insecure
        Whether plain HTTP to other machines than this one is allowed (no).
    settings
        All of the above at once.
    recorder
        Replays and records; see :class:`aeron_magic.recording.recorder.Recorder`.
    answers
        ``"sandbox"`` only: a ``.csv``, ``.jsonl`` or ``.md`` file of questions and answers, or a
        dictionary of answers by question, to answer from instead of the handbook. Each client has
        a sandbox of its own, so that others answer as before.

    Raises
    ------
    UsageError, CredentialsError
        A parameter is invalid, missing or unknown.
    """

    _transport_class = HttpxTransport
    _stream_class = Stream

    def ask(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """Ask, and wait for the whole reply.

        AeronPay's *Create Response*; if its stream is lost, *Fetch Response* until the reply is
        complete. Chatzy's get_inference and *Stream Conversation AI Agent Response*.

        Parameters
        ----------
        text
            The prompt.
        context_token
            The token of the reply to continue from; None starts a conversation.
        images
            http(s) addresses of images; AeronPay only.
        stream
            Whether to stream the reply: it can then be recovered if the connection is lost. With
            Chatzy the agent decides.

        Raises
        ------
        UsageError
            The question, an image or the token is invalid; nothing was sent.
        ValueRefused
            The question contains a client secret; nothing was sent.
        ServiceError
            The service rejected the question: :class:`~aeron_magic.AuthenticationError`,
            :class:`~aeron_magic.TokenError`, :class:`~aeron_magic.RateLimited` and others.
        Unreachable
            No connection was made.
        ReplyError
            The reply is incomplete; see its ``partial`` and ``context_token``.
        RecordingError
            A recorder that only replays does not contain the question.
        """
        with self.stream(text, context_token, images, stream=stream) as reading:
            return reading.finish()

    def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """The stored reply of a token (AeronPay's *Fetch Response*).

        Parameters
        ----------
        token
            The ``context_token`` of the reply.
        wait
            Whether to poll, for at most ``fetch_timeout`` seconds in all, while the service is
            still working on the reply; if not, the reply's status may be ``processing``.

        Raises
        ------
        UsageError
            The token is invalid, or the service is Chatzy, which has no such call.
        TokenError
            The token is unknown to the service, or has expired.
        FailedReply
            The service could not answer.
        IncompleteReply
            It was not ready in time.
        ServiceError, Unreachable
            As for :meth:`ask`.
        """
        with self.stream_fetch(token, wait=wait) as reading:
            return reading.finish()

    def history(self, token: str, order: Order = "asc") -> list[Message]:
        """The messages of a conversation as the service keeps them (AeronPay's *List Input*).

        Parameters
        ----------
        token
            The ``context_token`` of the last question to list; its reply is not listed.
        order
            ``"asc"``, oldest first (default), or ``"desc"``.

        Raises
        ------
        UsageError
            The token is invalid, or the service is Chatzy, which has no such call.
        TokenError
            The token is unknown to the service, or has expired.
        ServiceError, Unreachable
            As for :meth:`ask`.
        """
        run = self._listing(token, order)
        with self._stream_for(run) as reading:
            reading.finish()
        return _redacted(run.value, self.settings)

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._transport.close()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncClient(_Client[AsyncHttpxTransport, AsyncStream]):
    """As :class:`Client`, with ``await`` and ``async for``; for one event loop at a time.

    The loop must be asyncio's: under trio each call is a :class:`UsageError`. It is not safe in
    threads; use a :class:`Client` there.
    """

    _transport_class = AsyncHttpxTransport
    _stream_class = AsyncStream

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

    async def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """See :meth:`Client.fetch`."""
        async with self.stream_fetch(token, wait=wait) as reading:
            return await reading.finish()

    async def history(self, token: str, order: Order = "asc") -> list[Message]:
        """See :meth:`Client.history`."""
        run = self._listing(token, order)
        async with self._stream_for(run) as reading:
            await reading.finish()
        return _redacted(run.value, self.settings)

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._closed = True
        await self._transport.close()
        self._end()

    async def close_when_idle(self) -> None:
        """Close the connections as soon as no stream is being read."""
        try:
            while len(self._running):
                await asyncio.sleep(IDLE_INTERVAL)
        finally:
            await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
