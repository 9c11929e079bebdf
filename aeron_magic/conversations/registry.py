"""The conversations of one kernel with one service: which one a question belongs to.

In order of precedence: the one that an option names, the one of an assigned ``context_token``, the
one in which the cell asked before, the current one (that of the newest reply).

After ``%aeron new``, cells that asked in another conversation ask in the new one, until a cell asks
that has no turn in another conversation: so the cells can be run again to rebuild a conversation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Position, Turn
from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

MAIN = "main"
"""The name of the first conversation."""

MAX_NAME_LENGTH = 60


class AssignedToken(NamedTuple):
    """The token that the user assigned; None: continue no earlier turn."""

    token: str | None


def _checked(name: str, kind: str) -> str:
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise UsageError(
            f"Invalid {kind} name.",
            hint=f"A name has up to {MAX_NAME_LENGTH} characters on one line.",
        )
    return name


class ConversationRegistry:
    """Conversations by name, and the current one; ``clock`` returns seconds since the epoch."""

    def __init__(self, service: str = "", clock: Callable[[], float] = time.time) -> None:
        self.service = service
        self.conversations: dict[str, ConversationTree] = {MAIN: ConversationTree(MAIN, service)}
        self.current = self.conversations[MAIN]
        self._resumed: dict[str | None, tuple[ConversationTree, bool]] = {}
        self._clock = clock
        self._adopting_cells = False

    def __iter__(self) -> Iterator[ConversationTree]:
        return iter(self.conversations.values())

    # Creating and switching ----------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> ConversationTree:
        """Start a conversation, which becomes the current one.

        If there is one with this name, or one that the same cell (``by``) started, that one is
        restarted: its turns stay, and are replaced as their cells are run again.
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
            It does not exist.
        """
        tree = self.conversations.get(name)
        if tree is None:
            known = ", ".join(self.conversations)
            raise UsageError(
                f"This kernel has no conversation {name[:MAX_NAME_LENGTH]!r}.",
                hint=f"It has: {known}. `%aeron new NAME` starts one, "
                "`%aeron resume NAME` continues one from the local history.",
            )
        tree.head = tree.head or tree.newest
        self.current = tree
        self._adopting_cells = False
        return tree

    def add(self, tree: ConversationTree) -> ConversationTree:
        """Add a conversation and switch to it; it is renamed if its name is taken."""
        taken = self.conversations.get(tree.name)
        if taken is not None and taken is not tree and taken.turns:
            tree.name = self.free_name(tree.name)
        self.conversations[tree.name] = tree
        return self.use(tree.name)

    def remember_resumed(self, name: str | None, tree: ConversationTree, reachable: bool) -> None:
        """Remember which conversation ``%aeron resume NAME`` (or None: no name) has resumed.

        Running the cell again then resumes the same one, not the next older one.
        """
        self._resumed[name] = (tree, reachable)

    def resumed(self, name: str | None) -> tuple[ConversationTree, bool] | None:
        """The conversation that was resumed by this name, and whether its service is reachable."""
        found = self._resumed.get(name)
        return found if found and self.conversations.get(found[0].name) is found[0] else None

    def forget(self, name: str) -> bool:
        """Delete the conversation of this name; whether it was the current one."""
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
        """Where a question would be asked now; changes nothing.

        ``cell`` is the cell's id, ``name`` the turn's name, ``conversation`` the conversation's.
        ``new`` starts a conversation, ``after`` continues from the turn with this name, number or
        token, ``assigned`` from the token that the user assigned to ``context_token``.

        Raises
        ------
        UsageError
            A name is invalid, or ``after`` is not a turn that can be continued.
        """
        if name is not None and _checked(name, "turn").isdecimal():
            raise UsageError(
                "A turn's name cannot be a number.", hint="Turns are already numbered."
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
        """The conversation that has a reply with this token, preferably the current one."""
        if token is None:
            return None
        trees = [self.current, *self]
        return next((tree for tree in trees if tree.by_token(token) is not None), None)

    def _tree_of_cell(self, cell: str | None) -> ConversationTree:
        """The conversation in which a cell asks by default."""
        if cell is None or self._adopting_cells or self.current.by_cell(cell) is not None:
            return self.current
        found = [(turn.asked_at, tree) for tree in self if (turn := tree.by_cell(cell)) is not None]
        return max(found, key=itemgetter(0))[1] if found else self.current

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
        """See ``ConversationTree.complete``; a complete reply makes its conversation current."""
        tree = pending.position.tree
        turn = tree.complete(pending, reply)
        if reply.is_complete and self.conversations.get(tree.name) is tree:  # not deleted meanwhile
            self.current = tree
        return turn

    def cancel(self, pending: PendingTurn) -> None:
        """Drop ``pending``, which was not sent, and its conversation if that is then empty."""
        tree = pending.position.tree
        tree.cancel(pending)
        is_listed = self.conversations.get(tree.name) is tree
        if is_listed and not tree.turns and tree is not self.current:
            del self.conversations[tree.name]


def divergence_notes(pending: PendingTurn, reply: Reply) -> list[str]:
    """Notes for the user if the service may not have answered at the position that was asked.

    Call it before :meth:`ConversationRegistry.complete`.
    """
    position, newest, notes = pending.position, pending.diverges_from, []
    actual = reply.parent_context_token
    if actual is not None and actual != position.token:
        sent = f"continued from {position.token}" if position.token else "started a conversation"
        notes.append(f"The service says that this reply follows {actual}; the question {sent}.")
    if newest is not None and reply.is_complete and reply.context_token == position.token:
        asked = f"after turn {position.parent.label}" if position.parent else "at the token sent"
        notes.append(
            "The service has one token for the whole conversation: it may have answered after "
            f"all questions so far, up to turn {newest.label}, and not {asked}."
        )
    replaced = position.replaces if position.token is not None else None
    branches = service_info(position.tree.service).branches
    if replaced is not None and not replaced.revision and not branches:
        notes.append(
            "The service cannot branch: its conversation may contain this question twice, "
            "because it was asked before without a complete reply."
        )
    return notes
