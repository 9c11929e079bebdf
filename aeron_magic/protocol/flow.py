"""The words in which a service says what it wants from the network.

A flow is a generator. It yields what it wants and is sent what came of it; it never touches a
socket, a clock or a thread, so that waiting, retrying and recovering stand once, in the service's
own file, and two small loops (one plain, one ``async``) drive it.

======================  =====================================================================
yields                  is sent
======================  =====================================================================
``Send(request)``       the whole :class:`Answer` (its body may be cut where its status refuses),
                        or :class:`Lost`
``Open(request)``       an :class:`Answer`; its body is empty where the status is 2xx and the
                        bytes are to be had by ``READ``; or :class:`Lost`
``READ``                bytes as they arrive, ``b""`` at a clean end, or :class:`Lost`
``Close()``             None; the open stream is closed
``Pause(seconds)``      None, after that time
a list of events        None; what has become known of the reply
======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar

from aeron_magic.protocol.events import Event

__all__ = [
    "READ",
    "Answer",
    "Close",
    "Flow",
    "Lost",
    "Open",
    "Outcome",
    "Pause",
    "Question",
    "Read",
    "Request",
    "Send",
    "Step",
    "open_stream",
    "pause",
    "read",
    "send",
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


class Answer(NamedTuple):
    """What the server answered. Header names are in lower case.

    ``seconds`` is how long it took: a flow has no clock of its own. Headers and body may repeat a
    secret and are left out of the repr.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        return f"Answer({self.status}, seconds={self.seconds})"


class Lost(NamedTuple):
    """The connection failed.

    ``sent`` is False only where no connection was made, so that the server surely saw nothing;
    ``seconds`` is how long it took to find out.
    """

    reason: str
    sent: bool = True
    seconds: float = 0.0


class Send(NamedTuple):
    """``patience`` is the longest silence in seconds, where it is less than the driver's own."""

    request: Request
    patience: float | None = None


class Open(NamedTuple):
    request: Request


class Read:
    __slots__ = ()


class Close(NamedTuple):
    """``finished`` says that the reply is whole, so that nothing but the body's end may follow."""

    finished: bool = False


class Pause(NamedTuple):
    seconds: float


READ = Read()

Step = Send | Open | Read | Close | Pause | list[Event]
Outcome = Answer | Lost | bytes | None
Flow = Generator[Step, Outcome, T]


def send(request: Request, patience: float | None = None) -> Flow[Answer | Lost]:
    """Yield ``Send(request, patience)``; its outcome, with its type."""
    outcome = yield Send(request, patience)
    assert isinstance(outcome, Answer | Lost)
    return outcome


def open_stream(request: Request) -> Flow[Answer | Lost]:
    """Yield ``Open(request)``; its outcome, with its type."""
    outcome = yield Open(request)
    assert isinstance(outcome, Answer | Lost)
    return outcome


def read() -> Flow[bytes | Lost]:
    """Yield ``READ``; its outcome, with its type."""
    outcome = yield READ
    assert isinstance(outcome, bytes | Lost)
    return outcome


def pause(seconds: float) -> Flow[None]:
    """Yield ``Pause(seconds)``."""
    yield Pause(seconds)
