"""The commands that begin, switch, show, export and forget conversations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import HistoryError, UsageError
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.resume import (
    find_stored,
    history_of,
    stored_conversations,
)
from aeron_magic.jupyter.display.publish import fenced, show_markdown, show_message, show_table
from aeron_magic.jupyter.display.tables import (
    CONVERSATIONS,
    MAX_TURNS,
    TURNS,
    comparison,
    conversation_rows,
    tree_text,
    turn_rows,
)
from aeron_magic.session.session import Session

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["conversations", "export", "forget", "history", "new", "tree", "use"]

MOST_PAST = 20
"""Conversations of earlier kernels that are listed."""


def new(app: App, command: Command) -> None:
    """Begin a conversation."""
    cell = frontend.cell_id(app.shell)
    tree = app.session.new(command["name"], None if cell is None else f"new {cell}")
    again = f" anew; its {_turns(tree)} stay until their cells run again" if tree.turns else ""
    show_message(f"The next question begins the conversation `{tree.name}`{again}.", app.shell)


def use(app: App, command: Command) -> None:
    """Switch to a conversation."""
    tree = app.session.use(command["name"])
    after = f" after turn {tree.head.label}" if tree.head else ""
    show_message(
        f"The next question continues the conversation `{tree.name}`{after} ({_turns(tree)}).",
        app.shell,
    )


def conversations(app: App, command: Command) -> None:
    """List the conversations of this kernel, and this notebook's earlier ones."""
    session = app.session
    earlier: list[StoredConversation] = []
    below = ""
    if session.history_writer.history is not None:
        try:
            earlier = stored_conversations(session, session.notebook)[:MOST_PAST]
        except HistoryError as error:
            below = f"{error} {error.hint}"
    if earlier:
        below = "`%aeron resume NAME` takes up an earlier one."
    show_table(CONVERSATIONS, conversation_rows(session.registry, earlier), app.shell, below=below)


def history(app: App, command: Command) -> None:
    """The turns of a conversation, ours or the service's."""
    session, name = app.session, command["name"]
    tree = _here(session, name)
    if tree is None:
        tree = history_of(session).load(_earlier(session, name))
    newest_first = command["order"] == "desc"
    if command["remote"]:
        _remote(app, tree, newest_first)
        return
    if not tree.turns:
        show_message(_nothing(tree), app.shell)
        return
    shown = tree.turns[-(command["last"] or MAX_TURNS) :]
    left = len(tree.turns) - len(shown)
    below = f"{left} earlier turns are left out; `--last {len(tree.turns)}` shows all."
    rows = turn_rows(shown[::-1] if newest_first else shown, tree.stale())
    show_table(TURNS, rows, app.shell, below=below if left else "")


def _here(session: Session, name: str | None) -> ConversationTree | None:
    """The conversation of this name, or the current one; None where this kernel has none."""
    return session.tree if name is None else session.registry.conversations.get(name)


def _nothing(tree: ConversationTree) -> str:
    return f"No turns yet in the conversation `{tree.name}`: ask something with `%%aeron`."


def _remote(app: App, tree: ConversationTree, newest_first: bool) -> None:
    """The conversation as the service keeps it, and where ours differs."""
    session = app.session
    newest = tree.head or tree.newest  # a conversation that is begun anew has no head as yet
    known = newest.token if newest is not None else None
    token = session.newest_token() if tree is session.tree else known
    if token is None:
        raise UsageError(
            "No turn of this conversation has a whole reply.",
            hint="`%aeron history` (without --remote) shows what is kept here.",
        )
    messages = session.remote_history(token)
    head = tree.by_token(token)
    below = "The newest token is not from a turn of this conversation."
    if head is not None:
        below = comparison(head.path(), messages)
    rows = [(message.role, message.text[:200]) for message in messages]
    show_table(("message", "text"), rows[::-1] if newest_first else rows, app.shell, below=below)


def tree(app: App, command: Command) -> None:
    """The turns as a tree."""
    shown = app.session.tree
    if not shown.turns:
        show_message(_nothing(shown), app.shell)
        return
    text = tree_text(shown)
    show_markdown(fenced(text, "text"), app.shell, text)


def export(app: App, command: Command) -> None:
    """Write the conversation to a file."""
    from aeron_magic.conversations.export import write

    session = app.session
    path = Path(command["file"]).expanduser()
    running = frontend.notebook_path(app.shell)
    if running and path.resolve() == Path(running).resolve():
        raise UsageError(
            "That file is the notebook that is running.", hint="Export to another name."
        )
    if not session.tree.turns:  # or it would replace an export of before
        raise UsageError(
            f"There is nothing to export: the conversation {session.tree.name!r} has no turns.",
            hint="`%aeron use NAME` switches to another one; `%aeron conversations` lists them.",
        )
    connection = session.connection
    sandbox = connection is not None and connection.sandbox
    write(session.tree, path, sandbox=sandbox)
    show_message(f"Wrote {_turns(session.tree)} to `{path.name}`.", app.shell)


def forget(app: App, command: Command) -> None:
    """Delete a conversation from the local history, and from this kernel."""
    session, name = app.session, command["name"]
    tree = _here(session, name)
    if tree is not None:
        stored, label = tree.history_id, tree.name
        session.forget(tree)
    else:
        earlier = _earlier(session, name)
        stored, label = earlier.id, earlier.name
    if stored is not None:
        history_of(session).forget(stored)
    show_message(
        f"Forgot the conversation `{label}`. What the service keeps is not touched by that, nor "
        "are the outputs of the notebook.",
        app.shell,
    )


def _earlier(session: Session, name: str) -> StoredConversation:
    stored = find_stored(session, name)
    if stored is None:
        raise UsageError(
            f"There is no conversation {name[:60]!r}, neither here nor in the local history.",
            hint="`%aeron conversations` lists what there is.",
        )
    return stored


def _turns(tree: ConversationTree) -> str:
    return f"{len(tree.turns)} turn{'s' * (len(tree.turns) != 1)}"
