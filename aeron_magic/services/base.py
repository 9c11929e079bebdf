"""The interface of a service, and `load`."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Protocol

from aeron_magic.protocol.flow import Flow, Question, Request
from aeron_magic.replies.reply import Message
from aeron_magic.services.settings import Settings


class Service(Protocol):
    """A service; its methods are flows (see :mod:`aeron_magic.protocol.flow`)."""

    settings: Settings

    def introduction(self) -> Flow[None]:
        """Start a conversation with the service's introductory message, if it has one."""
        ...

    def ask(self, question: Question) -> Flow[None]:
        """Ask, until the reply is complete; raises an AeronError if that fails."""
        ...

    def build_request(self, question: Question) -> Request:
        """The paid request of ``question``."""
        ...

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """The stored reply of a token; with ``wait``, poll until it has ended."""
        ...

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """The messages of a conversation that the service stores."""
        ...


def load(settings: Settings) -> Service:
    module = import_module(f"aeron_magic.services.{settings.service}")
    service: Service = module.Service(settings)
    return service
