"""The commands that switch, list, show, search, export and delete conversations."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from aeron_magic.conversations.history import StoredConversation
from aeron_magic.conversations.history_search import find_turns
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import HistoryError, UsageError
from aeron_magic.jupyter import frontend
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands.resume import (
    SANDBOX_GONE,
    find_unloaded,
    history_of,
    listed_conversations,
    refuse_stored,
    unknown_conversation,
)
from aeron_magic.jupyter.display.publish import Table, Verbatim, show
from aeron_magic.jupyter.display.tables import (
    MAX_TURNS,
    comparison,
    conversations_table,
    excerpt,
    found_table,
    resume_names,
    tree_text,
    turns_table,
)
from aeron_magic.markdown_text import code_span, escape_cell, plural
from aeron_magic.session.session import Session

if TYPE_CHECKING:
    from aeron_magic.client.client import Order
    from aeron_magic.jupyter.app import App

MAX_EARLIER = 20
"""Conversations of earlier kernels in the list."""

MAX_OF_NOTEBOOK = 10
"""Those of one notebook: one that is run often has many."""


def use(app: App, command: Command) -> None:
    """Switch to a conversation, or create it; without a name, list all."""
    session, name = app.session, command["name"]
    if name is None:
        _list(app)
        return
    app.run_order.follow()
    known = session.registry.conversations
    if name in known:
        show(app.shell, *_next_place(session.use(name)))
        return
    refuse_stored(session, name)
    others = list(known)
    tree = session.new(name)
    stored, _ = _earlier(session)
    note = ""
    names = resume_names(stored, (), session.notebook)
    same = next((full for full, one in zip(names, stored, strict=True) if one.name == name), None)
    if same is not None:
        line = code_span(f"%aeron resume {same}")
        note = f"A stored conversation has that name: {line} loads it."
    elif similar := get_close_matches(name, [*others, *(one.name for one in stored)]):
        note = f"Similar names: {', '.join(map(code_span, dict.fromkeys(similar)))}."
    show(app.shell, f"The next question starts the conversation {code_span(tree.name)}.", note)


def _list(app: App) -> None:
    """List the conversations of this kernel, and the stored ones."""
    session = app.session
    found, note = _earlier(session)
    stored = [one for one in found if one.answered]
    damaged = ""
    if (history := session.history_writer.history) is not None:
        damaged = history.damage_note()
    counts: Counter[str] = Counter()
    shown = []
    for one in stored:  # the newest first
        counts[one.notebook] += 1
        if counts[one.notebook] <= MAX_OF_NOTEBOOK:
            shown.append(one)
    shown = shown[:MAX_EARLIER]
    if stored and not note:
        note = "`%aeron resume NAME` loads a stored one; those of this notebook come first."
    if left := len(stored) - len(shown):
        note += (
            f" {plural(left, 'older one')} not shown: Tab after `%aeron resume` lists all names, "
            "`%aeron forget NAME…` deletes."
        )
    if hidden := len(found) - len(stored):
        note += (
            f" {plural(hidden, 'stored conversation')} without an answer not shown: "
            "`%aeron history --find WORDS` finds their questions."
        )
    table = conversations_table(session.registry, shown, session.notebook)
    show(app.shell, table, note.strip(), damaged)


def _earlier(session: Session) -> tuple[list[StoredConversation], str]:
    """The stored conversations, this notebook's first; or why they cannot be read."""
    if session.history_writer.history is None:
        return [], ""
    try:
        return listed_conversations(session), ""
    except HistoryError as error:
        return [], f"{error} {error.hint}"


def history(app: App, command: Command) -> None:
    """Show the turns of a conversation, or the service's messages."""
    session, name, order = app.session, command["name"], command["order"]
    if command["find"]:
        if command["remote"] or name:
            raise UsageError(
                "--find searches all stored conversations.", hint="Leave NAME and --remote out."
            )
        _find(app, command["find"], newest_first=order != "asc")
        return
    tree = _local_tree(session, name)
    if tree is None:
        stored = _stored(session, name)
        tree = history_of(session).load(stored)
    if command["remote"]:
        _show_remote(app, tree, order or "asc")
        return
    if not tree.turns:
        show(app.shell, _no_turns(tree))
        return
    turns = tree.in_order()
    shown = turns[-MAX_TURNS:]
    left = len(turns) - len(shown)
    note = f"{plural(left, 'earlier turn')} not shown; `%aeron export FILE` writes all."
    table = turns_table(tree, shown[::-1] if order == "desc" else shown, tree.stale())
    show(app.shell, table, note if left else "")


def _find(app: App, words: str, *, newest_first: bool) -> None:
    """Show the turns of all stored conversations that contain the words."""
    session = app.session
    history = history_of(session)
    found = find_turns(history, words)
    if not found:
        show(app.shell, f"No stored turn contains {code_span(words)}.", history.damage_note())
        return
    more = f"Only the newest {MAX_TURNS} are shown." if len(found) > MAX_TURNS else ""
    found = found[:MAX_TURNS]
    here = {one.history_id: one.name for one in session.registry if one.turns and one.history_id}
    stored = listed_conversations(session)
    known = resume_names(stored, here.values(), session.notebook)
    names = here | {one.id: name for one, name in zip(stored, known, strict=True)}
    table = found_table(found if newest_first else found[::-1], names)
    hint = "`%aeron resume NAME` loads a conversation."
    show(app.shell, table, f"{more} {hint}".strip(), history.damage_note())


def _local_tree(session: Session, name: str | None) -> ConversationTree | None:
    """This kernel's conversation of that name, or the current one; None if there is none."""
    return session.tree if name is None else session.registry.conversations.get(name)


def _no_turns(tree: ConversationTree) -> str:
    return f"No turns yet in the conversation {code_span(tree.name)}: ask something with `%%aeron`."


def _show_remote(app: App, tree: ConversationTree, order: Order) -> None:
    """Show the service's messages of a conversation, and where our turns differ."""
    session = app.session
    # A conversation that was started again has no head yet.
    newest = tree.head or tree.newest_to_continue
    token = newest.token if newest is not None else None
    if tree is session.tree:
        token = session.newest_token()
    if token is None and tree.has_ended:
        raise UsageError(
            "The sandbox that has this conversation has ended.",
            hint="`%aeron history` without --remote shows the stored turns.",
        )
    if token is None:
        raise UsageError(
            "No turn of this conversation has a complete reply.",
            hint="`%aeron history` without --remote shows the local turns.",
        )
    messages = session.remote_history(token, order)
    head = tree.by_token(token)
    note = "The newest token is not from a turn of this conversation."
    if head is not None:
        note = comparison(head.path(), messages[:: -1 if order == "desc" else 1])
    rows = [
        (one.role, one.text[:200] if one.role == "user" else excerpt(one.text)) for one in messages
    ]
    show(app.shell, Table(("message", "text"), rows), note)


def tree(app: App, command: Command) -> None:
    shown = app.session.tree
    show(app.shell, Verbatim(tree_text(shown)) if shown.turns else _no_turns(shown))


def export(app: App, command: Command) -> None:
    from aeron_magic.conversations.export import refuse_empty, write

    session = app.session
    running = frontend.notebook_path(app.shell)
    try:
        path = Path(command["file"]).expanduser()
        is_running = bool(running) and path.resolve() == Path(running).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no home, a circle of links, a NUL
        raise UsageError(
            f"{command['file']} cannot be written: {error}.", hint="Name another file."
        ) from None
    if is_running:
        raise UsageError("That file is the running notebook.", hint="Export to another file.")
    refuse_empty(session.tree)
    if path.name.endswith(".chat.md"):
        from aeron_magic.checks.chat_file import write_chat

        written = write_chat(session.tree, path)
        left = len(session.tree.turns) - written
        others = (
            f" {plural(left, 'turn')} of other branches or without a complete reply not written."
        )
        show(
            app.shell,
            f"Wrote {plural(written, 'turn')} to {code_span(path.name)}; `%aeron check` asks them "
            f"again.{others if left else ''}",
        )
        return
    connection = session.connection
    write(session.tree, path, sandbox=connection is not None and connection.sandbox)
    show(app.shell, f"Wrote {_turns(session.tree)} to {code_span(path.name)}.")


def forget(app: App, command: Command) -> None:
    """Delete conversations, or kept rows, from the local history and from this kernel."""
    session, names = app.session, dict.fromkeys(command["name"] or ())
    if command["rows"]:
        if names:
            raise UsageError(
                "Rows belong to no conversation.", hint="`%aeron forget --rows` deletes them all."
            )
        count = history_of(session).forget_rows()
        show(
            app.shell,
            f"Deleted {plural(count, 'answered row')} of `--each` here; a cell that is run again "
            "asks them again. The outputs of the notebook are unchanged.",
        )
        return
    # All are found before one is deleted.
    found = dict.fromkeys(_to_forget(session, name) for name in names or (None,))
    before, notes = session.tree, []
    for one in found:
        stored = one.history_id if isinstance(one, ConversationTree) else one.id
        if isinstance(one, ConversationTree) and (other := _of_another_notebook(session, one)):
            full = f"{other.name}#{other.id}"
            notes.append(
                f"{code_span(full)} of another notebook stays stored; "
                f"{code_span(f'%aeron forget {full}')} deletes it."
            )
        elif stored is not None:
            history_of(session).forget(stored)
        if isinstance(one, ConversationTree):  # after what may fail
            session.forget(one)
    count = sum(len(one.turns) if isinstance(one, ConversationTree) else one.turns for one in found)
    listed = ", ".join(code_span(name) for name in names or [one.name for one in found])
    show(
        app.shell,
        f"Deleted the conversation{'s' * (len(found) > 1)} {listed} here "
        f"({plural(count, 'turn')}). The service's copy and the outputs of the notebook are "
        "unchanged.",
        *notes,
        *(_next_place(session.tree) if session.tree is not before else ()),
    )


def _of_another_notebook(session: Session, tree: ConversationTree) -> StoredConversation | None:
    """The stored conversation of another notebook that ``tree`` is loaded from, until it is a copy.

    Raises HistoryError: the history cannot be read.
    """
    history = session.history_writer.history
    if history is None or tree.history_id is None:
        return None
    stored = history.conversations(None)
    found = (one for one in stored if one.id == tree.history_id)
    return next((one for one in found if one.notebook != session.notebook), None)


def _next_place(tree: ConversationTree) -> tuple[str, ...]:
    """Where the next question goes, in the current conversation ``tree``, as Markdown."""
    name = code_span(tree.name)
    if tree.has_ended:
        return f"{name}: {_turns(tree)}.", SANDBOX_GONE
    if not tree.turns:
        return (f"The next question starts the conversation {name}.",)
    after = f" after turn {escape_cell(tree.head.label)}" if tree.head is not None else ""
    return (f"The next question continues the conversation {name}{after} ({_turns(tree)}).",)


def _to_forget(session: Session, name: str | None) -> ConversationTree | StoredConversation:
    tree = _local_tree(session, name)
    if tree is None:
        return _stored(session, name or "")
    if not tree.turns and tree.history_id is None and not name:
        raise UsageError(
            f"The conversation {tree.name!r} has no turns in this kernel; nothing was deleted.",
            hint="`%aeron use` lists the stored ones; `%aeron forget NAME` deletes one.",
        )
    return tree


def _stored(session: Session, name: str) -> StoredConversation:
    off = session.history_writer.history is None
    stored = None if off else find_unloaded(session, name)
    if stored is None:
        raise unknown_conversation(session, name)
    return stored


def _turns(tree: ConversationTree) -> str:
    return plural(len(tree.turns), "turn")
