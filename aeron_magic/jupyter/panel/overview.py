"""What the panel's header and its empty conversation show."""

from __future__ import annotations

from aeron_magic.conversations.tree import ConversationTree
from aeron_magic.jupyter.panel.messages import Introduction, PanelOverview, ResumeOffer
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
    kernel: str,
) -> PanelOverview:
    """The connection and the conversations, of which ``shown`` is on the page.

    ``introduction`` is the greeting of its agent, ``offer`` the stored conversation of the
    notebook, which is offered while there are no turns; ``kernel`` the id of the controller.
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
        conversations=[{"name": tree.name, "turns": len(tree.turns)} for tree in conversations],
    )
