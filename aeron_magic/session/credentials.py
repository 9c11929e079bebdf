"""Credentials: from the environment, the system keyring, or a hidden prompt."""

from __future__ import annotations

import getpass
import json
import os
import warnings
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from aeron_magic.errors import CredentialsError, missing_extra
from aeron_magic.services.catalog import SERVICES

APPLICATION = "aeron-magic"

NO_KEYRING = "there is none"


_kept: dict[str, dict[str, str]] = {}
"""Credentials of this process, for machines without a keyring."""


def find(service: str) -> dict[str, str] | None:
    """The credentials for ``service``: from the environment, of this kernel, from the keyring."""
    from_environment = of_environment(service)
    if len(from_environment) == len(SERVICES[service].credentials):
        return from_environment
    return _kept.get(service) or _stored(service)


def source(service: str) -> str:
    """Where `find` finds the credentials for ``service``."""
    if len(of_environment(service)) == len(SERVICES[service].credentials):
        return "the environment"
    return "this kernel" if service in _kept else f"the system keyring ({keyring_name()})"


def of_environment(service: str) -> dict[str, str]:
    """The credentials for ``service`` that are set in the environment."""
    return {
        credential.field: value
        for credential in SERVICES[service].credentials
        if (value := os.environ.get(credential.variable))
    }


def _stored(service: str) -> dict[str, str] | None:
    if find_spec("keyring") is None:
        return None
    import keyring

    try:
        stored = keyring.get_password(APPLICATION, service)
    except Exception:  # noqa: BLE001 - see `_write`
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
    """Ask for the credentials with hidden input; empty if an answer was empty.

    Raises CredentialsError: hidden input is not possible here.
    """
    answers: dict[str, str] = {}
    hint = SERVICES[service].how_to_connect
    for name, _, prompt, _, is_agent_id in SERVICES[service].credentials:
        try:
            with warnings.catch_warnings():
                # getpass warns if it cannot hide the input, and would show it.
                warnings.simplefilter("error", getpass.GetPassWarning)
                answers[name] = getpass.getpass(f"{prompt}: ").strip()
        except (EOFError, NotImplementedError, getpass.GetPassWarning):
            known = SERVICES[service].credentials
            missing = [one for one in known if not os.environ.get(one.variable)] or known
            variables = " and ".join(one.variable for one in missing)
            raise CredentialsError(
                f"The {missing[0].label} is missing, and hidden input is not possible here.",
                hint=hint
                if is_agent_id
                else f"Set {variables} in the environment, and restart the kernel.",
            ) from None
        if not answers[name]:
            return {}
    return answers


def keyring_problem() -> str:
    """Why this machine's keyring cannot be used; empty if it can."""
    if find_spec("keyring") is None:
        return 'its package is not installed; `pip install "aeron-magic[keyring]"`'
    reason = _write("probe", "probe")
    with suppress(Exception):
        _delete("probe")
    return reason


def keyring_name() -> str:
    """The name of the keyring that values are stored in, such as ``SecretService Keyring``."""
    import keyring

    used = keyring.get_keyring()
    return str(next(iter(getattr(used, "backends", ())), used).name)  # the first one of a chain


def store(service: str, values: dict[str, Any]) -> None:
    """Save the credentials in the system keyring.

    Raises CredentialsError: this machine has no keyring, or it is locked or disabled.
    """
    if reason := _write(service, json.dumps(values)):
        raise _no_keyring(service, reason)
    _kept.pop(service, None)


def keep(service: str, values: dict[str, str]) -> None:
    """Keep the credentials until this kernel ends."""
    _kept[service] = values


def _write(name: str, value: str) -> str:
    """Store ``value`` in the keyring; why it could not be stored, else empty.

    A backend may raise any error of its library, whose traceback could show ``value``.
    """
    import keyring

    try:
        keyring.set_password(APPLICATION, name, value)
        stored = keyring.get_password(APPLICATION, name)
    except Exception as error:  # noqa: BLE001 - see above
        return _reason(error)
    # A disabled keyring accepts a value without storing it.
    return "" if stored == value else "it stores nothing"


def _reason(error: Exception) -> str:
    """Why the keyring cannot be used."""
    words = {"NoKeyringError": NO_KEYRING, "KeyringLocked": "it is locked"}
    return words.get(type(error).__name__, "it failed")


def _delete(name: str) -> bool:
    """Delete an entry of the keyring; return whether there was one.

    Raises KeyringError: the keyring cannot be used.
    """
    import keyring
    from keyring.errors import PasswordDeleteError

    if keyring.get_password(APPLICATION, name) is None:
        return False  # a disabled keyring deletes anything without an error
    try:
        keyring.delete_password(APPLICATION, name)
    except PasswordDeleteError:
        return False
    return True


def forget(service: str) -> str:
    """Delete the credentials for ``service`` here and in the keyring.

    Returns how that was done, such as ``deleted from the system keyring``; empty if there were
    none. Raises UsageError: the package of the keyring is not installed. Raises CredentialsError:
    the keyring is locked or fails.
    """
    done = "forgotten in this kernel" if _kept.pop(service, None) is not None else ""
    if find_spec("keyring") is None:
        if not done:
            raise missing_extra("The system keyring", "keyring")
        return f"{done}; the package of the system keyring is not installed"
    try:
        return "deleted from the system keyring" if _delete(service) else done
    except Exception as error:  # noqa: BLE001 - see `_write`
        reason = _reason(error)
        if reason == NO_KEYRING:
            return done and f"{done}; there is no system keyring"
        if done:
            return f"{done}; the system keyring cannot be used ({reason})"
        raise _no_keyring(service, reason) from None


def variables_of(service: str) -> str:
    """The names of the variables that hold the credentials."""
    return " and ".join(credential.variable for credential in SERVICES[service].credentials)


def variables_set(service: str) -> str:
    """The names of those of them that are set."""
    known = SERVICES[service].credentials
    return " and ".join(one.variable for one in known if os.environ.get(one.variable))


def _no_keyring(service: str, reason: str) -> CredentialsError:
    return CredentialsError(
        f"The system keyring cannot be used ({reason}).",
        hint=f"Set {variables_of(service)} in the environment instead.",
    )
