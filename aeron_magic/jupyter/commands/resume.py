"""``%aeron resume``: continue a conversation of an earlier kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from aeron_magic.conversations.history import HistoryStore, StoredConversation
from aeron_magic.conversations.registry import NUMBER_SIGN
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Turn
from aeron_magic.errors import AeronError, FailedReply, HistoryError, TokenError, UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.command_line.spec import TERMINAL_SANDBOX
from aeron_magic.jupyter.display.follow import show_fetched
from aeron_magic.jupyter.display.publish import show
from aeron_magic.jupyter.display.tables import comparison, resume_names
from aeron_magic.markdown_text import code_span, escape_cell, one_line, plural
from aeron_magic.services.catalog import service_info
from aeron_magic.session import credentials
from aeron_magic.session.session import Session

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

SANDBOX_GONE = (
    "This conversation used the sandbox of another kernel, which has ended. Its turns can be read "
    "and exported. The next question starts a new conversation at the service: it does not know "
    f"the turns above. A sandbox in a terminal does not end so: {TERMINAL_SANDBOX}."
)


HISTORY_OFF = "The local history is switched off."

MAX_NAMED = 5
"""Conversations of other notebooks that an error names."""


def history_of(session: Session) -> HistoryStore:
    """The local history.

    Raises HistoryError if it is switched off.
    """
    if session.history_writer.history is None:
        raise HistoryError(
            HISTORY_OFF,
            hint='To store conversations, run `%config AeronMagics.history = ""`, and unset '
            "AERON_HISTORY if it is set.",
        )
    return session.history_writer.history


def stored_conversations(session: Session, notebook: str | None) -> list[StoredConversation]:
    """The stored conversations of a notebook (None: of all) that this kernel has not loaded."""
    loaded = {tree.history_id for tree in session.registry}
    stored = history_of(session).conversations(notebook)
    return [one for one in stored if one.id not in loaded]


def find_unloaded(session: Session, name: str | None) -> StoredConversation | None:
    """The stored conversation ``name``; without a name, this notebook's newest.

    One that this kernel has loaded is left out. Of this notebook's, those that can continue over
    the current connection come first.
    """
    if name is None and session.history_writer.history is None:
        return None
    own = stored_conversations(session, session.notebook)
    if name is None:
        if not session.notebook:
            return None
        fitting = [stored for stored in own if _fits_connection(session, stored)]
        return next(iter(fitting or own), None)
    for stored in own:
        if name in (stored.name, f"{stored.name}#{stored.id}"):
            return stored
    # Another notebook's conversation only by its number: its cells may have been copied.
    others = stored_conversations(session, None)
    return next((one for one in others if name == f"{one.name}#{one.id}"), None)


def refuse_stored(session: Session, name: str) -> None:
    """Raise UsageError if a new conversation's name is a stored one with its number."""
    history = session.history_writer.history
    if NUMBER_SIGN not in name or name in session.registry.conversations or history is None:
        return
    try:
        stored = history.conversations(None)
    except HistoryError:  # the registry refuses the sign
        return
    for one in stored:
        full = f"{one.name}#{one.id}"
        is_own = name == one.name and one.notebook == session.notebook
        if not is_own and name not in (one.name, full):
            continue
        loaded = [tree.name for tree in session.registry if tree.history_id == one.id]
        raise UsageError(
            f"{name!r} is a stored conversation.",
            hint=f"`%aeron use {loaded[0]}` continues it: this kernel has loaded it."
            if loaded
            else f"`%aeron resume {name if is_own else full}` loads it.",
        )


def listed_conversations(session: Session) -> list[StoredConversation]:
    """The stored conversations that this kernel has not loaded, this notebook's first."""
    stored = stored_conversations(session, None)
    return sorted(stored, key=lambda one: one.notebook != session.notebook)


def resumable_names(session: Session) -> list[str]:
    """The names that ``resume`` and ``forget`` accept."""
    here = list(session.registry.conversations)
    if session.history_writer.history is None:
        return here
    try:
        return here + resume_names(listed_conversations(session), here, session.notebook)
    except HistoryError:
        return here  # completion does not report errors


def offer(app: App) -> tuple[str, int, bool] | None:
    """What ``resume`` would load: its name, its number of turns, and whether its sandbox has ended.

    None if there is nothing.
    """
    session = app.session
    if session.tree.turns:
        return None
    try:
        stored = find_unloaded(session, None)
    except HistoryError:
        return None  # the first question reports it
    if stored is None or not stored.turns:
        return None
    scope = session.connection and session.connection.settings.conversation_scope
    ended = stored.sandbox and scope is not None and scope != stored.address
    return f"{stored.name}#{stored.id}", stored.turns, ended


def resume(app: App, command: Command) -> None:
    """Load a conversation, fetch its unfinished replies, and continue from its newest reply.

    Without a name it does not fail if there is none: the cell is also run where the notebook has no
    past, as in CI.
    """
    session, name = app.session, command["name"]
    app.run_order.follow()
    if name is None and not session.registry.is_rebuilding and _is_in_use(session):
        _stay(app, compare=command["check"])
        return
    tree, is_alive = _find_or_load(session, name)
    if tree is None:
        show(app.shell, _nothing_to_load(session), _damage_note(session))
        return
    session.registry.remember_resumed(name, tree)
    finished = _finish_all(app, tree, is_alive=is_alive)
    if not is_alive:
        tree.ended = set(tree)  # now with the unfinished turns, which were added as lost
    tree.restart()
    tree.reopen()  # a fetched reply may be to an earlier question
    if tree.has_ended:
        session.new(tree.name)
    else:
        session.use(tree.name)
    notes = [SANDBOX_GONE, *finished] if tree.has_ended else finished
    if tree.current_token is not None:
        notes.append("`context_token` is set.")
    notes.append(_damage_note(session))
    if command["check"]:
        notes.append(_compared(session, tree))
    summary = f"Resumed the conversation {code_span(tree.name)}: {_state(tree)}."
    if tree.renamed_from in session.registry.conversations:
        before = code_span(tree.renamed_from)
        summary += f" The name {before} is taken by another conversation of this kernel."
    show(app.shell, summary, *filter(None, notes))


def _damage_note(session: Session) -> str:
    history = session.history_writer.history
    return history.damage_note() if history is not None else ""


def _find_or_load(session: Session, name: str | None) -> tuple[ConversationTree | None, bool]:
    """Make the conversation ``name``, or the newest, the current one; None: there is none.

    The second value is whether its service is alive. If this kernel has loaded the conversation
    before, it is true: the turns that cannot be continued are marked as ended.

    Raises HistoryError: it has a name, and the history is switched off. Raises UsageError: there is
    none of this name; or it cannot be connected to, see :func:`_connect`.
    """
    if tree := session.registry.resumed(name):
        return session.use(tree.name), True
    if stored := find_unloaded(session, name):
        is_alive = _connect(session, stored, name)
        history = history_of(session)
        tree = history.load(stored)
        if not is_alive:
            tree.ended = set(tree)  # before anything can be asked in it
        if stored.notebook == session.notebook:
            history.claim(stored)
        return session.adopt(tree), is_alive
    if tree := _find_loaded(session, name):
        return session.use(tree.name), True
    return None, True


def _is_in_use(session: Session) -> bool:
    """Whether this kernel has a conversation that was asked in or resumed."""
    unfinished = session.history_writer.unfinished(session.tree)
    return bool(unfinished) or any(tree.newest or tree.head for tree in session.registry)


def _stay(app: App, *, compare: bool) -> None:
    """Fetch unfinished replies of the current conversation, and name the others."""
    session, tree = app.session, app.session.tree
    stored, before = [], _head(tree)
    notes = _finish_all(app, tree)
    if session.history_writer.history is None:
        notes.append(HISTORY_OFF)
    else:
        stored = stored_conversations(session, session.notebook)
        stored = [one for one in stored if one.answered]
    if _head(tree) != before and tree.newest is not None:
        session.select_branch(tree, tree.newest)
    others = [one.name for one in session.registry if one is not tree and one.turns]
    if others:
        notes.append(f"Also in this kernel: {_listed(others)}; `%aeron use NAME` switches.")
    if stored and session.notebook:
        names = resume_names(stored, session.registry.conversations, session.notebook)
        notes.append(f"Stored: {_listed(names)}; `%aeron resume NAME` loads one.")
    if compare:
        notes.append(_compared(session, tree))
    show(
        app.shell,
        f"Nothing to load: the conversation {code_span(tree.name)} is in use in this kernel "
        f"({_state(tree)}).",
        SANDBOX_GONE if tree.has_ended else "",
        *notes,
    )


def _head(tree: ConversationTree) -> tuple[Turn, int] | None:
    return (tree.head, tree.head.revision) if tree.head is not None else None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if names[MAX_NAMED:] else ""
    return ", ".join(map(code_span, names[:MAX_NAMED])) + more


def _state(tree: ConversationTree) -> str:
    newest = tree.newest
    state = (
        f"the newest is turn {escape_cell(newest.label)}" if newest else "none has a complete reply"
    )
    return f"{plural(len(tree.turns), 'turn')}, {state}"


def _finish_all(app: App, tree: ConversationTree, *, is_alive: bool = True) -> list[str]:
    """Fetch the replies of all unfinished questions; the results as texts."""
    return [
        _finish_pending(app, pending, token, is_alive)
        for pending, token in app.session.history_writer.unfinished(tree)
    ]


def _find_loaded(session: Session, name: str | None) -> ConversationTree | None:
    """A conversation that this kernel has already: it can have an unfinished turn.

    Raises UsageError: there is none of this name, and none is stored.
    """
    tree = session.registry.conversations.get(name) if name else session.tree
    if tree is not None and tree.history_id and (name or session.history_writer.unfinished(tree)):
        return tree
    if name is not None:
        raise unknown_conversation(session, name)
    return None


def unknown_conversation(session: Session, name: str) -> UsageError:
    """The error for a name that neither this kernel nor the local history has."""
    is_off = session.history_writer.history is None
    stored = [] if is_off else stored_conversations(session, None)
    others = [f"{one.name}#{one.id}" for one in stored if one.name == name][:MAX_NAMED]
    hint = f"Another notebook has {', '.join(others)}. " if others else _near_name(session, name)
    return UsageError(
        f"This kernel and the local history have no conversation {name[:60]!r}.",
        hint=f"{hint}{f'{HISTORY_OFF} ' * is_off}`%aeron use` lists all.",
    )


def _near_name(session: Session, name: str) -> str:
    """The name that is probably meant, as a suggestion; its number does not count."""
    known = {_without_number(one): one for one in reversed(resumable_names(session))}
    near = get_close_matches(_without_number(name), known, 1)
    return f"Did you mean `{known[near[0]]}`? " if near else ""


def _without_number(name: str) -> str:
    return re.sub(r"#\d+\Z", "", name).lower()


def _nothing_to_load(session: Session) -> str:
    """Why ``%aeron resume`` without a name loads nothing."""
    if session.history_writer.history is None:
        return f"Nothing to load. {HISTORY_OFF}"
    recent = resume_names(stored_conversations(session, None)[:5], (), session.notebook)
    newest = "the local history is empty."
    if recent:
        newest = f"the newest: {_listed(recent)}; `%aeron use` lists them with their questions."
    if session.notebook:
        return (
            "Nothing to load: this notebook has no earlier conversation. If it was renamed, write "
            f"`%aeron resume NAME`; {newest}"
        )
    return (
        "Nothing to load: this front end does not send the notebook's path. "
        f"`%aeron resume NAME` loads a conversation; {newest}"
    )


def _fits_connection(session: Session, stored: StoredConversation) -> bool:
    """Whether the conversation can continue over the current connection, if there is one."""
    connection = session.connection
    return (
        connection is None
        or connection.settings.conversation_scope == stored.address
        or (stored.sandbox and connection.sandbox)
    )


def _connect(session: Session, stored: StoredConversation, name: str | None = None) -> bool:
    """Connect to the conversation's service; return whether it is alive.

    ``name`` is that of the command.

    A history file can name any address. Credentials go only to the vendor's address, or to the one
    that the environment configures; a connection to another one needs the user's own line.

    Raises UsageError: this kernel is connected to another service; or the conversation belongs to
    another address than the service's; or the service's credentials are missing.
    """
    connection = session.connection
    then = f"then `{_command(name)}` again."
    if not _fits_connection(session, stored):
        raise UsageError(
            f"That conversation belongs to {one_line(stored.address)}, but this kernel is "
            "connected to another address.",
            hint=f"Run `%aeron connect {_target(stored)}`, {then}",
        )
    if connection is not None:
        return connection.settings.conversation_scope == stored.address
    if stored.sandbox:
        connection = session.connect(stored.service, sandbox=True)
        return connection.settings.conversation_scope == stored.address
    replayed = session.connections.replayed is not None
    options: dict[str, Any] = {**((not replayed and credentials.find(stored.service)) or {})}
    if agent := service_info(stored.service).agent:
        options[agent.field] = stored.address.partition("#")[2]
    if session.connections.scope_of(stored.service, **options) != stored.address:
        raise UsageError(
            f"That conversation belongs to {one_line(stored.address)}, which is neither the "
            "service's address nor the configured one: no credentials were sent there.",
            hint="If that address may receive your credentials, run "
            f"`%aeron connect {_target(stored)}`, {then}",
        )
    session.connect(stored.service, **options)
    return True


def _command(name: str | None) -> str:
    """The line of this command with ``name``."""
    quote = ("'" if '"' in name else '"') if name and name.split() != [name] else ""
    return f"%aeron resume {quote}{name}{quote}" if name else "%aeron resume"


def _target(stored: StoredConversation) -> str:
    """The arguments of ``connect`` for the conversation's service and address."""
    if stored.sandbox:
        return "sandbox"
    address, _, agent_id = stored.address.partition("#")
    words, info = [stored.service], service_info(stored.service)
    if info.agent is not None and agent_id:
        words += [f"--{info.agent.field.replace('_', '-')}", agent_id]
    words += ["--base-url", address]
    words += [f"--{one.field.replace('_', '-')} URL" for one in info.addresses[1:]]
    return " ".join(words)


def _finish_pending(app: App, pending: PendingTurn, token: str | None, is_alive: bool) -> str:
    """Fetch the reply of a question that its kernel did not finish; return the result as text."""
    session, turn = app.session, pending.turn
    label = f"The question of turn {turn.label} ({escape_cell(turn.question, 60)})"
    why = ""
    if token is None:
        why = "the kernel ended before the service sent a token"
    elif not is_alive:
        why = "the sandbox that was asked has ended"
    elif not service_info(pending.position.tree.service).can_fetch:
        why = "the service has no call that returns a stored reply"
    if token is None or why:
        session.mark_lost(pending, token if is_alive else None)
        return f"{label} is lost: {why}. It was not sent again."
    task, output, interrupted = show_fetched(app, token, "the unfinished reply")
    reply, error = task.reply, task.error
    if interrupted or not (error is None or isinstance(error, FailedReply | TokenError)):
        output.finish(task.accumulator, task.reply, session.metadata_of(task.reply))
        cause = str(error or "stopped").rstrip(".")
        return f"{label} is still unfinished ({cause}); run `%aeron resume` again to fetch it."
    reply = replace(reply, context_token=reply.context_token or token)
    reply = replace(reply, status="recovered") if reply.is_complete else reply
    metadata = session.finish_fetched(pending, reply)
    output.finish(task.accumulator, reply, metadata)
    if error is not None:
        return f"{label} has no complete reply: {error}"
    return f"{label} was unfinished; its reply has been fetched."


def _compared(session: Session, tree: ConversationTree) -> str:
    """The differences between the conversation and the service's messages, as Markdown."""
    head = tree.head or tree.newest_to_continue
    if head is None or head.token is None:
        if tree.has_ended:
            return "The conversations cannot be compared: the sandbox that has this one has ended."
        return "There is nothing to compare: no turn has a complete reply."
    try:
        messages = session.remote_history(head.token)
    except AeronError as error:
        return f"The conversations cannot be compared: {error}"
    return comparison(head.path(), messages)
