"""``Client`` and ``AsyncClient``: ask a service from Python.

Both drive the same flows, with the two loops of :mod:`aeron_magic.streams`; they differ by their
awaits.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

from aeron_magic.errors import UsageError
from aeron_magic.flow import Flow, Question
from aeron_magic.reply import Message, Reply
from aeron_magic.services import Service, load
from aeron_magic.settings import Settings, positive, resolve
from aeron_magic.streams import AsyncStream, Run, Stream
from aeron_magic.wire import AsyncWire, Wire

if TYPE_CHECKING:
    from aeron_magic.recording import Recorder

__all__ = ["AsyncClient", "AsyncStream", "Client", "Stream"]

W = TypeVar("W", Wire, AsyncWire)
Order = Literal["asc", "desc"]

IMAGE = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def question(
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
    continued = None if context_token is None or context_token == "" else known(context_token)
    return Question(text, addresses, continued, stream)


def known(token: str) -> str:
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


def _silence(timeout: float | None) -> float | None:
    return None if timeout is None else positive("timeout", timeout)


class _Base(ABC, Generic[W]):
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
        recorder: Recorder | None = None,
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
        self.recorder = recorder
        addresses = filter(None, (self.settings.base_url, self.settings.stream_url))
        self._wire: W = self._connect(tuple(addresses), self.settings.timeout)

    @abstractmethod
    def _connect(self, addresses: tuple[str, ...], timeout: float) -> W: ...

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.service!r}, {self.settings.base_url!r})"

    def _asking(self, asked: Question) -> Run[None]:
        settings, ask = self.settings, self.service.ask
        if self.recorder is None:
            flow = ask(asked)
        else:
            flow = self.recorder.ask(asked, settings.answerer, ask, settings.secrets)
        return Run(flow, settings, asked.context_token)

    def _fetching(self, token: str, wait: bool) -> Flow[None]:
        def fetch(token: str) -> Flow[None]:
            return self.service.fetch(token, wait=wait)

        known(token)
        return fetch(token) if self.recorder is None else self.recorder.fetch(token, fetch)


class Client(_Base[Wire]):
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
        Replays and records; see :class:`aeron_magic.recording.Recorder`.

    Raises
    ------
    UsageError, CredentialsError
        Something of this is wrong or missing.
    """

    def _connect(self, addresses: tuple[str, ...], timeout: float) -> Wire:
        return Wire(addresses, timeout)

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
        return Stream(self._asking(asked), self._wire.exchange(_silence(timeout)))

    def introduction(self) -> Stream:
        """Begin a conversation without a question: Chatzy's introductory message."""
        return self._start(self.service.introduce())

    def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """The stored reply of ``token`` (AeronPay: fetch-response).

        With ``wait`` it polls, for at most ``fetch_timeout`` seconds, while the service is still
        processing; without, the reply's status may be ``processing``.
        """
        with self.fetching(token, wait=wait) as reading:
            return reading.finish()

    def fetching(self, token: str, *, wait: bool = True) -> Stream:
        """The same as :meth:`fetch`, to be watched while it waits."""
        return self._start(self._fetching(token, wait))

    def history(self, token: str, order: Order = "asc") -> list[Message]:
        """The messages up to ``token`` (AeronPay: list-input), oldest first unless ``"desc"``."""
        run = Run(self.service.history(known(token), order), self.settings)
        with Stream(run, self._wire.exchange()) as reading:
            reading.finish()
        return run.value or []

    def _start(self, flow: Flow[None]) -> Stream:
        return Stream(Run(flow, self.settings), self._wire.exchange())

    def close(self) -> None:
        """Close the kept connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class AsyncClient(_Base[AsyncWire]):
    """The same as :class:`Client`, with ``await`` and ``async for``; for one event loop."""

    def _connect(self, addresses: tuple[str, ...], timeout: float) -> AsyncWire:
        return AsyncWire(addresses, timeout)

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
        return AsyncStream(self._asking(asked), self._wire.exchange(_silence(timeout)))

    def introduction(self) -> AsyncStream:
        """See :meth:`Client.introduction`."""
        return self._start(self.service.introduce())

    async def fetch(self, token: str, *, wait: bool = True) -> Reply:
        """See :meth:`Client.fetch`."""
        async with self.fetching(token, wait=wait) as reading:
            return await reading.finish()

    def fetching(self, token: str, *, wait: bool = True) -> AsyncStream:
        """The same as :meth:`fetch`, to be watched while it waits."""
        return self._start(self._fetching(token, wait))

    async def history(self, token: str, order: Order = "asc") -> list[Message]:
        """See :meth:`Client.history`."""
        run = Run(self.service.history(known(token), order), self.settings)
        async with AsyncStream(run, self._wire.exchange()) as reading:
            await reading.finish()
        return run.value or []

    def _start(self, flow: Flow[None]) -> AsyncStream:
        return AsyncStream(Run(flow, self.settings), self._wire.exchange())

    async def close(self) -> None:
        """Close the kept connections."""
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
