"""Where credentials are asked for."""

from __future__ import annotations

import os
import subprocess
import sys

ASK = """
from aeron_magic.errors import CredentialsError
from aeron_magic.jupyter.credentials import ask
try:
    ask("aeronpay")
except CredentialsError as error:
    print(error)
"""


def test_nothing_is_asked_where_what_is_typed_would_be_shown() -> None:
    """Without a terminal, input cannot be hidden: it is not read at all."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input="id\nvisible\n",
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert "nobody can be asked for it here" in done.stdout
    assert "visible" not in done.stdout + done.stderr


NO_AGENT = """
from aeron_magic.errors import CredentialsError
from aeron_magic.jupyter.credentials import ask
try:
    ask("chatzy")
except CredentialsError as error:
    print(*error.lines())
"""


def test_who_has_no_chatzy_agent_is_told_how_to_name_one() -> None:
    """And not about AeronPay's credentials, which do not help."""
    done = subprocess.run(
        [sys.executable, "-c", NO_AGENT],
        input="",
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert "--chatbot-id" in done.stdout
    assert "CHATZY_CHATBOT_ID" in done.stdout
    assert "CLIENT_ID" not in done.stdout


STORE = """
from aeron_magic.errors import CredentialsError
from aeron_magic.jupyter.credentials import store
try:
    store("aeronpay", {"client_id": "me", "client_secret": "hush"})
except CredentialsError as error:
    print(*error.lines())
"""


def test_a_keyring_that_keeps_nothing_is_not_said_to_have_stored() -> None:
    """Such as one that was switched off: it takes everything, and is silent."""
    switched_off = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    done = subprocess.run(
        [sys.executable, "-c", STORE], capture_output=True, text=True, check=True, env=switched_off
    )
    assert "The system keyring cannot be used" in done.stdout
    assert "Set AERON_CLIENT_ID and AERON_CLIENT_SECRET" in done.stdout
    assert "hush" not in done.stdout
