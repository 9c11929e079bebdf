"""What can happen while a reply comes in: frozen values, the same for every service.

A service's flow yields them in lists; a :class:`~aeron_magic.reply.Draft` is the fold over them.
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


@dataclass(frozen=True, slots=True)
class Started:
    """The service has taken the question up; the reply can be fetched by its token from now on."""

    context_token: str | None
    parent_context_token: str | None = None
    replayed: bool = False
    """Whether all this comes from a recording."""


class Chunk(NamedTuple):
    """A piece of the reply. (A named tuple: there are thousands of these in a reply.)"""

    text: str
    sequence: int | None = None
    """Where the service numbers its chunks, the number; else the order of arrival counts."""
    msg_id: str = ""


@dataclass(frozen=True, slots=True)
class Introduced:
    """An agent's introductory message and the buttons that it offers."""

    text: str
    buttons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent ran a tool; more chunks follow."""


@dataclass(frozen=True, slots=True)
class Recovering:
    """The stream was lost; the service is asked for the reply by its token."""

    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The service says that the reply is whole.

    ``text`` is the whole text where the service repeats it; None where the chunks are all there is.
    """

    text: str | None = None
    context_token: str | None = None
    parent_context_token: str | None = None
    msg_id: str = ""
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something this version does not know: counted for diagnosis, never fatal."""

    name: str


Event = Started | Chunk | Introduced | ToolCalled | Recovering | Completed | Unknown
