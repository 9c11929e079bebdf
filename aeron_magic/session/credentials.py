"""Where a notebook finds credentials: the environment, the system keyring, a hidden prompt."""

from __future__ import annotations

import getpass
import json
import os
import warnings
from typing import Any

from aeron_magic.errors import CredentialsError
from aeron_magic.services.catalog import SERVICES

__all__ = ["ask", "find", "forget", "store"]

APPLICATION = "aeron-magic"


def find(service: str) -> dict[str, str] | None:
    """The credentials for ``service``: the environment's, else the keyring's, else None."""
    from_environment = {
        credential.field: os.environ[credential.variable]
        for credential in SERVICES[service].credentials
        if credential.variable in os.environ
    }
    if len(from_environment) == len(SERVICES[service].credentials):
        return from_environment
    return _stored(service)


def _stored(service: str) -> dict[str, str] | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(APPLICATION, service)
    except KeyringError:
        return None  # no keyring on this machine, or it is locked: there are two other ways
    if kept is None:
        return None
    try:
        values = json.loads(kept)
    except ValueError:
        values = None
    wanted = [credential.field for credential in SERVICES[service].credentials]
    if not isinstance(values, dict) or not all(isinstance(values.get(n), str) for n in wanted):
        raise CredentialsError(
            f"The system keyring holds something else than credentials for {service}.",
            hint=f"`%aeron login {service}` writes them anew.",
        )
    return {name: values[name] for name in wanted}


def ask(service: str) -> dict[str, str]:
    """Ask for the credentials with hidden input.

    Raises
    ------
    CredentialsError
        Nobody is there to ask, or an answer was empty.
    """
    answers: dict[str, str] = {}
    hint = SERVICES[service].how_to_connect
    for name, _, prompt, *_ in SERVICES[service].credentials:
        try:
            with warnings.catch_warnings():
                # Where getpass cannot hide what is typed, it warns and shows it: do not ask there.
                warnings.simplefilter("error", getpass.GetPassWarning)
                answers[name] = getpass.getpass(f"{prompt}: ").strip()
        except (EOFError, NotImplementedError, getpass.GetPassWarning):
            raise CredentialsError(
                f"There is no {prompt}, and nobody can be asked for it here.",
                hint=hint,
            ) from None
        if not answers[name]:
            raise CredentialsError(f"The {prompt} was left empty.", hint=hint)
    return answers


def store(service: str, values: dict[str, Any]) -> None:
    """Keep the credentials in the system keyring.

    Raises
    ------
    CredentialsError
        This machine has no keyring, or it is locked, or it does not keep what it is given.
    """
    import keyring
    from keyring.errors import KeyringError

    written = json.dumps(values)
    try:
        keyring.set_password(APPLICATION, service, written)
        kept = keyring.get_password(APPLICATION, service)
    except KeyringError as error:
        raise _no_keyring(service, type(error).__name__) from None
    if kept != written:  # a keyring that was switched off takes everything and keeps nothing
        raise _no_keyring(service, "it keeps nothing")


def forget(service: str) -> bool:
    """Delete what the keyring holds for ``service``; whether there was something.

    Raises
    ------
    CredentialsError
        This machine has no keyring, or it is locked.
    """
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(APPLICATION, service)
    except PasswordDeleteError:
        return False
    except KeyringError as error:
        raise _no_keyring(service, type(error).__name__) from None
    return True


def _no_keyring(service: str, reason: str) -> CredentialsError:
    variables = " and ".join(credential.variable for credential in SERVICES[service].credentials)
    return CredentialsError(
        f"The system keyring cannot be used ({reason}).",
        hint=f"Set {variables} in the environment instead.",
    )
