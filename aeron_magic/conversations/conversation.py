"""A conversation from Python: each question continues from the newest reply."""

from __future__ import annotations

from collections.abc import Iterable

from aeron_magic.client.client import AsyncClient, Client
from aeron_magic.conversations.registry import check_turn_name
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import AeronError, UsageError
from aeron_magic.markdown_text import plural
from aeron_magic.replies.reply import Reply


class Conversation:
    """Questions that follow each other.

    Parameters
    ----------
    client
        The client that asks.
    context_token
        Where to continue from: the token of any reply; None (default) starts a conversation.

    Attributes
    ----------
    client
        As given.
    context_token
        The token that the next question continues from; assign to it to continue elsewhere.
    tree
        The turns and what each continues from.

    Raises
    ------
    UsageError
        The client is not a :class:`aeron_magic.Client`.
    """

    def __init__(self, client: Client, context_token: str | None = None) -> None:
        if not isinstance(client, Client):
            raise UsageError(
                f"A Conversation needs a Client; the type is {type(client).__name__}.",
                hint="With an AsyncClient, give each question the context_token of the reply "
                "that it follows."
                if isinstance(client, AsyncClient)
                else "Conversation(Client(…)), such as Client('sandbox').",
            )
        self.client = client
        self.context_token = context_token
        self.tree = ConversationTree("conversation", client.settings.service)

    def __repr__(self) -> str:
        turns = plural(len(self.turns), "turn")
        return f"<Conversation with {self.client.settings.service}: {turns}>"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns, in the order of asking."""
        return tuple(self.tree)

    def ask(
        self,
        text: str,
        *,
        after: str | int | None = None,
        name: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """Ask, and wait for the complete reply.

        Parameters
        ----------
        text, images, stream
            As for :meth:`aeron_magic.Client.ask`.
        after
            Continue from this turn (its name, number or token) instead of the newest.
        name
            Name this turn, for a later ``after``; another turn with that name loses it.

        Raises
        ------
        UsageError
            The name is empty or a number; the turn to continue from does not exist, or has no
            complete reply; or the service cannot branch (Chatzy), and the turn is not the newest.
            Nothing was sent. Also as for :meth:`aeron_magic.Client.ask`.
        AeronError
            As for :meth:`aeron_magic.Client.ask`. The incomplete reply is in the turn.
            ``context_token`` does not change, except after the first question of a conversation
            with Chatzy that was accepted: the next question continues that conversation.
        """
        if name is not None:
            check_turn_name(name)
        if after is None:
            position = self.tree.at_token(self.context_token)
        else:
            position = self.tree.resolve(str(after))
        images = tuple(images)
        reading = self.client.stream(text, position.token, images, stream=stream)
        pending = self.tree.start(position, text, images, name=name)
        with reading as reply_stream:
            try:
                reply = reply_stream.finish()
            except UsageError:
                self.tree.cancel(pending)
                raise
            except AeronError:
                turn = self.tree.complete(pending, reply_stream.reply)
                if turn is self.tree.head:
                    self.context_token = self.tree.current_token
                raise
        self.tree.complete(pending, reply)
        self.context_token = reply.context_token
        return reply
