"""A conversation from Python: each question continues from the newest reply."""

from __future__ import annotations

from collections.abc import Iterable

from aeron_magic.client.client import AsyncClient, Client
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import AeronError, UsageError
from aeron_magic.replies.reply import Reply

__all__ = ["Conversation"]


class Conversation:
    """Questions that follow each other.

    Parameters
    ----------
    client
        Asks the service.
    context_token
        Where to continue from: the token of any reply; None (default) begins anew.

    Attributes
    ----------
    client
        As given.
    tree
        The turns and what each continues from.

    Raises
    ------
    UsageError
        The client is an :class:`aeron_magic.AsyncClient`.
    """

    def __init__(self, client: Client, context_token: str | None = None) -> None:
        if isinstance(client, AsyncClient):
            raise UsageError(
                "A Conversation asks through a Client, and this is an AsyncClient.",
                hint="With an AsyncClient, give each question the context_token of the reply "
                "that it follows.",
            )
        self.client = client
        self.tree = ConversationTree("conversation", client.settings.service)
        self._token = context_token

    @property
    def context_token(self) -> str | None:
        """The token that the next question continues from; assign to it to go elsewhere."""
        return self._token

    @context_token.setter
    def context_token(self, token: str | None) -> None:
        self._token = token

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What has been asked, in the order of asking."""
        return tuple(self.tree)

    def ask(
        self,
        text: str,
        *,
        after: str | None = None,
        name: str | None = None,
        images: Iterable[str] = (),
        stream: bool = True,
    ) -> Reply:
        """Ask, and wait for the whole reply.

        Parameters
        ----------
        text, images, stream
            As for :meth:`aeron_magic.Client.ask`.
        after
            Continue from this turn (its name, its number or its token), and not from the newest.
        name
            Name this turn, for a later ``after``; a turn that had the name loses it.

        Raises
        ------
        UsageError
            There is no such turn to continue from, or it has no whole reply; or the service keeps
            one line for each conversation (Chatzy), and the place is not its end. Nothing was
            sent. Also as for :meth:`aeron_magic.Client.ask`.
        AeronError
            As for :meth:`aeron_magic.Client.ask`. The conversation stays where it was; what came
            is in the turn.
        """
        position = self.tree.resolve(after) if after else self.tree.at_token(self._token)
        images = tuple(images)
        pending = self.tree.start(position, text, images, name=name)
        with self.client.stream(text, position.token, images, stream=stream) as reading:
            try:
                reply = reading.finish()
            except UsageError:
                self.tree.cancel(pending)
                raise
            except AeronError:
                self.tree.complete(pending, reading.reply)
                raise
        self.tree.complete(pending, reply)
        self._token = reply.context_token
        return reply
