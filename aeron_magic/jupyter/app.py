"""The application object of one kernel: shell, preferences, session, and the state of commands.

Commands receive an :class:`App` and keep all their state in it. This module is loaded with the
extension, so it imports little: the session is imported when it is first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from aeron_magic.defaults import has_terminal
from aeron_magic.errors import AeronError, HistoryError, UsageError
from aeron_magic.jupyter.frontend import (
    CellKeys,
    RunOrder,
    cell_id,
    has_kernel,
    is_live,
    notebook_path,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aeron_magic.conversations.kept_rows import KeptRows
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.replies.reply import Reply
    from aeron_magic.services.settings import Settings
    from aeron_magic.session.session import Session


class Preferences(NamedTuple):
    """The values of the traitlets of ``AeronMagics``, which documents them."""

    timeout: float = 30.0
    fetch_timeout: float = 120.0
    replay_speed: float = 1.0
    max_resent: int = 5
    format: str = "markdown"
    live: bool | None = None
    history: str = ""
    notebook: str = ""
    limits: dict[str, float] = {}  # noqa: RUF012 - never changed
    insecure: bool = False


class Resuming(NamedTuple):
    """The notebook's stored conversation, for the panel."""

    offer: Callable[[], tuple[str, int, bool] | None]
    """Its name, its number of turns, and whether its sandbox has ended; None if there is none."""
    resume: Callable[[str], None]
    """What ``%aeron resume NAME`` does."""


class App:
    """What all commands of a kernel share.

    * ``preferences``: what the user has configured; :meth:`configure` applies a change.

    Attributes:
    * ``cell_keys``: the keys of the questions of cells.
    * ``run_order``: sees whether the notebook is being run from its beginning.
    * ``cell_id_notice_shown``: whether the user was informed that this front end sends no cell ids.
    * ``unfinished_variables``: the incomplete replies by their variables (``-o``); ``fetch``
      completes them.
    * ``resuming``: how the panel resumes a stored conversation; None without the extension.
    * ``panel_controller``: the :class:`~aeron_magic.jupyter.panel.controller.PanelController`, once
      there is a panel.
    """

    def __init__(self, shell: Any, preferences: Preferences) -> None:
        self.shell = shell
        self.preferences = preferences
        self.cell_keys = CellKeys()
        self.cell_id_notice_shown = False
        self.run_order = RunOrder(shell, cell_id(shell))
        self.panel_controller: Any = None
        self.unfinished_variables: dict[str, Reply] = {}
        self.resuming: Resuming | None = None

    @cached_property
    def session(self) -> Session:
        """The kernel's session; created when it is first used."""
        from aeron_magic.session.session import Session

        session = vars(self)["session"] = self.run_order.session = Session(self.shell.user_ns)
        self._configure(session)
        if "AERON_RECORD" in os.environ or "AERON_RECORD_MODE" in os.environ:
            self._record_as_environment_says(session)
        return session

    def _record_as_environment_says(self, session: Session) -> None:
        from aeron_magic.session.recordings import open_recorder

        preferences = self.preferences
        try:
            session.connections.set_recorder(
                open_recorder(
                    None, speed=preferences.replay_speed, max_resent=preferences.max_resent
                )
            )
        except AeronError as error:  # each question fails, until a command names another file
            session.connections.recording_error = error

    @property
    def _has_session(self) -> bool:
        return "session" in vars(self)

    def configure(self, preferences: Preferences) -> None:
        """Use other preferences from now on."""
        before, self.preferences = self.preferences, preferences
        shown_only = dict.fromkeys(("format", "live", "replay_speed"))
        changed = before._asdict() | shown_only != preferences._asdict() | shown_only
        if changed and self._has_session:
            self._configure(self.session)

    def refuse_setting(self, error: UsageError | None) -> None:
        """Make the next question fail once with ``error``; None: no longer."""
        if error is not None or self._has_session:
            self.session.refused_setting = error

    def _configure(self, session: Session) -> None:
        session.connections.configure(
            **{
                name: getattr(self.preferences, name)
                for name in ("timeout", "fetch_timeout", "limits", "insecure")
            }
        )
        if (recorder := session.connections.recorder) is not None:
            recorder.max_resent = self.preferences.max_resent
        try:
            session.set_history_file(self.history_path)
        except HistoryError as error:  # questions work without one
            session.set_history_file(None)
            session.history_writer.error = error
        session.notebook = self.notebook_key

    @property
    def history_path(self) -> Path | None:
        """The file of the local history; None if the history is disabled.

        Raises HistoryError: the user has no home folder.
        """
        from aeron_magic.conversations.history_db import history_path

        return history_path(self.preferences.history)

    @property
    def notebook_key(self) -> str:
        """The name under which this notebook's conversations are stored."""
        return notebook_path(self.shell) or self.preferences.notebook

    @property
    def has_kernel(self) -> bool:
        """Whether the front end can show displays."""
        return has_kernel(self.shell)

    def batch_target(self) -> tuple[Settings, Recorder | None, KeptRows]:
        """The settings, the recorder and the kept rows of a batch."""
        settings = self.session.ensure_connected().settings
        return settings, self.session.connections.recorder, self.session.kept_rows()

    def bind(self, name: str, reply: Reply) -> None:
        """Assign the reply to the variable of ``-o``."""
        self.shell.user_ns[name] = reply
        self.unfinished_variables.pop(name, None)
        if not reply.is_complete and reply.context_token is not None:
            self.unfinished_variables[name] = reply

    def bind_fetched(self, reply: Reply) -> str:
        """Assign a fetched reply to the variables that still hold its incomplete one.

        Returns a sentence that names them; empty if there are none, or if nothing was received.
        """
        if not reply.is_complete and not reply.text:
            return ""
        names = [
            name
            for name, held in self.unfinished_variables.items()
            if held.context_token == reply.context_token and self.shell.user_ns.get(name) is held
        ]
        for name in names:
            self.bind(name, reply)
        return f"It is now in {', '.join(names)}." if names else ""

    def show_progress(self) -> bool:
        """Whether to show a progress bar: not under nbclient or in a file, where it would stay."""
        if self.has_kernel:
            return is_live(self.shell, self.preferences.live)
        return has_terminal()

    def names(self, source: str) -> Sequence[str]:
        """Names for completion: of ``turns``, ``tokens`` or ``conversations`` of this kernel."""
        if not self._has_session:
            return ()
        if source == "conversations":
            return list(self.session.registry.conversations)
        turns = self.session.tree.turns
        if source == "tokens":
            return [turn.token for turn in reversed(turns) if turn.token]
        return [turn.label for turn in reversed(turns)]

    def close(self) -> None:
        """Stop all work; for ``%unload_ext``."""
        if self._has_session:
            self.session.close()
            del self.session
            self.run_order.session = None
        self.panel_controller = None


_apps: dict[int, App] = {}


def register(app: App) -> None:
    """Make ``app`` the application object of its shell."""
    _apps[id(app.shell)] = app


def unregister(shell: Any) -> App | None:
    """Remove the application object of ``shell``; return it, if there was one."""
    return _apps.pop(id(shell), None)


def current_app(shell: Any) -> App:
    """The application object of ``shell``; the extension is loaded if it is not.

    Without a shell, that of this process, such as for a panel in marimo.
    """
    if shell is None:
        return _apps.setdefault(id(None), App(SimpleNamespace(user_ns={}), Preferences()))
    if id(shell) not in _apps:
        shell.extension_manager.load_extension("aeron_magic")
    return _apps[id(shell)]
