"""What a kernel knows: the connection, the conversations, the last reply. Shared by all cells."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from aeron_magic.client import AsyncStream
from aeron_magic.errors import AeronError, UsageError
from aeron_magic.jupyter.background import Background
from aeron_magic.jupyter.connecting import Connection, Connector
from aeron_magic.jupyter.namespace import TokenVariable
from aeron_magic.jupyter.running import Running
from aeron_magic.reply import Message, Reply
from aeron_magic.turns import Place, Tree, Turn

__all__ = ["Asked", "Session"]


@dataclass(eq=False, slots=True)
class Asked:
    """A question under way, and where it stands."""

    running: Running
    tree: Tree
    turn: Turn
    connection: Connection

    @property
    def metadata(self) -> dict[str, Any]:
        """What the saved output says of the reply; nothing secret."""
        reply = self.running.reply
        return {
            "service": reply.service,
            "conversation": self.tree.name,
            "turn": self.turn.label,
            "context_token": reply.context_token,
            "parent_context_token": reply.parent_context_token,
            "status": reply.status,
            "seconds": round(reply.seconds, 3),
            "replayed": reply.replayed,
        }


class Session:
    """One for each kernel.

    Parameters
    ----------
    namespace
        The notebook's variables.
    timeout, fetch_timeout
        See :class:`~aeron_magic.settings.Settings`.
    """

    def __init__(
        self,
        namespace: MutableMapping[str, Any],
        *,
        timeout: float = 30.0,
        fetch_timeout: float = 120.0,
    ) -> None:
        self.background = Background()
        self.connector = Connector(self.background, timeout, fetch_timeout)
        self.token = TokenVariable(namespace)
        self.tree = Tree("main")
        self.last: Reply | None = None
        self.last_metadata: dict[str, Any] = {}
        self.last_error: AeronError | None = None

    # Connecting ----------------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The connection, if there is one."""
        return self.connector.connection

    def connected(self) -> Connection:
        """The connection; the first question makes one if it can."""
        return self.connector.connected()

    def connect(self, service: str, *, sandbox: bool = False, **options: Any) -> Connection:
        """Connect to ``service``, or to the sandbox that plays it.

        Connecting again to the same address keeps the conversation; another one begins anew.
        """
        before = self.connection
        if sandbox:
            connection = self.connector.connect_sandbox(service)
        else:
            connection = self.connector.connect(service, **options)
        if before is not None and before.settings.base_url != connection.settings.base_url:
            self.tree = Tree(self.tree.name, connection.settings.service)
            if not self.token.by_hand:
                self.token.write(None)
        return connection

    # Asking ---------------------------------------------------------------------------------

    def place(self, *, cell: str | None, new: bool = False, after: str | None = None) -> Place:
        """Where a question of ``cell`` would be asked now."""
        known = self.tree.by_cell(cell)
        if new:
            place = self.tree.at_beginning()
        elif after is not None:
            place = self.tree.after(after)
        elif self.token.by_hand:
            place = self.tree.at_token(self.token.read())
        elif known is not None:
            return self.tree.again(known)
        else:
            place = self.tree.at_head()
        return self.tree.replacing(place, known)

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
    ) -> Asked:
        """Send the question; its reply comes in on the background loop."""
        connection = self.connected()
        recorder = self.connector.recorder
        if recorder is not None and place.token and place.parent is not None:
            line = [(turn.question, turn.images) for turn in place.parent.line()]
            recorder.learn(place.token, connection.settings.answerer, line)
        reading = connection.client.stream(
            text, place.token, images, stream=stream, timeout=timeout
        )
        turn = self.tree.begin(place, text, images, cell=cell, name=name)
        return Asked(Running(self.background, reading), self.tree, turn, connection)

    def settle(self, asked: Asked) -> Reply:
        """Take the end of a question in: the conversation, ``context_token``, the last reply."""
        reply = asked.running.reply
        asked.turn = asked.tree.settle(asked.turn, reply)
        if reply.whole:
            self.token.write(reply.context_token)
        self.last, self.last_metadata = reply, asked.metadata
        return reply

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
