"""A conversation as a tree of turns: where a question stands, and what it continues from.

The service keeps the texts; we keep where each question was asked. Three rules make a notebook
that is run twice the same conversation twice:

* a question that is asked again (the same cell) stands where it stood: it continues from the
  *newest* reply of the turn it followed, and its own reply is replaced;
* nothing else moves: turns after it keep their replies and are *stale* until they are asked again;
* a question that failed moves nothing.

A reply is known by its turn and by which of the turn's replies it is (``revision``, from 1), not
by its token: a service may give each reply a token, or the whole conversation one. One that
documents the latter (``ServiceInfo.branches`` is False) answers after all that it was asked under
that token: a question elsewhere is refused before it is sent. Where it only turns out, the reply is
shown with a remark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from aeron_magic.errors import UsageError
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

__all__ = ["ConversationTree", "PendingTurn", "Position", "Turn"]

MIN_TOKEN_LENGTH = 20
"""Characters; a shorter text after ``--after`` is a name or a number."""


@dataclass(eq=False, slots=True)
class Turn:
    """One question and its newest reply.

    Attributes
    ----------
    number
        Its number in the conversation, from 1; never used again.
    parent
        The turn it follows; None at a beginning, and after a token from elsewhere.
    parent_revision
        Which reply of the parent it continued; where the parent has a newer one, it is stale.
    parent_token
        The token that was sent with the question; None where it began a conversation.
    tokens
        The tokens of all its whole replies, oldest first.
    reply
        The newest whole reply; else what came of the last attempt; None where nothing is known of
        it: the question is lost.
    cell
        The key of the cell that asked it, where the front end tells one.
    name
        Given by the user.
    asked_at
        When it was asked last, in seconds since the epoch.
    """

    number: int
    question: str
    images: tuple[str, ...] = ()
    parent: Turn | None = None
    parent_revision: int = 0
    parent_token: str | None = None
    tokens: list[str | None] = field(default_factory=list)
    reply: Reply | None = None
    cell: str | None = None
    name: str | None = None
    asked_at: float = 0.0

    @property
    def revision(self) -> int:
        """How many whole replies it has had."""
        return len(self.tokens)

    @property
    def token(self) -> str | None:
        """The token that continues after this turn; None where it has no whole reply."""
        return self.tokens[-1] if self.tokens else None

    @property
    def status(self) -> str:
        """The reply's status in a word; ``lost`` where nothing is known of it."""
        return self.reply.status if self.reply is not None else "lost"

    @property
    def parent_mismatch(self) -> bool:
        """Whether the service says that the reply continued another one than was asked for."""
        said = self.reply.parent_context_token if self.reply is not None else None
        return said is not None and said != self.parent_token

    @property
    def label(self) -> str:
        return self.name or str(self.number)

    def path(self) -> list[Turn]:
        """The turns from the beginning to this one."""
        back = [self]
        while (parent := back[-1].parent) is not None:
            back.append(parent)
        return back[::-1]


class Position(NamedTuple):
    """Where, and as what, a question is about to be asked.

    ``token`` is sent to the service; ``revision`` says which reply of ``parent`` that is;
    ``replaces`` is the turn that the question replaces. ``cell`` and ``name`` are for the new turn;
    ``created_by`` is for the tree, if the question begins it.
    """

    tree: ConversationTree
    token: str | None = None
    parent: Turn | None = None
    revision: int = 0
    replaces: Turn | None = None
    cell: str | None = None
    name: str | None = None
    created_by: str | None = None


class PendingTurn(NamedTuple):
    """A question on its way: ``turn`` is in the tree once it is complete.

    ``diverges_from`` is the newest turn that the service was asked under the same token, where
    that is not the one to continue from.
    """

    position: Position
    turn: Turn
    diverges_from: Turn | None = None


@dataclass(eq=False, slots=True)
class ConversationTree:
    """The turns of one conversation; ``head`` is the turn that a new question follows.

    ``created_by`` is the key of the cell that began it, where one did so by an option or a command.
    """

    name: str
    service: str = ""
    turns: list[Turn] = field(default_factory=list)
    head: Turn | None = None
    created_by: str | None = None
    history_id: int | None = None
    """Its number in the local history, once it is there."""
    last_number: int = 0
    """The highest number that a turn was given, be it in the tree or on its way."""

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def by_cell(self, cell: str | None) -> Turn | None:
        """The turn that this cell asked, if it did."""
        if cell is None:
            return None
        return next((turn for turn in self.turns if turn.cell == cell), None)

    def by_name(self, name: str | None) -> Turn | None:
        """The turn of this name."""
        return next((turn for turn in self.turns if name and turn.name == name), None)

    def by_number(self, number: int | None) -> Turn | None:
        """The turn of this number."""
        return next((turn for turn in self.turns if turn.number == number), None)

    def by_token(self, token: str) -> Turn | None:
        """The turn that has, or had, a whole reply with this token; the head if it has several."""
        if self.head is not None and token in self.head.tokens:
            return self.head
        having = [turn for turn in self.turns if token in turn.tokens]
        return max(having, key=lambda turn: turn.asked_at, default=None)

    def find(self, label: str) -> Turn | None:
        """The turn of this name, this number or this token."""
        turn = self.by_name(label)
        if turn is None and label.isdecimal():
            turn = self.by_number(int(label))
        return turn or self.by_token(label)

    def turn_for(self, cell: str | None, name: str | None = None) -> Turn | None:
        """The turn that a question of this cell replaces; else the one that has its name.

        So a notebook with names is the same conversation where cells have no ids.
        """
        return self.by_cell(cell) or self.by_name(name)

    @property
    def newest(self) -> Turn | None:
        """The turn whose whole reply was asked for last."""
        return max([t for t in self.turns if t.tokens], key=attrgetter("asked_at"), default=None)

    def stale(self) -> set[Turn]:
        """The turns of which one before them has been answered anew since."""
        known: dict[Turn, bool] = {}
        for turn in self.turns:
            path: list[Turn] = []
            at: Turn | None = turn
            while at is not None and at not in known:
                path.append(at)
                at = at.parent
            for one in reversed(path):
                parent = one.parent
                known[one] = parent is not None and (
                    known[parent] or parent.revision != one.parent_revision
                )
        return {turn for turn in self.turns if known[turn]}

    def at_head(self) -> Position:
        """After the newest reply."""
        return self.after_turn(self.head) if self.head is not None else self.at_root()

    def at_root(self) -> Position:
        """A beginning: nothing before it."""
        return Position(self)

    def after_turn(self, turn: Turn) -> Position:
        """After the newest reply of ``turn``.

        Raises
        ------
        UsageError
            It has no whole reply.
        """
        if not turn.revision:
            raise UsageError(
                f"Turn {turn.label} has no whole reply to continue from.",
                hint="Run its cell again first, or fetch its reply with `%aeron fetch`.",
            )
        return Position(self, turn.token, turn, turn.revision)

    def at_token(self, token: str | None) -> Position:
        """After the reply with this token, which may come from elsewhere, or be an older one."""
        if token is None:
            return self.at_root()
        turn = self.by_token(token)
        if turn is None:
            return Position(self, token)
        newest_first = turn.tokens[::-1]
        return Position(self, token, turn, turn.revision - newest_first.index(token))

    def resolve(self, label: str) -> Position:
        """After the turn of this name or number, or after this token.

        Raises
        ------
        UsageError
            A name or number that no turn has, or a turn that has no whole reply.
        """
        turn = self.find(label)
        if turn is not None and label not in turn.tokens:
            return self.after_turn(turn)
        if turn is None and len(label) < MIN_TOKEN_LENGTH:
            known = ", ".join(turn.label for turn in self.turns[-10:]) or "none yet"
            raise UsageError(
                f"There is no turn {label!r} in the conversation {self.name!r}.",
                hint=f"Its turns: {known}. A context_token works too.",
            )
        return self.at_token(label)

    def rerun(self, turn: Turn) -> Position:
        """Where ``turn`` stands: after the newest reply of the turn it followed."""
        parent = turn.parent
        if parent is None or not parent.revision:
            return Position(self, turn.parent_token, parent, turn.parent_revision, turn)
        return Position(self, parent.token, parent, parent.revision, turn)

    def replacing(self, position: Position, turn: Turn | None) -> Position:
        """``position``, asked by the cell that asked ``turn`` before.

        A turn cannot follow itself: a question asked after ``turn`` is a new one.
        """
        if turn is None or (position.parent is not None and turn in position.parent.path()):
            return position
        return Position(self, position.token, position.parent, position.revision, turn)

    def start(
        self,
        position: Position,
        question: str,
        images: tuple[str, ...] = (),
        *,
        cell: str | None = None,
        name: str | None = None,
        now: float | None = None,
    ) -> PendingTurn:
        """A pending turn at ``position``; the turn it replaces stays until this one is complete.

        Raises
        ------
        UsageError
            The service keeps one line for each conversation, and the place is not its end.
        """
        diverges_from = self._diverges_from(position)
        if diverges_from is not None and not service_info(self.service).branches:
            where = f"to turn {position.parent.label}" if position.parent else "before that"
            raise UsageError(
                f"The service keeps one line for each conversation, which has reached turn "
                f"{diverges_from.label}: it cannot go back {where}. Nothing was sent.",
                hint="-n begins a new conversation; so does the conversation's first cell when it "
                "is run again, and the cells after it follow. "
                f"`--after {diverges_from.label}` asks at the end of the line.",
            )
        turn = Turn(
            number=self._next_number() if position.replaces is None else position.replaces.number,
            question=question,
            images=images,
            parent=position.parent,
            parent_revision=position.revision,
            parent_token=position.token,
            cell=cell,
            name=name,
            asked_at=time.time() if now is None else now,
        )
        return PendingTurn(position, turn, diverges_from)

    def _next_number(self) -> int:
        taken = max((turn.number for turn in self.turns), default=0)
        self.last_number = max(self.last_number, taken) + 1
        return self.last_number

    def _diverges_from(self, position: Position) -> Turn | None:
        """The newest turn answered under the place's token, where that is not its parent."""
        if position.token is None:
            return None
        there = [turn for turn in self.turns if position.token == turn.token]
        newest = max(there, key=lambda turn: turn.asked_at, default=None)
        return None if newest is position.parent else newest

    def complete(self, pending: PendingTurn, reply: Reply) -> Turn:
        """Take the end of ``pending`` in; the turn as it now stands in the tree.

        A whole reply replaces the one before, and the head moves to it. Anything else moves
        nothing: a new turn is kept with what came, an old one keeps the reply that it had.
        """
        asked = pending.turn
        turn = self.by_number(asked.number)
        if turn is None:
            turn = asked
            self.turns.append(turn)
        if reply.is_complete or not turn.revision:
            turn.question, turn.images, turn.asked_at = asked.question, asked.images, asked.asked_at
            turn.parent, turn.parent_revision = asked.parent, asked.parent_revision
            turn.parent_token = asked.parent_token
            turn.reply = reply
        self._assign_cell_and_name(turn, asked.cell, asked.name)
        if reply.is_complete:
            turn.tokens.append(reply.context_token)
            self.head = turn
        return turn

    def mark_lost(self, pending: PendingTurn) -> Turn:
        """Keep the question of a pending turn of which no end will be known."""
        turn = self.by_number(pending.turn.number)
        if turn is None:
            turn = pending.turn
            self.turns.append(turn)
            self._assign_cell_and_name(turn, turn.cell, turn.name)
        return turn

    def _assign_cell_and_name(self, turn: Turn, cell: str | None, name: str | None) -> None:
        """A cell asks one question of a conversation, and a name names one turn."""
        for other in self.turns:
            if other is not turn:
                other.cell = None if other.cell == cell else other.cell
                other.name = None if other.name == name else other.name
        turn.cell = cell or turn.cell
        turn.name = name or turn.name

    def cancel(self, pending: PendingTurn) -> None:
        """Forget ``pending``, of which nothing was sent; its number is free again."""
        if pending.position.replaces is None and pending.turn.number == self.last_number:
            self.last_number -= 1
