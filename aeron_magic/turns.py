"""A conversation as a tree of turns: where a question stands, and what it continues from.

The service keeps the texts; we keep where each question was asked. Three rules make a notebook
that is run twice the same conversation twice:

* a question that is asked again (the same cell) stands where it stood: it continues from the
  *newest* reply of the turn it followed, and its own reply is replaced;
* nothing else moves: turns after it keep their replies and are *stale* until they are asked again;
* a question that failed moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aeron_magic.errors import UsageError
from aeron_magic.reply import Reply

__all__ = ["Place", "Tree", "Turn"]


@dataclass(eq=False, slots=True)
class Turn:
    """One question and its newest reply.

    Attributes
    ----------
    number
        Its number in the conversation, from 1; never used again.
    parent
        The turn it follows; None at a beginning, and after a token from elsewhere.
    started_from
        The token that was sent with the question; None where it began a conversation.
    parent_revision
        The parent's ``revision`` then; where the parent has a newer one, this turn is stale.
    revision
        How many whole replies it has had.
    reply
        The newest whole reply; else what came of the last attempt; None before the first.
    cell
        The key of the cell that asked it, where the front end tells one.
    name
        Given by the user.
    """

    number: int
    question: str
    images: tuple[str, ...] = ()
    parent: Turn | None = None
    started_from: str | None = None
    parent_revision: int = 0
    revision: int = 0
    reply: Reply | None = None
    cell: str | None = None
    name: str | None = None

    @property
    def token(self) -> str | None:
        """The token that continues after this turn; None where it has no whole reply."""
        return self.reply.context_token if self.reply is not None and self.revision else None

    @property
    def stale(self) -> bool:
        """Whether the turn it follows has been answered anew since."""
        return self.parent is not None and self.parent.revision != self.parent_revision

    @property
    def label(self) -> str:
        return self.name or str(self.number)

    def line(self) -> list[Turn]:
        """The turns from the beginning to this one."""
        back = [self]
        while (parent := back[-1].parent) is not None:
            back.append(parent)
        return back[::-1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question is about to be asked.

    ``token`` is what goes over the wire; ``again`` is the turn that this question replaces.
    """

    parent: Turn | None
    token: str | None
    again: Turn | None = None


@dataclass(eq=False, slots=True)
class Tree:
    """The turns of one conversation; ``head`` is the turn that a new question follows."""

    name: str
    service: str = ""
    turns: list[Turn] = field(default_factory=list)
    head: Turn | None = None

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def by_cell(self, cell: str | None) -> Turn | None:
        """The turn that this cell asked, if it did."""
        if cell is None:
            return None
        return next((turn for turn in self.turns if turn.cell == cell), None)

    def by_token(self, token: str) -> Turn | None:
        """The newest turn whose reply has this token."""
        return next((turn for turn in reversed(self.turns) if turn.token == token), None)

    def find(self, label: str) -> Turn | None:
        """The turn of this name, this number or this token."""
        named = next((turn for turn in self.turns if turn.name == label), None)
        if named is None and label.isdigit():
            named = next((turn for turn in self.turns if turn.number == int(label)), None)
        return named or self.by_token(label)

    def at_head(self) -> Place:
        """After the newest reply."""
        return Place(self.head, self.head.token if self.head else None)

    def at_beginning(self) -> Place:
        """A beginning: nothing before it."""
        return Place(None, None)

    def at_token(self, token: str | None) -> Place:
        """After the reply with this token, which may come from elsewhere."""
        if token is None:
            return self.at_beginning()
        return Place(self.by_token(token), token)

    def after(self, label: str) -> Place:
        """After the turn of this name or number, or after this token.

        Raises
        ------
        UsageError
            A name or number that no turn has, or a turn that has no whole reply.
        """
        turn = self.find(label)
        if turn is None:
            if len(label) < 20:  # too short for a token: a name that is not there
                known = ", ".join(turn.label for turn in self.turns[-10:]) or "none yet"
                raise UsageError(
                    f"There is no turn {label!r} in the conversation {self.name!r}.",
                    hint=f"Its turns: {known}. A context_token works too.",
                )
            return self.at_token(label)
        if turn.token is None:
            raise UsageError(
                f"Turn {turn.label} has no whole reply to continue from.",
                hint="Run its cell again first, or fetch its reply with `%aeron fetch`.",
            )
        return Place(turn, turn.token)

    def again(self, turn: Turn) -> Place:
        """Where ``turn`` stands: after the newest reply of the turn it followed."""
        parent = turn.parent
        token = turn.started_from if parent is None else parent.token or turn.started_from
        return Place(parent, token, turn)

    def replacing(self, place: Place, turn: Turn | None) -> Place:
        """``place``, asked by the cell that asked ``turn`` before.

        A turn cannot follow itself: where ``place`` is behind ``turn``, the question is a new one.
        """
        if turn is None or (place.parent is not None and turn in place.parent.line()):
            return place
        return Place(place.parent, place.token, turn)

    def begin(
        self,
        place: Place,
        question: str,
        images: tuple[str, ...] = (),
        *,
        cell: str | None = None,
        name: str | None = None,
    ) -> Turn:
        """The turn that asks ``question`` at ``place``; it is in the tree once it is settled.

        Where it replaces another, that one is left alone until then.
        """
        number = place.again.number if place.again else self._free_number()
        return Turn(
            number=number,
            question=question,
            images=images,
            parent=place.parent,
            started_from=place.token,
            parent_revision=place.parent.revision if place.parent else 0,
            cell=cell,
            name=name or (place.again.name if place.again else None),
        )

    def _free_number(self) -> int:
        return max((turn.number for turn in self.turns), default=0) + 1

    def settle(self, attempt: Turn, reply: Reply) -> Turn:
        """Take the end of ``attempt`` in; the turn as it now stands in the tree.

        A whole reply replaces the one before, and the head moves to it. Anything else moves
        nothing: a new turn is kept with what came, an old one keeps the reply that it had.
        """
        turn = next((t for t in self.turns if t.number == attempt.number), None)
        if turn is None:
            turn = attempt
            self.turns.append(turn)
        elif reply.whole or not turn.revision:
            turn.question, turn.images = attempt.question, attempt.images
            turn.parent, turn.started_from = attempt.parent, attempt.started_from
            turn.parent_revision = attempt.parent_revision
        if reply.whole or not turn.revision:
            turn.reply = reply
        for other in self.turns:  # a cell asks one question, and a name names one turn
            if other is not turn:
                other.cell = None if other.cell == attempt.cell else other.cell
                other.name = None if other.name == attempt.name else other.name
        turn.cell = attempt.cell or turn.cell
        turn.name = attempt.name or turn.name
        if reply.whole:
            turn.revision += 1
            self.head = turn
        return turn
