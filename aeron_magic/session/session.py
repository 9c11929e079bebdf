"""The session of one kernel: its connection, its conversations and its last reply."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, MutableMapping
from contextlib import suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aeron_magic.client.io_loop import IOLoop, ReplyTask
from aeron_magic.client.logs import log_failure
from aeron_magic.client.stream import AsyncStream
from aeron_magic.conversations.history import HistoryScope, HistoryStore, HistoryWriter
from aeron_magic.conversations.kept_rows import KeptRows
from aeron_magic.conversations.registry import AssignedToken, ConversationRegistry
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import AeronError, RecordingError, TokenError, UsageError, fetch_command
from aeron_magic.protocol.flow import Question
from aeron_magic.replies.reply import Message, Reply
from aeron_magic.services.catalog import SERVICES, service_info
from aeron_magic.session import credentials
from aeron_magic.session.connection import Connection, ConnectionManager

if TYPE_CHECKING:
    from aeron_magic.client.client import Order
    from aeron_magic.recording.recorder import Recorder
    from aeron_magic.services.settings import Settings


NOTHING_SENT = (UsageError, RecordingError, TokenError)
"""Errors after which the service has not accepted the question: the tree stays as it was."""

UNFINISHED = ("interrupted", "incomplete", "processing")
"""How a reply has ended here that the service may have completed."""


class TokenVariable:
    """The variable ``context_token`` of the notebook.

    It is compared when a question is asked, not watched: a value other than the one written last
    was assigned by the user.

    * ``namespace``: the notebook's variables. A token that is already there counts as assigned by
      the user.
    """

    NAME = "context_token"

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        self._written: str | None = None
        namespace.setdefault(self.NAME, None)

    def read(self) -> str | None:
        """The token in the variable; None if the variable is None, empty or deleted.

        Raises UsageError: the variable holds something else.
        """
        given: Any = self._namespace.get(self.NAME)
        value = given
        if not isinstance(given, str):
            with suppress(Exception):  # whatever another class raises
                value = given.context_token  # of a Reply
        if value is None:
            return None
        if not isinstance(value, str):
            raise UsageError(
                f"context_token must be a token (str) or None, not {type(given).__name__}.",
                hint="Assign a token (`reply.context_token`), or None to continue no earlier turn.",
            )
        token = str.__str__(value)  # a subclass may have methods of its own
        return (token if token == self._written else token.strip()) or None

    @property
    def assigned_by_user(self) -> bool:
        """Whether the value is not the one that this extension wrote last."""
        return self.read() != self._written

    def write(self, token: str | None) -> None:
        self._written = token
        self._namespace[self.NAME] = token


class PendingQuestion(ReplyTask):
    """A question that was asked: its reply, and its position in the conversation.

    ``done`` is set after the session has recorded the reply, ``notified`` after its observers were
    notified of that.

    Attributes:
    * ``pending``: the turn as it was asked.
    * ``turn``: until the question has finished, the pending turn; then the turn in the tree.
    * ``connection``: where it was sent.
    * ``request_id``: the id of the panel's action that asked it; empty for a cell.
    * ``is_fetch``: whether it was asked before, and only its reply is fetched.
    * ``notes``: sentences to show besides the reply.
    """

    def __init__(
        self,
        session: Session,
        stream: AsyncStream,
        pending: PendingTurn,
        connection: Connection,
        request_id: str = "",
    ) -> None:
        self.pending = pending
        self.turn = pending.turn
        self.tree = pending.position.tree
        self.connection = connection
        self.request_id = request_id
        self.is_fetch = pending.is_fetch
        self.notes: list[str] = []
        self.notified = threading.Event()
        self._session = session
        super().__init__(session.io_loop, stream)

    def on_start(self) -> None:
        self._session.notify("question_started", self)

    def on_chunk(self) -> None:
        self._session.notify("question_progressed", self)

    def on_end(self) -> None:
        self._session.finish(self)

    def on_done(self) -> None:
        self._session.notify("question_finished", self)
        self.notified.set()

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts that are saved with the output; none is secret."""
        facts = _metadata(self.tree, self.turn, self.reply)
        return {**facts, "notes": self.notes} if self.notes else facts


def _metadata(tree: ConversationTree | None, turn: Turn | None, reply: Reply) -> dict[str, Any]:
    return {
        "service": reply.service,
        "conversation": tree.name if tree is not None else None,
        "turn": turn.label if turn is not None else None,
        "context_token": reply.context_token,
        "parent_context_token": reply.parent_context_token,
        "status": reply.status,
        "seconds": round(reply.seconds, 3),
        "replayed": reply.replayed,
    }


def _refuse_surrogates(question: Question) -> None:
    try:
        "".join((question.text, question.context_token or "", *question.images)).encode()
    except UnicodeEncodeError:
        from aeron_magic.client.httpx_transport import unpaired_surrogate

        raise unpaired_surrogate() from None


class SessionObserver(Protocol):
    """An observer of a session; called on the session's background loop, in order.

    Its exceptions are logged.
    """

    def question_started(self, asked: PendingQuestion) -> None:
        """A cell or a panel has asked a question; nothing has been read yet."""

    def question_progressed(self, asked: PendingQuestion) -> None:
        """More text was read; called for every chunk, so it must limit its own work."""

    def question_finished(self, asked: PendingQuestion) -> None:
        """A question has ended, its turn is recorded, and ``done`` is set."""

    def conversation_changed(self) -> None:
        """The connection or the current conversation is another one."""


class Session:
    """What the cells and panels of one kernel share.

    Every question of a cell or a panel ends on the background loop, in the same way: the session
    records it in the tree, the history and ``context_token``, then sets ``done``, then notifies its
    observers once. A cell waits for ``done`` only: an observer may take long to show a reply.

    * ``history``: the file of the local history; None keeps nothing.
    * ``notebook``: the key under which conversations are saved: the notebook's path, a name, or
      empty.
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
        self.connections = ConnectionManager(
            self.io_loop, timeout=timeout, fetch_timeout=fetch_timeout
        )
        self.token = TokenVariable(namespace)
        self.notebook = notebook
        self.history_writer = HistoryWriter(None)
        self._rows = KeptRows(None)
        self.set_history_file(history)
        self.registry = ConversationRegistry()
        self._registries: dict[str, ConversationRegistry] = {}
        self.last: Reply | None = None
        self.last_metadata: dict[str, Any] = {}
        self.last_error: AeronError | None = None
        self.unfinished: tuple[PendingTurn, str] | None = None
        """The newest question and the token of its reply, if that can still be fetched."""
        self.lost: Turn | None = None
        """The turn of the newest question, if its reply neither came nor can be fetched."""
        self.refused_setting: UsageError | None = None
        """Why the last change of a setting was refused; the next question fails with it, once."""
        self.observers: list[SessionObserver] = []
        self._lock = threading.RLock()

    @property
    def tree(self) -> ConversationTree:
        return self.registry.current

    @property
    def _all_registries(self) -> set[ConversationRegistry]:
        """Those of all addresses that were connected to."""
        return {self.registry, *self._registries.values()}

    @property
    def has_turns_elsewhere(self) -> bool:
        """Whether a conversation of another address that was connected to has turns."""
        others = self._all_registries - {self.registry}
        return any(tree.turns for registry in others for tree in registry)

    def set_history_file(self, history: Path | None) -> None:
        """Save conversations in this file from now on; None saves nothing."""
        before = self.history_writer.history
        if before is not None and before.path == history:
            return
        if before is not None:
            before.close()
        self.history_writer = HistoryWriter(None if history is None else HistoryStore(history))

    # Connecting ----------------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        return self.connections.connection

    def ensure_connected(self) -> Connection:
        """The connection; the first question connects to AeronPay if there are credentials.

        Raises CredentialsError: there are none; the hint names three ways to connect. Raises
        RecordingError: the recording that the environment names cannot be used. Raises UsageError,
        once: the last setting was refused.
        """
        refused, self.refused_setting = self.refused_setting, None
        if refused is not None:
            raise refused
        if self.connections.recording_error is not None:
            raise self.connections.recording_error
        return self.connections.connection or self._activate(self.connections.connect_default())

    def connect(self, service: str, *, sandbox: bool = False, **options: Any) -> Connection:
        """Connect to ``service``, or to the sandbox that simulates it.

        Each address has its own conversations: connecting to it again finds them as they were.
        """
        if sandbox:
            return self._activate(self.connections.connect_sandbox(service, **options))
        return self._activate(self.connections.connect(service, **options))

    def connect_as(self, settings: Settings, recorder: Recorder | None) -> Connection:
        """Connect with the settings and the recorder of a client."""
        self.connections.set_recorder(recorder)
        return self._activate(self.connections.use(settings))

    def disconnect(self, service: str) -> bool:
        """End the use of credentials that only the connection still has; whether it was ended.

        It stays if it is to another service or the sandbox, or if the environment has the same
        credentials: the next connection would use them again, but not its address.
        """
        connection = self.connection
        if connection is None or connection.sandbox or connection.settings.service != service:
            return False
        used = {
            one.field: getattr(connection.settings, one.field)
            for one in SERVICES[service].credentials
        }
        if used == credentials.of_environment(service):
            return False
        self.connections.drop()
        self._notify_change()
        return True

    def _activate(self, connection: Connection) -> Connection:
        """Use the conversations that belong to the connection."""
        with self._lock:
            address, service = connection.address, connection.settings.service
            if not self._registries:  # those started before the first connection belong to it
                self._registries[address] = self.registry
                self.registry.service = service
                for tree in self.registry:
                    tree.service = service
            registry = self._registries.setdefault(address, ConversationRegistry(service))
            if registry is not self.registry:
                self.registry = registry
                if not self.token.assigned_by_user:
                    self._move_token()
        self._notify_change()
        return connection

    # Asking ---------------------------------------------------------------------------------

    def position_for(self, **wanted: Any) -> Position:
        """Where a question would be asked now; see ``ConversationRegistry.position_for``."""
        assigned = AssignedToken(self.token.read()) if self.token.assigned_by_user else None
        return self.registry.position_for(**wanted, assigned=assigned)

    def validate(self, question: Question) -> None:
        """Refuse a question that must not be sent.

        Raises ValueRefused: it contains a secret that is in use. Raises UsageError: it contains an
        unpaired surrogate.
        """
        if self.connection is not None:
            self.connection.settings.validate(question)
        _refuse_surrogates(question)

    def ask(
        self,
        question: Question,
        position: Position,
        request_id: str = "",
    ) -> PendingQuestion:
        """Send the question; its reply is read on the background loop.

        Parameters
        ----------
        question
            From :func:`~aeron_magic.client.client.make_question`, with the token of
            ``position``.
        position
            Where to ask: from :meth:`position_for`, or from the tree.
        request_id
            See :class:`PendingQuestion`.

        Raises
        ------
        ValueRefused, UsageError
            See :meth:`validate`.
        """
        connection = self.ensure_connected()
        _refuse_surrogates(question)
        self.register_path(self.connections.recorder, position)
        stream = connection.client.stream_question(question)
        pending = self._start_turn(position, question.text, question.images)
        self.history_writer.save_pending(pending, self._scope(connection))
        stream.run.on_token = partial(self.history_writer.save_token, pending)
        return PendingQuestion(self, stream, pending, connection, request_id)

    def fetch(self, tree: ConversationTree, turn: Turn, *, request_id: str = "") -> PendingQuestion:
        """Fetch the reply of an incomplete turn by its token.

        Raises UsageError: the turn has no token of its own.
        """
        if self.unfinished is not None:
            asked = self.unfinished[0]
            if asked.position.tree is tree and asked.turn.number == turn.number:
                return self._fetch_newest(self.unfinished, request_id)
        token = tree.token_to_fetch(turn)
        position = Position(
            tree,
            turn.parent_token,
            turn.parent,
            turn.parent_revision,
            turn,
            cell=turn.cell,
            name=turn.name,
            placed=turn.placed,
        )
        return self._fetch(position, turn, token, request_id)

    def _fetch(
        self, position: Position, turn: Turn, token: str, request_id: str = ""
    ) -> PendingQuestion:
        connection = self.ensure_connected()
        pending = self._start_turn(position, turn.question, turn.images, turn.asked_at)
        stream = self.fetch_stream(token)
        return PendingQuestion(self, stream, pending, connection, request_id)

    def fetch_unfinished(self, token: str | None = None) -> PendingQuestion | None:
        """Fetch the reply of the newest question, or that with this token, if it is unfinished.

        None if all replies of the conversation are complete.

        Raises UsageError: the newest question has no reply that could be fetched.
        """
        if token is None and self.lost is not None and not self.token.assigned_by_user:
            raise self._nothing_to_fetch(self.lost)
        if self.unfinished is not None and token in (None, self.unfinished[1]):
            return self._fetch_newest(self.unfinished)
        for tree in self.registry:
            turn = tree.newest_with(token) if token is not None else None
            if turn is not None and not turn.tokens:
                return self.fetch(tree, turn)
        return None

    def _fetch_newest(
        self, unfinished: tuple[PendingTurn, str], request_id: str = ""
    ) -> PendingQuestion:
        """Fetch the reply of the newest question, whose turn may be in the tree by now."""
        pending, token = unfinished
        turn = pending.position.tree.by_number(pending.turn.number)
        position = pending.position._replace(replaces=turn)
        return self._fetch(position, pending.turn, token, request_id)

    def _nothing_to_fetch(self, lost: Turn) -> UsageError:
        failed = lost.reply is not None and lost.reply.status == "failed"
        why = "failed" if failed else "ended before its token came"
        newest = self.token.read()
        earlier = ""
        if newest is not None:
            tree = self.registry.tree_of_token(newest)
            turn = tree.by_token(newest) if tree is not None else None
            of = f"turn {turn.label}" if turn is not None else "an earlier turn"
            earlier = f" {fetch_command(newest)} shows the reply of {of}."
        return UsageError(
            f"Turn {lost.label}, the newest question, {why}: there is no reply to fetch.",
            hint=f"`%aeron last` shows its error; to ask again, run its cell again.{earlier}",
        )

    def _start_turn(
        self,
        position: Position,
        text: str,
        images: tuple[str, ...],
        asked_at: float | None = None,
    ) -> PendingTurn:
        with self._lock:
            return self.registry.start(position, text, images, asked_at)

    def register_path(self, recorder: Recorder | None, position: Position) -> None:
        """Give a recorder the questions before ``position``: it may not have recorded them."""
        if recorder is not None and position.token and position.parent is not None:
            path = [(turn.question, turn.images) for turn in position.parent.path()]
            recorder.register_path(
                position.token, self.ensure_connected().settings.recording_id, path
            )

    def finish(self, asked: PendingQuestion) -> None:
        """Record the end of a question; called on the loop, before ``done`` is set."""
        reply, error, pending = asked.reply, asked.error, asked.pending
        recorder = asked.connection.client.recorder
        if recorder is not None:
            asked.notes += filter(None, (recorder.resent_note(), recorder.warning()))
        complete = reply.is_complete
        with self._lock:
            if isinstance(error, NOTHING_SENT):
                self.registry.cancel(pending)
                self.history_writer.delete_pending(pending)
            else:
                asked.turn, notes = self.registry.finish(pending, reply)
                asked.turn.private = self.history_writer.history is None
                asked.notes += notes
                can_fetch = service_info(reply.service).can_fetch
                token = None
                if reply.status in UNFINISHED and can_fetch:
                    token = reply.context_token
                is_listed = self.registry.conversations.get(asked.tree.name) is asked.tree
                if is_listed and (not asked.is_fetch or self._is_newest(pending.turn)):
                    self.unfinished = (pending, token) if token is not None else None
                    is_lost = can_fetch and not complete and token is None
                    self.lost = asked.turn if is_lost else None
                if is_listed:
                    self.history_writer.save_turn(
                        pending,
                        asked.turn,
                        self._scope(asked.connection),
                        unfinished=token is not None,
                    )
                else:  # it was deleted meanwhile
                    self.history_writer.delete_pending(pending)
            tree, token = self.tree, reply.context_token
            turn = asked.turn
            is_open = complete or turn.opened == token is not None
            is_current = is_open and token == (turn.opened or turn.tokens[-1])
            if is_current and asked.tree is tree and turn is tree.head:
                self.token.write(token)
        if warning := self.history_writer.warning():
            asked.notes.append(warning)
        if isinstance(error, TokenError):
            error.hint = f"Your conversation is unchanged. {error.hint}"
        if complete or reply.text:  # an empty reply does not replace one that can be shown
            self.remember(reply, asked.metadata)

    def _is_newest(self, turn: Turn) -> bool:
        """Whether no question was asked after ``turn``."""
        newest = self.unfinished[0].turn if self.unfinished is not None else self.lost
        if newest is not None:
            return newest.asked_at <= turn.asked_at
        return not any(tree.was_asked_since(turn) for tree in self.registry)

    def remember(self, reply: Reply, metadata: dict[str, Any]) -> None:
        """Keep the newest reply for ``%aeron last``."""
        self.last, self.last_metadata, self.last_error = reply, metadata, None

    def newest_reply(self) -> tuple[Reply, dict[str, Any]] | None:
        """The newest reply and its metadata.

        Of this kernel; before its first one, of the current conversation, as after a resume.
        """
        if self.last is not None:
            return self.last, self.last_metadata
        answered = [one for one in self.tree if one.reply is not None and one.reply.text]
        turn = max(answered, key=attrgetter("asked_at"), default=None)
        if turn is None or turn.reply is None:
            return None
        return turn.reply, _metadata(self.tree, turn, turn.reply)

    def metadata_of(self, reply: Reply) -> dict[str, Any]:
        """The metadata of a reply that was fetched by its token, of a known turn or not."""
        tree = self.registry.tree_of_token(reply.context_token)
        turn = tree.by_token(reply.context_token) if tree and reply.context_token else None
        return _metadata(tree, turn, reply)

    def finish_fetched(self, pending: PendingTurn, reply: Reply) -> dict[str, Any]:
        """Record a reply that was fetched after its kernel had ended; return its metadata."""
        with self._lock:
            turn, _ = self.registry.finish(pending, reply)
            self.history_writer.save_turn(pending, turn, self._scope(self.ensure_connected()))
            if self._is_newest(pending.turn):
                self.unfinished = self.lost = None
        self.remember(reply, _metadata(pending.position.tree, turn, reply))
        self._notify_change()
        return self.last_metadata

    def mark_lost(self, pending: PendingTurn, token: str | None) -> None:
        """See ``ConversationTree.mark_lost``."""
        with self._lock:
            turn = pending.position.tree.mark_lost(pending, token)
            self.history_writer.save_turn(pending, turn, None)

    def _scope(self, connection: Connection) -> HistoryScope:
        return HistoryScope(self.notebook, connection.address, connection.sandbox)

    def kept_rows(self) -> KeptRows:
        """The rows of batches that this session's connection has answered before."""
        scope = ""
        if self.ensure_connected().sandbox:
            scope = f"sandbox {self.connections.answers_digest}".rstrip()
        history = self.history_writer.history
        if history is None:
            self._rows.scope = scope
            return self._rows
        return KeptRows(history.path, scope=scope)

    def _notify_change(self) -> None:
        if self.observers:
            self.io_loop.call_soon(partial(self.notify, "conversation_changed"))

    def notify(self, event: str, *args: PendingQuestion) -> None:
        """Call the method ``event`` of each observer; on the loop."""
        for observer in tuple(self.observers):
            try:
                getattr(observer, event)(*args)
            except Exception as error:  # noqa: BLE001 - an observer must not stop the others
                log_failure(f"An observer of the session failed in {event}:", error)

    # Conversations ---------------------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> ConversationTree:
        """Start a conversation; see ``ConversationRegistry.new``."""
        return self._switched(self.registry.new(name, by))

    def rebuild(self) -> None:
        """The notebook is run from its beginning; see ``ConversationRegistry.rebuild``."""
        for registry in self._all_registries:
            registry.rebuild()
        if not self.token.assigned_by_user:
            self._move_token()

    def rebuilt(self) -> None:
        """That run has ended."""
        for registry in self._all_registries:
            registry.rebuilt()
        if not self.token.assigned_by_user:
            self._move_token()

    def mark_deleted(self, cells: Collection[str]) -> None:
        """See ``ConversationRegistry.mark_deleted``."""
        for registry in self._all_registries:
            registry.mark_deleted(cells)

    def use(self, name: str) -> ConversationTree:
        """Switch to a conversation of this kernel."""
        return self._switched(self.registry.use(name))

    def adopt(self, tree: ConversationTree) -> ConversationTree:
        """Continue a conversation from the history."""
        return self._switched(self.registry.add(tree))

    def forget(self, tree: ConversationTree) -> None:
        """Delete a conversation of this kernel; if it is the current one, the main one follows."""
        if self.unfinished is not None and self.unfinished[0].position.tree is tree:
            self.unfinished = None
        if self.lost is not None and any(turn is self.lost for turn in tree.turns):
            self.lost = None
        if self.registry.forget(tree.name):
            self._switched(self.registry.current)
        else:
            self._notify_change()

    def select_branch(self, tree: ConversationTree, turn: Turn) -> None:
        """Switch to ``tree``; see ``ConversationTree.choose``."""
        tree.choose(turn)
        self.registry.current = tree
        self._move_token()

    def _switched(self, tree: ConversationTree) -> ConversationTree:
        self.lost = None
        self._move_token()
        self._notify_change()
        return tree

    def _move_token(self) -> None:
        """Set ``context_token`` to where the current conversation continues."""
        self.token.write(self.registry.current.current_token)

    # What the service has stored ---------------------------------------------------------------

    def fetch_stream(self, token: str) -> AsyncStream:
        """A stream of the stored reply of ``token``."""
        return self.ensure_connected().client.stream_fetch(token)

    def remote_history(self, token: str, order: Order = "asc") -> list[Message]:
        """The messages of the conversation at the service, in this order.

        Raises RecordingError: a recording is replayed, and nothing is sent.
        """
        if self.connections.sends_nothing:
            raise RecordingError(
                "A recording is replayed: the service is not asked for its messages.",
                hint="`%aeron replay off` ends that; unset AERON_RECORD_MODE if it is set.",
            )
        return self.io_loop.run(self.ensure_connected().client.history(token, order))

    def newest_token(self) -> str:
        """The token of the newest reply.

        Raises UsageError: there is none that the service could be asked for.
        """
        token = self.token.read()
        if token is None and self.tree.has_ended:
            raise UsageError(
                "The sandbox that has this conversation has ended: nothing can be fetched from it.",
                hint="`%aeron last` shows the newest reply, `%aeron history` the turns.",
            )
        if token is None and self.tree.newest is not None:
            raise UsageError(
                "`context_token` is None: it names no reply.",
                hint="`%aeron fetch TOKEN` takes a token; `%aeron last` shows the newest reply.",
            )
        if token is None:
            raise UsageError("No reply yet.", hint="Ask something with %%aeron first.")
        return token

    @property
    def secrets(self) -> Iterable[str]:
        """The secrets of the connection, which are never shown or sent as text."""
        return self.connection.settings.secrets if self.connection else ()

    def close(self) -> None:
        """Stop all work, and close the connection and the history."""
        self.connections.close()
        self.io_loop.stop()
        if self.history_writer.history is not None:
            self.history_writer.history.close()
