"""Process-wide defaults for ``ask_many``; the extension sets them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aeron_magic.conversations.kept_rows import KeptRows
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.services.settings import Settings


class Defaults:
    """What ``ask_many`` uses if it is not given a connection.

    Attributes
    ----------
    connection
        Returns the settings, the recorder and the kept rows of the notebook's connection; None
        without a notebook.
    show_progress
        Returns whether to show a progress bar.
    """

    connection: Callable[[], tuple[Settings, Recorder | None, KeptRows]] | None
    show_progress: Callable[[], bool]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set the values for a process without a notebook."""
        self.connection = None
        self.show_progress = _has_terminal


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


defaults = Defaults()
