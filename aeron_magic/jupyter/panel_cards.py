"""Turns of a conversation as the panel shows them. Pure: a tree goes in, cards come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aeron_magic.errors import (
    AeronError,
    FailedReply,
    ServiceError,
    TokenError,
    UnexpectedAnswer,
    Unreachable,
    UsageError,
)
from aeron_magic.jupyter.output import note
from aeron_magic.jupyter.panel_growth import countable
from aeron_magic.jupyter.panel_protocol import Card, Problem
from aeron_magic.render import to_html
from aeron_magic.reply import Reply
from aeron_magic.scrub import clean
from aeron_magic.turns import ONE_LINE, Tree, Turn

__all__ = ["SERVICES", "cards", "key_of", "leaf_below", "problem_of"]

SERVICES = {"aeronpay": "AeronPay", "chatzy": "Chatzy"}
"""What the services are called."""

FETCHING = ("aeronpay",)
"""The services that give a reply by its token."""


def key_of(tree: Tree, turn: Turn) -> str:
    """What pages call a turn."""
    return f"{tree.name}#{turn.number}"


def leaf_below(tree: Tree, turn: Turn) -> Turn:
    """The end of the line through ``turn``: at each fork, where the last question was asked."""
    newest: dict[Turn | None, Turn] = {}
    for other in tree.turns:
        if other.parent not in newest or newest[other.parent].asked <= other.asked:
            newest[other.parent] = other
    while turn in newest:
        turn = newest[turn]
    return turn


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
    if error is None and (reply is None or reply.whole):
        return None
    token = reply.context_token if reply is not None else None
    actions = ["fetch"] if token and service in FETCHING else []
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
    if isinstance(error, TokenError | UsageError):
        actions = []
    elif isinstance(error, UnexpectedAnswer) or not isinstance(error, _NOT_TAKEN):
        actions.append("again")
    else:
        actions = ["retry"]
    return Problem(
        kind="error",
        title=clean(error.message),
        said=clean(error.service_message or ""),
        hint=clean(error.hint),
        actions=actions,
    )


_NOT_TAKEN = (Unreachable, ServiceError, FailedReply)
"""After these the service surely owes no reply, and asking again is safe."""


def cards(
    tree: Tree,
    turns: Sequence[Turn],
    *,
    problems: Mapping[str, Problem | None] | None = None,
    running: Iterable[str] = (),
    beside: Iterable[Turn] = (),
) -> list[Card]:
    """The cards of some turns of a tree.

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
    forks: dict[Turn | None, list[str]] = {}
    numbers = {turn.number for turn in tree.turns}
    for turn in [*tree.turns, *(turn for turn in beside if turn.number not in numbers)]:
        forks.setdefault(turn.parent, []).append(key_of(tree, turn))
    known = problems or {}
    made = []
    for turn in turns:
        key = key_of(tree, turn)
        keys = forks.get(turn.parent, [])
        made.append(_card(tree, turn, key, keys if key in keys else [key], known, key in under_way))
        made[-1]["stale"] = turn in stale
    return made


def _card(
    tree: Tree,
    turn: Turn,
    key: str,
    keys: list[str],
    problems: Mapping[str, Problem | None],
    live: bool,
) -> Card:
    reply = None if live else turn.reply
    problem = None
    if not live:
        problem = problems.get(key) or problem_of(None, reply, tree.service)
    text = reply.text if reply is not None else ""
    return Card(
        key=key,
        label=clean(turn.label),
        question=clean(turn.question),
        images=list(turn.images),
        blocks=[countable(to_html(text))] if text else [],
        status="processing" if live else turn.status,
        note=note(reply) if reply is not None and reply.status == "recovered" else "",
        problem=problem,
        speaker=SERVICES.get(tree.service, tree.service),
        token=turn.token or (reply.context_token if reply is not None else None),
        seconds=round(reply.seconds, 3) if reply is not None else 0.0,
        asked=turn.asked,
        stale=False,
        replayed=reply.replayed if reply is not None else False,
        cell=turn.cell is not None,
        branches=tree.service not in ONE_LINE,
        siblings={"at": keys.index(key), "keys": keys},
    )
