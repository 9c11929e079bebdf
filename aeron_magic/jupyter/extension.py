"""What ``%load_ext aeron_magic`` puts into the shell, and ``%unload_ext`` takes out again."""

from __future__ import annotations

from functools import partial
from typing import Any

from aeron_magic.defaults import defaults
from aeron_magic.jupyter.magics import AeronMagics

__all__ = ["current_app", "load", "unload"]

SOURCES = ("turns", "tokens", "conversations", "stored")
"""What completion asks the magics for, see :meth:`AeronMagics.names`."""

_loaded: dict[int, AeronMagics] = {}


def load(shell: Any) -> None:
    """Register ``%aeron`` and ``%%aeron``, their completion, and ``context_token``."""
    from aeron_magic.jupyter import completer, question_marks
    from aeron_magic.session.token_variable import NAME

    magics = AeronMagics(shell)
    shell.register_magics(magics)
    shell.user_ns.setdefault(NAME, None)
    dynamic = {source: partial(magics.names, source) for source in SOURCES}
    matcher = completer.Matcher(dynamic=dynamic, namespace=lambda: shell.user_ns)
    completer.register(shell, matcher)
    question_marks.register(shell)
    defaults.connection = partial(_connection, magics)
    defaults.show_progress = partial(_watched, magics)
    _loaded[id(shell)] = magics
    if magics.notebook_key and (past := _resume_hint(magics)):
        print(past)  # noqa: T201 - one line, and no display that would have to be loaded


def _resume_hint(magics: AeronMagics) -> str:
    """One line for a notebook that has a past; else nothing."""
    from aeron_magic.conversations.history_db import resume_hint
    from aeron_magic.errors import HistoryError

    path = magics.history_path
    try:
        return "" if path is None else resume_hint(path, magics.notebook_key)
    except HistoryError:
        return ""  # the first question says what is wrong, with the cell that it belongs to


def current_app(shell: Any) -> AeronMagics:
    """The magics of this shell; the extension is loaded if it is not."""
    if id(shell) not in _loaded:
        shell.extension_manager.load_extension("aeron_magic")
    return _loaded[id(shell)]


def unload(shell: Any) -> None:
    """Take everything back; ``context_token`` stays, it is the notebook's."""
    from aeron_magic.jupyter import completer, question_marks

    magics = _loaded.pop(id(shell), None)
    if magics is None:
        return
    completer.unregister(shell)
    question_marks.unregister(shell)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("aeron", None)
    shell.magics_manager.registry.pop(AeronMagics.__name__, None)
    defaults.reset()
    magics.close()


def _connection(magics: AeronMagics) -> Any:
    from aeron_magic.jupyter.commands.ask_each import batch_target

    return batch_target(magics.session)


def _watched(magics: AeronMagics) -> bool:
    from aeron_magic.jupyter.commands.ask_each import show_progress

    return show_progress(magics)
