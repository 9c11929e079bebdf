"""Settings of a service: addresses, credentials and timeouts.

The environment is read by `resolve_settings`, never at import. The repr hides secrets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aeron_magic.errors import (
    CredentialsError,
    RecordingError,
    UsageError,
    ValueRefused,
    invalid,
)
from aeron_magic.plaintext import secret_pattern
from aeron_magic.protocol.flow import Question
from aeron_magic.protocol.limits import DEFAULT_LIMITS, Limits
from aeron_magic.services.catalog import (
    DEFAULT_SERVICE,
    SECRET_VARIABLES,
    SERVICES,
    Address,
    Credential,
    ServiceInfo,
    service_info,
)

MAX_TIMEOUT = 1e6

MIN_SECRET_LENGTH = 12
"""Characters; a shorter secret may occur in a question by chance and is not searched for."""

MIN_CHARACTERS = 4
"""Shorter values, such as ``any``, are not treated as secrets: ordinary words contain them."""

ANY_CREDENTIAL = "00000000-0000-4000-8000-000000000000"
"""A valid value of every credential, for the sandbox and for replays; it is not a secret."""

RECORD_MODE = "AERON_RECORD_MODE"
"""The variable that decides whether recordings record, or only replay."""


def record_mode() -> str:
    """The value of ``RECORD_MODE``, which may be invalid; empty if it is not set."""
    return os.environ.get(RECORD_MODE, "").strip()  # as for AERON_HISTORY


def refuse_in_replay(settings: Settings | None = None) -> None:
    """Before a client without a recording is made: raise RecordingError if only replays may be.

    An invalid value is probably a misspelt ``replay``. Settings of the sandbox are not refused.
    """
    if settings is not None and settings.has_no_account:
        return
    if (mode := record_mode()) not in ("", "record"):
        raise RecordingError(
            f"{RECORD_MODE} is {mode}: nothing is sent to a service.",
            hint="Unset it, or use Client('sandbox'); pytest: --aeron-replay FILE.",
        )


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
    limits
        The most that is accepted from the service.
    insecure
        Whether plain HTTP to other machines is allowed.
    other_secrets
        Secrets of other services, which are kept out of prompts, too.
    """

    service: str
    base_url: str
    stream_url: str = ""
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    chatbot_id: str = ""
    timeout: float = 30.0
    fetch_timeout: float = 120.0
    limits: Limits = DEFAULT_LIMITS
    insecure: bool = False
    other_secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)
    secrets: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    """What must not be shown, recorded or sent in a prompt."""
    secret_pattern: re.Pattern[str] | None = field(
        init=False, repr=False, compare=False, default=None
    )
    """Finds every spelling of the secrets that a prompt must not contain."""

    def __post_init__(self) -> None:
        known = service_info(self.service).credentials
        own = (getattr(self, one.field) for one in known if one.is_secret)
        found = dict.fromkeys((*own, *self.other_secrets))
        secrets = tuple(
            one for one in found if one != ANY_CREDENTIAL and len(one) >= MIN_CHARACTERS
        )
        object.__setattr__(self, "secrets", secrets)
        object.__setattr__(self, "secret_pattern", secret_pattern(filter(_is_long, secrets)))

    def validate(self, question: Question) -> None:
        """Refuse a question that must not be sent or saved.

        Raises
        ------
        ValueRefused
            It contains a secret.
        """
        texts = (question.text, *question.images, question.context_token or "")
        if self.secret_pattern is not None and self.secret_pattern.search("\n".join(texts)):
            raise ValueRefused(
                "The question contains a configured secret, which is never sent as text.",
                hint="Remove it: what is saved with the question would reveal it.",
            )

    @property
    def has_no_account(self) -> bool:
        """Whether the credentials are those of no account, as for the sandbox and for replays."""
        known = service_info(self.service).credentials
        return ANY_CREDENTIAL in [getattr(self, one.field) for one in known]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that requests go to."""
        return tuple(filter(None, (self.base_url, self.stream_url)))

    @property
    def _agent(self) -> str:
        """The agent's id; empty for a service without agents."""
        agent = service_info(self.service).agent
        return str(getattr(self, agent.field)) if agent is not None else ""

    @property
    def recording_id(self) -> str:
        """The service in recordings, and its agent."""
        return f"{self.service}/{self._agent}" if self._agent else self.service

    @property
    def conversation_scope(self) -> str:
        """The scope of a conversation: the address, and the agent."""
        return f"{self.base_url}#{self._agent}" if self._agent else self.base_url


def _is_long(secret: str) -> bool:
    return len(secret) >= MIN_SECRET_LENGTH


def resolve_settings(
    service: str = DEFAULT_SERVICE,
    *,
    timeout: float = 30.0,
    fetch_timeout: float = 120.0,
    limits: Limits | Mapping[str, float] | None = None,
    insecure: bool = False,
    environ: Mapping[str, str] | None = None,
    **given: str | None,
) -> Settings:
    """Settings from the parameters, else the environment, else the vendor's addresses.

    * ``service``, ``timeout``, ``fetch_timeout``, ``limits``, ``insecure``: see `Settings`.
    * ``environ``: the environment; by default ``os.environ``. `SERVICES` lists the variables.
    * ``given``: other fields of `Settings`; those that the service does not have are ignored.

    Raises UsageError: the service is unknown, or an address, an agent's id, a timeout or a limit is
    invalid. Raises CredentialsError: the service's credentials (for Chatzy: the agent's id) are
    missing or invalid.
    """
    env = os.environ if environ is None else environ
    validate_timeout("timeout", timeout)
    validate_timeout("fetch_timeout", fetch_timeout)
    info = SERVICES.get(service)
    if info is None:
        from difflib import get_close_matches

        known = [*SERVICES, "sandbox"]
        near = get_close_matches(str(service), known, 1)
        raise UsageError(
            f"Unknown service {service!r}.",
            hint=(f"Did you mean {near[0]!r}? " if near else "")
            + f"The services are {', '.join(SERVICES)} and sandbox, which needs no account.",
        )
    values: dict[str, str] = {}
    for credential in info.credentials:
        value = given.get(credential.field) or env.get(credential.variable)
        if not value:
            if partial := partly_missing(service, given, env):
                raise partial
            problem = f"No credentials for {info.title}."
            if credential.is_agent_id:
                problem = f"The {credential.label} is missing."
            raise CredentialsError(problem, hint=info.how_to_connect)
        with _naming(credential.variable if value == env.get(credential.variable) else ""):
            values[credential.field] = _normalize_credential(credential, value)
    for address in info.addresses:
        value = given.get(address.field) or env.get(address.variable)
        if not value:
            _reject_mixed_addresses(info, address, values)
            value = address.default
        with _naming(address.variable if value == env.get(address.variable) else ""):
            values[address.field] = _normalize_url(value)
    return Settings(
        service,
        timeout=timeout,
        fetch_timeout=fetch_timeout,
        limits=validate_limits({} if limits is None else limits),
        insecure=bool(insecure),
        other_secrets=tuple(filter(_is_long, (env.get(name, "") for name in SECRET_VARIABLES))),
        **values,
    )


def partly_missing(
    service: str,
    given: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> CredentialsError | None:
    """The error for credentials of which only some are there; None if all are, or none.

    * ``given``, ``environ``: as for `resolve_settings`.
    """
    given, env = given or {}, os.environ if environ is None else environ
    known = service_info(service).credentials
    missing = [one for one in known if not (given.get(one.field) or env.get(one.variable))]
    if not missing or len(missing) == len(known):
        return None
    one = missing[0]
    return CredentialsError(
        f"The {one.label} is missing: {one.variable} is not set.",
        hint=f"Set {one.variable} in the environment, or in Python give {one.field}=…; or, in a "
        "notebook, run `%aeron login`, which asks for all credentials.",
    )


def _reject_mixed_addresses(info: ServiceInfo, missing: Address, values: dict[str, str]) -> None:
    """Raise if an earlier address is not the vendor's: questions to it, replies from the vendor."""
    for one in info.addresses:
        if values.get(one.field, one.default) != one.default:
            option = f"--{missing.field.replace('_', '-')} URL"
            raise UsageError(
                f"The {one.field} is not {info.title}'s own, but the {missing.field} is missing.",
                hint=f"Add {option} (in Python: {missing.field}=…), or set {missing.variable}.",
            )


def any_credentials(service: str, agent: str = "") -> dict[str, Any]:
    """Valid credentials of no account, for `resolve_settings`; ``agent`` is the id of an agent."""
    known = service_info(service).credentials
    return {one.field: (one.is_agent_id and agent) or ANY_CREDENTIAL for one in known}


@contextmanager
def _naming(variable: str) -> Iterator[None]:
    """Name the variable of the environment that an invalid value comes from."""
    try:
        yield
    except (UsageError, CredentialsError) as error:
        if variable:
            error.hint = f"The value comes from {variable} in the environment. {error.hint}"
        raise


def validate_limits(limits: Limits | Mapping[str, float]) -> Limits:
    """Limits from those that are named; the others have their defaults.

    Raises UsageError: a name is unknown, or a limit is not a number above 0.
    """
    named = limits._asdict() if isinstance(limits, Limits) else limits
    if not isinstance(named, Mapping):
        raise UsageError(
            f"The limits are a dictionary, not {type(limits).__name__}.",
            hint=f"Give those that differ by name: {', '.join(Limits._fields)}.",
        )
    for name, value in named.items():
        if name not in Limits._fields:
            raise UsageError(
                f"Unknown limit {name!r}.", hint=f"The limits are {', '.join(Limits._fields)}."
            )
        if not isinstance(value, int | float) or not value > 0:
            raise UsageError(f"The limit {name} is {value!r}.", hint="Give a number above 0.")
    return Limits(**named)


def validate_timeout(name: str, seconds: float) -> float:
    """``seconds``, if it is a valid timeout.

    Raises UsageError: it is not a number above 0 and at most ``MAX_TIMEOUT``.
    """
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_TIMEOUT:
        hint = f"Give a number of seconds above 0, at most {MAX_TIMEOUT:g}."
        raise invalid(name, seconds, hint)
    return seconds


def _normalize_url(url: str) -> str:
    if not isinstance(url, str):
        raise UsageError(
            f"An address is a string, not {type(url).__name__}.", hint="Give its text."
        )
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise UsageError(
            "The address contains a user name or a password.",
            hint="Give the address alone; credentials come from the environment, `%aeron login` "
            "or, in Python, client_id and client_secret.",
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.port != 0
        good = good and bool((parts.hostname or "").encode("idna"))  # fails on an empty label
    except ValueError:
        good = False
    if not good or any(sign in url for sign in "?# \t\r\n"):
        shown = "This" if any(sign in url for sign in "@?#") else repr(url)  # else a password
        raise UsageError(
            f"{shown} is not the address of a service.",
            hint="An address begins with https:// (or http:// for a server on this machine) "
            "and has neither a query nor a fragment.",
        )
    return url.rstrip("/")


def _normalize_credential(credential: Credential, value: str) -> str:
    if not isinstance(value, str):
        raise CredentialsError(
            f"The {credential.label} is not a string, but {type(value).__name__}.",
            hint="Give its text.",
        )
    if credential.is_agent_id:
        from uuid import UUID

        try:
            return str(UUID(value))
        except ValueError:
            raise UsageError(
                f"This is not a {credential.label}.",
                hint="It is a UUID such as 725e1f05-6142-467e-bdec-47862d50da79.",
            ) from None
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise CredentialsError(
            f"The {credential.label} contains a character that is not allowed in an HTTP header.",
            hint="Check it for blanks, line breaks or quotes copied along with it.",
        )
    return value
