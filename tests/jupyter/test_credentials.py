"""Where credentials are asked for."""

from __future__ import annotations

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
    assert "nobody can be asked here" in done.stdout
    assert "visible" not in done.stdout + done.stderr
