"""``SERVICES``: what other modules need to know of each service.

A service is its own file plus its entry here. A setting that no other service has is also a field
of `Settings` and a parameter of `Client`. No other module compares a service's name, or knows which
settings are secret.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Address(NamedTuple):
    """An address of a service."""

    field: str
    """Its name in `Settings`."""
    variable: str
    """The environment variable that overrides it."""
    default: str
    """The vendor's address."""
    in_sandbox: str
    """The attribute of the sandbox that holds its address."""


class Credential(NamedTuple):
    """A value that identifies the caller."""

    field: str
    """Its name in `Settings`."""
    variable: str
    """The environment variable that it is read from."""
    label: str
    """Its name in prompts and errors."""
    is_secret: bool = False
    """Whether it must not be shown, recorded or sent in a question."""
    is_agent_id: bool = False
    """Whether it is an agent's UUID, which is public and part of a recording's key; else it is sent
    as an HTTP header."""


class ServiceInfo(NamedTuple):
    """One service. (A dataclass compiles its methods at import, which takes five times as long.)"""

    title: str
    """Its name for users."""
    addresses: tuple[Address, ...] = ()
    credentials: tuple[Credential, ...] = ()
    how_to_connect: str = ""
    """The remedy for missing credentials."""
    can_fetch: bool = False
    """Whether a reply can be fetched by its token."""
    if_incomplete: str = ""
    """The remedy for a begun reply that cannot be fetched."""
    branches: bool = True
    """Whether a conversation can continue from an earlier turn."""
    has_introduction: bool = False
    """Whether a conversation starts with a message of the service."""

    @property
    def fields(self) -> list[str]:
        """The names of its addresses and credentials in `Settings`."""
        addresses = [address.field for address in self.addresses]
        return addresses + [credential.field for credential in self.credentials]

    @property
    def agent(self) -> Credential | None:
        """The credential that is an agent's id, if it has one."""
        return next((one for one in self.credentials if one.is_agent_id), None)


DEFAULT_SERVICE = "aeronpay"

# AeronPay's reference also shows https://api.aeronpay.in/api/serviceapi-prod/api/ai.
_AERONPAY = "https://api.aeronpay.co.in/payal-api/api/serviceapi-prod/api/ai"
_CHATZY = "https://vevdoh3hve.execute-api.us-east-1.amazonaws.com/prod"
_CHATZY_STREAM = "https://backend-1.chatzy.ai"

SERVICES = {
    "aeronpay": ServiceInfo(
        "AeronPay",
        (Address("base_url", "AERON_BASE_URL", _AERONPAY, "aeronpay_url"),),
        (
            Credential("client_id", "AERON_CLIENT_ID", "AeronPay client-id"),
            Credential("client_secret", "AERON_CLIENT_SECRET", "AeronPay client-secret", True),
        ),
        "`%aeron connect sandbox` (in Python: Client('sandbox')) works at once and needs no "
        "account; or set AERON_CLIENT_ID and AERON_CLIENT_SECRET in the environment; or, in a "
        "notebook, run `%aeron login`, which asks for them.",
        can_fetch=True,
    ),
    "chatzy": ServiceInfo(
        "Chatzy",
        (
            Address("base_url", "CHATZY_BASE_URL", _CHATZY, "chatzy_url"),
            Address("stream_url", "CHATZY_STREAM_URL", _CHATZY_STREAM, "chatzy_stream_url"),
        ),
        (Credential("chatbot_id", "CHATZY_CHATBOT_ID", "Chatzy chatbot_id", is_agent_id=True),),
        "Name the agent: `%aeron connect chatzy --chatbot-id UUID`, or set CHATZY_CHATBOT_ID (in "
        "Python: chatbot_id=…); `%aeron connect sandbox --service chatzy` needs none.",
        if_incomplete="Ask the agent to repeat its answer: in a notebook the next question "
        "continues this conversation; in Python, ask with this context_token.",
        branches=False,
        has_introduction=True,
    ),
}
"""Every service by its name, which is also the name of its file."""

SECRET_VARIABLES = tuple(
    one.variable for info in SERVICES.values() for one in info.credentials if one.is_secret
)
"""The environment variables of all secrets."""


@cache
def service_info(name: str) -> ServiceInfo:
    """The service ``name``; for an unknown name, a service without special capabilities."""
    return SERVICES.get(name) or ServiceInfo(name)
