"""Where a notebook finds credentials: the environment, the system keyring, a hidden prompt."""

from __future__ import annotations

import getpass
import json
import os
import warnings
from typing import Any

from aeron_magic.errors import CredentialsError

__all__ = ["ask", "find", "forget", "store"]

APPLICATION = "aeron-magic"

FIELDS = {
    "aeronpay": (
        ("client_id", "AERON_CLIENT_ID", "AeronPay client-id"),
        ("client_secret", "AERON_CLIENT_SECRET", "AeronPay client-secret"),
    ),
    "chatzy": (("chatbot_id", "CHATZY_CHATBOT_ID", "Chatzy chatbot_id"),),
}

HOW_TO_CONNECT = (
    "`%aeron connect sandbox` works at once and needs no account; or set AERON_CLIENT_ID and "
    "AERON_CLIENT_SECRET in the environment; or run `%aeron login` and type them hidden."
)

_HOW_TO_PROVIDE = {
    "aeronpay": HOW_TO_CONNECT,
    "chatzy": "Name the agent: `%aeron connect chatzy --chatbot-id UUID`, or set "
    "CHATZY_CHATBOT_ID; `%aeron connect sandbox --service chatzy` needs none.",
}


def find(service: str) -> dict[str, str] | None:
    """The credentials for ``service``: the environment's, else the keyring's, else None."""
    from_environment = {
        name: os.environ[variable]
        for name, variable, _ in FIELDS[service]
        if variable in os.environ
    }
    if len(from_environment) == len(FIELDS[service]):
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
    wanted = [name for name, _, _ in FIELDS[service]]
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
    for name, _, prompt in FIELDS[service]:
        try:
            with warnings.catch_warnings():
                # Where getpass cannot hide what is typed, it warns and shows it: do not ask there.
                warnings.simplefilter("error", getpass.GetPassWarning)
                answers[name] = getpass.getpass(f"{prompt}: ").strip()
        except (EOFError, NotImplementedError, getpass.GetPassWarning):
            raise CredentialsError(
                f"There is no {prompt}, and nobody can be asked for it here.",
                hint=_HOW_TO_PROVIDE[service],
            ) from None
        if not answers[name]:
            raise CredentialsError(f"The {prompt} was left empty.", hint=_HOW_TO_PROVIDE[service])
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
    variables = " and ".join(variable for _, variable, _ in FIELDS[service])
    return CredentialsError(
        f"The system keyring cannot be used ({reason}).",
        hint=f"Set {variables} in the environment instead.",
    )
