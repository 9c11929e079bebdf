"""What holds around Python code that does not say whom to ask: a notebook's connection."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.services.settings import Settings

__all__ = ["Defaults", "defaults"]


class Defaults:
    """A notebook's session puts itself here, so that ``ask_many`` asks where the cells ask.

    Attributes
    ----------
    connection
        Gives the settings of the connection, and its recorder; None where there is no notebook.
    show_progress
        Says whether somebody watches, and wants to see how far a batch is.
    """

    connection: Callable[[], tuple[Settings, Recorder | None]] | None
    show_progress: Callable[[], bool]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """There is no notebook any more."""
        self.connection = None
        self.show_progress = _has_terminal


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


defaults = Defaults()
"""Those of this process."""
