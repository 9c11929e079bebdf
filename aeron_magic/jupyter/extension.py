"""What ``%load_ext aeron_magic`` puts into the shell, and ``%unload_ext`` takes out again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from aeron_magic.defaults import defaults
from aeron_magic.jupyter.app import App, register, unregister
from aeron_magic.jupyter.magics import AeronMagics

__all__ = ["load", "unload"]

SOURCES = ("turns", "tokens", "conversations")
"""What completion asks for, see :meth:`~aeron_magic.jupyter.app.App.names`."""


def load(shell: Any) -> None:
    """Register ``%aeron`` and ``%%aeron``, their completion, and ``context_token``."""
    from aeron_magic.jupyter import completer, question_marks

    magics = AeronMagics(shell)
    app = magics.app
    shell.register_magics(magics)
    shell.user_ns.setdefault("context_token", None)
    dynamic = {source: partial(app.names, source) for source in SOURCES}
    dynamic["stored"] = partial(_stored_names, app)
    matcher = completer.Matcher(dynamic=dynamic, namespace=lambda: shell.user_ns)
    completer.register(shell, matcher)
    question_marks.register(shell)
    defaults.connection = app.batch_target
    defaults.show_progress = app.show_progress
    register(app)
    if app.notebook_key and (hint := _resume_hint(app)):
        print(hint)  # noqa: T201 - one line, and no display that would have to be loaded


def _stored_names(app: App) -> Sequence[str]:
    """Names of earlier conversations, for completion."""
    from aeron_magic.jupyter.commands.resume import names

    return names(app.session)


def _resume_hint(app: App) -> str:
    """One line for a notebook that has a past; else nothing."""
    from aeron_magic.conversations.history_db import resume_hint
    from aeron_magic.errors import HistoryError

    try:
        path = app.history_path
        return "" if path is None else resume_hint(path, app.notebook_key)
    except HistoryError:
        return ""  # the first question says what is wrong, with the cell that it belongs to


def unload(shell: Any) -> None:
    """Take everything back; ``context_token`` stays, it is the notebook's."""
    from aeron_magic.jupyter import completer, question_marks

    app = unregister(shell)
    if app is None:
        return
    completer.unregister(shell)
    question_marks.unregister(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("aeron", None)
    shell.magics_manager.registry.pop(AeronMagics.__name__, None)
    defaults.reset()
    app.close()
