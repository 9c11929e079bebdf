"""Process-wide defaults for ``ask_many`` and ``check``; the extension sets them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from aeron_magic.client.client import AsyncClient, Client
    from aeron_magic.conversations.kept_rows import KeptRows
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.services.settings import Settings


class Defaults:
    """What they use if they are not given a connection.

    Attributes:
    * ``connection``: returns the settings, the recorder and the kept rows of the notebook's
      connection; None without a notebook.
    * ``show_progress``: returns whether to show a progress bar.
    """

    connection: Callable[[], tuple[Settings, Recorder | None, KeptRows]] | None
    show_progress: Callable[[], bool]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set the values for a process without a notebook."""
        self.connection = None
        self.show_progress = has_terminal

    def target(
        self, client: Client | AsyncClient | None, settings: Settings | None = None
    ) -> tuple[Settings, Recorder | None, KeptRows | None]:
        """The settings, the recorder and the kept rows to ask with.

        They are those of a client, of settings, of the notebook, or of the environment.

        Raises UsageError: one of them has another type. Raises RecordingError: they are settings or
        those of the environment, which allows replays only.
        """
        if client is not None and not hasattr(client, "recorder"):
            raise _wrong_type("client", client)
        if settings is not None and not hasattr(settings, "secrets"):
            raise _wrong_type("settings", settings)
        if client is not None:
            return client.settings, client.recorder, None
        if settings is None and self.connection is not None:
            return self.connection()
        # Not with the extension: 10 ms.
        from aeron_magic.services.settings import refuse_in_replay, resolve_settings

        refuse_in_replay(settings)
        return resolve_settings() if settings is None else settings, None, None

    def shows_progress(self, wanted: bool | None) -> bool:
        """Whether to show a progress bar.

        Raises
        ------
        UsageError
            One is wanted, and its package is not installed.
        """
        if wanted and find_spec("tqdm") is None:
            raise missing_extra("The progress bar", "tables")
        return self.show_progress() if wanted is None else wanted


def _wrong_type(name: str, value: object) -> UsageError:
    return UsageError(
        f"{name} has the wrong type: {type(value).__name__}.",
        hint="Give client=Client(…), such as Client('sandbox').",
    )


def has_terminal() -> bool:
    """Whether the error output is shown in a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


defaults = Defaults()
