"""Talk to an AI service from a notebook: ``%load_ext aeron_magic``, or from Python.

The names below are imported when they are first used, so that loading the extension stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeron_magic.client import AsyncClient as AsyncClient
    from aeron_magic.client import AsyncStream as AsyncStream
    from aeron_magic.client import Client as Client
    from aeron_magic.client import Stream as Stream
    from aeron_magic.conversation import Conversation as Conversation
    from aeron_magic.errors import AeronError as AeronError
    from aeron_magic.reply import Message as Message
    from aeron_magic.reply import Reply as Reply

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "client",
    "AsyncStream": "client",
    "Client": "client",
    "Stream": "client",
    "Conversation": "conversation",
    "AeronError": "errors",
    "Message": "reply",
    "Reply": "reply",
}

__all__ = [
    "AeronError",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Conversation",
    "Message",
    "Reply",
    "Stream",
    "__version__",
    "load_ipython_extension",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"aeron_magic.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; called by ``%load_ext aeron_magic``."""
    from aeron_magic.jupyter.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take everything back; called by ``%unload_ext aeron_magic``."""
    from aeron_magic.jupyter.extension import unload

    unload(shell)
