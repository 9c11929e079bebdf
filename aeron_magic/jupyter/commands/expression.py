"""The value of the expression of ``--each``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aeron_magic.errors import UsageError, did_you_mean

_MASK = re.compile(r"boolean|wrong length|length: ", re.IGNORECASE)
"""What pandas, polars and numpy say of a mask of another length."""


def evaluate(shell: Any, expression: str, names: Mapping[str, Any]) -> Any:
    """The value of ``expression`` with the variables ``names``.

    Raises UsageError: it cannot be read, or raises an error.
    """
    try:
        with shell.builtin_trap:
            return eval(expression, shell.user_global_ns, names)  # noqa: S307 - the user's own
    except Exception as error:  # noqa: BLE001 - the user's expression can raise anything
        reason = f"{type(error).__name__}: {error}".rstrip(": .")
        raise UsageError(f"--each {expression}: {reason}.", hint=_hint(error, names)) from None


def _hint(error: Exception, names: Mapping[str, Any]) -> str:
    if isinstance(error, NameError | SyntaxError):
        return (
            did_you_mean(str(getattr(error, "name", "")), names)
            + "Write the name of a list, a Series or a DataFrame, or a Python expression that "
            "returns one (in quotes if it contains spaces)."
        )
    if _MASK.search(str(error)):
        return (
            "A mask needs the rows of the table that it selects from. Select by index: "
            """`reviews.loc[labels.index[labels["status"] != "complete"]]`."""
        )
    return "Run the expression in a cell of its own to see where it fails."
