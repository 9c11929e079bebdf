"""The embedded service: AeronPay and Chatzy on 127.0.0.1, answering from the handbook.

Nothing here imports the rest of the package, and nothing of the rest imports this at start-up:
it reads the protocol on its own, so that a mistake in the client is not made twice. Importing
the package itself stays cheap; the server comes in with the first use of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .faults import Faults, Refusal
    from .request_log import LoggedRequest
    from .server import Sandbox

__all__ = ["Faults", "LoggedRequest", "Refusal", "Sandbox"]

_HOMES = {
    "Faults": "faults",
    "Refusal": "faults",
    "Sandbox": "server",
    "LoggedRequest": "request_log",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
