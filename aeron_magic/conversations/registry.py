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

from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply
from aeron_magic.conversations.tree import Attempt, Place, Tree, Turn
from aeron_magic.services.catalog import ONE_LINE

__all__ = ["MAIN", "Book", "ByHand", "remarks"]

MAIN = "main"
"""The name of the conversation that nobody named."""

LONGEST_NAME = 60


class ByHand(NamedTuple):
    """The token that the user assigned; None begins anew."""

    token: str | None


def _checked(name: str, what: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"This is no name for a {what}.",
            hint=f"A name has up to {LONGEST_NAME} characters on one line.",
        )
    return name


class Book:
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
        self.trees: dict[str, Tree] = {MAIN: Tree(MAIN, service)}
        self.current = self.trees[MAIN]
        self._taken_up: dict[str | None, tuple[Tree, bool]] = {}
        self._clock = clock
        self._taking_in = False

    def __iter__(self) -> Iterator[Tree]:
        return iter(self.trees.values())

    # Beginning and switching ---------------------------------------------------------------

    def new(self, name: str | None = None, by: str | None = None) -> Tree:
        """Begin a conversation, which becomes the current one.

        Where there is one of this name, or one that the same cell (``by``) began, that is begun
        anew: its turns stay, and are replaced as their cells are run again.
        """
        tree = self._to_begin(name, by)
        tree.begun_by = by or tree.begun_by
        tree.head = None
        self.trees[tree.name] = self.current = tree
        self._taking_in = True
        return tree

    def _to_begin(self, name: str | None, by: str | None) -> Tree:
        if name is not None:
            found = self.trees.get(_checked(name, "conversation"))
        else:
            found = next((tree for tree in self if by is not None and tree.begun_by == by), None)
            if found is None and not self.current.turns:
                found = self.current
        return found or Tree(name or self.free_name(), self.service)

    def free_name(self, base: str = "conversation") -> str:
        """A name that no conversation has."""
        number = 2
        while f"{base}-{number}" in self.trees:
            number += 1
        return f"{base}-{number}"

    def use(self, name: str) -> Tree:
        """Make the conversation of this name the current one.

        Raises
        ------
        UsageError
            There is none.
        """
        tree = self.trees.get(name)
        if tree is None:
            known = ", ".join(self.trees)
            raise UsageError(
                f"There is no conversation {name[:LONGEST_NAME]!r} in this kernel.",
                hint=f"There are: {known}. `%aeron new NAME` begins one, "
                "`%aeron resume NAME` takes one up from the local history.",
            )
        tree.head = tree.head or tree.newest
        self.current = tree
        self._taking_in = False
        return tree

    def add(self, tree: Tree) -> Tree:
        """Take in a conversation from elsewhere, under another name if its own is taken."""
        taken = self.trees.get(tree.name)
        if taken is not None and taken is not tree and taken.turns:
            tree.name = self.free_name(tree.name)
        self.trees[tree.name] = tree
        return self.use(tree.name)

    def took_up(self, wanted: str | None, tree: Tree, reachable: bool) -> None:
        """Remember that ``wanted`` (None: no name) has come to mean ``tree``."""
        self._taken_up[wanted] = (tree, reachable)

    def taken_up(self, wanted: str | None) -> tuple[Tree, bool] | None:
        """What ``wanted`` has come to mean, and whether its service is still there.

        A cell that takes a conversation up means the same one when it is run again, and not the
        next older one.
        """
        found = self._taken_up.get(wanted)
        return found if found and self.trees.get(found[0].name) is found[0] else None

    def forget(self, name: str) -> bool:
        """Drop the conversation of this name; whether it was the current one."""
        tree = self.trees.pop(name, None)
        if tree is not self.current:
            return False
        self.current = self.trees.setdefault(MAIN, Tree(MAIN, self.service))
        self.current.head = None
        return True

    # Asking --------------------------------------------------------------------------------

    def place(
        self,
        *,
        cell: str | None = None,
        name: str | None = None,
        conversation: str | None = None,
        new: bool = False,
        after: str | None = None,
        by_hand: ByHand | None = None,
    ) -> Place:
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
        by_hand
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
        if new:
            tree = self._to_begin(conversation, cell or (f"as {name}" if name else None))
            place = tree.at_beginning()
        elif after is not None:
            tree = self._named(conversation) or self._home(cell)
            if conversation is None and tree.find(after) is None:
                tree = self._owner(after) or tree
            place = tree.after(after)
        elif by_hand is not None:
            tree = self._named(conversation) or self._owner(by_hand.token) or self.current
            place = tree.at_token(by_hand.token)
        else:
            tree = self._named(conversation) or self._home(cell)
            known = tree.known(cell, name)
            if known is not None:
                return tree.again(known)
            place = tree.at_head()
        return tree.replacing(place, tree.known(cell, name))

    def _named(self, name: str | None) -> Tree | None:
        if name is None:
            return None
        return self.trees.get(_checked(name, "conversation")) or Tree(name, self.service)

    def _owner(self, token: str | None) -> Tree | None:
        """The conversation that has a reply with this token, first of all the current one."""
        if token is None:
            return None
        trees = [self.current, *self]
        return next((tree for tree in trees if tree.by_token(token) is not None), None)

    def _home(self, cell: str | None) -> Tree:
        """The conversation in which a cell asks, if nothing else is said."""
        if self._taking_in or self.current.by_cell(cell) is not None:
            return self.current
        found = [(turn, tree) for tree in self if (turn := tree.by_cell(cell)) is not None]
        return max(found, key=lambda one: one[0].asked)[1] if found else self.current

    def begin(
        self,
        place: Place,
        question: str,
        images: tuple[str, ...] = (),
        *,
        cell: str | None = None,
        name: str | None = None,
        new: bool = False,
    ) -> Attempt:
        """An attempt to ask; see :meth:`Tree.begin`. ``new`` as for :meth:`place`."""
        tree = place.tree
        attempt = tree.begin(place, question, images, cell=cell, name=name, now=self._clock())
        if new:
            tree.begun_by = cell or (f"as {name}" if name else None)
        self.trees.setdefault(tree.name, tree)
        self._taking_in = (
            self._taking_in
            and tree is self.current
            and any(other.by_cell(cell) for other in self if other is not tree)
        )
        return attempt

    def settle(self, attempt: Attempt, reply: Reply) -> Turn:
        """Take the end of ``attempt`` in; a whole reply makes its conversation the current one."""
        tree = attempt.place.tree
        turn = tree.settle(attempt, reply)
        if reply.whole and self.trees.get(tree.name) is tree:  # else it was forgotten meanwhile
            self.current = tree
        return turn

    def drop(self, attempt: Attempt) -> None:
        """Forget ``attempt``, of which nothing was sent."""
        tree = attempt.place.tree
        tree.drop(attempt)
        if not tree.turns and tree is not self.current and self.trees.get(tree.name) is tree:
            del self.trees[tree.name]


def remarks(attempt: Attempt, reply: Reply) -> list[str]:
    """What has to be said of where the service answered, in sentences; ask before settling."""
    place, passed, said = attempt.place, attempt.passed, []
    theirs = reply.parent_context_token
    if theirs is not None and theirs != place.token:
        ours = f"continued from {place.token}" if place.token else "began a conversation"
        said.append(f"The service says that this reply follows {theirs}; the question {ours}.")
    if reply.whole and passed is not None and reply.context_token == place.token:
        there = f"after turn {place.parent.label}" if place.parent else "where it was told to"
        said.append(
            "The service has one token for the whole conversation: it may have answered after "
            f"all that was asked so far, up to turn {passed.label}, and not {there}."
        )
    again = place.again if place.token is not None else None
    if again is not None and not again.revision and place.tree.service in ONE_LINE:
        said.append(
            "The service keeps one line for each conversation: it may have this question "
            "twice, because it was asked before without a whole reply."
        )
    return said
