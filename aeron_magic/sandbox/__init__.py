"""The embedded service: AeronPay and Chatzy on 127.0.0.1, answering from the handbook.

It imports nothing of the rest of the package: a second, independent reading of the protocol, so
that a mistake in the client is not repeated here.
"""

from __future__ import annotations

from .faults import Faults, Refusal
from .request_log import LoggedRequest
from .server import Sandbox, embedded_sandbox

__all__ = ["Faults", "LoggedRequest", "Refusal", "Sandbox", "embedded_sandbox"]
