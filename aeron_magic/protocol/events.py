"""What happens while a reply streams: frozen values, the same for every service.

A service's flow yields them in lists; a
:class:`~aeron_magic.replies.accumulator.ReplyAccumulator` folds them. They are named tuples because
a dataclass compiles its methods at import, which takes five times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Started(NamedTuple):
    """The service has accepted the question; the reply can be fetched by its token."""

    context_token: str | None
    parent_context_token: str | None = None
    recorded: tuple[float, float | None] | None = None
    """Of a reply from a recording: its recorded seconds, in all and until the first chunk."""


class Chunk(NamedTuple):
    """A part of the reply's text."""

    text: str
    sequence: int | None = None
    """The chunk's number, if the service numbers chunks; else the order of arrival counts."""
    msg_id: str = ""


class Introduced(NamedTuple):
    """An agent's introductory message and the buttons it offers."""

    text: str
    buttons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent ran a tool; more chunks follow. (A tuple without fields would be falsy.)"""


class Recovering(NamedTuple):
    """The stream was lost; the reply is being fetched by its token, for at most ``seconds``."""

    reason: str
    seconds: float | None = None


class Waiting(NamedTuple):
    """Nothing is requested for some seconds, because the service asked for a pause or is busy."""

    seconds: float


class Completed(NamedTuple):
    """The reply is complete.

    ``text`` is the whole text if the service repeats it; None if only the chunks hold it.
    """

    text: str | None = None
    context_token: str | None = None
    parent_context_token: str | None = None
    msg_id: str = ""
    recovered: bool = False


class Unknown(NamedTuple):
    """An event that this version does not support: counted for diagnosis, never fatal."""

    name: str


Event = Started | Chunk | Introduced | ToolCalled | Recovering | Waiting | Completed | Unknown
