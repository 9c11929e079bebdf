"""What every service offers, and how it is loaded by its name."""

from __future__ import annotations

from importlib import import_module
from typing import Literal, Protocol

from aeron_magic.protocol.flow import Flow, Question, Request
from aeron_magic.replies.reply import Message
from aeron_magic.services.settings import Settings

__all__ = ["Service", "load"]


class Service(Protocol):
    """The methods of a service; each is a flow (see :mod:`aeron_magic.protocol.flow`)."""

    name: str
    settings: Settings

    def introduction(self) -> Flow[None]:
        """The introductory message of a conversation that begins, where the service has one."""
        ...

    def ask(self, question: Question) -> Flow[None]:
        """Ask; ends when the reply is whole, and raises an AeronError when it will not be."""
        ...

    def build_request(self, question: Question) -> Request:
        """The request that asks ``question``."""
        ...

    def fetch(self, token: str, *, wait: bool = True) -> Flow[None]:
        """The stored reply of a token."""
        ...

    def history(self, token: str, order: Literal["asc", "desc"] = "asc") -> Flow[list[Message]]:
        """The messages of a conversation as the service keeps them."""
        ...


def load(settings: Settings) -> Service:
    """The service that ``settings`` name."""
    module = import_module(f"aeron_magic.services.{settings.service}")
    service: Service = module.Service(settings)
    return service
