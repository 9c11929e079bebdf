"""What a kernel knows: the connection, the conversations, the last reply. Shared by all cells."""

from __future__ import annotations

import threading
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aeron_magic.conversations.registry import Book, ByHand, remarks
from aeron_magic.client.client import AsyncStream
from aeron_magic.errors import AeronError, RecordingError, TokenError, UsageError
from aeron_magic.conversations.history import History, Owner
from aeron_magic.session.io_loop import Background
from aeron_magic.session.connection import Connection, Connector
from aeron_magic.jupyter.frontend import lasting
from aeron_magic.session.token_variable import TokenVariable
from aeron_magic.session.reply_task import Running
from aeron_magic.conversations.history_writer import Keeper
from aeron_magic.replies.reply import Message, Reply
from aeron_magic.conversations.tree import Attempt, Place, Tree, Turn

if TYPE_CHECKING:
    from aeron_magic.recording.recorder import Recorder

__all__ = ["Asked", "Session", "Watcher"]

NOTHING_SENT = (UsageError, RecordingError, TokenError)
"""Errors after which the service has not taken the question up: the tree stays as it was."""


@dataclass(eq=False, slots=True)
class Asked:
    """A question under way, and where it stands.

    ``turn`` is the turn as it stands in ``tree`` once the question is settled; ``notes`` are
    sentences that the output has to say besides the reply.
    """

    running: Running
    attempt: Attempt
    connection: Connection
    turn: Turn
    notes: list[str] = field(default_factory=list)
    origin: str = ""
    """Empty for a cell; else the panel's name for its wish, and the panel settles the question."""

    @property
    def tree(self) -> Tree:
        """The conversation."""
        return self.attempt.place.tree

    @property
    def metadata(self) -> dict[str, Any]:
        """What the saved output says of the reply; nothing secret."""
        known = _metadata(self.tree, self.turn, self.running.reply)
        return {**known, "notes": self.notes} if self.notes else known


def _metadata(tree: Tree, turn: Turn, reply: Reply) -> dict[str, Any]:
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


class Watcher(Protocol):
    """Wants to know what is asked, whoever asks; it is told in the thread where that happens."""

    def began(self, asked: Asked) -> None:
        """A question is on its way."""

    def settled(self, asked: Asked) -> None:
        """A question has ended, and stands in its conversation where it will stand."""

    def changed(self) -> None:
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
        self.background = Background()
        self.connector = Connector(self.background, timeout, fetch_timeout)
        self.token = TokenVariable(namespace)
        self.notebook = notebook
        self.keeper = Keeper(None)
        self.keep_in(history)
        self.book = Book()
        self._books: dict[str, Book] = {}
        self.last: Reply | None = None
        self.last_metadata: dict[str, Any] = {}
        self.last_error: AeronError | None = None
        self.watchers: list[Watcher] = []
        self._told: Connection | None = None
        self._lock = threading.RLock()

    @property
    def tree(self) -> Tree:
        """The current conversation."""
        return self.book.current

    def keep_in(self, history: Path | None) -> None:
        """Keep conversations in this file from now on; None keeps nothing."""
        before = self.keeper.history
        if before is not None and before.path == history:
            return
        if before is not None:
            before.close()
        self.keeper = Keeper(None if history is None else History(history, lasting))

    # Connecting ----------------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection, if there is one."""
        return self.connector.connection

    def connected(self) -> Connection:
        """The connection; the first question makes one if it can."""
        return self._opened(self.connector.connected())

    def connect(self, service: str, *, sandbox: bool = False, **options: Any) -> Connection:
        """Connect to ``service``, or to the sandbox that plays it.

        Each address has conversations of its own: connecting to it again finds them as they were.
        """
        if sandbox:
            return self._opened(self.connector.connect_sandbox(service))
        return self._opened(self.connector.connect(service, **options))

    def _opened(self, connection: Connection) -> Connection:
        """Open the book of conversations that belongs to the connection."""
        with self._lock:
            address = connection.settings.address
            if not self._books:  # what was begun before the first connection belongs to it
                self._books[address] = self.book
                self.book.service = connection.settings.service
                for tree in self.book:
                    tree.service = self.book.service
            book = self._books.setdefault(address, Book(connection.settings.service))
            if book is not self.book:
                self.book = book
                if not self.token.by_hand:
                    self._move_token()
        if connection is not self._told:
            self._told = connection
            self._tell_change()
        return connection

    # Asking ---------------------------------------------------------------------------------

    def place(
        self,
        *,
        cell: str | None = None,
        name: str | None = None,
        conversation: str | None = None,
        new: bool = False,
        after: str | None = None,
    ) -> Place:
        """Where a question would be asked now; see :meth:`aeron_magic.conversations.registry.Book.place`."""
        by_hand = ByHand(self.token.read()) if self.token.by_hand else None
        return self.book.place(
            cell=cell, name=name, conversation=conversation, new=new, after=after, by_hand=by_hand
        )

    def ask(
        self,
        text: str,
        place: Place,
        *,
        cell: str | None = None,
        images: tuple[str, ...] = (),
        stream: bool = True,
        timeout: float | None = None,
        name: str | None = None,
        new: bool = False,
        origin: str = "",
    ) -> Asked:
        """Send the question; its reply comes in on the background loop.

        Parameters
        ----------
        place
            Where: from :meth:`place`, or from the tree.
        cell, name, new
            As they were given to :meth:`place`.
        origin
            See :class:`Asked`.

        Raises
        ------
        ValueRefused
            The question holds a secret that is in use.
        UsageError
            The question, or its token, holds half a character: it can be neither sent nor kept.
        """
        connection = self.connected()
        connection.refuse(text, place.token or "", *images)
        self.tell_line(self.connector.recorder, place)
        reading = connection.client.stream(
            text, place.token, images, stream=stream, timeout=timeout
        )
        with self._lock:
            attempt = self.book.begin(place, text, images, cell=cell, name=name, new=new)
        self.keeper.asked(attempt, self.owner(connection))
        reading.when_token(partial(self.keeper.started, attempt))
        return self._begun(reading, attempt, connection, origin)

    def tell_line(self, recorder: Recorder | None, place: Place) -> None:
        """Tell a recorder which questions ``place`` stands after: it may have seen none of them."""
        if recorder is not None and place.token and place.parent is not None:
            line = [(turn.question, turn.images) for turn in place.parent.line()]
            recorder.learn(place.token, self.connected().settings.answerer, line)

    def fetch(self, tree: Tree, turn: Turn, *, origin: str = "") -> Asked:
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
        connection = self.connected()
        place = Place(tree, turn.started_from, turn.parent, turn.parent_revision, turn)
        with self._lock:
            attempt = self.book.begin(
                place, turn.question, turn.images, cell=turn.cell, name=turn.name
            )
        return self._begun(self.reading(token), attempt, connection, origin)

    def _begun(
        self, reading: AsyncStream, attempt: Attempt, connection: Connection, origin: str
    ) -> Asked:
        running = Running(self.background, reading)
        asked = Asked(running, attempt, connection, attempt.turn, origin=origin)
        for watcher in self.watchers:
            watcher.began(asked)
        return asked

    def _tell_change(self) -> None:
        for watcher in self.watchers:
            watcher.changed()

    def settle(self, asked: Asked) -> Reply:
        """Take the end of a question in: the conversation, ``context_token``, the last reply."""
        reply, error = asked.running.reply, asked.running.error
        attempt = asked.attempt
        with self._lock:
            if isinstance(error, NOTHING_SENT):
                self.book.drop(attempt)
                self.keeper.dropped(attempt)
            else:
                asked.notes += remarks(attempt, reply)
                asked.turn = self.book.settle(attempt, reply)
                self.keeper.ended(attempt, asked.turn, self.owner(asked.connection))
            if reply.whole:
                self.token.write(reply.context_token)
        if warning := self.keeper.warning():
            asked.notes.append(warning)
        if isinstance(error, TokenError):
            error.hint = f"Nothing has changed here. {error.hint}"
        if reply.whole or reply.text:  # else it would take the place of one that can be shown
            self.last, self.last_metadata = reply, asked.metadata
        for watcher in self.watchers:
            watcher.settled(asked)
        return reply

    def settle_fetched(self, attempt: Attempt, reply: Reply) -> dict[str, Any]:
        """Take in a reply that was fetched after its kernel had ended; its metadata."""
        with self._lock:
            turn = self.book.settle(attempt, reply)
            self.keeper.ended(attempt, turn, self.owner(self.connected()))
        self.last = reply
        self.last_metadata = _metadata(attempt.place.tree, turn, reply)
        return self.last_metadata

    def give_up(self, attempt: Attempt) -> None:
        """Keep a question whose reply is lost, as a turn without one."""
        with self._lock:
            turn = attempt.place.tree.lose(attempt)
            self.keeper.lost(attempt, turn)

    def owner(self, connection: Connection) -> Owner:
        """What questions over ``connection`` are kept under."""
        return Owner(self.notebook, connection.settings.address, connection.sandbox)

    # Conversations ---------------------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> Tree:
        """Begin a conversation; see :meth:`aeron_magic.conversations.registry.Book.new`."""
        return self._switched(self.book.new(name, by))

    def use(self, name: str) -> Tree:
        """Switch to a conversation of this kernel."""
        return self._switched(self.book.use(name))

    def take_up(self, tree: Tree) -> Tree:
        """Go on with a conversation from the history."""
        return self._switched(self.book.add(tree))

    def forget(self, tree: Tree) -> None:
        """Drop a conversation of this kernel; if it was the current one, the next begins anew."""
        if self.book.forget(tree.name):
            self._move_token()
        self._tell_change()

    def choose(self, tree: Tree, turn: Turn) -> None:
        """Go on after ``turn``, or after the last whole reply before it: choose a branch."""
        whole = [other for other in turn.line() if other.revision]
        tree.head = whole[-1] if whole else None
        self.book.current = tree
        self._move_token()

    def _switched(self, tree: Tree) -> Tree:
        self._move_token()
        self._tell_change()
        return tree

    def _move_token(self) -> None:
        """``context_token`` follows the current conversation."""
        head = self.book.current.head
        self.token.write(head.token if head is not None else None)

    # The service's memory --------------------------------------------------------------------

    def reading(self, token: str) -> AsyncStream:
        """A stream that ends with the stored reply of ``token``."""
        return self.connected().client.fetching(token)

    def remote_history(self, token: str) -> list[Message]:
        """The conversation as the service keeps it, oldest first."""
        return self.background.run(self.connected().client.history(token, "asc"))

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
        self.connector.close()
        self.background.stop()
        if self.keeper.history is not None:
            self.keeper.history.close()
