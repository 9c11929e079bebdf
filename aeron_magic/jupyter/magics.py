"""``%aeron`` and ``%%aeron``: parse, ask, show.

This module is loaded with the extension and imports next to nothing: what a command needs is
imported when the command runs first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Float, TraitError, Unicode, validate

from aeron_magic.errors import AeronError, Interrupted
from aeron_magic.jupyter.frontend import CellKeys, has_kernel, notebook_path

if TYPE_CHECKING:
    from pathlib import Path

    from aeron_magic.jupyter.command_line.parser import Command, Options
    from aeron_magic.session.session import Session

__all__ = ["AeronMagics"]


@magics_class
class AeronMagics(Magics):
    """The magics, and what can be configured of them (``%config AeronMagics``)."""

    shell: Any

    timeout = Float(30.0, help="Seconds of silence after which a connection counts as lost.").tag(
        config=True
    )
    fetch_timeout = Float(
        120.0, help="Seconds in all to wait for a reply that the service is still working on."
    ).tag(config=True)
    replay_speed = Float(
        1.0,
        min=0.0,
        help="How fast recorded replies are replayed: 1 as they came, 2 twice as fast, 0 without "
        "any wait. Under CI (the variable CI is set) it is 0.",
    ).tag(config=True)
    live = Bool(
        None,
        allow_none=True,
        help="Update a cell's output while the reply comes in. None: where the front end sends "
        "cell ids. The variable AERON_LIVE and the options --live and --no-live come first.",
    ).tag(config=True)

    history = Unicode(
        "",
        help="The file in which conversations are kept for the time after a restart; `off` keeps "
        "none. Empty: a file in your data folder. The variable AERON_HISTORY comes first.",
    ).tag(config=True)
    notebook = Unicode(
        "",
        help="What the conversations of this kernel are kept under, where the front end does not "
        "tell the notebook's path.",
    ).tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        for kind in ("line", "cell"):
            self.magics[kind]["aeron"] = _DocumentedMagic(self.magics[kind]["aeron"])
        self.cell_keys = CellKeys()
        self.offered_cells: dict[str | None, str] = {}
        """Code of replies that was offered as the next cell, by cell."""
        self.batch_results: dict[tuple[object, ...], object] = {}
        """What the rows of each cell's batch have come to; see :mod:`aeron_magic.jupyter.commands.ask_each`."""
        self.cell_id_notice_shown = False
        """Whether the user knows that cells cannot be told apart here."""
        self._session: Session | None = None
        self.observe(self._configure, ["timeout", "fetch_timeout", "history", "notebook"])

    @validate("timeout", "fetch_timeout")
    def _positive(self, proposal: Any) -> float:
        value = float(proposal.value)
        if not value > 0:
            raise TraitError(f"{proposal.trait.name} is a number of seconds above 0, not {value}.")
        return value

    @property
    def session(self) -> Session:
        """The kernel's session; made when it is first needed."""
        if self._session is None:
            from aeron_magic.session.session import Session

            self._session = Session(self.shell.user_ns)
            self._configure()
            if file := os.environ.get("AERON_RECORD"):
                from aeron_magic.jupyter.commands.record import open_recorder

                self._session.connections.recorder = open_recorder(file, speed=self.replay_speed)
        return self._session

    def _configure(self, _change: Any = None) -> None:
        if self._session is not None:
            self._session.connections.timeout = self.timeout
            self._session.connections.fetch_timeout = self.fetch_timeout
            self._session.set_history_file(self.history_path)
            self._session.notebook = self.notebook_key

    @property
    def history_path(self) -> Path | None:
        """The file of the local history; None where there is none."""
        from aeron_magic.conversations.history_db import history_path

        return history_path(self.history)

    @property
    def notebook_key(self) -> str:
        """What the conversations are kept under."""
        return notebook_path(self.shell) or self.notebook

    @no_var_expand
    @cell_magic("aeron")  # type: ignore[arg-type]
    def ask_cell(self, line: str, cell: str) -> None:
        with self._error_boundary():
            from aeron_magic.jupyter.command_line.parser import parse_options

            self._ask(parse_options(line), cell)

    @no_var_expand
    @line_magic("aeron")  # type: ignore[arg-type]
    def run_line(self, line: str) -> None:
        with self._error_boundary():
            from aeron_magic.jupyter.command_line.parser import parse_command

            command = parse_command(line)
            if command.name == "ask":
                assert command.options is not None
                self._ask(command.options, command["text"])
            else:
                self._command(command)

    def _ask(self, options: Options, text: str) -> None:
        from aeron_magic.jupyter.commands.ask import ask

        ask(self, options, text)

    def _command(self, command: Command) -> None:
        from aeron_magic.jupyter.commands.connect import COMMANDS

        COMMANDS[command.name](self, command)

    def _error_boundary(self) -> _ErrorBoundary:
        return _ErrorBoundary(self)

    @property
    def has_kernel(self) -> bool:
        """Whether there is a front end that takes displays."""
        return has_kernel(self.shell)

    def names(self, source: str) -> Sequence[str]:
        """Names for the completion: of turns, tokens, conversations; ``stored``: earlier ones."""
        if source == "stored":
            from aeron_magic.jupyter.commands.resume import names

            return names(self.session)
        if self._session is None:
            return ()
        if source == "conversations":
            return list(self._session.registry.conversations)
        turns = self._session.tree.turns
        if source == "tokens":
            return [turn.token for turn in reversed(turns) if turn.token]
        return [turn.label for turn in reversed(turns)]

    def close(self) -> None:
        """Stop what runs; for ``%unload_ext``."""
        if self._session is not None:
            self._session.close()
            self._session = None


class _DocumentedMagic:
    """A magic whose help is the manual: IPython asks ``getdoc`` before it reads a docstring."""

    def __init__(self, run: Callable[..., None]) -> None:
        self._run = run

    def __call__(self, *arguments: str) -> None:
        self._run(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def getdoc(self) -> str:
        """What `%aeron?` and `%%aeron?` show."""
        from aeron_magic.jupyter.command_line.help import help_text

        return help_text()


class _ErrorBoundary:
    """Remembers an error for ``%aeron error`` on its way to the cell, which it fails.

    The stop button, where a command does not take it up itself, fails the cell as shortly: while
    credentials are typed, or the service is waited for.
    """

    def __init__(self, magics: AeronMagics) -> None:
        self._magics = magics

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, AeronError):
            session = self._magics.session
            error.redact(session.secrets)
            session.last_error = error
            error.__suppress_context__ = True
        elif isinstance(error, KeyboardInterrupt):
            raise Interrupted("Stopped.", hint="Run the cell again when you like.") from None
