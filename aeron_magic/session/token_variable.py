"""``context_token``: the conversation's place, as a variable of the notebook.

It is compared when a question is asked, and not watched: what stands there is the user's if it is
not what was written last.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from aeron_magic.errors import UsageError

__all__ = ["NAME", "TokenVariable"]

NAME = "context_token"


class TokenVariable:
    """Reads and writes the variable.

    Parameters
    ----------
    namespace
        The notebook's. A token that is there already is kept, and counts as assigned by hand.
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        self._written: str | None = None
        namespace.setdefault(NAME, None)

    def read(self) -> str | None:
        """The token in the variable; None where it is None, empty or deleted.

        Raises
        ------
        UsageError
            Something else than a token was assigned.
        """
        value = self._namespace.get(NAME)
        value = getattr(value, "context_token", value)  # a Reply or a turn says where it ends
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise UsageError(
                f"context_token holds no token, but something of type {type(value).__name__}.",
                hint="Assign a token (`reply.context_token`), or None to begin anew.",
            )
        return value.strip()

    @property
    def assigned_by_user(self) -> bool:
        """Whether somebody else than this extension wrote the variable last."""
        return self.read() != self._written

    def write(self, token: str | None) -> None:
        """Set the variable; the change counts as the extension's own."""
        self._written = token
        self._namespace[NAME] = token
