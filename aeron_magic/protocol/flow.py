"""The words in which a service says what it wants from the network.

A flow is a generator. It yields what it wants and is sent what came of it; it never touches a
socket, a clock or a thread, so that waiting, retrying and recovering stand once, in the service's
own file, and two small loops (one plain, one ``async``) drive it.

========================  ===================================================================
yields                    is sent
========================  ===================================================================
``Send(request)``         the whole :class:`Response` (its body may be cut where its status
                          refuses), or :class:`ConnectionLost`
``OpenStream(request)``   a :class:`Response`, or :class:`ConnectionLost`; where the status is 2xx
                          the body is empty, and its bytes are read by ``READ``
``READ``                  bytes as they arrive, ``b""`` at a clean end, or
                          :class:`ConnectionLost`
``Close()``               None; the open stream is closed
``Sleep(seconds)``        None, after that time
a list of events          None; what has become known of the reply
========================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from aeron_magic.protocol.events import Event

__all__ = [
    "READ",
    "Close",
    "ConnectionLost",
    "Flow",
    "OpenStream",
    "Question",
    "ReadChunk",
    "Request",
    "Response",
    "Send",
    "Sleep",
    "Step",
    "StepResult",
    "open_stream",
    "read",
    "send",
    "sleep",
]

T = TypeVar("T")
_NONE: Mapping[str, str] = MappingProxyType({})


class Question(NamedTuple):
    """What the user asks.

    Parameters
    ----------
    text
        The prompt as it is sent.
    images
        Addresses (http or https) of images that belong to it.
    context_token
        The token of the reply to continue from; None begins a conversation.
    stream
        Whether the reply is wanted chunk by chunk.
    """

    text: str
    images: tuple[str, ...] = ()
    context_token: str | None = None
    stream: bool = True


class Request(NamedTuple):
    """One HTTP request. ``headers`` may hold a secret and are left out of the repr."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str] = _NONE
    params: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.url!r}, json={self.json!r})"


class Response(NamedTuple):
    """What the server answered. Header names are in lower case.

    ``elapsed`` is how long it took, in seconds: a flow has no clock of its own. Headers and body
    may repeat a secret and are left out of the repr.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    elapsed: float = 0.0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"Response({self.status}, elapsed={self.elapsed})"


class ConnectionLost(NamedTuple):
    """The connection failed.

    ``sent`` is False only where no connection was made, so that the server surely saw nothing;
    ``elapsed`` is the time in seconds until that was known.
    """

    reason: str
    sent: bool = True
    elapsed: float = 0.0


class Send(NamedTuple):
    """``timeout`` is the longest silence in seconds, where it is less than the driver's own."""

    request: Request
    timeout: float | None = None


class OpenStream(NamedTuple):
    request: Request


class ReadChunk:
    __slots__ = ()


class Close(NamedTuple):
    """``finished`` says that the reply is whole, so that nothing but the body's end may follow."""

    finished: bool = False


class Sleep(NamedTuple):
    seconds: float


READ = ReadChunk()

Step = Send | OpenStream | ReadChunk | Close | Sleep | list[Event]
StepResult = Response | ConnectionLost | bytes | None
Flow = Generator[Step, StepResult, T]


def send(request: Request, timeout: float | None = None) -> Flow[Response | ConnectionLost]:
    """Yield ``Send(request, timeout)``; return its result, typed."""
    result = yield Send(request, timeout)
    assert isinstance(result, Response | ConnectionLost)
    return result


def open_stream(request: Request) -> Flow[Response | ConnectionLost]:
    """Yield ``OpenStream(request)``; return its result, typed."""
    result = yield OpenStream(request)
    assert isinstance(result, Response | ConnectionLost)
    return result


def read() -> Flow[bytes | ConnectionLost]:
    """Yield ``READ``; return its result, typed."""
    result = yield READ
    assert isinstance(result, bytes | ConnectionLost)
    return result


def sleep(seconds: float) -> Flow[None]:
    """Yield ``Sleep(seconds)``."""
    yield Sleep(seconds)
