"""What a kernel knows: the connection, the conversations, the last reply. Shared by all cells."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aeron_magic.client import AsyncClient, AsyncStream
from aeron_magic.errors import AeronError, CredentialsError, UsageError
from aeron_magic.jupyter import credentials
from aeron_magic.jupyter.background import Background
from aeron_magic.jupyter.namespace import TokenVariable
from aeron_magic.jupyter.running import Running
from aeron_magic.reply import Message, Reply
from aeron_magic.settings import Settings, resolve
from aeron_magic.turns import Place, Tree, Turn

if TYPE_CHECKING:
    from aeron_magic.sandbox.server import Sandbox

__all__ = ["Asked", "Connection", "Session"]

READING_PACE = 0.012
"""Seconds between the sandbox's chunks where a person watches: fast, but to be seen."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A service that questions go to."""

    settings: Settings
    client: AsyncClient
    sandbox: bool = False

    @property
    def label(self) -> str:
        name = {"aeronpay": "AeronPay", "chatzy": "Chatzy"}[self.settings.service]
        return f"the sandbox, playing {name}" if self.sandbox else name


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
        self.timeout = timeout
        self.fetch_timeout = fetch_timeout
        self.background = Background()
        self.token = TokenVariable(namespace)
        self.connection: Connection | None = None
        self.tree = Tree("main")
        self.last: Reply | None = None
        self.last_metadata: dict[str, Any] = {}
        self.last_error: AeronError | None = None
        self._sandbox: Sandbox | None = None

    # Connecting ----------------------------------------------------------------------------

    def connect_sandbox(self, service: str = "aeronpay") -> Connection:
        """Start the embedded service if it does not run, and connect to it."""
        if self._sandbox is None:
            from aeron_magic.sandbox.faults import Faults
            from aeron_magic.sandbox.server import Sandbox

            self._sandbox = Sandbox(faults=Faults(pause=READING_PACE)).start()
        sandbox = self._sandbox
        if service == "chatzy":
            return self.connect(
                "chatzy",
                sandbox=True,
                base_url=sandbox.chatzy_url,
                stream_url=sandbox.chatzy_stream_url,
                chatbot_id="00000000-0000-4000-8000-000000000000",
            )
        return self.connect(
            "aeronpay",
            sandbox=True,
            base_url=sandbox.aeronpay_url,
            client_id="sandbox",
            client_secret="sandbox-needs-no-secret",  # noqa: S106 - the sandbox takes any
        )

    def connect(self, service: str, *, sandbox: bool = False, **options: Any) -> Connection:
        """Connect to ``service``; options as for :func:`aeron_magic.settings.resolve`.

        Connecting again to the same address keeps the conversation; another one begins anew.
        """
        settings = resolve(
            service, timeout=self.timeout, fetch_timeout=self.fetch_timeout, **options
        )
        before = self.connection
        if before is not None and before.settings == settings:
            return before
        self.connection = Connection(settings, AsyncClient(settings=settings), sandbox)
        if before is not None:
            self.background.start(before.client.close())
            if before.settings.base_url != settings.base_url:
                self.tree = Tree(self.tree.name, settings.service)
                if not self.token.by_hand:
                    self.token.write(None)
        return self.connection

    def connected(self) -> Connection:
        """The connection; the first question connects to AeronPay if credentials are found.

        Raises
        ------
        CredentialsError
            There are none; the hint names the three ways to get going.
        """
        if self.connection is None:
            found = credentials.find("aeronpay")
            if found is None:
                raise CredentialsError(
                    "Not connected, and there are no credentials.", hint=credentials.WAYS
                )
            return self.connect("aeronpay", **dict[str, Any](found))
        settings = self.connection.settings
        if (settings.timeout, settings.fetch_timeout) != (self.timeout, self.fetch_timeout):
            settings = replace(settings, timeout=self.timeout, fetch_timeout=self.fetch_timeout)
            self.background.start(self.connection.client.close())
            client = AsyncClient(settings=settings)
            self.connection = replace(self.connection, settings=settings, client=client)
        return self.connection

    # Running --------------------------------------------------------------------------------

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
        if self.connection is not None:
            self.background.run(self.connection.client.close())
            self.connection = None
        self.background.stop()
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None
