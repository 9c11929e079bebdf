"""What can happen while a reply comes in: frozen values, the same for every service.

A service's flow yields them in lists; the fold over them is a
:class:`~aeron_magic.replies.accumulator.ReplyAccumulator`. They are named tuples, as most values
are that the first question needs: a dataclass compiles its methods, which costs five times as
much at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "Chunk",
    "Completed",
    "Event",
    "Introduced",
    "Recovering",
    "Started",
    "ToolCalled",
    "Unknown",
]


class Started(NamedTuple):
    """The service has taken the question up; the reply can be fetched by its token from now on."""

    context_token: str | None
    parent_context_token: str | None = None
    replayed: bool = False
    """Whether all this comes from a recording."""


class Chunk(NamedTuple):
    """A piece of the reply; there are thousands of these."""

    text: str
    sequence: int | None = None
    """Where the service numbers its chunks, the number; else the order of arrival counts."""
    msg_id: str = ""


class Introduced(NamedTuple):
    """An agent's introductory message and the buttons that it offers."""

    text: str
    buttons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent ran a tool; more chunks follow. (A tuple without fields would count as false.)"""


class Recovering(NamedTuple):
    """The stream was lost; the service is asked for the reply by its token."""

    reason: str


class Completed(NamedTuple):
    """The service says that the reply is whole.

    ``text`` is the whole text where the service repeats it; None where the chunks are all there is.
    """

    text: str | None = None
    context_token: str | None = None
    parent_context_token: str | None = None
    msg_id: str = ""
    recovered: bool = False


class Unknown(NamedTuple):
    """Something this version does not know: counted for diagnosis, never fatal."""

    name: str


Event = Started | Chunk | Introduced | ToolCalled | Recovering | Completed | Unknown
