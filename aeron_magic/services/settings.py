"""Where the services are, who asks, and how long to wait.

Settings are resolved when they are asked for and never at import. Their repr hides secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

from aeron_magic.errors import CredentialsError, UsageError
from aeron_magic.services.catalog import NAMES

__all__ = ["DEFAULTS", "ServiceName", "Settings", "resolve_settings", "validate_timeout"]

ServiceName = Literal["aeronpay", "chatzy"]

MAX_TIMEOUT = 1e6

DEFAULTS = {
    # The vendor's reference also shows https://api.aeronpay.in/api/serviceapi-prod/api/ai.
    "aeronpay": "https://api.aeronpay.co.in/payal-api/api/serviceapi-prod/api/ai",
    "chatzy": "https://vevdoh3hve.execute-api.us-east-1.amazonaws.com/prod",
    "chatzy_stream": "https://backend-1.chatzy.ai",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach one service.

    Parameters
    ----------
    service
        ``"aeronpay"`` or ``"chatzy"``.
    base_url
        The address under which the service's endpoints stand.
    stream_url
        Chatzy only: the host of its stream.
    client_id, client_secret
        AeronPay only: the credentials, sent as headers with each request.
    chatbot_id
        Chatzy only: the agent, a UUID.
    timeout
        Seconds of silence after which a connection counts as lost.
    fetch_timeout
        Seconds in all to wait for a reply that the service is still working on.
    """

    service: ServiceName
    base_url: str
    stream_url: str = ""
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    chatbot_id: str = ""
    timeout: float = 30.0
    fetch_timeout: float = 120.0

    @property
    def recording_id(self) -> str:
        """Who answers, as recordings name it: the service and, for Chatzy, the agent."""
        return f"{self.service}/{self.chatbot_id}" if self.chatbot_id else self.service

    @property
    def conversation_scope(self) -> str:
        """Where conversations are held: the address and, for Chatzy, the agent."""
        return f"{self.base_url}#{self.chatbot_id}" if self.chatbot_id else self.base_url

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, recorded or sent inside a prompt."""
        return (self.client_secret,) if self.client_secret else ()


def resolve_settings(
    service: str = "aeronpay",
    *,
    base_url: str | None = None,
    stream_url: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    chatbot_id: str | None = None,
    timeout: float = 30.0,
    fetch_timeout: float = 120.0,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from what is given, else from the environment, else the vendor's addresses.

    The environment's variables are ``AERON_CLIENT_ID``, ``AERON_CLIENT_SECRET``,
    ``AERON_BASE_URL``, ``CHATZY_CHATBOT_ID``, ``CHATZY_BASE_URL`` and ``CHATZY_STREAM_URL``.

    Raises
    ------
    UsageError
        An unknown service, an address that is none, a time that is not positive.
    CredentialsError
        AeronPay without credentials, or Chatzy without the id of an agent.
    """
    env = os.environ if environ is None else environ
    validate_timeout("timeout", timeout)
    validate_timeout("fetch_timeout", fetch_timeout)
    if service == "aeronpay":
        identity = client_id or env.get("AERON_CLIENT_ID", "")
        secret = client_secret or env.get("AERON_CLIENT_SECRET", "")
        if not (identity and secret):
            raise CredentialsError(
                "No credentials for AeronPay.",
                hint="Set AERON_CLIENT_ID and AERON_CLIENT_SECRET in the environment, "
                "or run `%aeron login`.",
            )
        for name, value in (("client-id", identity), ("client-secret", secret)):
            if not (value.isascii() and value.isprintable() and value == value.strip()):
                raise CredentialsError(
                    f"The {name} holds a character that no HTTP header may carry.",
                    hint="Check it for blanks, line breaks or quotes copied along with it.",
                )
        return Settings(
            service="aeronpay",
            base_url=_address(base_url or env.get("AERON_BASE_URL") or DEFAULTS["aeronpay"]),
            client_id=identity,
            client_secret=secret,
            timeout=timeout,
            fetch_timeout=fetch_timeout,
        )
    if service == "chatzy":
        return Settings(
            service="chatzy",
            base_url=_address(base_url or env.get("CHATZY_BASE_URL") or DEFAULTS["chatzy"]),
            stream_url=_address(
                stream_url or env.get("CHATZY_STREAM_URL") or DEFAULTS["chatzy_stream"]
            ),
            chatbot_id=_chatbot(chatbot_id or env.get("CHATZY_CHATBOT_ID", "")),
            timeout=timeout,
            fetch_timeout=fetch_timeout,
        )
    raise UsageError(
        f"There is no service {service!r}.", hint=f"The services are {' and '.join(NAMES)}."
    )


def validate_timeout(name: str, seconds: float) -> float:
    """``seconds``, if a socket can wait for so long.

    Raises
    ------
    UsageError
        It is no number, not above 0, or more than ``MAX_TIMEOUT``.
    """
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_TIMEOUT:
        raise UsageError(
            f"{name} is {seconds!r}.",
            hint=f"{name} is a number of seconds above 0, at most {MAX_TIMEOUT:g}.",
        )
    return seconds


def _address(url: str) -> str:
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise UsageError(
            "The address holds a user name or a password.",
            hint="Give the address alone; credentials come from the environment or `%aeron login`.",
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(sign in url for sign in "?# \t\r\n"):
        raise UsageError(
            f"{url!r} is not the address of a service.",
            hint="An address begins with https:// (or http:// for a server on this machine), "
            "and has neither a query nor a fragment.",
        )
    return url.rstrip("/")


def _chatbot(chatbot_id: str) -> str:
    if not chatbot_id:
        raise CredentialsError(
            "No Chatzy agent is named.",
            hint="Set CHATZY_CHATBOT_ID, or give --chatbot-id (in Python: chatbot_id=…).",
        )
    try:
        return str(UUID(chatbot_id))
    except ValueError:
        raise UsageError(
            f"{chatbot_id!r} is not the id of a Chatzy agent.",
            hint="It is a UUID such as 725e1f05-6142-467e-bdec-47862d50da79.",
        ) from None
