"""Messages to the pages: errors without secrets."""

from __future__ import annotations

import pytest

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.messages import error_message


@pytest.mark.parametrize("kind", [UsageError, ValueError])
def test_no_error_shows_a_secret(kind: type[Exception]) -> None:
    """Neither an error of ours nor an unexpected one."""
    message = error_message(kind("It was 'hush'."), ["hush"], "a-1")
    assert message["title"].endswith("It was '[secret]'.")
    assert message["request"] == "a-1"
