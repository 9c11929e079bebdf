"""The conversations of one kernel with one service: which one a question belongs to.

An option of the question comes first, then a token assigned by hand, then the cell: a cell that
asked before asks again in the conversation where it stands, and else in the current one, which is
that of the newest reply. There is one exception, because a conversation is begun anew in order to
be built anew: after ``%aeron new`` the cells of other conversations are taken into the new one,
until a question is asked that no other conversation has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

__all__ = ["MAIN", "AssignedToken", "ConversationRegistry", "divergence_notes"]

MAIN = "main"
"""The name of the conversation that nobody named."""

MAX_NAME_LENGTH = 60


class AssignedToken(NamedTuple):
    """The token that the user assigned; None begins anew."""

    token: str | None


def _checked(name: str, what: str) -> str:
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise UsageError(
            f"This is no name for a {what}.",
            hint=f"A name has up to {MAX_NAME_LENGTH} characters on one line.",
        )
    return name


class ConversationRegistry:
    """Conversations by name, and the current one.

    Parameters
    ----------
    service
        The service that they are held with.
    clock
        Seconds since the epoch.
    """

    def __init__(self, service: str = "", clock: Callable[[], float] = time.time) -> None:
        self.service = service
        self.conversations: dict[str, ConversationTree] = {MAIN: ConversationTree(MAIN, service)}
        self.current = self.conversations[MAIN]
        self._resumed: dict[str | None, tuple[ConversationTree, bool]] = {}
        self._clock = clock
        self._adopting_cells = False

    def __iter__(self) -> Iterator[ConversationTree]:
        return iter(self.conversations.values())

    # Beginning and switching ---------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> ConversationTree:
        """Begin a conversation, which becomes the current one.

        Where there is one of this name, or one that the same cell (``by``) began, that is begun
        anew: its turns stay, and are replaced as their cells are run again.
        """
        tree = self._tree_to_restart(name, by)
        tree.created_by = by or tree.created_by
        tree.head = None
        self.conversations[tree.name] = self.current = tree
        self._adopting_cells = True
        return tree

    def _tree_to_restart(self, name: str | None, by: str | None) -> ConversationTree:
        if name is not None:
            found = self.conversations.get(_checked(name, "conversation"))
        else:
            found = next((tree for tree in self if by is not None and tree.created_by == by), None)
            if found is None and not self.current.turns:
                found = self.current
        return found or ConversationTree(name or self.free_name(), self.service)

    def free_name(self, base: str = "conversation") -> str:
        """A name that no conversation has."""
        number = 2
        while f"{base}-{number}" in self.conversations:
            number += 1
        return f"{base}-{number}"

    def use(self, name: str) -> ConversationTree:
        """Make the conversation of this name the current one.

        Raises
        ------
        UsageError
            There is none.
        """
        tree = self.conversations.get(name)
        if tree is None:
            known = ", ".join(self.conversations)
            raise UsageError(
                f"There is no conversation {name[:MAX_NAME_LENGTH]!r} in this kernel.",
                hint=f"There are: {known}. `%aeron new NAME` begins one, "
                "`%aeron resume NAME` takes one up from the local history.",
            )
        tree.head = tree.head or tree.newest
        self.current = tree
        self._adopting_cells = False
        return tree

    def add(self, tree: ConversationTree) -> ConversationTree:
        """Take in a conversation from elsewhere, under another name if its own is taken."""
        taken = self.conversations.get(tree.name)
        if taken is not None and taken is not tree and taken.turns:
            tree.name = self.free_name(tree.name)
        self.conversations[tree.name] = tree
        return self.use(tree.name)

    def remember_resumed(self, wanted: str | None, tree: ConversationTree, reachable: bool) -> None:
        """Remember that ``wanted`` (None: no name) has come to mean ``tree``."""
        self._resumed[wanted] = (tree, reachable)

    def resumed(self, wanted: str | None) -> tuple[ConversationTree, bool] | None:
        """What ``wanted`` has come to mean, and whether its service is still there.

        A cell that takes a conversation up means the same one when it is run again, and not the
        next older one.
        """
        found = self._resumed.get(wanted)
        return found if found and self.conversations.get(found[0].name) is found[0] else None

    def forget(self, name: str) -> bool:
        """Drop the conversation of this name; whether it was the current one."""
        tree = self.conversations.pop(name, None)
        if tree is not self.current:
            return False
        self.current = self.conversations.setdefault(MAIN, ConversationTree(MAIN, self.service))
        self.current.head = None
        return True

    # Asking --------------------------------------------------------------------------------

    def position_for(
        self,
        *,
        cell: str | None = None,
        name: str | None = None,
        conversation: str | None = None,
        new: bool = False,
        after: str | None = None,
        assigned: AssignedToken | None = None,
    ) -> Position:
        """Where a question would be asked now; nothing is changed by looking.

        Parameters
        ----------
        cell
            The key of the cell, where there is one.
        name
            The name that the turn is to have.
        conversation
            The conversation's name.
        new
            Begin anew.
        after
            Continue from this turn: its name, its number or its token.
        assigned
            The token that was assigned by hand, if one was.

        Raises
        ------
        UsageError
            A name that is none, or ``after`` names no turn that can be continued.
        """
        if name is not None and _checked(name, "turn").isdecimal():
            raise UsageError(
                "A turn's name is not a number.", hint="Every turn has a number of its own already."
            )
        created_by = None
        if new:
            created_by = cell or (f"as {name}" if name else None)
            tree = self._tree_to_restart(conversation, created_by)
            position = tree.at_root()
        elif after is not None:
            tree = self._named(conversation) or self._tree_of_cell(cell)
            if conversation is None and tree.find(after) is None:
                tree = self._tree_of_token(after) or tree
            position = tree.resolve(after)
        elif assigned is not None:
            tree = self._named(conversation) or self._tree_of_token(assigned.token) or self.current
            position = tree.at_token(assigned.token)
        else:
            tree = self._named(conversation) or self._tree_of_cell(cell)
            known = tree.turn_for(cell, name)
            position = tree.at_head() if known is None else tree.rerun(known)
            return position._replace(cell=cell, name=name)
        position = tree.replacing(position, tree.turn_for(cell, name))
        return position._replace(cell=cell, name=name, created_by=created_by)

    def _named(self, name: str | None) -> ConversationTree | None:
        if name is None:
            return None
        return self.conversations.get(_checked(name, "conversation")) or ConversationTree(
            name, self.service
        )

    def _tree_of_token(self, token: str | None) -> ConversationTree | None:
        """The conversation that has a reply with this token, first of all the current one."""
        if token is None:
            return None
        trees = [self.current, *self]
        return next((tree for tree in trees if tree.by_token(token) is not None), None)

    def _tree_of_cell(self, cell: str | None) -> ConversationTree:
        """The conversation in which a cell asks, if nothing else is said."""
        if cell is None or self._adopting_cells or self.current.by_cell(cell) is not None:
            return self.current
        found = [(turn, tree) for tree in self if (turn := tree.by_cell(cell)) is not None]
        return max(found, key=lambda one: one[0].asked_at)[1] if found else self.current

    def start(self, position: Position, question: str, images: tuple[str, ...] = ()) -> PendingTurn:
        """See ``ConversationTree.start``."""
        tree, cell = position.tree, position.cell
        pending = tree.start(
            position, question, images, cell=cell, name=position.name, now=self._clock()
        )
        tree.created_by = position.created_by or tree.created_by
        self.conversations.setdefault(tree.name, tree)
        self._adopting_cells = (
            self._adopting_cells
            and tree is self.current
            and any(other.by_cell(cell) for other in self if other is not tree)
        )
        return pending

    def complete(self, pending: PendingTurn, reply: Reply) -> Turn:
        """Take the end of ``pending`` in; a whole reply makes its conversation the current one."""
        tree = pending.position.tree
        turn = tree.complete(pending, reply)
        forgotten = self.conversations.get(tree.name) is not tree
        if reply.is_complete and not forgotten:
            self.current = tree
        return turn

    def cancel(self, pending: PendingTurn) -> None:
        """Forget ``pending``, of which nothing was sent."""
        tree = pending.position.tree
        tree.cancel(pending)
        if (
            not tree.turns
            and tree is not self.current
            and self.conversations.get(tree.name) is tree
        ):
            del self.conversations[tree.name]


def divergence_notes(pending: PendingTurn, reply: Reply) -> list[str]:
    """Sentences on where the service answered elsewhere; call before :meth:`complete`."""
    position, passed, said = pending.position, pending.diverges_from, []
    theirs = reply.parent_context_token
    if theirs is not None and theirs != position.token:
        ours = f"continued from {position.token}" if position.token else "began a conversation"
        said.append(f"The service says that this reply follows {theirs}; the question {ours}.")
    if reply.is_complete and passed is not None and reply.context_token == position.token:
        there = f"after turn {position.parent.label}" if position.parent else "where it was told to"
        said.append(
            "The service has one token for the whole conversation: it may have answered after "
            f"all that was asked so far, up to turn {passed.label}, and not {there}."
        )
    again = position.replaces if position.token is not None else None
    branches = service_info(position.tree.service).branches
    if again is not None and not again.revision and not branches:
        said.append(
            "The service keeps one line for each conversation: it may have this question "
            "twice, because it was asked before without a whole reply."
        )
    return said
