"""One IPython process for many tests: what each of them starts from."""

from __future__ import annotations

from pathlib import Path

__all__ = ["reset_cell"]

_OURS = ("AERON_", "CHATZY_", "JPY_SESSION_NAME")
_CELL = (
    "import os; "
    "[os.environ.pop(name) for name in [*os.environ] if name.startswith({ours!r})]; "
    "os.environ.update({environment!r}); os.chdir({folder!r}); "
    "get_ipython().run_line_magic('reset', '-f'); "
    "get_ipython().run_line_magic('load_ext', 'aeron_magic')"
)


def reset_cell(folder: Path, **environment: str) -> str:
    """The source of a cell that deletes all variables and loads the extension.

    The extension must not be loaded already.

    Parameters
    ----------
    folder
        The new working directory, which also gets the history.
    environment
        Variables for aeron-magic, and the notebook's path (``JPY_SESSION_NAME``); those of
        earlier tests are removed.
    """
    environment.setdefault("AERON_HISTORY", str(folder / "history.sqlite3"))
    return _CELL.format(folder=str(folder), environment=environment, ours=_OURS)
