"""Talk to an AI service from a notebook, or from Python.

In a notebook: ``%load_ext aeron_magic``. The names below are imported on first use, so that
importing the package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeron_magic.batch import ask_many
    from aeron_magic.checks.api import check
    from aeron_magic.client.client import AsyncClient, Client
    from aeron_magic.client.stream import AsyncStream, Stream
    from aeron_magic.conversations.conversation import Conversation
    from aeron_magic.errors import (
        AccessRestricted,
        AeronError,
        AuthenticationError,
        CheckFailed,
        CredentialsError,
        FailedReply,
        HistoryError,
        IncompleteReply,
        Interrupted,
        RateLimited,
        RecordingError,
        ReplyError,
        ReplyFormatError,
        ServiceError,
        TokenError,
        UnexpectedAnswer,
        Unreachable,
        UsageError,
        ValueRefused,
    )
    from aeron_magic.jupyter.panel.widget import ChatPanel
    from aeron_magic.replies.reply import Message, Reply

__all__ = [
    "AccessRestricted",
    "AeronError",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "ChatPanel",
    "CheckFailed",
    "Client",
    "Conversation",
    "CredentialsError",
    "FailedReply",
    "HistoryError",
    "IncompleteReply",
    "Interrupted",
    "Message",
    "RateLimited",
    "RecordingError",
    "Reply",
    "ReplyError",
    "ReplyFormatError",
    "ServiceError",
    "Stream",
    "TokenError",
    "UnexpectedAnswer",
    "Unreachable",
    "UsageError",
    "ValueRefused",
    "__version__",
    "ask_many",
    "check",
    "load_ipython_extension",
    "unload_ipython_extension",
]

__version__ = "0.1.0"

_MODULES = {
    "AsyncClient": "client.client",
    "AsyncStream": "client.stream",
    "ChatPanel": "jupyter.panel.widget",
    "Client": "client.client",
    "Conversation": "conversations.conversation",
    "Message": "replies.reply",
    "Reply": "replies.reply",
    "Stream": "client.stream",
    "ask_many": "batch",
    "check": "checks.api",
}
"""The module of each name that is not an exception."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: Any) -> None:
    """Called by ``%load_ext aeron_magic``."""
    from aeron_magic.jupyter.extension import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Called by ``%unload_ext aeron_magic``."""
    from aeron_magic.jupyter.extension import unload

    unload(ipython)
