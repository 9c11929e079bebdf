"""Turns of a conversation as the panel shows them, and the HTML of their replies.

The HTML of a growing reply consists of finished blocks and a tail. A finished block is sent once;
only the tail is rendered again, and only its difference from the previous tail is sent. So a
message is about as long as the new text in it. At the end the whole reply is rendered once; blocks
that are equal in it are kept, and the rest is replaced.

Positions count UTF-16 units, as a browser does. Characters beyond 16 bits are written as references
in HTML, so that Python counts the same.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, cast

from markupsafe import Markup

from aeron_magic.conversations.registry import continues_text
from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import (
    AeronError,
    TokenError,
    UsageError,
    is_safe_to_ask_again,
)
from aeron_magic.jupyter.display.outputs import NOTES, status_note
from aeron_magic.jupyter.panel.messages import Branches, Problem, TurnView
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.incremental import MarkdownStream, render_block
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

MAX_STEP = 5_000
"""Characters that are rendered in one step: at most 50 ms, in which no other reply is read."""


class _Astral(dict[int, int | str]):
    """Maps characters beyond 16 bits to references, and others to themselves."""

    def __missing__(self, code: int) -> int | str:
        self[code] = result = f"&#{code};" if code > 0xFFFF else code
        return result


_REFERENCES = _Astral()


def utf16_safe(html: Markup) -> Markup:
    """Equivalent HTML whose length is the same in Python and in a browser."""
    if max(html, default="") <= "\uffff":
        return html
    return cast(Markup, html.translate(_REFERENCES))


@lru_cache(maxsize=64)
def reply_html(text: str) -> Markup:
    """The HTML of a whole text; cached, since messages and the transcript all use it."""
    from aeron_magic.rendering.safe_html import to_html

    return utf16_safe(to_html(text, cells=True)) if text else Markup("")


def splice(old: str, new: str) -> tuple[int, int, str]:
    """The edit from ``old`` to ``new``: position, number of characters to drop, insertion."""
    shortest = min(len(old), len(new))
    start = _common(shortest, lambda n: old[:n] == new[:n])
    rest = shortest - start
    end = _common(rest, lambda n: old[len(old) - n :] == new[len(new) - n :])
    return start, len(old) - start - end, new[start : len(new) - end]


def _common(most: int, same: Any) -> int:
    """The greatest number up to ``most`` for which ``same`` holds; it holds for all below."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if same(middle):
            low = middle
        else:
            high = middle - 1
    return low


class HtmlStream:
    """The differences of one reply's HTML from step to step.

    Attributes:
    * ``sequence``: the number of the last step; a page that misses one requests a snapshot.
    """

    def __init__(self) -> None:
        self.blocks: list[Markup] = []
        self.tail = Markup("")
        self.status_text = ""
        self.sequence = 0
        self._markdown = MarkdownStream(limit_blocks=False)
        self._taken = 0
        self._rest = ""

    @property
    def state(self) -> dict[str, Any]:
        """A snapshot, for a new page."""
        return {
            "seq": self.sequence,
            "blocks": self.blocks,
            "tail": self.tail,
            "notice": self.status_text,
        }

    def step(self, accumulator: ReplyAccumulator) -> dict[str, Any] | None:
        """The difference from the last step; None if there is none.

        A step takes at most ``MAX_STEP`` characters; the next one continues there.
        ``at``, ``drop`` and ``add`` edit the old tail. In the result, ``cuts`` are the ends of the
        blocks that are finished now; the new tail is the rest.
        """
        arrived = self._rest + "".join(accumulator.displayed[self._taken :])
        self._taken = len(accumulator.displayed)
        fresh, self._rest = arrived[:MAX_STEP], arrived[MAX_STEP:]
        self._markdown.add(fresh)
        done = [
            utf16_safe(render_block(piece, cells=True)) for piece in self._markdown.pop_finished()
        ]
        tail = utf16_safe(render_block(self._markdown.tail, cells=True)) if fresh else self.tail
        if not done and tail == self.tail and accumulator.status_text == self.status_text:
            return None
        at, drop, add = splice(str(self.tail), "".join([*done, tail]))
        cuts, end = [], 0
        for block in done:
            end += len(block)
            cuts.append(end)
        self.blocks += done
        self.tail, self.status_text = tail, accumulator.status_text
        self.sequence += 1
        return {
            "seq": self.sequence,
            "at": at,
            "drop": drop,
            "add": add,
            "cuts": cuts,
            "notice": self.status_text,
        }

    def end(self, reply: Reply) -> dict[str, Any]:
        """The difference between the blocks on the screen and the finished reply.

        The first ``keep`` and the last ``keep_last`` blocks stay (the tail counts as a block if it
        is not empty); ``html`` replaces those between.
        """
        whole = reply_html(reply.text)
        shown = [*self.blocks, self.tail] if self.tail else list(self.blocks)
        begin, keep = 0, 0
        while keep < len(shown) and whole.startswith(shown[keep], begin):
            begin += len(shown[keep])
            keep += 1
        end, keep_last = len(whole), 0
        while keep_last < len(shown) - keep:
            block = shown[-1 - keep_last]
            if end - len(block) < begin or not whole.endswith(block, begin, end):
                break
            end -= len(block)
            keep_last += 1
        return {"keep": keep, "keep_last": keep_last, "html": whole[begin:end]}


def turn_id(tree: ConversationTree, turn: Turn) -> str:
    """The key of a turn on the pages."""
    return f"{tree.name}#{turn.number}"


def is_dead_end(tree: ConversationTree, turn: Turn) -> bool:
    """Whether nothing continues after ``turn``, and it has no complete reply or is aside."""
    return not tree.followers.get(turn) and (not turn.tokens or turn in tree.aside)


APART = "What follows does not continue from here."
"""Below a turn for which :func:`is_apart` holds."""


def is_apart(tree: ConversationTree, turn: Turn) -> bool:
    """Whether what follows does not continue from it, as its reply did not come in time."""
    return service_info(tree.service).branches and is_dead_end(tree, turn)


def newest_leaf(tree: ConversationTree, turn: Turn) -> Turn:
    """The end of the path through ``turn``; at each fork it follows the newest question.

    Dead ends are left out; they are shown beside the path.
    """
    newest: dict[Turn | None, Turn] = {}
    for other in tree.turns:
        if is_dead_end(tree, other):
            continue
        if other.parent not in newest or newest[other.parent].asked_at <= other.asked_at:
            newest[other.parent] = other
    while turn in newest:
        turn = newest[turn]
    return turn


class TreeIndex:
    """What the panel has to know of a whole tree, at a cost that does not grow with it.

    Turns that were added since the last look are followed; after any other change of the tree, all
    is found again.
    """

    def __init__(self, tree: ConversationTree) -> None:
        self.tree = tree
        self.stale: set[Turn] = set()
        self._count = 0
        self._edits = -1
        self._leaf: Turn | None = None
        self._path: list[Turn] | None = None
        self._lock = threading.RLock()

    def update(self) -> None:
        """Follow the changes of the tree."""
        with self._lock:
            edits, added = self.tree.edits, self.tree.turns[self._count :]
            if edits != self._edits:
                self._edits, self._path, self.stale = edits, None, self.tree.stale()
            for turn in added:
                if turn.parent in self.stale or turn.is_outdated:
                    self.stale.add(turn)
                if not turn.tokens or turn in self.tree.aside:
                    self._path = None
            self._count += len(added)

    def after(self, parent: Turn | None, *, dead: bool) -> list[Turn]:
        """The branches after a turn, or the dead ends."""
        turns = sorted(self.tree.followers.get(parent, ()), key=attrgetter("number"))
        return [one for one in turns if dead is is_dead_end(self.tree, one)]

    def is_new_branch(self, turn: Turn | None) -> bool:
        """Whether its only successor has made a dead end one of several branches."""
        if turn is None or turn.tokens or len(self.tree.followers.get(turn, ())) != 1:
            return False
        return len(self.after(turn.parent, dead=False)) > 1

    def dead_beside(self, turn: Turn, *, later: bool) -> list[Turn]:
        """The dead ends beside a turn that were asked before it, or later."""
        beside = (one for one in self.after(turn.parent, dead=True) if one.number != turn.number)
        return [one for one in beside if (one.asked_at > turn.asked_at) is later]

    def is_after_dead_end(self, turn: Turn) -> bool:
        """Whether a dead end is shown between ``turn`` and the turn that it continues."""
        parent = turn.parent
        before = parent is not None and self.dead_beside(parent, later=True)
        return bool(before or self.dead_beside(turn, later=False))

    def visible_path(self, leaf: Turn | None) -> list[Turn]:
        """The turns to show for the path that ends at ``leaf``, oldest first.

        A turn without a complete reply has no successors, unless it opened a conversation with
        Chatzy: the next question is its sibling. Such dead ends are shown, too, where they were
        asked, also after their reply was fetched.
        """
        with self._lock:
            self.update()
            end, path = self._leaf, self._path
            continues = leaf is not None and leaf.parent is end and not self.after(end, dead=True)
            # A pending turn has the number of the one it replaces, which may be shown.
            is_new = leaf is not None and self.tree.by_number(leaf.number) in (None, leaf)
            if path is not None and continues and is_new and not self.after(leaf, dead=True):
                path.append(leaf)  # type: ignore[arg-type] # not None: it continues
            elif path is None or leaf is not end:
                path = self._find_path(leaf)
            self._leaf, self._path = leaf, path
            return [*path]

    def _find_path(self, leaf: Turn | None) -> list[Turn]:
        path = leaf.path() if leaf is not None else []
        on_path = {turn.number for turn in path}  # a pending turn has that of the one it replaces
        shown: list[Turn] = []
        for turn in path:
            shown += [*self.dead_beside(turn, later=False), turn]
            shown += self.dead_beside(turn, later=True)
        shown += self.after(leaf, dead=True)
        return [one for one in shown if one in path or one.number not in on_path]


def problem_of(error: AeronError | None, reply: Reply | None, service: str) -> Problem | None:
    """Why a reply is not complete, or lost, and what the reader can do; None if it is complete.

    * ``error``: the cause; None if the reply was stopped, or the cause was not saved.
    * ``reply``: the reply so far; None if it is lost.
    """
    if error is None and reply is not None and reply.is_complete:
        return None
    token = reply.context_token if reply is not None else None
    actions = ["fetch"] if token and service_info(service).can_fetch else []
    if error is None:
        status = reply.status if reply is not None else "lost"
        titles = {"interrupted": "Stopped.", "failed": "Failed.", "lost": NOTES["lost"]}
        return Problem(
            kind="stopped" if status == "interrupted" else "error",
            title=titles.get(status, f"The reply is {status}."),
            said="",
            hint="",
            actions=[*actions, "again"],
        )
    hint = strip_control_sequences(error.hint)
    if isinstance(error, TokenError) and error.was_accepted:
        actions, hint = ["again"], f"The reply can no longer be fetched. {DOUBLE_CHARGE_WARNING}"
    elif isinstance(error, TokenError):
        actions, hint = [], "Start a new chat, or edit a question further up."
    elif isinstance(error, UsageError) or error.is_final:
        actions = []
    elif is_safe_to_ask_again(error):
        actions = ["retry"]
    else:
        if actions and "%aeron fetch" in hint:  # there is a button for that
            hint = "Fetching the reply costs nothing; asking again may be charged a second time."
        elif hint and hint == service_info(service).if_incomplete:  # which names Python, too
            hint = (
                "Ask the agent to repeat its answer: the next question continues the conversation. "
                "Asking again may be charged a second time."
            )
        actions.append("again")
        if "charged" not in hint:
            hint = f"{hint} {DOUBLE_CHARGE_WARNING}".lstrip()
    return Problem(
        kind="error",
        title=strip_control_sequences(error.message),
        said=strip_control_sequences(error.service_message or ""),
        hint=hint,
        actions=actions,
    )


DOUBLE_CHARGE_WARNING = (
    "If the service has accepted the question already, asking again may be charged twice."
)
"""Part of the hint wherever the reader can ask again, unless the error contains it."""


def turn_views(
    index: TreeIndex,
    turns: Sequence[Turn],
    problems: Mapping[str, Problem | None] = MappingProxyType({}),
    pending: Collection[Turn] = (),
    fetched: Mapping[int, str] = MappingProxyType({}),
    streamed: Reply | None = None,
) -> list[TurnView]:
    """The views of some turns of a tree.

    * ``problems``: the problems of failed turns, by key.
    * ``pending``: the turns whose reply is being read; each may replace a turn of the tree.
    * ``fetched``: those of them whose reply is fetched, by number, with the text that is known.
    * ``streamed``: a reply that the pages have already: its view has no blocks.
    """
    index.update()
    tree, service = index.tree, service_info(index.tree.service)
    live = {turn.number: turn.question for turn in pending}
    views = []
    for turn in turns:
        beside = [one.number for one in pending if one.parent is turn.parent]
        branches = (one.number for one in index.after(turn.parent, dead=False))
        key = turn_id(tree, turn)
        is_live = turn.number in live
        is_dead = not is_live and is_dead_end(tree, turn)
        numbers = [turn.number] if is_dead else sorted({*branches, *beside, turn.number})
        reply = None if is_live else turn.reply
        text = reply.text if reply is not None else fetched.get(turn.number, "")
        reading = "fetching" if turn.number in fetched else "processing"
        is_on_page = reply is not None and reply is streamed
        problem = problems.get(key) or problem_of(None, reply, tree.service)
        if problem is not None and not is_live and not tree.can_rerun(turn):
            problem = {**problem, "actions": []}
        notes = [status_note(reply) if reply and reply.status == "recovered" else ""]
        has_gap = service.branches and not is_dead and index.is_after_dead_end(turn)
        if turn.parent is not None and has_gap:
            notes.append(strip_control_sequences(continues_text(turn.parent)))
        views.append(
            TurnView(
                key=key,
                label=strip_control_sequences(turn.label),
                question=strip_control_sequences(live.get(turn.number, turn.question)),
                images=list(map(strip_control_sequences, turn.images)),
                blocks=[reply_html(text)] if text and not is_on_page else [],
                status=reading if is_live else turn.status,
                note=" ".join(filter(None, notes)),
                problem=None if is_live else problem,
                speaker=strip_control_sequences(service.title),
                token=turn.token or (reply.context_token if reply else None),
                seconds=round(reply.seconds, 3) if reply else 0.0,
                asked=turn.asked_at,
                stale=turn in index.stale,
                replayed=reply.replayed if reply else False,
                cell=turn.cell is not None,
                branches=service.branches,
                siblings=Branches(
                    at=numbers.index(turn.number),
                    keys=[f"{tree.name}#{number}" for number in numbers],
                ),
                apart=not is_live and is_apart(tree, turn),
            )
        )
    return views


READ_ONLY = (
    "These turns can only be read: the sandbox that answered has ended. The next question starts "
    "the conversation again."
)


def make_read_only(view: TurnView, *, is_last: bool) -> None:
    """Leave only what needs no service, and say why below the last turn."""
    view["branches"] = False
    if view["problem"] is not None:
        view["problem"] = {**view["problem"], "actions": []}
    if is_last:
        view["note"] = READ_ONLY
