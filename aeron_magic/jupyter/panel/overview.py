"""What the panel's header and its empty conversation show."""

from __future__ import annotations

from collections.abc import Sequence

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.messages import (
    Introduction,
    NextPlace,
    PanelOverview,
    ResumeOffer,
)
from aeron_magic.jupyter.panel.turn_views import turn_id
from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.plaintext import strip_control_sequences
from aeron_magic.services.catalog import service_info
from aeron_magic.session.session import Session

WELCOME = (
    "No service is connected. The sandbox is built in and needs no account; "
    "`%aeron connect aeronpay` or `%aeron connect chatzy` in a cell connects to a service."
)
SUGGESTIONS = (
    "How do I continue a conversation?",
    "How do I put a value into my question?",
    "What can you tell me about errors?",
)


def overview(
    session: Session,
    shown: ConversationTree,
    introduction: Introduction | None,
    offer: ResumeOffer | None,
    following: NextPlace | None,
    kernel: str,
) -> PanelOverview:
    """The connection and the conversations, of which ``shown`` is on the page.

    ``introduction`` is the greeting of its agent, ``offer`` the stored conversation of the
    notebook, which is offered while there are no turns; ``following`` where the next question
    goes; ``kernel`` the id of the controller.
    """
    connection = session.connection
    service = connection.settings.service if connection is not None else ""
    sandbox = connection is not None and connection.sandbox
    speaker = service_info(service).title or "the service"
    about = "It is built in, answers from the handbook of aeron-magic, and costs nothing."
    conversations = session.registry.conversations.values()
    return PanelOverview(
        model_id="",
        kernel=kernel,
        connected=connection is not None,
        label=f"{speaker} (sandbox)" if sandbox else speaker if service else "Not connected",
        speaker=speaker,
        title=f"Ask {speaker}" + " in the sandbox" * sandbox if service else "Not connected",
        welcome=about if sandbox else "" if service else WELCOME,
        suggestions=list(SUGGESTIONS) if sandbox else [],
        introduction=introduction,
        resume=None if session.tree.turns else offer,
        conversation=shown.name,
        conversation_id=shown.serial,
        conversations=[{"name": tree.name, "turns": len(tree.turns)} for tree in conversations],
        next=following,
    )


def next_place(
    session: Session, shown: ConversationTree, turns: Sequence[Turn]
) -> NextPlace | None:
    """Where the next question goes; None if that is after the last of ``turns``, which are shown.

    A service without branches continues after its newest question, also after one that was cut.
    """
    registry = session.registry
    if not turns or registry.is_rebuilding or not service_info(shown.service).branches:
        return None
    try:
        position = session.position_for()
    except UsageError:  # the question will say it
        return None
    parent, tree = position.parent, position.tree
    if parent is None:
        place = "continues no earlier turn"
        if position.token is not None:
            place = "continues from the token in context_token"
        return NextPlace(text=f"The next question {place}.", key="")
    key = turn_id(tree, parent)
    if key == turn_id(shown, turns[-1]):
        return None
    is_shown = any(key == turn_id(shown, turn) for turn in turns)
    asked = truncate(one_line(strip_control_sequences(parent.question)), 60)
    label = strip_control_sequences(parent.label)
    return NextPlace(
        text=f"The next question continues after turn {label}: {asked}",
        key="" if is_shown else key,
    )
