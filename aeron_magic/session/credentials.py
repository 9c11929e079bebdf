"""Credentials: from the environment, the system keyring, or a hidden prompt."""

from __future__ import annotations

import getpass
import json
import os
import warnings
from importlib.util import find_spec
from typing import Any

from aeron_magic.errors import CredentialsError, missing_extra
from aeron_magic.services.catalog import SERVICES

APPLICATION = "aeron-magic"


def find(service: str) -> dict[str, str] | None:
    """The credentials for ``service`` from the environment, else from the keyring, else None."""
    from_environment = {
        credential.field: os.environ[credential.variable]
        for credential in SERVICES[service].credentials
        if credential.variable in os.environ
    }
    if len(from_environment) == len(SERVICES[service].credentials):
        return from_environment
    return _stored(service)


def _stored(service: str) -> dict[str, str] | None:
    if find_spec("keyring") is None:
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        stored = keyring.get_password(APPLICATION, service)
    except KeyringError:
        return None  # this machine has no keyring, or it is locked
    if stored is None:
        return None
    try:
        values = json.loads(stored)
    except ValueError:
        values = None
    fields = [credential.field for credential in SERVICES[service].credentials]
    if not isinstance(values, dict) or not all(isinstance(values.get(n), str) for n in fields):
        raise CredentialsError(
            f"The system keyring contains no valid credentials for {service}.",
            hint=f"`%aeron login {service}` replaces them.",
        )
    return {name: values[name] for name in fields}


def ask(service: str) -> dict[str, str]:
    """Ask for the credentials with hidden input.

    Raises
    ------
    CredentialsError
        Hidden input is not possible here, or an answer was empty.
    """
    answers: dict[str, str] = {}
    hint = SERVICES[service].how_to_connect
    for name, _, prompt, *_ in SERVICES[service].credentials:
        try:
            with warnings.catch_warnings():
                # getpass warns if it cannot hide the input, and would show it.
                warnings.simplefilter("error", getpass.GetPassWarning)
                answers[name] = getpass.getpass(f"{prompt}: ").strip()
        except (EOFError, NotImplementedError, getpass.GetPassWarning):
            raise CredentialsError(
                f"The {prompt} is missing, and hidden input is not possible here.", hint=hint
            ) from None
        if not answers[name]:
            raise CredentialsError(f"The {prompt} is empty.", hint=hint)
    return answers


def store(service: str, values: dict[str, Any]) -> None:
    """Save the credentials in the system keyring.

    Raises
    ------
    CredentialsError
        This machine has no keyring, or it is locked or disabled.
    """
    import keyring
    from keyring.errors import KeyringError

    written = json.dumps(values)
    try:
        keyring.set_password(APPLICATION, service, written)
        stored = keyring.get_password(APPLICATION, service)
    except KeyringError as error:
        raise _no_keyring(service, type(error).__name__) from None
    if stored != written:  # a disabled keyring accepts a value without storing it
        raise _no_keyring(service, "it stores nothing")


def forget(service: str) -> bool:
    """Delete the credentials for ``service`` in the keyring; return whether there were any.

    Raises
    ------
    UsageError
        The package of the keyring is not installed.
    CredentialsError
        This machine has no keyring, or it is locked.
    """
    check_keyring()
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(APPLICATION, service)
    except PasswordDeleteError:
        return False
    except KeyringError as error:
        raise _no_keyring(service, type(error).__name__) from None
    return True


def check_keyring() -> None:
    """Raise a UsageError if the package of the keyring is not installed."""
    if find_spec("keyring") is None:
        raise missing_extra("The system keyring", "keyring")


def _no_keyring(service: str, reason: str) -> CredentialsError:
    variables = " and ".join(credential.variable for credential in SERVICES[service].credentials)
    return CredentialsError(
        f"The system keyring cannot be used ({reason}).",
        hint=f"Set {variables} in the environment instead.",
    )
