"""Limits on what a service may send: far above any real reply, far below this machine's memory."""

from __future__ import annotations

from typing import NamedTuple

from aeron_magic.errors import IncompleteReply


class Limits(NamedTuple):
    """The most that is accepted from a service; sizes are bytes after decompression.

    Parameters
    ----------
    body
        A body that is not streamed: an error, a fetched or listed reply, an unstreamed answer
        (32 MiB).
    reply
        A streamed body (64 MiB).
    frame
        One event of a stream (32 MiB).
    chunks
        Events of a stream (500,000).
    header
        The header of a response (64 KiB).
    wait
        Seconds in all for one request and its response (3,600).
    """

    body: int = 32 * 2**20
    reply: int = 64 * 2**20
    frame: int = 32 * 2**20
    chunks: int = 500_000
    header: int = 64 * 2**10
    wait: float = 3600.0


DEFAULT_LIMITS = Limits()

_TOO_MUCH = {
    "body": "The answer is longer than {:,} bytes",
    "reply": "The reply is longer than {:,} bytes",
    "frame": "One event of the reply is longer than {:,} bytes",
    "chunks": "The reply has more than {:,} events",
    "header": "The header of the answer is longer than {:,} bytes",
    "wait": "The answer took longer than {:g} s",
}


def limit_error(limits: Limits, name: str, context_token: str | None = None) -> IncompleteReply:
    """The exception for an answer that exceeds the limit ``name``; it was not read any further."""
    return IncompleteReply(
        f"{_TOO_MUCH[name].format(getattr(limits, name))}; reading stopped at this limit.",
        hint=f"The setting `{name}` of the limits allows more: "
        f"`%config AeronMagics.limits = {{'{name}': …}}`, or `Client(limits=Limits({name}=…))`.",
        context_token=context_token,
    )
