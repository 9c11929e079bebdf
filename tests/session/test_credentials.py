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
    said = refused("ask('aeronpay')", "id\nvisible\n")
    assert "nobody can be asked for it here" in said
    assert "visible" not in said


def test_who_has_no_chatzy_agent_is_told_how_to_name_one() -> None:
    """And not about AeronPay's credentials, which do not help."""
    said = refused("ask('chatzy')")
    assert "--chatbot-id" in said
    assert "CHATZY_CHATBOT_ID" in said
    assert "CLIENT_ID" not in said


def test_a_keyring_that_keeps_nothing_is_not_said_to_have_stored() -> None:
    """Such as one that was switched off: it takes everything, and is silent."""
    switched_off = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    values = {"client_id": "me", "client_secret": "hush"}
    said = refused(f"store('aeronpay', {values})", env=switched_off)
    assert "The system keyring cannot be used" in said
    assert "Set AERON_CLIENT_ID and AERON_CLIENT_SECRET" in said
    assert "hush" not in said
