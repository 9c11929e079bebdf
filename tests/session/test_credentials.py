"""Where credentials are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

CALL = """
from aeron_magic.errors import CredentialsError
from aeron_magic.session.credentials import ask, store
try:
    {call}
except CredentialsError as error:
    print(*error.lines())
"""


def refused(call: str, typed: str = "", **more: Any) -> str:
    """All that a process without a terminal says which makes this call."""
    done = subprocess.run(
        [sys.executable, "-c", CALL.format(call=call)],
        input=typed,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        **more,
    )
    return done.stdout + done.stderr


def test_nothing_is_asked_where_what_is_typed_would_be_shown() -> None:
    """Without a terminal, input cannot be hidden: it is not read at all."""
    output = refused("ask('aeronpay')", "id\nvisible\n")
    assert "hidden input is not possible here" in output
    assert "visible" not in output
    assert "Set AERON_CLIENT_ID and AERON_CLIENT_SECRET in the environment" in output
    assert "login" not in output


def test_without_a_chatzy_agent_the_hint_tells_how_to_name_one() -> None:
    """And not about AeronPay's credentials, which do not help."""
    output = refused("ask('chatzy')")
    assert "--chatbot-id" in output
    assert "CHATZY_CHATBOT_ID" in output
    assert "CLIENT_ID" not in output


def test_a_keyring_that_stores_nothing_is_an_error() -> None:
    """Such as one that was switched off: it takes everything, and is silent."""
    switched_off = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    values = {"client_id": "me", "client_secret": "hush"}
    output = refused(f"store('aeronpay', {values})", env=switched_off)
    assert "The system keyring cannot be used" in output
    assert "Set AERON_CLIENT_ID and AERON_CLIENT_SECRET" in output
    assert "hush" not in output


def test_any_error_of_a_keyring_is_one_without_a_traceback() -> None:
    """Backends raise errors of their libraries; a traceback can show the arguments of calls."""
    failing = (
        "import keyring, keyring.backend as b; "
        "F = type('F', (b.KeyringBackend,), {'priority': 1, **dict.fromkeys("
        "('get_password', 'set_password', 'delete_password'), lambda *_: 1 / 0)}); "
        "keyring.set_keyring(F()); "
    )
    values = {"client_id": "me", "client_secret": "hush"}
    for call in (f"store('aeronpay', {values})", "forget('aeronpay')"):
        output = refused(f"from aeron_magic.session.credentials import forget; {failing}{call}")
        assert "The system keyring cannot be used (it failed)" in output
        assert "Traceback" not in output
        assert "hush" not in output
    found = "from aeron_magic.session.credentials import find; "
    assert refused(f"{found}{failing}print(find('aeronpay'))", env=_unset()) == "None\n"


def _unset() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AERON_")}
