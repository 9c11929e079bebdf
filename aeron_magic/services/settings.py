"""Settings of a service: addresses, credentials and timeouts.

The environment is read by `resolve_settings`, never at import. The repr hides secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aeron_magic.errors import CredentialsError, UsageError, ValueRefused
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES

__all__ = ["Settings", "resolve_settings", "validate_timeout"]

MAX_TIMEOUT = 1e6

MIN_SECRET_LENGTH = 12
"""Characters; a shorter secret may occur in a question by chance."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach one service.

    Parameters
    ----------
    service
        ``"aeronpay"`` or ``"chatzy"``.
    base_url
        The address of the API.
    stream_url
        Chatzy only: the host of its stream.
    client_id, client_secret
        AeronPay only: the credentials, sent as headers with each request.
    chatbot_id
        Chatzy only: the agent, a UUID.
    timeout
        Seconds of silence after which a connection counts as lost.
    fetch_timeout
        Seconds in all to wait for an unfinished reply.
    """

    service: str
    base_url: str
    stream_url: str = ""
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    chatbot_id: str = ""
    timeout: float = 30.0
    fetch_timeout: float = 120.0

    @property
    def recording_id(self) -> str:
        """The service in recordings, and for Chatzy the agent."""
        return f"{self.service}/{self.chatbot_id}" if self.chatbot_id else self.service

    @property
    def conversation_scope(self) -> str:
        """The scope of a conversation: the address, and for Chatzy the agent."""
        return f"{self.base_url}#{self.chatbot_id}" if self.chatbot_id else self.base_url

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, recorded or sent in a prompt."""
        return (self.client_secret,) if self.client_secret else ()

    def reject_secrets(self, question: str) -> None:
        """Raise if ``question`` contains a secret.

        Raises
        ------
        ValueRefused
            It does. A secret shorter than ``MIN_SECRET_LENGTH`` is not searched for.
        """
        if any(len(secret) >= MIN_SECRET_LENGTH and secret in question for secret in self.secrets):
            raise ValueRefused(
                "The question contains a configured secret, which is never sent as text.",
                hint="Remove it: it would be saved with the question.",
            )


def resolve_settings(
    service: str = DEFAULT_SERVICE,
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
    """Settings from the parameters, else the environment, else the vendor's addresses.

    The environment variables are ``AERON_CLIENT_ID``, ``AERON_CLIENT_SECRET``,
    ``AERON_BASE_URL``, ``CHATZY_CHATBOT_ID``, ``CHATZY_BASE_URL`` and ``CHATZY_STREAM_URL``.

    Raises
    ------
    UsageError
        The service is unknown, or an address, an agent's id or a timeout is invalid.
    CredentialsError
        The service's credentials (for Chatzy: the agent's id) are missing or invalid.
    """
    env = os.environ if environ is None else environ
    validate_timeout("timeout", timeout)
    validate_timeout("fetch_timeout", fetch_timeout)
    info = SERVICES.get(service)
    if info is None:
        raise UsageError(
            f"Unknown service {service!r}.", hint=f"The services are {' and '.join(SERVICES)}."
        )
    given = {
        "base_url": base_url,
        "stream_url": stream_url,
        "client_id": client_id,
        "client_secret": client_secret,
        "chatbot_id": chatbot_id,
    }
    values: dict[str, str] = {}
    for credential in info.credentials:
        value = given[credential.field] or env.get(credential.variable)
        if not value:
            raise CredentialsError(f"No credentials for {info.title}.", hint=info.how_to_connect)
        values[credential.field] = credential.normalize(credential.label, value)
    for address in info.addresses:
        value = given[address.field] or env.get(address.variable) or address.default
        values[address.field] = _normalize_url(value)
    return Settings(service, timeout=timeout, fetch_timeout=fetch_timeout, **values)


def validate_timeout(name: str, seconds: float) -> float:
    """``seconds``, if it is a valid timeout.

    Raises
    ------
    UsageError
        It is not a number above 0 and at most ``MAX_TIMEOUT``.
    """
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_TIMEOUT:
        raise UsageError(
            f"{name} is {seconds!r}.",
            hint=f"{name} is a number of seconds above 0, at most {MAX_TIMEOUT:g}.",
        )
    return seconds


def _normalize_url(url: str) -> str:
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise UsageError(
            "The address contains a user name or a password.",
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
            hint="An address begins with https:// (or http:// for a server on this machine) "
            "and has neither a query nor a fragment.",
        )
    return url.rstrip("/")
