"""Sans-I/O steps that a service flow yields, and the results its driver sends back.

A flow is a generator without sockets, clocks or threads. Two drivers (one plain, one ``async``)
perform its steps, so that waiting, retrying and recovery are written once, in the service's file.

========================  ===================================================================
yields                    receives
========================  ===================================================================
``Send(request)``         the whole :class:`Response` (the body of an error may be cut), or
                          :class:`ConnectionLost`
``OpenStream(request)``   a :class:`Response`, or :class:`ConnectionLost`; if the status is 2xx
                          the body is empty, and its bytes are read by ``READ``
``READ``                  bytes as they arrive, ``b""`` at a clean end, or
                          :class:`ConnectionLost`
``Close()``               None; the open stream is closed
``Sleep(seconds)``        None, after that time
a list of events          None
========================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from aeron_magic.protocol.events import Event

T = TypeVar("T")
_NONE: Mapping[str, str] = MappingProxyType({})


class Question(NamedTuple):
    """A question to a service.

    * ``text``: the prompt as it is sent.
    * ``images``: http(s) addresses of images that belong to it.
    * ``context_token``: the token of the reply to continue from; None starts a conversation.
    * ``stream``: whether to stream the reply.
    """

    text: str
    images: tuple[str, ...] = ()
    context_token: str | None = None
    stream: bool = True


class Request(NamedTuple):
    """One HTTP request. ``headers`` may contain a secret and are left out of the repr."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = _NONE
    params: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.url!r}, json={self.json!r})"


class Response(NamedTuple):
    """An HTTP response. Header names are in lower case.

    ``elapsed`` is the time the request took, in seconds: a flow has no clock. ``cut``: the end of
    an error's body is missing. Headers and body may repeat a secret and are left out of the repr.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    elapsed: float = 0.0
    cut: bool = False

    def __repr__(self) -> str:
        return f"Response({self.status}, elapsed={self.elapsed})"


class ConnectionLost(NamedTuple):
    """The connection failed.

    ``sent`` is False only if no connection was made, so that the server received nothing.
    ``elapsed`` is the time until the failure, in seconds. ``received`` is what came of a body that
    is not streamed. With a ``remedy``, what to do, it is useless to try again.
    """

    reason: str
    sent: bool = True
    elapsed: float = 0.0
    received: bytes = b""
    remedy: str = ""

    def __repr__(self) -> str:
        return f"ConnectionLost({self.reason!r}, sent={self.sent}, elapsed={self.elapsed})"


class Send(NamedTuple):
    """``timeout`` is the longest silence in seconds, if less than the driver's own."""

    request: Request
    timeout: float | None = None


class OpenStream(NamedTuple):
    request: Request


class ReadChunk:
    __slots__ = ()


class Close(NamedTuple):
    """``finished``: the reply is complete, and only the end of the body can follow."""

    finished: bool = False


class Sleep(NamedTuple):
    seconds: float


READ = ReadChunk()

Step = Send | OpenStream | ReadChunk | Close | Sleep | list[Event]
StepResult = Response | ConnectionLost | bytes | None
Flow = Generator[Step, StepResult, T]
