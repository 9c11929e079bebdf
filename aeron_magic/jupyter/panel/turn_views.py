"""Turns of a conversation as the panel shows them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import (
    AeronError,
    FailedReply,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
)
from aeron_magic.jupyter.display.outputs import status_note
from aeron_magic.jupyter.panel.html_stream import utf16_safe
from aeron_magic.jupyter.panel.messages import Branches, Problem, TurnView
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.rendering.mimebundle import to_html
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info

__all__ = [
    "DOUBLE_CHARGE_WARNING",
    "newest_leaf",
    "problem_of",
    "turn_id",
    "turn_views",
    "visible_path",
]


def turn_id(tree: ConversationTree, turn: Turn) -> str:
    """What pages call a turn."""
    return f"{tree.name}#{turn.number}"


def newest_leaf(tree: ConversationTree, turn: Turn) -> Turn:
    """The end of the line through ``turn``: at each fork, where the last question was asked."""
    newest: dict[Turn | None, Turn] = {}
    for other in tree.turns:
        if other.parent not in newest or newest[other.parent].asked_at <= other.asked_at:
            newest[other.parent] = other
    while turn in newest:
        turn = newest[turn]
    return turn


def visible_path(tree: ConversationTree, leaf: Turn | None) -> list[Turn]:
    """The turns to show for the line that ends at ``leaf``, oldest first.

    A question without a whole reply moves nothing, so the next one stands beside it and not behind
    it. A reader has seen it happen, though: such dead ends stay where they were asked.
    """
    line = leaf.path() if leaf is not None else []
    on_line = {turn.number for turn in line}  # an attempt may stand for the turn it replaces
    parents = {turn.parent for turn in tree.turns}
    dead: dict[Turn | None, list[Turn]] = {}
    for turn in tree.turns:
        if not turn.revision and turn not in parents and turn.number not in on_line:
            dead.setdefault(turn.parent, []).append(turn)
    shown: list[Turn] = []
    for turn in line:
        shown += [other for other in dead.get(turn.parent, ()) if other.asked_at < turn.asked_at]
        shown.append(turn)
    return shown + dead.get(leaf, [])


def problem_of(error: AeronError | None, reply: Reply | None, service: str) -> Problem | None:
    """What has to be said of a reply that is not whole, and what can be done.

    Parameters
    ----------
    error
        Why it is not whole; None where it was stopped, or where nobody remembers.
    reply
        What there is of it.
    service
        Who was asked.
    """
    if error is None and (reply is None or reply.is_complete):
        return None
    token = reply.context_token if reply is not None else None
    actions = ["fetch"] if token and service_info(service).can_fetch else []
    if error is None:
        assert reply is not None
        stopped = reply.status == "interrupted"
        title = "Stopped." if stopped else f"The reply is {reply.status}."
        return Problem(
            kind="stopped" if stopped else "error",
            title=title,
            said="",
            hint="",
            actions=[*actions, "again"],
        )
    hint = strip_control_sequences(error.hint)
    if isinstance(error, TokenError):
        actions, hint = [], "Begin a new chat, or edit a question further up."
    elif isinstance(error, UsageError):
        actions = []
    elif _surely_not_taken(error):
        actions = ["retry"]
    else:
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
    "If the service has taken the question up already, asking again may be charged twice."
)
"""Is said where asking again is the reader's choice, unless the error says it already."""


def _surely_not_taken(error: AeronError) -> bool:
    """Whether the service surely owes no reply, so that asking again is safe."""
    if isinstance(error, ServiceError):
        broken = isinstance(error, UnexpectedAnswer) or (error.status_code or 0) >= 500
        return not broken
    return isinstance(error, Unreachable | FailedReply)


def turn_views(
    tree: ConversationTree,
    turns: Sequence[Turn],
    *,
    problems: Mapping[str, Problem | None] | None = None,
    running: Iterable[str] = (),
    beside: Iterable[Turn] = (),
) -> list[TurnView]:
    """The views of some turns of a tree.

    Parameters
    ----------
    tree, turns
        Which; turns that are not in the tree yet are no harm.
    problems
        What is known of turns that failed, by key.
    running
        The keys of the turns whose reply is coming in.
    beside
        Turns that are asked now and not in the tree yet.
    """
    stale = tree.stale()
    under_way = set(running)
    parents = {turn.parent for turn in tree.turns}
    forks: dict[Turn | None, set[int]] = {}
    for turn in tree.turns:
        if turn.revision or turn in parents:
            forks.setdefault(turn.parent, set()).add(turn.number)
    for turn in beside:
        forks.setdefault(turn.parent, set()).add(turn.number)
    known = problems or {}
    made = []
    for turn in turns:
        numbers = sorted(forks.get(turn.parent, set()) | {turn.number})
        siblings = Branches(
            at=numbers.index(turn.number), keys=[f"{tree.name}#{number}" for number in numbers]
        )
        key = turn_id(tree, turn)
        view = _turn_view(tree, turn, key, siblings, known, key in under_way)
        view["stale"] = turn in stale
        made.append(view)
    return made


def _turn_view(
    tree: ConversationTree,
    turn: Turn,
    key: str,
    siblings: Branches,
    problems: Mapping[str, Problem | None],
    live: bool,
) -> TurnView:
    reply = None if live else turn.reply
    problem = None
    if not live:
        problem = problems.get(key) or problem_of(None, reply, tree.service)
    text = reply.text if reply is not None else ""
    return TurnView(
        key=key,
        label=strip_control_sequences(turn.label),
        question=strip_control_sequences(turn.question),
        images=list(turn.images),
        blocks=[utf16_safe(to_html(text))] if text else [],
        status="processing" if live else turn.status,
        note=status_note(reply) if reply is not None and reply.status == "recovered" else "",
        problem=problem,
        speaker=service_info(tree.service).title,
        token=turn.token or (reply.context_token if reply is not None else None),
        seconds=round(reply.seconds, 3) if reply is not None else 0.0,
        asked=turn.asked_at,
        stale=False,
        replayed=reply.replayed if reply is not None else False,
        cell=turn.cell is not None,
        branches=service_info(tree.service).branches,
        siblings=siblings,
    )
