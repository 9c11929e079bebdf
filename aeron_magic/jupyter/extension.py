"""Loading and unloading of the extension."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from aeron_magic.defaults import defaults
from aeron_magic.jupyter.app import App, Resuming, register, unregister
from aeron_magic.jupyter.magics import AeronMagics


def load(shell: Any) -> None:
    """Register ``%aeron`` and ``%%aeron`` and their completion, and define ``context_token``."""
    from aeron_magic.jupyter import completer, question_marks

    magics = AeronMagics(shell)
    app = magics.app
    shell.register_magics(magics)
    shell.user_ns.setdefault("context_token", None)
    completer.register(shell, partial(_names, app))
    for question in question_marks.misread_questions(shell):
        _show(
            shell,
            f"IPython has read `{question}` as a request for help, because the extension was not "
            "loaded yet: it was not asked. Write the question without the question mark, or in "
            "another cell.",
        )
    question_marks.register(shell)
    shell.events.register("pre_run_cell", app.run_order.before_cell)
    shell.events.register("post_run_cell", app.run_order.after_cell)
    defaults.connection = app.batch_target
    defaults.show_progress = app.show_progress
    app.resuming = Resuming(partial(_offer, app), partial(_resume, app))
    register(app)
    if app.notebook_key and (hint := _resume_hint(app)):
        _show(shell, hint)


def _show(shell: Any, line: str) -> None:
    """Show untrusted text. As Markdown: JupyterLab wraps printed text inside words."""
    from aeron_magic.jupyter.display.publish import show
    from aeron_magic.markdown_text import escape_markdown

    show(shell, escape_markdown(line))


def _names(app: App, source: str) -> Sequence[str]:
    """The values of a ``completion_source``."""
    if source == "topics":
        from aeron_magic.jupyter.commands.help import topics

        return topics()
    if source != "stored":
        return app.names(source)
    from aeron_magic.jupyter.commands.resume import resumable_names

    return resumable_names(app.session)


def _offer(app: App) -> tuple[str, int, bool] | None:
    from aeron_magic.jupyter.commands.resume import offer

    return offer(app)


def _resume(app: App, name: str) -> None:
    from aeron_magic.jupyter.command_line.parser import Command
    from aeron_magic.jupyter.commands.resume import resume

    resume(app, Command("resume", {"name": name, "check": False}))


def _resume_hint(app: App) -> str:
    """A line about this notebook's earlier conversation; empty if there is none."""
    from aeron_magic.conversations.history_db import resume_hint
    from aeron_magic.errors import HistoryError

    try:
        path = app.history_path
        return "" if path is None else resume_hint(path, app.notebook_key)
    except HistoryError:
        return ""  # the first question reports it, in the cell concerned


def unload(shell: Any) -> None:
    """Undo :func:`load`, except for ``context_token``, which belongs to the notebook."""
    from aeron_magic.jupyter import completer, question_marks

    app = unregister(shell)
    if app is None:
        return
    completer.unregister(shell)
    question_marks.unregister(shell)
    shell.events.unregister("pre_run_cell", app.run_order.before_cell)
    shell.events.unregister("post_run_cell", app.run_order.after_cell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("aeron", None)
    magics = shell.magics_manager.registry.pop(AeronMagics.__name__, None)
    if magics in shell.configurables:  # `%config` would still change it
        shell.configurables.remove(magics)
    defaults.reset()
    app.close()
