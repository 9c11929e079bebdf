"""``Client`` and ``AsyncClient``: ask a service from Python.

Both drive the same flows with the two loops of :mod:`aeron_magic.client.stream`, and share what
needs no ``await``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from aeron_magic.client.httpx_transport import AsyncHttpxTransport, HttpxTransport
from aeron_magic.client.stream import AsyncStream, FlowRun, Stream
from aeron_magic.errors import UsageError
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.reply import Message, Reply
from aeron_magic.services.base import Service, load
from aeron_magic.services.catalog import DEFAULT_SERVICE
from aeron_magic.services.settings import Settings, resolve_settings, validate_timeout

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder

__all__ = ["AsyncClient", "AsyncStream", "Client", "Stream"]

W = TypeVar("W", HttpxTransport, AsyncHttpxTransport)
S = TypeVar("S", Stream, AsyncStream)
Order = Literal["asc", "desc"]

IMAGE = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def make_question(
    text: str, context_token: str | None = None, images: Iterable[str] = (), stream: bool = True
) -> Question:
    """A question that can be sent.

    Raises
    ------
    UsageError
        The text is empty, or an image is no http(s) address.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError("There is no question.", hint="Write it below the %%aeron line.")
    addresses = (images,) if isinstance(images, str) else tuple(images)
    for address in addresses:
        if not (isinstance(address, str) and IMAGE.fullmatch(address)):
            raise UsageError(
                f"{str(address)[:100]!r} is not an image's address.",
                hint="Images are given by an http(s) address that the service can load.",
            )
    continued = (
        None if context_token is None or context_token == "" else validate_token(context_token)
    )
    return Question(text, addresses, continued, stream)


def validate_token(token: str) -> str:
    """``token``, if it can be one.

    Raises
    ------
    UsageError
        It is empty, or no string.
    """
    if not isinstance(token, str) or not token.strip():
        raise UsageError(
            f"{token!r} is not a context token.",
            hint="It is the string that a reply has as its `context_token`.",
        )
    return token


class _Client(ABC, Generic[W, S]):
    """What both clients do before anything is sent: that waits for nothing."""

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
        settings: Settings | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings or resolve_settings(
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
        self.recorder = recorder
        addresses = filter(None, (self.settings.base_url, self.settings.stream_url))
        try:
            self._transport: W = self._connect(tuple(addresses), self.settings.timeout)
        except (ImportError, OSError, ValueError) as error:  # what the environment says of it
            raise UsageError(
                f"The network cannot be used as the environment says: {str(error).rstrip('.')}.",
                hint="Check SSL_CERT_FILE and SSL_CERT_DIR, and the proxies: HTTP_PROXY, "
                "HTTPS_PROXY, ALL_PROXY.",
            ) from error
        self._closed = False

    def _open(self) -> W:
        if self._closed:
            raise UsageError("This client is closed.", hint="Make another one to ask again.")
        return self._transport

    @abstractmethod
    def _connect(self, addresses: tuple[str, ...], timeout: float) -> W: ...

    @abstractmethod
    def _stream_for(self, run: FlowRun[Any], timeout: float | None = None) -> S: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.service!r}, {self.settings.base_url!r})"

    def stream(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        *,
        stream: bool = True,
        timeout: float | None = None,
    ) -> S:
        """Ask, and read the reply as it comes.

        Nothing is sent before the first piece is asked for. What goes wrong then is raised by the
        iteration, as by :meth:`ask`.

        Parameters
        ----------
        text, context_token, images, stream
            As for :meth:`ask`.
        timeout
            Seconds of silence before this question's connection counts as lost; by default the
            client's.

        Returns
        -------
        Stream or AsyncStream
            Its pieces in order; close it, or use it as a context manager.

        Raises
        ------
        UsageError
            There is no question, an image is no address, the token or the time is none.
        """
        asked = make_question(text, context_token, images, stream)
        settings, ask = self.settings, self.service.ask
        if self.recorder is None:
            flow = ask(asked)
        else:
            flow = self.recorder.ask(asked, settings.recording_id, ask, settings.secrets)
        patience = None if timeout is None else validate_timeout("timeout", timeout)
        return self._stream_for(FlowRun(flow, settings, asked.context_token), patience)

    def stream_introduction(self) -> S:
        """Begin a conversation without a question: the agent's introductory message.

        Chatzy only (*init_conversation*): it is ``accumulator.introduction`` of what is returned,
        once that has been read, and ``reply.context_token`` continues after it. AeronPay has none,
        and is not asked.
        """
        return self._stream_for(FlowRun(self.service.introduction(), self.settings))

    def stream_fetch(self, token: str, *, wait: bool = True) -> S:
        """The same as :meth:`fetch`, to be watched while it waits.

        Its one piece comes at the end; errors are raised by the iteration.
        """
        validate_token(token)
        if self.recorder is None:
            flow = self.service.fetch(token, wait=wait)
        else:
            flow = self.recorder.fetch(token, partial(self.service.fetch, wait=wait))
        return self._stream_for(FlowRun(flow, self.settings))

    def _listing(self, token: str, order: Order) -> FlowRun[list[Message]]:
        return FlowRun(self.service.history(validate_token(token), order), self.settings)


class Client(_Client[HttpxTransport, Stream]):
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
    recorder
        Replays and records; see :class:`aeron_magic.recording.recorder.Recorder`.

    Raises
    ------
    UsageError, CredentialsError
        Something of this is wrong or missing.
    """

    def _connect(self, addresses: tuple[str, ...], timeout: float) -> HttpxTransport:
        return HttpxTransport(addresses, timeout)

    def ask(
        self,
        text: str,
        context_token: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """Ask, and wait for the whole reply.

        AeronPay's *Create Response*; if its stream is lost, *Fetch Response* until the reply is
        whole. Chatzy's get_inference, and its *Stream Conversation AI Agent Response*.

        Parameters
        ----------
        text
            The prompt.
        context_token
            The token of the reply to continue from; None begins a conversation.
        images
            http(s) addresses of images; AeronPay only.
        stream
            Whether to read the reply chunk by chunk: it can then be recovered if the connection
            is lost. With Chatzy the agent decides.

        Raises
        ------
        UsageError
            There is no question, an image is no address, or the token is none; nothing was sent.
        ServiceError
            The service refuses: :class:`~aeron_magic.AuthenticationError`,
            :class:`~aeron_magic.TokenError`, :class:`~aeron_magic.RateLimited` and others.
        Unreachable
            The connection was never made.
        ReplyError
            The reply is not whole; ``partial`` and ``context_token`` say what there is.
        RecordingError
            With a recorder that only replays: it does not hold the question.
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
            Whether to ask again, for at most ``fetch_timeout`` seconds in all, while the service
            is still working on it; if not, the reply's status may be ``processing``.

        Raises
        ------
        UsageError
            It is no token; or the service is Chatzy, which has no call for that.
        TokenError
            The service does not know the token, or no longer.
        FailedReply
            The service says that it could not answer.
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
            The ``context_token`` up to which: its question is the last message, without the
            answer to it.
        order
            ``"asc"``, oldest first (default), or ``"desc"``.

        Raises
        ------
        UsageError
            It is no token; or the service is Chatzy, which has no call for that.
        TokenError
            The service does not know the token, or no longer.
        ServiceError, Unreachable
            As for :meth:`ask`.
        """
        run = self._listing(token, order)
        with self._stream_for(run) as reading:
            reading.finish()
        return run.value or []

    def _stream_for(self, run: FlowRun[Any], timeout: float | None = None) -> Stream:
        return Stream(run, self._open().flow_io(timeout))

    def close(self) -> None:
        """Close the kept connections; the client asks nothing from then on."""
        self._closed = True
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncClient(_Client[AsyncHttpxTransport, AsyncStream]):
    """The same as :class:`Client`, with ``await`` and ``async for``; for one event loop."""

    def _connect(self, addresses: tuple[str, ...], timeout: float) -> AsyncHttpxTransport:
        return AsyncHttpxTransport(addresses, timeout)

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
        return run.value or []

    def _stream_for(self, run: FlowRun[Any], timeout: float | None = None) -> AsyncStream:
        return AsyncStream(run, self._open().flow_io(timeout))

    async def close(self) -> None:
        """Close the kept connections; the client asks nothing from then on."""
        self._closed = True
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
