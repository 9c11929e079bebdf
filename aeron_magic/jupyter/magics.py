"""``%aeron`` and ``%%aeron``: parse the line, run the command, remember a question's error.

This module is loaded with the extension, so it imports little: commands are imported when they are
first run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool, Dict, Enum, Float, Int, TraitError, Unicode, validate

from aeron_magic.errors import AeronError, Interrupted, UsageError, did_you_mean, nearest
from aeron_magic.jupyter.app import App, Preferences
from aeron_magic.jupyter.frontend import lines_before

if TYPE_CHECKING:
    from aeron_magic.jupyter.command_line.parser import Options


_CELL_OPTIONS = re.compile(r"\A(?:[ \t]*\n|[ \t]*#\|[^\n]*(?:\n|\Z))++")
"""Lines such as ``#| echo: false`` at the beginning of a cell, which are for Quarto or nbdev."""


@magics_class
class AeronMagics(Magics):
    """The magics and their configuration (``%config AeronMagics``)."""

    shell: Any

    timeout = Float(30.0, help="Seconds of silence after which a connection counts as lost.").tag(
        config=True
    )
    fetch_timeout = Float(
        120.0, help="Total seconds to wait for a reply that the service is still generating."
    ).tag(config=True)
    replay_speed = Float(
        1.0,
        min=0.0,
        help="Speed of replayed replies. 1: recorded pauses; 2: twice as fast; 0: no pauses. "
        "Under CI (the variable CI is set) always 0.",
    ).tag(config=True)
    max_resent = Int(
        5,
        min=0,
        help="How many recorded questions may be sent, and charged, again before a new question "
        "that continues from their replayed replies.",
    ).tag(config=True)
    format = Enum(
        ("markdown", "text", "json", "table", "code"),
        "markdown",
        help="How to show replies. `-f` sets it for one question.",
    ).tag(config=True)
    live = Bool(
        None,
        allow_none=True,
        help="Update a cell's output while the reply is being received. None: only if the front "
        "end sends cell ids. AERON_LIVE takes precedence.",
    ).tag(config=True)
    history = Unicode(
        "",
        help="The file that stores conversations; `off`: none; empty: a file in your data folder. "
        "AERON_HISTORY takes precedence.",
    ).tag(config=True)
    notebook = Unicode(
        "",
        help="The name under which this kernel's conversations are stored if the front end does "
        "not send the notebook's path.",
    ).tag(config=True)

    limits = Dict(
        help="The most that is accepted from a service, by name: body, reply, frame, header (bytes "
        "after decompression), chunks, wait (seconds), as in {'reply': 2**27}. Others keep their "
        "defaults.",
    ).tag(config=True)
    insecure = Bool(
        False,
        help="Allow http:// addresses of other machines, which send the credentials unencrypted.",
    ).tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._refused: set[str] = set()
        """The name in the last refused %config, and the one that was probably meant."""
        for kind in ("line", "cell"):
            self.magics[kind]["aeron"] = _DocumentedMagic(self.magics[kind]["aeron"])
        self.app = App(shell, self._preferences())
        self.observe(self._configure, list(Preferences._fields))

    @validate("timeout", "fetch_timeout")
    def _positive(self, proposal: Any) -> float:
        value = float(proposal.value)
        if not value > 0:
            raise TraitError(
                f"Invalid {proposal.trait.name}: {value}. Give a number of seconds above 0."
            )
        return value

    @validate("limits")
    def _known(self, proposal: Any) -> dict[str, float]:
        from aeron_magic.services.settings import validate_limits

        try:
            validate_limits(proposal.value)
        except AeronError as error:
            raise TraitError(f"{error} {error.hint}") from None
        return dict(proposal.value)

    @validate("history")
    def _usable(self, proposal: Any) -> str:
        from aeron_magic.conversations.history_db import history_path

        value = str(proposal.value)
        try:
            history_path(value, {})
        except AeronError as error:
            raise TraitError(f"{error} {error.hint}") from None
        return value

    def update_config(self, config: Any) -> None:
        """Change the settings that ``config`` names; `%config` only logs what this raises.

        So that nobody takes a refused setting for one in use, the next question fails once, unless
        the setting is corrected before.
        """
        section, before = config.get(type(self).__name__, {}), self.config
        names = self.traits(config=True)
        try:
            for name in section:
                if name not in names:
                    raise TraitError(_unknown_setting(name, names))
            super().update_config(config)
        except TraitError as error:
            self.config = before  # the next change would load the refused value again,
            config.pop(type(self).__name__)  # and so would the extension from the shell's settings
            self._refused = {one for name in section for one in (name, nearest(name, names))}
            self.app.refuse_setting(
                UsageError(
                    f"Nothing was sent, because a %config was refused: {error}",
                    hint="Correct that line and run it, or ask again to use the settings as they "
                    "are (`%config AeronMagics` shows them).",
                )
            )
            raise
        if self._refused.intersection(section):
            self._refused = set()
            self.app.refuse_setting(None)

    def _preferences(self) -> Preferences:
        return Preferences(*(getattr(self, name) for name in Preferences._fields))

    def _configure(self, _change: Any) -> None:
        self.app.configure(self._preferences())

    @no_var_expand
    @cell_magic("aeron")  # type: ignore[arg-type]
    def ask_cell(self, line: str, cell: str) -> None:
        with _error_boundary(self.app):
            from aeron_magic.jupyter.command_line.parser import parse_options

            text = _CELL_OPTIONS.sub(lambda found: "\n" * found[0].count("\n"), cell)
            self._ask(parse_options(line), f"\n{text}")  # errors count all lines of the cell

    @no_var_expand
    @line_magic("aeron")  # type: ignore[arg-type]
    def run_line(self, line: str) -> None:
        with _error_boundary(self.app):
            from aeron_magic.jupyter.command_line.parser import parse_command

            command = parse_command(line)
            if command.options is not None:
                above = "\n" * lines_before(self.shell, line)  # errors count all lines of the cell
                self._ask(command.options, f"{above}{command['text']}")
            else:
                from aeron_magic.jupyter.commands import find_command

                find_command(command.name)(self.app, command)

    def _ask(self, options: Options, text: str) -> None:
        """Ask; ``%aeron last`` then shows the reply, or the error of a question that was sent."""
        from aeron_magic.jupyter.commands.ask import ask

        session = self.app.session
        before = session.last
        try:
            ask(self.app, options, text)
        except UsageError:  # nothing was sent
            raise
        except AeronError as error:
            if (reply := session.last) is None or reply is before or not reply.is_complete:
                session.last_error = error
            raise


def _unknown_setting(name: str, names: Iterable[str]) -> str:
    suggestion = did_you_mean(name, names).strip() or "`%config AeronMagics` shows all."
    return f"AeronMagics has no setting {name}. {suggestion}"


class _DocumentedMagic:
    """A magic with its own help text: IPython calls ``getdoc`` before it reads a docstring."""

    def __init__(self, run: Callable[..., None]) -> None:
        self._run = run

    def __call__(self, *arguments: str) -> None:
        self._run(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def getdoc(self) -> str:
        """The help text that `%aeron?` and `%%aeron?` show."""
        from aeron_magic.jupyter.command_line.help import help_text

        return help_text()


@contextmanager
def _error_boundary(app: App) -> Iterator[None]:
    """Remove secrets from the error of a command; the error then fails the cell.

    An interrupt that the command does not handle becomes a short error, too.
    """
    try:
        yield
    except AeronError as error:
        error.redact(app.session.secrets)
        error.__suppress_context__ = True
        raise
    except KeyboardInterrupt:
        raise Interrupted("Stopped.", hint="Run the cell again to repeat it.") from None
