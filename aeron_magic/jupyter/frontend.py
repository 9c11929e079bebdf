"""Which front end runs a cell, and what it can do: told by what it sends, not by its name."""

from __future__ import annotations

import os
from typing import Any

from aeron_magic.errors import UsageError

__all__ = ["CellKeys", "cell_id", "has_kernel", "is_cell_magic", "is_live", "notebook_path"]

VARIABLE = "AERON_LIVE"


def has_kernel(shell: Any) -> bool:
    """Whether there is a front end that takes displays; a plain terminal has none."""
    return getattr(shell, "kernel", None) is not None


def _message(shell: Any) -> dict[str, Any]:
    """The message that the front end sent to run this cell."""
    if not has_kernel(shell):
        return {}
    parent: dict[str, Any] = shell.get_parent()
    return parent


def cell_id(shell: Any) -> str | None:
    """The id of the running cell, as opaque text; None where the front end sends none.

    JupyterLab and Notebook send the id that is in the file, VS Code an address of its own;
    nbclient, papermill, nbval and a terminal send nothing.
    """
    metadata = _message(shell).get("metadata") or {}
    found = metadata.get("cellId")
    return str(found) if found else None


def notebook_path(shell: Any) -> str:
    """The path of the notebook, as the front end tells it to the kernel; else empty.

    A Jupyter server sets ``JPY_SESSION_NAME``; VS Code puts ``__vsc_ipynb_file__`` into the
    namespace. Runners and terminals tell nothing.
    """
    path = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return os.path.abspath(path) if isinstance(path, str) and path else ""  # noqa: PTH100


def is_cell_magic(shell: Any) -> bool:
    """Whether the running cell is a ``%%aeron`` cell: all its outputs are then the reply's."""
    code = str((_message(shell).get("content") or {}).get("code", ""))
    return code.lstrip().startswith("%%aeron")


def is_live(shell: Any, option: bool | None, configured: bool | None) -> bool:
    """Whether the output is updated in place.

    The option of the question counts first, then the variable ``AERON_LIVE`` (1 or 0) of the
    environment, then the traitlet; else it is live where the front end tells its cells apart,
    because a runner that does not would keep each update, or only the first.
    """
    if option is not None:
        return option
    if (value := os.environ.get(VARIABLE)) is not None:
        if value not in ("0", "1"):
            raise UsageError(
                f"{VARIABLE} is neither 0 nor 1.", hint=f"Set {VARIABLE}=1, or =0, or unset it."
            )
        return value == "1"
    return cell_id(shell) is not None if configured is None else configured


class CellKeys:
    """Names the questions of cells: the same cell's same question has the same key each time.

    A cell can ask more than once (``%aeron ask`` on several lines, or in a loop): then the
    questions are counted within one run of the cell.
    """

    def __init__(self) -> None:
        self._run: tuple[str, str] | None = None
        self._count = 0

    def next(self, shell: Any) -> str | None:
        """The key of the question that is about to be asked; None where cells have no id."""
        cell = cell_id(shell)
        if cell is None:
            return None
        run = (cell, str((_message(shell).get("header") or {}).get("msg_id", "")))
        self._count = self._count + 1 if run == self._run else 0
        self._run = run
        return f"{cell}#{self._count}" if self._count else cell
