"""``SERVICES``: what the rest of the program needs to know of each service before a request.

A service is its own file plus its entry here. Other modules read these fields; none compares the
service's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aeron_magic.errors import CredentialsError, UsageError

__all__ = ["DEFAULT_SERVICE", "SERVICES", "Address", "Credential", "ServiceInfo", "service_info"]


class Address(NamedTuple):
    """One address of a service.

    Parameters
    ----------
    field
        Its name in `Settings` and as a parameter.
    variable
        The environment variable that overrides it.
    default
        The vendor's address.
    sandbox
        The attribute of the sandbox that holds its address.
    """

    field: str
    variable: str
    default: str
    sandbox: str


class Credential(NamedTuple):
    """One value that a service requires of its callers.

    Parameters
    ----------
    field
        Its name in `Settings` and as a parameter.
    variable
        The environment variable that it is read from.
    label
        Its name in prompts and errors.
    normalize
        Returns the value as it is sent; raises a UsageError if it is invalid.
    sandbox
        The value that the sandbox is called with.
    is_public
        Whether it names an agent, and is part of a recording's key; else it authenticates.
    """

    field: str
    variable: str
    label: str
    normalize: Callable[[str, str], str]
    sandbox: str
    is_public: bool = False


class ServiceInfo(NamedTuple):
    """One service. (A dataclass would compile its methods at import, at five times the cost.)

    Parameters
    ----------
    title
        Its name for readers.
    addresses, credentials
        What `Settings` hold for it.
    how_to_connect
        What to do without credentials: one sentence.
    can_fetch
        Whether a reply can be fetched by its token.
    branches
        Whether a conversation can continue from an earlier turn. If not, the service keeps one
        line of messages for each conversation.
    has_introduction
        Whether a conversation begins with a message of the service.
    """

    title: str
    addresses: tuple[Address, ...] = ()
    credentials: tuple[Credential, ...] = ()
    how_to_connect: str = ""
    can_fetch: bool = False
    branches: bool = True
    has_introduction: bool = False

    @property
    def fields(self) -> list[str]:
        """The names of its addresses and credentials in `Settings`."""
        addresses = [address.field for address in self.addresses]
        return addresses + [credential.field for credential in self.credentials]


def _header_value(label: str, value: str) -> str:
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise CredentialsError(
            f"The {label} contains a character that is not allowed in an HTTP header.",
            hint="Check it for blanks, line breaks or quotes copied along with it.",
        )
    return value


def _uuid(label: str, value: str) -> str:
    from uuid import UUID

    try:
        return str(UUID(value))
    except ValueError:
        raise UsageError(
            f"{value!r} is not a {label}.",
            hint="It is a UUID such as 725e1f05-6142-467e-bdec-47862d50da79.",
        ) from None


DEFAULT_SERVICE = "aeronpay"

SERVICES = {
    "aeronpay": ServiceInfo(
        "AeronPay",
        (
            Address(
                "base_url",
                "AERON_BASE_URL",
                # The vendor's reference also shows https://api.aeronpay.in/api/serviceapi-prod/api/ai.
                "https://api.aeronpay.co.in/payal-api/api/serviceapi-prod/api/ai",
                "aeronpay_url",
            ),
        ),
        (
            Credential(
                "client_id", "AERON_CLIENT_ID", "AeronPay client-id", _header_value, "sandbox"
            ),
            Credential(
                "client_secret",
                "AERON_CLIENT_SECRET",
                "AeronPay client-secret",
                _header_value,
                "sandbox-needs-no-secret",
            ),
        ),
        "`%aeron connect sandbox` works at once and needs no account; or set AERON_CLIENT_ID and "
        "AERON_CLIENT_SECRET in the environment; or run `%aeron login` and type them hidden.",
        can_fetch=True,
    ),
    "chatzy": ServiceInfo(
        "Chatzy",
        (
            Address(
                "base_url",
                "CHATZY_BASE_URL",
                "https://vevdoh3hve.execute-api.us-east-1.amazonaws.com/prod",
                "chatzy_url",
            ),
            Address(
                "stream_url",
                "CHATZY_STREAM_URL",
                "https://backend-1.chatzy.ai",
                "chatzy_stream_url",
            ),
        ),
        (
            Credential(
                "chatbot_id",
                "CHATZY_CHATBOT_ID",
                "Chatzy chatbot_id",
                _uuid,
                "00000000-0000-4000-8000-000000000000",
                is_public=True,
            ),
        ),
        "Name the agent: `%aeron connect chatzy --chatbot-id UUID`, or set CHATZY_CHATBOT_ID (in "
        "Python: chatbot_id=…); `%aeron connect sandbox --service chatzy` needs none.",
        branches=False,
        has_introduction=True,
    ),
}
"""Every service by its name, which is also the name of its file."""


def service_info(name: str) -> ServiceInfo:
    """The service ``name``; for an unknown name, a service without special capabilities."""
    return SERVICES.get(name) or ServiceInfo(name)
