"""A conversation as a tree of turns: the position of each question, and what it continues from.

Four rules make a notebook that is run twice produce the same conversation twice:

* a question continues from the turn that was asked last, as everything in a notebook follows the
  order of execution; a turn whose cell was deleted is passed over;
* unless that is its own turn, or one after it: then it keeps its position, after the *newest*
  reply of its parent turn; its own reply is replaced in both cases;
* the turns after it keep their replies, and are *stale* until they are asked again;
* a question that failed changes nothing.

A branch that was placed by hand (by ``--after``, a token or in the panel) does not move turns of
other branches: they keep their positions.

A reply is identified by its turn and its number among the turn's replies (``revision``, from 1),
not by its token: some services give each reply a token, others the whole conversation one. The
latter (``ServiceInfo.branches`` is False) can only continue after the newest turn; questions at
another position are rejected before they are sent. Its conversation goes on also after its
*opening* turn: a first question without a complete reply, which counts as the turn's reply 0.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter
from typing import NamedTuple

from aeron_magic.errors import UsageError, did_you_mean
from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

MAX_MOMENT = 32_503_680_000.0  # the year 3000
"""The latest moment, in seconds since the epoch, at which a turn can have been asked."""

MAIN = "main"
"""The name of the first conversation."""

AUTOMATIC = re.compile(r"(main|conversation)-\d+")
"""Names of conversations that the user did not choose."""

MIN_TOKEN_LENGTH = 20
"""Characters; a shorter argument of ``--after`` or ``fetch`` is a name or a number."""


@dataclass(eq=False, slots=True)
class Turn:
    """One question and its newest reply.

    Attributes
    ----------
    number
        Its number in the conversation, from 1.
    parent
        The turn it follows; None for the first, and after a token from another conversation.
    parent_revision
        Which reply of the parent it continues, 0 for an incomplete one; if the parent has a newer
        one, it is stale.
    parent_token
        The token that was sent with the question; None if it started a conversation.
    tokens
        The tokens of all its complete replies, oldest first.
    reply
        The newest complete reply, else the last incomplete one; None if the reply is lost.
    cell
        The id of the cell that asked it, if the front end sends one.
    name
        Given by the user.
    asked_at
        When it was last asked, in seconds since the epoch.
    placed
        Whether the user chose its position, by ``--after``, a token or in the panel.
    deleted
        Whether the cell that asked it was deleted.
    opened
        The token of the whole conversation that it began without a complete reply, when it was
        asked last; the turn may keep an earlier reply.
    private
        Whether it was asked while the history was off: it is never stored.
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
    placed: bool = False
    deleted: bool = False
    opened: str | None = None
    private: bool = False

    def __repr__(self) -> str:
        """Short, and without tokens: it is what a list of turns shows."""
        return f"<Turn {self.label}, {self.status}: {truncate(one_line(self.question), 60)!r}>"

    @property
    def revision(self) -> int:
        """How many complete replies it has had."""
        return len(self.tokens)

    @property
    def token(self) -> str | None:
        """The token that continues after this turn; None without a complete reply."""
        return self.tokens[-1] if self.tokens else None

    @property
    def can_be_followed(self) -> bool:
        """Whether a question can continue after it."""
        return bool(self.tokens) or self.opened is not None

    @property
    def is_outdated(self) -> bool:
        """Whether its parent has a newer reply than the one it continues."""
        parent = self.parent
        if parent is None:
            return False
        if parent.opened is not None:
            return parent.opened != self.parent_token
        return parent.revision != self.parent_revision

    @property
    def status(self) -> str:
        """The reply's status; ``lost`` without a reply."""
        return self.reply.status if self.reply is not None else "lost"

    @property
    def parent_mismatch(self) -> bool:
        """Whether, according to the service, the reply does not continue ``parent_token``."""
        actual = self.reply.parent_context_token if self.reply is not None else None
        return actual is not None and is_elsewhere(actual, self.parent_token)

    @property
    def label(self) -> str:
        return self.name or str(self.number)

    def path(self) -> list[Turn]:
        """The turns from the first to this one."""
        back = [self]
        while (parent := back[-1].parent) is not None:
            back.append(parent)
        return back[::-1]


def beginning(turn: Turn) -> str:
    """Where a turn without a parent was asked."""
    return "from the start" if turn.parent_token is None else "after an earlier reply"


class Position(NamedTuple):
    """The position of a question in a conversation.

    ``token`` is what is sent; ``revision`` is the number of that reply of ``parent``; ``replaces``
    is the turn that the question replaces. ``cell``, ``name`` and ``placed`` are for the new turn;
    ``created_by`` is for the tree, if the question starts it.
    """

    tree: ConversationTree
    token: str | None = None
    parent: Turn | None = None
    revision: int = 0
    replaces: Turn | None = None
    cell: str | None = None
    name: str | None = None
    created_by: str | None = None
    placed: bool = False


class PendingTurn(NamedTuple):
    """A question whose reply has not ended; ``turn`` is then added to the tree.

    ``diverges_from`` is the newest turn with the token that is sent, if that is not the parent.
    ``is_fetch``: it was asked before, and only its reply is fetched.
    """

    position: Position
    turn: Turn
    diverges_from: Turn | None = None
    is_fetch: bool = False


@dataclass(eq=False, slots=True)
class ConversationTree:
    """The turns of one conversation; ``head`` is the turn that a new question follows.

    ``created_by`` is the id of the cell that started it by an option or a command.
    """

    name: str
    service: str = ""
    turns: list[Turn] = field(default_factory=list)
    head: Turn | None = None
    created_by: str | None = None
    history_id: int | None = None
    """Its id in the local history, once it is stored."""
    last_number: int = 0
    """The highest number of a turn, pending ones included."""
    last_asked: float = 0.0
    """The highest ``asked_at`` of a turn, pending ones included."""
    edits: int = 0
    """How often a turn that was there already has changed; added turns do not count."""
    serial: int = field(default_factory=count().__next__, init=False, repr=False)
    """Unique among the conversations of this process."""
    renamed_from: str = field(default="", init=False, repr=False)
    """Its name before it was loaded, if that was taken."""
    ended: set[Turn] = field(default_factory=set, init=False, repr=False)
    """Turns whose service has ended: they can be read, and not continued."""
    aside: set[Turn] = field(default_factory=set, init=False, repr=False)
    """Turns whose first reply was fetched after another question had been asked."""
    waiting: set[Turn] = field(default_factory=set, init=False, repr=False)
    """Pending turns whose question is asked, and not only fetched."""
    followers: dict[Turn | None, set[Turn]] = field(default_factory=dict, init=False, repr=False)
    """The turns that continue after each turn."""
    # The turns by number, cell, name and token, so that no question looks at all of them.
    _numbers: dict[int | None, Turn] = field(default_factory=dict, init=False, repr=False)
    _cells: dict[str, Turn] = field(default_factory=dict, init=False, repr=False)
    _names: dict[str, Turn] = field(default_factory=dict, init=False, repr=False)
    _tokens: dict[str | None, list[Turn]] = field(default_factory=dict, init=False, repr=False)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    @property
    def title(self) -> str:
        """The name, or the first question if the name was made by this program."""
        return title_of(self.name, self.turns[0].question if self.turns else "")

    def add(self, turn: Turn) -> None:
        """Add a turn at the end; ``turns`` grows in no other way."""
        self.turns.append(turn)
        if not turn.tokens and turn.reply is not None and self._starts_all(turn):
            turn.opened = turn.reply.context_token
        self.last_number = max(self.last_number, turn.number)
        self.last_asked = max(self.last_asked, turn.asked_at)
        self._numbers.setdefault(turn.number, turn)
        if turn.cell:
            self._cells.setdefault(turn.cell, turn)
        if turn.name:
            self._names.setdefault(turn.name, turn)
        for token in turn.tokens:
            self._tokens.setdefault(token, []).append(turn)
        self.followers.setdefault(turn.parent, set()).add(turn)
        if turn.parent is not None and (not turn.parent.tokens or turn.parent in self.aside):
            self.edits += 1  # it is a dead end no longer

    def in_order(self) -> list[Turn]:
        """The turns in the order of the conversation: each branch after the one before."""
        found: list[Turn] = []
        waiting: list[Turn | None] = [None]
        while waiting:
            at = waiting.pop()
            found += [] if at is None else [at]
            waiting += sorted(self.followers.get(at, ()), key=attrgetter("number"), reverse=True)
        return found

    def shown_parent(self, turn: Turn) -> Turn | None:
        """The turn that it follows for a reader.

        Where the service cannot branch, that can be one without a complete reply, which the service
        has in the same conversation, too.
        """
        if turn.parent is None or service_info(self.service).branches:
            return turn.parent
        return (
            _newest(
                one
                for one in self.followers.get(turn.parent, set())
                if one.asked_at < turn.asked_at
                and one.parent_token == turn.parent_token
                and (one.reply is None or one.reply.context_token is not None)
            )
            or turn.parent
        )

    def by_cell(self, cell: str | None) -> Turn | None:
        """The turn that this cell asked."""
        turn = self._cells.get(cell or "")
        return turn if turn is not None and turn.cell == cell else None

    def by_name(self, name: str | None) -> Turn | None:
        turn = self._names.get(name or "")
        return turn if turn is not None and turn.name == name else None

    def by_number(self, number: int | None) -> Turn | None:
        return self._numbers.get(number)

    def by_token(self, token: str) -> Turn | None:
        """The turn that has, or had, a reply with this token; of several the head or the newest."""
        if self.head is not None and token in (*self.head.tokens, self.head.opened):
            return self.head
        found = self._tokens.get(token) or [
            turn for turn in self.followers.get(None, ()) if turn.opened == token
        ]
        return _newest(found)

    def find(self, label: str) -> Turn | None:
        """The turn with this name, number or token."""
        turn = self.by_name(label)
        if turn is None and label.isdecimal():
            turn = self.by_number(int(label))
        return turn or self.by_token(label)

    def turn_for(self, cell: str | None, name: str | None = None) -> Turn | None:
        """The turn that a question of this cell replaces: the cell's own, else the one named so.

        With names, a notebook can be run again in front ends that send no cell ids. A named turn
        that another cell asked, which is still there, is not replaced.
        """
        own, named = self.by_cell(cell), self.by_name(name)
        others = named is not None and cell and named.cell and not named.deleted
        return own or (None if others else named)

    @property
    def newest(self) -> Turn | None:
        """The turn with a complete reply that was asked last."""
        return _newest(turn for turn in self.turns if turn.tokens)

    @property
    def newest_to_continue(self) -> Turn | None:
        """The turn asked last of those that can be continued."""
        return _newest(filter(self._can_continue, self.turns))

    @property
    def has_ended(self) -> bool:
        """Whether its service has ended, and nothing was asked at another one since."""
        return bool(self.ended) and self.newest_to_continue is None

    def stale(self) -> set[Turn]:
        """The turns whose path has a turn with a newer reply than the one continued."""
        known: dict[Turn, bool] = {}
        for turn in self.turns:
            path: list[Turn] = []
            at: Turn | None = turn
            while at is not None and at not in known:
                path.append(at)
                at = at.parent
            for one in reversed(path):
                before = one.parent is not None and known[one.parent]
                known[one] = before or one.is_outdated
        return {turn for turn in self.turns if known[turn]}

    @property
    def last(self) -> Turn | None:
        """The turn asked last; the one before it, if its cell was deleted; None: the start."""
        return self._not_left_out(self.head)

    def _not_left_out(self, turn: Turn | None) -> Turn | None:
        """The turn, or the nearest before it whose cell is still there and whose service, too."""
        while turn is not None and (turn.deleted or turn in self.ended):
            turn = turn.parent
        return turn

    @property
    def current_token(self) -> str | None:
        """The token that the next question continues from."""
        return self.head.opened or self.head.token if self.head is not None else None

    def restart(self) -> None:
        """The next question starts the conversation again; the turns stay."""
        self.head = None

    def reopen(self, since: float = -1.0) -> None:
        """After a restart without a question: continue the turn asked last, after ``since``."""
        if self.head is None:
            turns = (turn for turn in self.turns if turn.asked_at > since)
            self.head = _newest(filter(self._can_continue, turns))

    def choose(self, turn: Turn) -> None:
        """Continue after ``turn``, or after the last turn before it that can be continued."""
        path = turn.path()[::-1]
        self.head = next(filter(self._can_continue, path), None)
        if self.head in self.aside:
            self.aside.discard(self.head)
            self.edits += 1

    def was_asked_since(self, turn: Turn) -> bool:
        """Whether a question was asked after ``turn`` that waits, or has some of its reply."""
        found = (one for one in self.turns if is_shown(one) and one not in self.ended)
        return any(one.asked_at > turn.asked_at for one in (*found, *self.waiting))

    def _starts_all(self, turn: Turn) -> bool:
        """Whether its token is that of a whole conversation, which it started."""
        return turn.parent_token is None and not service_info(self.service).branches

    def _can_continue(self, turn: Turn) -> bool:
        return turn.can_be_followed and turn not in self.ended

    def at_head(self) -> Position:
        """After the newest reply."""
        return self.after_turn(self.last) if self.last is not None else self.at_root()

    def again(self, turn: Turn, *, rebuilding: bool = False) -> Position:
        """Where ``turn`` is asked again: after the turn asked last, or at its own position.

        ``rebuilding`` is whether all are asked again from the first on.
        """
        line, at, start = set(turn.path()), self.last, self.last
        while at is not None and at not in line and (rebuilding or not at.placed):
            at, start = at.parent, at
        if at is None:  # what was asked last has another start, before or after this turn
            is_start = turn.parent is None and turn not in self.ended and not rebuilding
            is_first = start is not None and turn.number < start.number
            at = turn if is_start and is_first else None
        if at is turn or (at is not None and at not in line):
            return self.rerun(turn)
        return self.at_head()._replace(replaces=turn)

    def at_root(self) -> Position:
        """The start of a conversation."""
        return Position(self)

    def after_turn(self, turn: Turn) -> Position:
        """After the newest reply of ``turn``.

        Raises UsageError: it has no complete reply and is not the opening turn, or its service
        has ended.
        """
        self._check_not_ended(turn)
        if not turn.can_be_followed:
            raise UsageError(
                f"Turn {turn.label} has no complete reply to continue from.",
                hint="Run its cell again first, or fetch its reply with `%aeron fetch`; in "
                "Python, ask again.",
            )
        if turn.opened is not None:
            return Position(self, turn.opened, turn)
        return Position(self, turn.token, turn, turn.revision)

    def _check_not_ended(self, turn: Turn) -> None:
        if turn in self.ended:
            raise UsageError(
                f"Turn {turn.label} is of a sandbox that has ended: it can be read, but not "
                "continued. Nothing was sent.",
                hint="`-n` starts a new conversation; `--after` continues from a turn that was "
                "asked since.",
            )

    def at_token(self, token: str | None) -> Position:
        """After the reply with this token, which may be an older one or not of this tree.

        Raises UsageError: the service of that reply has ended.
        """
        if token is None:
            return self.at_root()
        turn = self.by_token(token)
        if turn is None:
            return Position(self, token)
        if token == turn.opened:
            return self.after_turn(turn)
        self._check_not_ended(turn)
        newest_first = turn.tokens[::-1]
        return Position(self, token, turn, turn.revision - newest_first.index(token))

    def resolve(self, label: str) -> Position:
        """After the turn with this name or number, or after this token.

        Raises UsageError: no turn has this name or number, or the turn has no complete reply.
        """
        turn = self.find(label)
        if turn is not None and label not in turn.tokens:
            return self.after_turn(turn)
        self._refuse_unknown(label)
        return self.at_token(label)

    def find_to_fetch(self, label: str) -> str:
        """The token of the reply of the turn with this name or number, or this token.

        Raises UsageError: no turn has this name or number, or as :meth:`token_to_fetch`.
        """
        turn = self.find(label)
        if turn is not None and label not in turn.tokens:
            return self.token_to_fetch(turn)
        self._refuse_unknown(label)
        return label

    def token_to_fetch(self, turn: Turn) -> str:
        """The token of a turn's reply, complete or not.

        Raises UsageError: the service had not sent one, or has given it to a later reply, too.
        """
        token = turn.reply.context_token if turn.reply is not None else None
        if token is None:
            raise UsageError(
                f"Turn {turn.label} has no token, so its reply cannot be fetched.",
                hint="The service had not sent one yet; ask again.",
            )
        newest = self.newest_with(token)
        can_fetch = service_info(self.service).can_fetch  # else the service's own error is right
        if can_fetch and newest is not None and newest.asked_at > turn.asked_at:
            raise UsageError(
                f"Turn {turn.label} has the token of turn {newest.label}, which was asked later, "
                "so its reply cannot be fetched.",
                hint="The service returns the newest reply of a token; ask again.",
            )
        return token

    def newest_with(self, token: str) -> Turn | None:
        """The turn asked last of those that have, or had, a reply with this token, complete or
        not."""
        return _newest(
            turn
            for turn in self.turns
            if token in turn.tokens or (turn.reply and turn.reply.context_token == token)
        )

    def _refuse_unknown(self, label: str) -> None:
        """Raise UsageError if ``label`` is neither of a turn nor as long as a token."""
        if len(label) >= MIN_TOKEN_LENGTH or self.find(label) is not None:
            return
        known = ", ".join(turn.label for turn in self.turns[-10:]) or "none yet"
        names = [turn.name for turn in self.turns if turn.name]
        raise UsageError(
            f"The conversation {self.name!r} has no turn {label!r}.",
            hint=f"{did_you_mean(label, names)}Its turns: {known}. A turn's number or a "
            "context_token works, too.",
        )

    def rerun(self, turn: Turn) -> Position:
        """The position of ``turn`` itself: after the newest reply of its parent."""
        parent = self._not_left_out(turn.parent)
        if parent is not None and parent.can_be_followed:
            position = self.after_turn(parent)
        elif parent is not turn.parent:
            position = self.at_root()
        else:
            position = Position(self, turn.parent_token, parent, turn.parent_revision)
        return position._replace(replaces=turn, placed=turn.placed)

    def can_rerun(self, turn: Turn) -> bool:
        """Whether the service can be asked at the position of ``turn``, and no turn is left behind.

        Some services cannot branch; a first question of theirs begins another conversation.
        """
        if service_info(self.service).branches:
            return True
        lost = (one for one in self.turns if one.reply is None)
        if self.followers.get(turn) or self.was_asked_since(turn):
            return False
        if any(one.asked_at > turn.asked_at for one in lost):
            return False
        position = self.rerun(turn)
        if position.token is None:
            return self.newest_to_continue in (None, turn)
        return self._diverges_from(position) is None

    def replacing(self, position: Position, turn: Turn | None) -> Position:
        """``position`` with ``turn`` to be replaced, unless the position is after that turn."""
        if turn is None or (position.parent is not None and turn in position.parent.path()):
            return position
        return position._replace(replaces=turn)

    def start(
        self,
        position: Position,
        question: str,
        images: tuple[str, ...] = (),
        *,
        cell: str | None = None,
        name: str | None = None,
        now: float | None = None,
        asked_at: float | None = None,
    ) -> PendingTurn:
        """A pending turn at ``position``; the turn it replaces stays until this one is complete.

        ``asked_at`` is given if it was asked before, and only its reply is fetched.

        Raises UsageError: the service cannot branch, and the position is not after the newest turn.
        """
        diverges_from = self._diverges_from(position)
        if diverges_from is not None and not service_info(self.service).branches:
            why = "The service cannot branch"
            if diverges_from is position.replaces:
                why = "This cell has asked before, and the service cannot branch"
            raise UsageError(
                f"{why}: this conversation can continue only after turn "
                f"{diverges_from.label}. Nothing was sent.",
                hint="`-n` starts a new conversation (in Python a new Conversation); a new cell, "
                f"or `--after {diverges_from.label}` (in Python after=) continues this one.",
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
            asked_at=self._next_moment(now) if asked_at is None else asked_at,
            placed=position.placed,
        )
        if asked_at is None:
            self.waiting.add(turn)
        return PendingTurn(position, turn, diverges_from, is_fetch=asked_at is not None)

    def _next_number(self) -> int:
        self.last_number += 1
        return self.last_number

    def _next_moment(self, now: float | None) -> float:
        """``now``, by default by the clock; if that was set back, just after the turn before.

        The newest turn is the one that was asked last.
        """
        after = min(math.nextafter(self.last_asked, math.inf), MAX_MOMENT)
        self.last_asked = max(time.time() if now is None else now, after)
        return self.last_asked

    def _diverges_from(self, position: Position) -> Turn | None:
        """The newest turn whose reply has the position's token, if that is not its parent."""
        if position.token is None:
            return None
        found = self._tokens.get(position.token, ())
        newest = _newest(turn for turn in found if turn.token == position.token)
        return None if newest is position.parent else newest

    def complete(self, pending: PendingTurn, reply: Reply, *, rebuilding: bool = False) -> Turn:
        """Add the reply of ``pending`` to the tree; the turn as it now is.

        A complete reply replaces the one before, and the head moves to its turn; a fetched one
        moves it only if no question was asked since, and does not replace that of a later question.
        An incomplete reply moves the head only if it opens a conversation; another one is kept only
        if nothing can continue after the turn. The text of an interrupted reply is kept until it is
        fetched, or more of one comes; or another question is asked in its place.
        ``rebuilding``: see :meth:`again`.
        """
        asked = pending.turn
        self.waiting.discard(asked)
        known = self.by_number(asked.number)
        is_late = pending.is_fetch and self.was_asked_since(asked)
        turn = known or asked
        before, was_complete = turn.reply, bool(turn.tokens)
        if pending.is_fetch and is_shown(turn) and turn.asked_at > asked.asked_at:
            return turn
        is_known = pending.is_fetch and was_complete and turn.asked_at == asked.asked_at
        if before is not None and reply.context_token == before.context_token is not None:
            reply = reply if reply.text else replace(reply, text=before.text)  # not fetched
        token = reply.context_token
        # A restarted conversation begins with it, as in a new kernel.
        is_restarted = rebuilding or self.head is None or not turn.tokens
        opens = token is not None and self._starts_all(asked) and is_restarted
        is_same = known is not None and (asked.question, asked.images) == (
            turn.question,
            turn.images,
        )
        is_less = is_same and before is not None and not (reply.text or token)
        if reply.is_complete or opens or not (turn.can_be_followed or is_less):
            self._move(turn, asked.parent)
            turn.parent_revision, turn.parent_token = asked.parent_revision, asked.parent_token
            turn.opened = token if opens and not reply.is_complete else None
            turn.placed, turn.deleted = asked.placed, False
            self.ended.discard(turn)
            if reply.is_complete or not turn.tokens:
                turn.question, turn.images = asked.question, asked.images
                turn.asked_at, turn.reply = asked.asked_at, reply
        if reply.is_complete and not is_known:
            turn.tokens.append(token)
            if known is not None:
                self._tokens.setdefault(token, []).append(turn)
        self._assign_cell_and_name(turn, asked.cell, asked.name)
        is_open = reply.is_complete or turn.opened == token is not None
        if is_open and not is_late:
            self.aside.discard(turn)
        elif is_open and not was_complete:
            self.aside.add(turn)
        if known is None:  # at last: others may look at it from now on
            later = self._put_into_line(turn)
            self.add(turn)
            if later is not None:
                self._move(later, turn)
                later.parent_revision = turn.revision
                self.edits += 1
        else:
            self.edits += 1
        if is_open and not is_late:
            self.head = turn
            if not service_info(self.service).branches and token in self._tokens:
                self.head = _newest(self._tokens[token])
        return turn

    def _put_into_line(self, turn: Turn) -> Turn | None:
        """Let a new ``turn`` follow one that was answered beside it; the one to follow it, if any.

        A service that cannot branch has both in one conversation, in the order of the questions.
        """
        if service_info(self.service).branches or not turn.tokens:
            return None
        beside = [one for one in self.followers.get(turn.parent, ()) if one.token == turn.token]
        before = _newest(one for one in beside if one.asked_at < turn.asked_at)
        if before is not None:
            turn.parent, turn.parent_revision = before, before.revision
        after = (one for one in beside if one.asked_at > turn.asked_at)
        return min(after, key=attrgetter("asked_at"), default=None)

    def _move(self, turn: Turn, parent: Turn | None) -> None:
        self.followers.get(turn.parent, set()).discard(turn)
        turn.parent = parent
        if turn.number in self._numbers:
            self.followers.setdefault(parent, set()).add(turn)

    def mark_lost(self, pending: PendingTurn, token: str | None = None) -> Turn:
        """Add the question of a pending turn whose reply cannot be fetched.

        ``token`` is what the service sent, if its conversation can be continued.
        """
        turn = self.by_number(pending.turn.number)
        if turn is None:
            turn = pending.turn
            if token is not None and self._starts_all(turn):
                turn.reply = Reply("", "incomplete", context_token=token, service=self.service)
            self.add(turn)
            self._assign_cell_and_name(turn, turn.cell, turn.name)
        return turn

    def _assign_cell_and_name(self, turn: Turn, cell: str | None, name: str | None) -> None:
        """Give ``turn`` the cell and the name, and take them from other turns.

        A turn without a complete reply takes no name from one that has a complete reply.
        """
        before = self.by_cell(cell)
        if before is not None and before is not turn:
            before.cell = None
        before = self.by_name(name)
        if before is not None and before is not turn:
            if before.revision and not turn.revision:
                name = None
                turn.name = None if turn.name == before.name else turn.name
            else:
                before.name = None
        if cell:
            turn.cell, self._cells[cell] = cell, turn
        if name:
            turn.name, self._names[name] = name, turn

    def cancel(self, pending: PendingTurn) -> None:
        """Drop ``pending``, which was not sent; its number is free again."""
        self.waiting.discard(pending.turn)
        if pending.position.replaces is None and pending.turn.number == self.last_number:
            self.last_number -= 1


def _newest(turns: Iterable[Turn]) -> Turn | None:
    return max(turns, key=attrgetter("asked_at"), default=None)


def is_shown(turn: Turn) -> bool:
    """Whether it has a reply, at least a part of one, and a cell that was not deleted."""
    has_text = turn.reply is not None and bool(turn.reply.text)
    return (turn.revision > 0 or has_text) and not turn.deleted


def is_elsewhere(actual: str, asked: str | None) -> bool:
    """Whether the service continued from another reply than the question did.

    For a replayed one the service has another token: the earlier questions were sent again.
    """
    if asked is None:
        return True
    if actual == asked:
        return False
    from aeron_magic.recording.record import key_of_token  # few replies need it

    return key_of_token(asked) is None


def title_of(name: str, question: str) -> str:
    """The title of a conversation with this name and first question."""
    return " ".join(question[:400].split()) or name if is_automatic(name) else name


def is_automatic(name: str) -> bool:
    """Whether the user did not choose the name of a conversation."""
    return name == MAIN or AUTOMATIC.fullmatch(name) is not None
