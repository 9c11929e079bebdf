"""Turns of a conversation as the panel shows them. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

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
from aeron_magic.jupyter.panel.html_stream import reply_html
from aeron_magic.jupyter.panel.messages import Branches, Problem, TurnView
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import service_info


def turn_id(tree: ConversationTree, turn: Turn) -> str:
    """The key of a turn on the pages."""
    return f"{tree.name}#{turn.number}"


def newest_leaf(tree: ConversationTree, turn: Turn) -> Turn:
    """The end of the path through ``turn``; at each fork it follows the newest question."""
    newest: dict[Turn | None, Turn] = {}
    for other in tree.turns:
        if other.parent not in newest or newest[other.parent].asked_at <= other.asked_at:
            newest[other.parent] = other
    while turn in newest:
        turn = newest[turn]
    return turn


def visible_path(tree: ConversationTree, leaf: Turn | None) -> list[Turn]:
    """The turns to show for the path that ends at ``leaf``, oldest first.

    A turn without a complete reply has no successors: the next question is its sibling. Such dead
    ends are shown, too, where they were asked.
    """
    path = leaf.path() if leaf is not None else []
    on_path = {turn.number for turn in path}  # a pending turn has the number of the one it replaces
    parents = {turn.parent for turn in tree.turns}
    dead: dict[Turn | None, list[Turn]] = {}
    for turn in tree.turns:
        if not turn.tokens and turn not in parents and turn.number not in on_path:
            dead.setdefault(turn.parent, []).append(turn)
    shown: list[Turn] = []
    for turn in path:
        shown += [other for other in dead.get(turn.parent, ()) if other.asked_at < turn.asked_at]
        shown.append(turn)
    return shown + dead.get(leaf, [])


def problem_of(error: AeronError | None, reply: Reply | None, service: str) -> Problem | None:
    """Why a reply is not complete, and what the reader can do; None if it is complete.

    Parameters
    ----------
    error
        The cause; None if the reply was stopped, or the cause was not saved.
    reply
        The reply so far.
    service
        The service that was asked.
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
        actions, hint = [], "Start a new chat, or edit a question further up."
    elif isinstance(error, UsageError):
        actions = []
    elif _can_retry(error):
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
    "If the service has accepted the question already, asking again may be charged twice."
)
"""Part of the hint wherever the reader can ask again, unless the error contains it."""


def _can_retry(error: AeronError) -> bool:
    """Whether asking again is safe: the service will certainly not send this reply."""
    if isinstance(error, ServiceError):
        broken = isinstance(error, UnexpectedAnswer) or (error.status_code or 0) >= 500
        return not broken
    return isinstance(error, Unreachable | FailedReply)


def turn_views(
    tree: ConversationTree,
    turns: Sequence[Turn],
    problems: Mapping[str, Problem | None] = MappingProxyType({}),
    pending: Collection[Turn] = (),
) -> list[TurnView]:
    """The views of some turns of a tree.

    Parameters
    ----------
    tree, turns
        The conversation and its turns to show, which may be pending.
    problems
        The problems of failed turns, by key.
    pending
        The turns whose reply is being read; each may replace a turn of the tree.
    """
    stale, service = tree.stale(), service_info(tree.service)
    live = {turn.number for turn in pending}
    parents = {turn.parent for turn in tree.turns}
    forks: dict[Turn | None, set[int]] = {}
    for turn in (*tree.turns, *pending):
        if turn.tokens or turn in parents or turn in pending:
            forks.setdefault(turn.parent, set()).add(turn.number)
    views = []
    for turn in turns:
        key, numbers = turn_id(tree, turn), sorted({*forks.get(turn.parent, ()), turn.number})
        is_live = turn.number in live
        reply = None if is_live else turn.reply
        text = reply.text if reply is not None else ""
        problem = problems.get(key) or problem_of(None, reply, tree.service)
        views.append(
            TurnView(
                key=key,
                label=strip_control_sequences(turn.label),
                question=strip_control_sequences(turn.question),
                images=list(map(strip_control_sequences, turn.images)),
                blocks=[reply_html(text)] if text else [],
                status="processing" if is_live else turn.status,
                note=status_note(reply) if reply and reply.status == "recovered" else "",
                problem=None if is_live else problem,
                speaker=strip_control_sequences(service.title),
                token=turn.token or (reply.context_token if reply else None),
                seconds=round(reply.seconds, 3) if reply else 0.0,
                asked=turn.asked_at,
                stale=turn in stale,
                replayed=reply.replayed if reply else False,
                cell=turn.cell is not None,
                branches=service.branches,
                siblings=Branches(
                    at=numbers.index(turn.number),
                    keys=[f"{tree.name}#{number}" for number in numbers],
                ),
            )
        )
    return views
