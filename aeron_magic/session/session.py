"""What a kernel knows: the connection, the conversations, the last reply. Shared by all cells."""

from __future__ import annotations

import threading
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aeron_magic.client.client import AsyncStream
from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.history_writer import HistoryWriter
from aeron_magic.conversations.registry import AssignedToken, ConversationRegistry, divergence_notes
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import AeronError, RecordingError, TokenError, UsageError
from aeron_magic.replies.reply import Message, Reply
from aeron_magic.session.connection import Connection, ConnectionManager
from aeron_magic.session.io_loop import IOLoop
from aeron_magic.session.reply_task import ReplyTask
from aeron_magic.session.token_variable import TokenVariable

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder

__all__ = ["PendingQuestion", "Session", "SessionObserver", "stable_cell_id"]

NOTHING_SENT = (UsageError, RecordingError, TokenError)
"""Errors after which the service has not taken the question up: the tree stays as it was."""


def stable_cell_id(cell: str | None) -> str | None:
    """The cell's key, if it will be the same after a restart; VS Code's holds but while open."""
    return None if cell is None or cell.startswith("vscode-notebook-cell:") else cell


@dataclass(eq=False, slots=True)
class PendingQuestion:
    """A question under way, and where it stands.

    ``turn`` is the turn as it stands in ``tree`` once the question has finished; ``notes`` are
    sentences that the output has to say besides the reply.
    """

    task: ReplyTask
    pending: PendingTurn
    connection: Connection
    turn: Turn
    notes: list[str] = field(default_factory=list)
    request_id: str = ""
    """Empty for a cell; else the id of the panel's action, and the panel finishes the question."""

    @property
    def tree(self) -> ConversationTree:
        """The conversation."""
        return self.pending.position.tree

    @property
    def metadata(self) -> dict[str, Any]:
        """What the saved output says of the reply; nothing secret."""
        known = _metadata(self.tree, self.turn, self.task.reply)
        return {**known, "notes": self.notes} if self.notes else known


def _metadata(tree: ConversationTree, turn: Turn, reply: Reply) -> dict[str, Any]:
    return {
        "service": reply.service,
        "conversation": tree.name,
        "turn": turn.label,
        "context_token": reply.context_token,
        "parent_context_token": reply.parent_context_token,
        "status": reply.status,
        "seconds": round(reply.seconds, 3),
        "replayed": reply.replayed,
    }


class SessionObserver(Protocol):
    """Wants to know what is asked, whoever asks; it is told in the thread where that happens."""

    def question_started(self, asked: PendingQuestion) -> None:
        """A question is on its way."""

    def question_finished(self, asked: PendingQuestion) -> None:
        """A question has ended, and stands in its conversation where it will stand."""

    def conversation_changed(self) -> None:
        """The connection or the current conversation is another one."""


class Session:
    """One for each kernel.

    Parameters
    ----------
    namespace
        The notebook's variables.
    timeout, fetch_timeout
        See :class:`~aeron_magic.services.settings.Settings`.
    history
        The file of the local history; None keeps nothing.
    notebook
        What the conversations are kept under: the notebook's path, a name, or nothing.
    """

    def __init__(
        self,
        namespace: MutableMapping[str, Any],
        *,
        timeout: float = 30.0,
        fetch_timeout: float = 120.0,
        history: Path | None = None,
        notebook: str = "",
    ) -> None:
        self.io_loop = IOLoop()
        self.connections = ConnectionManager(self.io_loop, timeout, fetch_timeout)
        self.token = TokenVariable(namespace)
        self.notebook = notebook
        self.history_writer = HistoryWriter(None)
        self.set_history_file(history)
        self.registry = ConversationRegistry()
        self._registries: dict[str, ConversationRegistry] = {}
        self.last: Reply | None = None
        self.last_metadata: dict[str, Any] = {}
        self.last_error: AeronError | None = None
        self.observers: list[SessionObserver] = []
        self._announced: Connection | None = None
        self._lock = threading.RLock()

    @property
    def tree(self) -> ConversationTree:
        """The current conversation."""
        return self.registry.current

    def set_history_file(self, history: Path | None) -> None:
        """Keep conversations in this file from now on; None keeps nothing."""
        before = self.history_writer.history
        if before is not None and before.path == history:
            return
        if before is not None:
            before.close()
        self.history_writer = HistoryWriter(
            None if history is None else HistoryStore(history, stable_cell_id)
        )

    # Connecting ----------------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection, if there is one."""
        return self.connections.connection

    def ensure_connected(self) -> Connection:
        """The connection; the first question makes one if it can."""
        return self._activate(self.connections.ensure_connected())

    def connect(self, service: str, *, sandbox: bool = False, **options: Any) -> Connection:
        """Connect to ``service``, or to the sandbox that plays it.

        Each address has conversations of its own: connecting to it again finds them as they were.
        """
        if sandbox:
            return self._activate(self.connections.connect_sandbox(service))
        return self._activate(self.connections.connect(service, **options))

    def _activate(self, connection: Connection) -> Connection:
        """Use the conversations that belong to the connection."""
        with self._lock:
            address = connection.settings.conversation_scope
            if not self._registries:  # what was begun before the first connection belongs to it
                self._registries[address] = self.registry
                self.registry.service = connection.settings.service
                for tree in self.registry:
                    tree.service = self.registry.service
            registry = self._registries.setdefault(
                address, ConversationRegistry(connection.settings.service)
            )
            if registry is not self.registry:
                self.registry = registry
                if not self.token.assigned_by_user:
                    self._move_token()
        if connection is not self._announced:
            self._announced = connection
            self._notify_change()
        return connection

    # Asking ---------------------------------------------------------------------------------

    def position_for(
        self,
        *,
        cell: str | None = None,
        name: str | None = None,
        conversation: str | None = None,
        new: bool = False,
        after: str | None = None,
    ) -> Position:
        """Where a question would be asked now; see ``ConversationRegistry.position_for``."""
        assigned = AssignedToken(self.token.read()) if self.token.assigned_by_user else None
        return self.registry.position_for(
            cell=cell, name=name, conversation=conversation, new=new, after=after, assigned=assigned
        )

    def ask(
        self,
        text: str,
        position: Position,
        *,
        cell: str | None = None,
        images: tuple[str, ...] = (),
        stream: bool = True,
        timeout: float | None = None,
        name: str | None = None,
        new: bool = False,
        request_id: str = "",
    ) -> PendingQuestion:
        """Send the question; its reply comes in on the background loop.

        Parameters
        ----------
        position
            Where: from :meth:`position_for`, or from the tree.
        cell, name, new
            As they were given to :meth:`position_for`.
        request_id
            See :class:`PendingQuestion`.

        Raises
        ------
        ValueRefused
            The question holds a secret that is in use.
        UsageError
            The question, or its token, holds half a character: it can be neither sent nor kept.
        """
        connection = self.ensure_connected()
        connection.validate(text, position.token or "", *images)
        self.register_path(self.connections.recorder, position)
        reply_stream = connection.client.stream(
            text, position.token, images, stream=stream, timeout=timeout
        )
        with self._lock:
            pending = self.registry.start(position, text, images, cell=cell, name=name, new=new)
        self.history_writer.save_pending(pending, self.history_scope(connection))
        reply_stream.notify_token(partial(self.history_writer.save_token, pending))
        return self._begun(reply_stream, pending, connection, request_id)

    def register_path(self, recorder: Recorder | None, position: Position) -> None:
        """Tell a recorder the questions before ``position``: it may have seen none of them."""
        if recorder is not None and position.token and position.parent is not None:
            line = [(turn.question, turn.images) for turn in position.parent.path()]
            recorder.register_path(
                position.token, self.ensure_connected().settings.recording_id, line
            )

    def fetch(self, tree: ConversationTree, turn: Turn, *, request_id: str = "") -> PendingQuestion:
        """Ask the service for the reply of a turn that is not whole, by the token it has.

        Raises
        ------
        UsageError
            It has none.
        """
        token = turn.reply.context_token if turn.reply is not None else None
        if token is None:
            raise UsageError(
                f"Turn {turn.label} has no token to fetch a reply by.",
                hint="The service had not said one yet; ask again.",
            )
        connection = self.ensure_connected()
        position = Position(tree, turn.parent_token, turn.parent, turn.parent_revision, turn)
        with self._lock:
            pending = self.registry.start(
                position, turn.question, turn.images, cell=turn.cell, name=turn.name
            )
        return self._begun(self.fetch_stream(token), pending, connection, request_id)

    def _begun(
        self,
        reply_stream: AsyncStream,
        pending: PendingTurn,
        connection: Connection,
        request_id: str,
    ) -> PendingQuestion:
        task = ReplyTask(self.io_loop, reply_stream)
        asked = PendingQuestion(task, pending, connection, pending.turn, request_id=request_id)
        for observer in self.observers:
            observer.question_started(asked)
        return asked

    def _notify_change(self) -> None:
        for observer in self.observers:
            observer.conversation_changed()

    def finish(self, asked: PendingQuestion) -> Reply:
        """Take the end of a question in: the conversation, ``context_token``, the last reply."""
        reply, error = asked.task.reply, asked.task.error
        pending = asked.pending
        with self._lock:
            if isinstance(error, NOTHING_SENT):
                self.registry.cancel(pending)
                self.history_writer.delete_pending(pending)
            else:
                asked.notes += divergence_notes(pending, reply)
                asked.turn = self.registry.complete(pending, reply)
                self.history_writer.save_turn(
                    pending, asked.turn, self.history_scope(asked.connection)
                )
            if reply.is_complete:
                self.token.write(reply.context_token)
        if warning := self.history_writer.warning():
            asked.notes.append(warning)
        if isinstance(error, TokenError):
            error.hint = f"Nothing has changed here. {error.hint}"
        if reply.is_complete or reply.text:  # else it would take the place of one that can be shown
            self.last, self.last_metadata = reply, asked.metadata
        for observer in self.observers:
            observer.question_finished(asked)
        return reply

    def finish_fetched(self, pending: PendingTurn, reply: Reply) -> dict[str, Any]:
        """Take in a reply that was fetched after its kernel had ended; its metadata."""
        with self._lock:
            turn = self.registry.complete(pending, reply)
            self.history_writer.save_turn(
                pending, turn, self.history_scope(self.ensure_connected())
            )
        self.last = reply
        self.last_metadata = _metadata(pending.position.tree, turn, reply)
        return self.last_metadata

    def mark_lost(self, pending: PendingTurn) -> None:
        """Keep a question whose reply is lost, as a turn without one."""
        with self._lock:
            turn = pending.position.tree.mark_lost(pending)
            self.history_writer.save_turn(pending, turn, None)

    def history_scope(self, connection: Connection) -> HistoryScope:
        """What questions over ``connection`` are kept under."""
        return HistoryScope(
            self.notebook, connection.settings.conversation_scope, connection.sandbox
        )

    # Conversations ---------------------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> ConversationTree:
        """Start a conversation; see ``ConversationRegistry.new``."""
        return self._switched(self.registry.new(name, by))

    def use(self, name: str) -> ConversationTree:
        """Switch to a conversation of this kernel."""
        return self._switched(self.registry.use(name))

    def adopt(self, tree: ConversationTree) -> ConversationTree:
        """Go on with a conversation from the history."""
        return self._switched(self.registry.add(tree))

    def forget(self, tree: ConversationTree) -> None:
        """Drop a conversation of this kernel; if it was the current one, the next begins anew."""
        if self.registry.forget(tree.name):
            self._move_token()
        self._notify_change()

    def select_branch(self, tree: ConversationTree, turn: Turn) -> None:
        """Go on after ``turn``, or after the last whole reply before it: choose a branch."""
        whole = [other for other in turn.path() if other.revision]
        tree.head = whole[-1] if whole else None
        self.registry.current = tree
        self._move_token()

    def _switched(self, tree: ConversationTree) -> ConversationTree:
        self._move_token()
        self._notify_change()
        return tree

    def _move_token(self) -> None:
        """``context_token`` follows the current conversation."""
        head = self.registry.current.head
        self.token.write(head.token if head is not None else None)

    # The service's memory --------------------------------------------------------------------

    def fetch_stream(self, token: str) -> AsyncStream:
        """A stream that ends with the stored reply of ``token``."""
        return self.ensure_connected().client.stream_fetch(token)

    def remote_history(self, token: str) -> list[Message]:
        """The conversation as the service keeps it, oldest first."""
        return self.io_loop.run(self.ensure_connected().client.history(token, "asc"))

    def newest_token(self) -> str:
        """The token of the newest reply.

        Raises
        ------
        UsageError
            There is none yet.
        """
        token = self.token.read()
        if token is None:
            raise UsageError("There is no reply yet.", hint="Ask something with %%aeron first.")
        return token

    @property
    def secrets(self) -> Iterable[str]:
        return self.connection.settings.secrets if self.connection else ()

    def close(self) -> None:
        """Stop what runs, and close the connections and the sandbox."""
        self.connections.close()
        self.io_loop.stop()
        if self.history_writer.history is not None:
            self.history_writer.history.close()
