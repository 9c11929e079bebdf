"""A notebook without a kernel: cells that ask a session, and what went over the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeron_magic.client.client import make_question
from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.errors import AeronError
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Sandbox
from aeron_magic.session.session import Session

__all__ = ["Cell", "FakeNotebook", "shape"]


@dataclass(frozen=True)
class Cell:
    """A cell's id (None where the front end sends none), its question and its options."""

    id: str | None
    question: str
    options: dict[str, Any] = field(default_factory=dict)


def shape(tree: ConversationTree) -> list[str]:
    """The turns as ``number<parent``, with what is not as usual; the head has a star."""
    stale = tree.stale()
    return [
        str(turn.number)
        + (f"<{turn.parent.number}" if turn.parent else "")
        + ("*" if turn is tree.head else "")
        + (f" {turn.status}" if turn.status != "complete" else "")
        + (" stale" if turn in stale else "")
        for turn in tree
    ]


class FakeNotebook:
    """Runs cells against a sandbox, as the magic does.

    Parameters
    ----------
    sandbox
        The service; its log says what went over the wire.
    service
        Which of the two.
    history, notebook
        As for :class:`Session`.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        service: str = "aeronpay",
        history: Path | None = None,
        notebook: str = "",
    ) -> None:
        self.sandbox = sandbox
        self.namespace: dict[str, Any] = {}
        self.session = Session(self.namespace, history=history, notebook=notebook)
        if service == "aeronpay":
            self.session.connect(
                "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine"
            )
        else:
            self.session.connect(
                "chatzy",
                base_url=sandbox.chatzy_url,
                stream_url=sandbox.chatzy_stream_url,
                chatbot_id="725e1f05-6142-467e-bdec-47862d50da79",
            )
        self.replies: list[Reply] = []
        self.notes: list[str] = []

    def close(self) -> None:
        """What the end of a kernel does."""
        self.session.close()

    def run(self, cell: Cell | str, *, interrupt: bool = False) -> Reply:
        """Run a cell to its end; a text is the id of a cell, and its question.

        ``interrupt`` stops it as soon as it has some text.
        """
        if isinstance(cell, str):
            cell = Cell(cell, f"question of {cell}")
        session, options = self.session, cell.options
        session.ensure_connected()
        position = session.position_for(cell=cell.id, **options)
        asked = session.ask(make_question(cell.question, position.token), position)
        if interrupt:
            assert asked.changed.wait(5)
            asked.cancel()
        assert asked.done.wait(10)
        self.notes = asked.notes
        if asked.error is not None:
            raise asked.error
        self.replies.append(asked.reply)
        return asked.reply

    def run_all(self, *cells: Cell | str) -> None:
        """Run cells from top to bottom; the first that fails ends it."""
        for cell in cells:
            self.run(cell)

    def fails(self, cell: Cell | str) -> AeronError:
        """Run a cell that has to fail; its error."""
        try:
            self.run(cell)
        except AeronError as error:
            return error
        raise AssertionError("the cell has not failed")

    @property
    def sent(self) -> list[tuple[str, str | None]]:
        """The questions that went over the wire, each with the token it continued from."""
        return [
            (seen.body["user"]["text"], seen.body.get("context_token"))
            for seen in self.sandbox.log.of("create-response")
        ]

    @property
    def tokens(self) -> list[str | None]:
        """The tokens of ``sent``."""
        return [token for _, token in self.sent]

    def received(self, number: int) -> str:
        """The token of a reply: 0 is the first whole one that came to a cell."""
        token = self.replies[number].context_token
        assert token is not None
        return token

    @property
    def tree(self) -> ConversationTree:
        """The current conversation."""
        return self.session.tree

    @property
    def context_token(self) -> Any:
        """The notebook's variable."""
        return self.namespace.get("context_token")

    @context_token.setter
    def context_token(self, value: Any) -> None:
        self.namespace["context_token"] = value

    @property
    def remote(self) -> list[str]:
        """The questions of the conversation that the service has, up to the newest reply."""
        messages = self.session.remote_history(self.context_token)
        return [message.text for message in messages if message.role == "user"]
