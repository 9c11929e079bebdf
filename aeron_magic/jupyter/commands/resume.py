"""``%aeron resume``: a conversation of an earlier kernel goes on in this one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aeron_magic.conversations.history import HistoryStore, StoredConversation
from aeron_magic.conversations.tree import ConversationTree, PendingTurn
from aeron_magic.errors import AeronError, FailedReply, HistoryError, TokenError, UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.follow import show_fetched
from aeron_magic.jupyter.display.publish import show_message
from aeron_magic.jupyter.display.tables import comparison, resume_names
from aeron_magic.markdown_text import escape_cell, plural
from aeron_magic.services.catalog import ONE_LINE
from aeron_magic.session import credentials
from aeron_magic.session.session import Session

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["check", "find_stored", "history_of", "names", "resume", "stored_conversations"]

SANDBOX_GONE = (
    "It was held with the sandbox of another kernel, which nothing else reaches: the turns can be "
    "read and exported, and the next question begins anew."
)


def history_of(session: Session) -> HistoryStore:
    """The local history.

    Raises
    ------
    HistoryError
        It is switched off.
    """
    if session.history_writer.history is None:
        raise HistoryError(
            "The local history is switched off.",
            hint="Unset AERON_HISTORY, and `%config AeronMagics.history`, to keep conversations.",
        )
    return session.history_writer.history


def stored_conversations(session: Session, notebook: str | None) -> list[StoredConversation]:
    """The conversations of earlier kernels; those that this one holds are left out."""
    history = history_of(session)
    held = {tree.history_id for tree in session.registry}
    return [one for one in history.conversations(notebook) if one.id not in held]


def find_stored(session: Session, name: str | None) -> StoredConversation | None:
    """The conversation of an earlier kernel that is meant, by name or this notebook's newest.

    Where there is a connection, the newest is one that can be taken up over it, if there is one.
    """
    own = stored_conversations(session, session.notebook)
    if name is None:
        if not session.notebook:
            return None
        here = [stored for stored in own if _is_reachable(session, stored)]
        return next(iter(here or own), None)
    for some in (own, stored_conversations(session, None)):
        for stored in some:
            if name in (stored.name, f"{stored.name}#{stored.id}"):
                return stored
    return None


def names(session: Session) -> list[str]:
    """What ``resume`` and ``forget`` can be given: the conversations here and before."""
    here = list(session.registry.conversations)
    if session.history_writer.history is None:
        return here
    try:
        return here + resume_names(stored_conversations(session, session.notebook), here)
    except HistoryError:
        return here  # Tab is no place to complain


def resume(app: App, command: Command) -> None:
    """Take up a conversation, fetch what is unfinished, and go on from its newest reply."""
    session, name = app.session, command["name"]
    before = session.registry.resumed(name)
    stored = None if before else find_stored(session, name)
    if before is not None:
        tree, reachable = before
        session.use(tree.name)
    elif stored is not None:
        reachable = _connect(session, stored)
        history = history_of(session)
        tree = history.load(stored)
        history.claim(stored)
        session.adopt(tree)
    else:
        tree = _find_live(session, name)
        session.use(tree.name)
        reachable = True
    session.registry.remember_resumed(name, tree, reachable)
    lines = [] if reachable else [SANDBOX_GONE]
    for pending, token in session.history_writer.unfinished(tree):
        lines += _finish_pending(app, pending, token if reachable else None)
    if reachable:
        session.use(tree.name)
    else:
        session.new(tree.name)
    newest = tree.newest
    state = f"the newest is turn {newest.label}" if newest else "none has a whole reply"
    turns = plural(len(tree.turns), "turn")
    lines.insert(0, f"Resumed the conversation `{tree.name}`: {turns}, {state}.")
    if reachable and newest is not None:
        lines.append("`context_token` is set.")
    if command["check"]:
        lines.append(check(session, tree))
    show_message("\n\n".join(lines), app.shell)


def _find_live(session: Session, name: str | None) -> ConversationTree:
    """A conversation that this kernel holds already: it may have something unfinished."""
    tree = session.registry.conversations.get(name) if name else session.tree
    if tree is not None and tree.history_id and (name or session.history_writer.unfinished(tree)):
        return tree
    if name is None:
        recent = resume_names(stored_conversations(session, None)[:5])
        newest = f"the newest: {', '.join(recent)}." if recent else "the local history is empty."
        if not session.notebook:
            raise UsageError(
                "This front end does not tell the notebook's path: name the conversation.",
                hint=f"`%aeron resume NAME`; {newest}",
            )
        raise UsageError(
            "This notebook has no earlier conversation.",
            hint=f"If it had another name, `%aeron resume NAME` takes one up; {newest}",
        )
    raise UsageError(
        f"There is no conversation {name[:60]!r} in the local history.",
        hint="`%aeron conversations` lists this notebook's.",
    )


def _is_reachable(session: Session, stored: StoredConversation) -> bool:
    """Whether the conversation can be taken up without connecting elsewhere."""
    connection = session.connection
    return connection is None or (
        connection.sandbox
        if stored.sandbox
        else connection.settings.conversation_scope == stored.address
    )


def _connect(session: Session, stored: StoredConversation) -> bool:
    """Connect to where the conversation was held; whether that is still there.

    Raises
    ------
    UsageError
        This kernel is connected to another service, or there are no credentials for that one.
    """
    connection = session.connection
    if connection is not None and connection.settings.conversation_scope == stored.address:
        return True
    if stored.sandbox:
        if connection is not None and not connection.sandbox:
            raise _elsewhere(stored, "connect sandbox")
        return False
    address, _, agent = stored.address.partition("#")
    if connection is not None:
        named = f" --chatbot-id {agent}" if agent else ""
        raise _elsewhere(stored, f"connect {stored.service}{named} --base-url {address}")
    options: dict[str, Any] = {**(credentials.find(stored.service) or {}), "base_url": address}
    if agent:
        options["chatbot_id"] = agent
    session.connect(stored.service, **options)
    return True


def _elsewhere(stored: StoredConversation, connect: str) -> UsageError:
    return UsageError(
        f"That conversation was held at {stored.address}, and this kernel is connected elsewhere.",
        hint=f"Connect there first, with `%aeron {connect}`, then `%aeron resume` again.",
    )


def _finish_pending(app: App, pending: PendingTurn, token: str | None) -> list[str]:
    """Find out how a question ended that was on its way when its kernel did; what to say of it."""
    session, turn = app.session, pending.turn
    label = f"The question of turn {turn.label} ({escape_cell(turn.question, 60)})"
    if token is None or pending.position.tree.service in ONE_LINE:
        why = (
            "the kernel ended before the service had given it a token"
            if token is None
            else "the service has no call that returns a stored reply"
        )
        session.mark_lost(pending)
        return [f"{label} is lost: {why}. It was not sent again."]
    task, output, interrupted = show_fetched(app, token, "the reply that was unfinished")
    reply, error = task.reply, task.error
    if interrupted or not (error is None or isinstance(error, FailedReply | TokenError)):
        remedy = "`%aeron resume` again fetches it"
        return [f"{label} is still unfinished ({error or 'stopped'}); {remedy}."]
    reply = replace(reply, context_token=reply.context_token or token)
    reply = replace(reply, status="recovered") if reply.is_complete else reply
    metadata = session.finish_fetched(pending, reply)
    output.finish(task.accumulator, reply, metadata)
    if error is not None:
        return [f"{label} has no whole reply: {error}"]
    return [f"{label} was unfinished; its reply has been fetched."]


def check(session: Session, tree: ConversationTree) -> str:
    """Whether the service has the conversation as we have it."""
    head = tree.head
    if head is None or head.token is None:
        return "There is nothing to compare: no turn has a whole reply."
    try:
        messages = session.remote_history(head.token)
    except AeronError as error:
        return f"It cannot be compared: {error}"
    return comparison(head.path(), messages)
