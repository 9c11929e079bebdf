"""The conversations of one kernel with one service: which one a question belongs to.

In order of precedence: the one that an option names, the one of an assigned ``context_token``, the
one in which the cell asked before, the current one (that of the newest reply).

After ``%aeron use NEW``, cells that are run again ask in the new conversation, so that it can be
rebuilt from them. This ends with the first question of a cell that has no turn in another one.

While a notebook is run from its beginning, each conversation is built as in a new kernel: a cell
asks in the current one, after the turn asked last, and its earlier turn is replaced. A new one has
the name that it has there; the conversation that had this name before is restarted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import NamedTuple

from aeron_magic.conversations.tree import (
    MAIN,
    ConversationTree,
    PendingTurn,
    Position,
    Turn,
    is_automatic,
    is_elsewhere,
    is_shown,
)
from aeron_magic.errors import TOKEN_SHOWN, UsageError
from aeron_magic.markdown_text import truncate
from aeron_magic.plaintext import is_name
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

MAX_NAME_LENGTH = 60

NUMBER_SIGN = "#"
"""Before the number of a stored conversation, which has the same name as another one."""

MAX_NAMED = 8
"""Stale turns that a note names."""


class AssignedToken(NamedTuple):
    """The token that the user assigned; None: continue no earlier turn."""

    token: str | None


def _checked(name: str, kind: str) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not is_name(name):
        raise UsageError(
            f"Invalid {kind} name.",
            hint=f"A name has up to {MAX_NAME_LENGTH} visible characters on one line.",
        )
    return name


def check_turn_name(name: str) -> None:
    """Raise UsageError if a turn cannot have this name."""
    if _checked(name, "turn").isdecimal():
        raise UsageError("A turn's name cannot be a number.", hint="Turns are already numbered.")


class ConversationRegistry:
    """Conversations by name, and the current one; ``clock`` returns seconds since the epoch."""

    def __init__(self, service: str = "", clock: Callable[[], float] = time.time) -> None:
        self.service = service
        self.conversations: dict[str, ConversationTree] = {MAIN: ConversationTree(MAIN, service)}
        self.current = self.conversations[MAIN]
        self._resumed: dict[str | None, ConversationTree] = {}
        self._clock = clock
        self._moving_cells = False
        self._before_run: dict[ConversationTree, tuple[Turn | None, str | None]] | None = None
        self._run: dict[ConversationTree, bool] = {}
        """The conversations of a run from the beginning, and whether a question was asked in it."""
        self._current_before = self.current
        self._asked_before: dict[ConversationTree, float] = {}
        """During such a run, when the last question of each conversation before it was asked."""

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
        tree.restart()
        self.conversations[tree.name] = self.current = tree
        self._run.setdefault(tree, False)
        self._moving_cells = True
        return tree

    def _tree_to_restart(self, name: str | None, by: str | None) -> ConversationTree:
        if name is not None:
            found = self._known(name)
        else:
            started = (tree for tree in self if by is not None and tree.created_by == by)
            found = next((tree for tree in started if is_automatic(tree.name)), None)
            if found is None and not self._is_asked_in(self.current):
                found = self.current
            elif found is None and self.is_rebuilding:
                found = self._next_of_run()
        return found or ConversationTree(name or self.free_name(), self.service)

    def _is_asked_in(self, tree: ConversationTree) -> bool:
        return self._run.get(tree, False) if self.is_rebuilding else bool(tree.turns)

    def _next_of_run(self) -> ConversationTree | None:
        """The conversation with the name that a new one would have in a new kernel.

        None if there is none. One that was started in a panel is passed over.
        """
        number = 2
        while tree := self.conversations.get(f"conversation-{number}"):
            if tree not in self._run and (not tree.turns or tree.turns[0].cell):
                break
            number += 1
        return tree

    def free_name(self, base: str = "conversation") -> str:
        """A name that no conversation has."""
        number = 2
        while f"{base}-{number}" in self.conversations:
            number += 1
        return f"{base}-{number}"

    def use(self, name: str) -> ConversationTree:
        """Make the conversation of this name the current one.

        Raises UsageError: it does not exist.
        """
        tree = self.conversations.get(name)
        if tree is None:
            known = ", ".join(self.conversations)
            raise UsageError(
                f"This kernel has no conversation {name[:MAX_NAME_LENGTH]!r}.",
                hint=f"It has: {known}. `%aeron use NAME` creates one, "
                "`%aeron resume NAME` continues one from the local history.",
            )
        tree.reopen(self._asked_before.get(tree, -1.0))
        self.current = tree
        self._run.setdefault(tree, False)
        self._moving_cells = False
        return tree

    @property
    def is_rebuilding(self) -> bool:
        """Whether the notebook is being run from its beginning."""
        return self._before_run is not None

    def rebuild(self) -> None:
        """The notebook is run from its beginning: ask as in a new kernel, until :meth:`rebuilt`."""
        self.rebuilt()
        self._before_run = {tree: (tree.head, tree.created_by) for tree in self}
        for tree in self:
            tree.restart()
            tree.created_by = None
        self._current_before = self.current
        self._asked_before = {tree: tree.last_asked for tree in self}
        self.current = self.conversations.setdefault(MAIN, ConversationTree(MAIN, self.service))
        self._run = {self.current: False}

    def rebuilt(self) -> None:
        """The run has ended: conversations in which nothing was asked continue as before."""
        if self._before_run is None:
            return
        before = self._current_before
        is_listed = self.conversations.get(before.name) is before  # not deleted meanwhile
        if self.current.head is None and is_listed:
            self.current = before
        for tree, (head, created_by) in self._before_run.items():
            tree.head = tree.head or head
            if not self._run.get(tree):
                tree.created_by = tree.created_by or created_by
        self._before_run = None
        self._asked_before = {}

    def mark_deleted(self, cells: Collection[str]) -> None:
        """Mark all turns of cells that were deleted; a cell that asks again is there again."""
        for tree in self:
            for turn in tree:
                if turn.cell is not None and turn.cell.partition("#")[0] in cells:
                    turn.deleted = True

    def add(self, tree: ConversationTree) -> ConversationTree:
        """Add a conversation and switch to it; it is renamed if its name is taken."""
        taken = self.conversations.get(tree.name)
        if taken is not None and taken is not tree and taken.turns:
            tree.renamed_from, tree.name = tree.name, self.free_name(tree.name)
        self.conversations[tree.name] = tree
        return self.use(tree.name)

    def remember_resumed(self, name: str | None, tree: ConversationTree) -> None:
        """Remember which conversation ``%aeron resume NAME`` (or None: no name) has resumed.

        Running the cell again then resumes the same one, not the next older one.
        """
        self._resumed[name] = tree

    def resumed(self, name: str | None) -> ConversationTree | None:
        """The conversation that was resumed by this name."""
        found = self._resumed.get(name)
        return found if found and self.conversations.get(found.name) is found else None

    def forget(self, name: str) -> bool:
        """Delete the conversation of this name; whether it was the current one.

        The main one is current then.
        """
        tree = self.conversations.pop(name, None)
        if tree is not self.current:
            return False
        self.conversations.setdefault(MAIN, ConversationTree(MAIN, self.service))
        self.use(MAIN)
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
        in_run: bool = True,
    ) -> Position:
        """Where a question would be asked now; changes nothing, but for ``in_run``.

        ``cell`` is the cell's id, ``name`` the turn's name, ``conversation`` the conversation's.
        ``new`` starts a conversation, ``after`` continues from the turn with this name, number or
        token, ``assigned`` from the token that the user assigned to ``context_token``. Without
        ``in_run``, for a question of the panel, a run of all cells ends first.

        Raises UsageError: a name is invalid, or ``after`` is not a turn that can be continued.
        """
        if name is not None:
            check_turn_name(name)
        if not in_run:
            self.rebuilt()
        created_by = None
        if new:
            created_by = cell or (f"as {name}" if name else None)
            tree = self._tree_to_restart(conversation, created_by)
            position = tree.at_root()
        elif after is not None:
            tree = self._named(conversation) or self._tree_of_cell(cell)
            if conversation is None and tree.find(after) is None:
                tree = self.tree_of_token(after) or tree
            position = tree.resolve(after)
        elif assigned is not None:
            tree = self._named(conversation) or self.tree_of_token(assigned.token) or self.current
            position = tree.at_token(assigned.token)
        else:
            tree = self._named(conversation) or self._tree_of_cell(cell)
            known = tree.turn_for(cell, name)
            if known is None:
                position = tree.at_head()
            else:
                position = tree.again(known, rebuilding=self.is_rebuilding)
            return position._replace(cell=cell, name=name)
        position = tree.replacing(position, tree.turn_for(cell, name))
        return position._replace(
            cell=cell, name=name, created_by=created_by, placed=position.parent is not None
        )

    def _named(self, name: str | None) -> ConversationTree | None:
        if name is None:
            return None
        return self._known(name) or ConversationTree(name, self.service)

    def _known(self, name: str) -> ConversationTree | None:
        """The conversation of this name; None if one can be created.

        Raises UsageError: the name is invalid.
        """
        found = self.conversations.get(_checked(name, "conversation"))
        if found is None and NUMBER_SIGN in name:
            raise UsageError(
                f"A new conversation's name cannot contain {NUMBER_SIGN}.",
                hint="`%aeron resume NAME#NUMBER` loads a stored one; `%aeron use` lists them.",
            )
        return found

    def tree_of_token(self, token: str | None) -> ConversationTree | None:
        """The conversation that has a reply with this token, preferably the current one."""
        if token is None:
            return None
        trees = [self.current, *self]
        return next((tree for tree in trees if tree.by_token(token) is not None), None)

    def _tree_of_cell(self, cell: str | None) -> ConversationTree:
        """The conversation in which a cell asks by default."""
        is_moving = self._moving_cells or self.is_rebuilding
        if cell is None or is_moving or self.current.by_cell(cell) is not None:
            return self.current
        found = [(turn.asked_at, tree) for tree in self if (turn := tree.by_cell(cell)) is not None]
        return max(found, key=itemgetter(0))[1] if found else self.current

    def start(
        self,
        position: Position,
        question: str,
        images: tuple[str, ...] = (),
        asked_at: float | None = None,
    ) -> PendingTurn:
        """See ``ConversationTree.start``."""
        tree, cell = position.tree, position.cell
        pending = tree.start(
            position,
            question,
            images,
            cell=cell,
            name=position.name,
            now=self._clock(),
            asked_at=asked_at,
        )
        if position.created_by:
            for other in self:
                if other.created_by == position.created_by:
                    other.created_by = None
            tree.created_by = position.created_by
        self.conversations.setdefault(tree.name, tree)
        self._run[tree] = True
        self._moving_cells = (
            self._moving_cells
            and tree is self.current
            and any(other.by_cell(cell) for other in self if other is not tree)
        )
        return pending

    def finish(self, pending: PendingTurn, reply: Reply) -> tuple[Turn, list[str]]:
        """See ``ConversationTree.complete``; a reply that moves the head makes its tree current.

        A fetched one only if the current one was not asked in since. The notes are for the user,
        on the turn's position.
        """
        tree, replaced = pending.position.tree, pending.position.replaces
        notes = divergence_notes(pending, reply)
        named = tree.by_name(pending.turn.name) if pending.turn.name else None
        stale, left = (tree.stale(), tree.last) if replaced is not None else (None, None)
        turn = tree.complete(pending, reply, rebuilding=self.is_rebuilding)
        is_outdated = pending.is_fetch and turn.asked_at > pending.turn.asked_at
        is_open = reply.is_complete or turn.opened == reply.context_token is not None
        is_open = is_open and not is_outdated
        is_listed = self.conversations.get(tree.name) is tree  # not deleted meanwhile
        is_late = pending.is_fetch and self.current.was_asked_since(turn)
        if is_open and is_listed and tree.head is turn and not is_late:
            self.current = tree
        if is_open and self.current is tree and not self.is_rebuilding:
            notes += place_notes(tree, turn, stale, left)
        if reply.is_complete:
            # In a run from the beginning, only if that turn was asked in it, too.
            is_seen = not self.is_rebuilding or named in turn.path()
            if named is not None and named.name is None and is_seen:
                notes.append(
                    f"The name {turn.name} was that of turn {named.number}; it is now that of "
                    f"turn {turn.number}."
                )
        return turn, notes

    def cancel(self, pending: PendingTurn) -> None:
        """Drop ``pending``, which was not sent, and its conversation if that is then empty."""
        tree = pending.position.tree
        tree.cancel(pending)
        is_listed = self.conversations.get(tree.name) is tree
        if is_listed and not tree.turns and tree is not self.current:
            del self.conversations[tree.name]


def place_notes(
    tree: ConversationTree, turn: Turn, stale_before: set[Turn] | None, left: Turn | None = None
) -> list[str]:
    """Notes for the user on where ``turn`` now stands in ``tree``.

    After which turn it continues, if others continue after that one, too; which turns became
    stale; and if the conversation goes on from another place. ``stale_before`` are the turns that
    were stale before ``turn`` was asked again or fetched, and ``left`` was the last turn then; else
    None.
    """
    notes, parent = [], turn.parent
    others = tree.followers.get(parent, set()) - {turn} if parent is not None else ()
    is_beside = parent is not None and not turn.placed and any(map(is_shown, others))
    if parent is not None and is_beside and tree.shown_parent(turn) is parent:
        notes.append(continues_text(parent))
    if stale_before is not None:
        now = [one for one in tree.stale() - stale_before if not one.deleted and one is not turn]
        if now and parent is None and left is not None and left is not turn:
            notes.append(
                f"It is still the first turn; --after {left.label} asks it after that one."
            )
            if not service_info(tree.service).branches:
                notes.append("It has begun a new conversation at the service.")
        if now:
            notes.append(
                f"{stale_text(now)} now; run {'their cells' if now[1:] else 'its cell'} again."
            )
        if tree.head is not turn:
            place = f"after turn {left.label}" if left is not None else "no earlier turn"
            notes.append(
                f"The next question continues {place}; --after {turn.label} asks it after this one."
            )
        elif now:
            notes.append(f"The next question continues after turn {turn.label}.")
        elif left is not None and left not in turn.path() and turn not in left.path():
            notes.append(
                f"The next question continues after turn {turn.label}, not after turn {left.label}."
            )
    return notes


def continues_text(parent: Turn) -> str:
    """After which turn another one continues."""
    return f"Continues after turn {parent.name or parent.number}."


def stale_text(turns: Iterable[Turn]) -> str:
    """Which turns are stale: ``Turns 3 and 4 are stale``."""
    labels = [turn.label for turn in sorted(turns, key=attrgetter("number"))]
    if len(labels) > MAX_NAMED:
        labels[MAX_NAMED:] = [f"{len(labels) - MAX_NAMED} more"]
    if len(labels) == 1:
        return f"Turn {labels[0]} is stale"
    return f"Turns {', '.join(labels[:-1])} and {labels[-1]} are stale"


def divergence_notes(pending: PendingTurn, reply: Reply) -> list[str]:
    """Notes for the user if the service may not have answered at the position that was asked.

    Call it before :meth:`ConversationTree.complete`.
    """
    position, newest, notes = pending.position, pending.diverges_from, []
    actual = reply.parent_context_token
    if actual not in (None, position.token) and is_elsewhere(actual, position.token):
        token = truncate(position.token or "", TOKEN_SHOWN)
        sent = f"continued from {token}" if token else "started a conversation"
        follows = truncate(actual, TOKEN_SHOWN)
        notes.append(f"The service says that this reply follows {follows}; the question {sent}.")
    if newest is not None and reply.is_complete and reply.context_token == position.token:
        asked = f"after turn {position.parent.label}" if position.parent else "at the token sent"
        notes.append(
            "The service has one token for the whole conversation: it may have answered after "
            f"all questions so far, up to turn {newest.label}, and not {asked}."
        )
    replaced = position.replaces if position.token is not None else None
    branches = service_info(position.tree.service).branches
    if replaced is not None and not replaced.can_be_followed and not branches:
        notes.append(
            "The service cannot branch: its conversation may contain this question twice, "
            "because it was asked before without a complete reply."
        )
    return notes
