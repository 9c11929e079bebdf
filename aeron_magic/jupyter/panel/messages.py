"""The types of the messages from the kernel to the pages that show the panel.

Pages may open late, and miss messages or receive them twice. So a ``state`` contains everything
that a page needs, and every ``delta`` has a number. Messages from a page to the kernel are
:mod:`aeron_magic.jupyter.panel.actions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypedDict

from markupsafe import Markup

from aeron_magic.errors import AeronError
from aeron_magic.plaintext import strip_control_sequences

PanelMessage = dict[str, Any]
"""``type`` is one of

* ``state``: everything: ``about``, the newest ``turns``, the index of the ``first`` of them in the
  conversation, the ``live`` reply if one is being read, and the ``draft``;
* ``about``: the connection or the list of conversations has changed;
* ``older``: the ``turns`` from index ``first`` up to ``end``;
* ``begin``: a ``turn`` is asked; ``request`` is the id of the action, if a page asked;
* ``delta``: a change of the live reply
  (:class:`~aeron_magic.jupyter.panel.turn_views.HtmlStream`);
* ``end``: the ``turn`` as it ended, with a ``patch`` of what was shown of it, or in full, and the
  ``count`` of turns in its conversation;
* ``source``: the Markdown ``text`` of a reply; ``file``: an exported conversation;
* ``error``: an error without a turn; ``ack``: an action was received.
"""


def error_message(error: Exception, secrets: Iterable[str], request: str = "") -> PanelMessage:
    """An error message without a turn, ``secrets`` redacted."""
    if not isinstance(error, AeronError):
        error = AeronError(
            f"Internal error: {type(error).__name__}: {error}", hint="Please report it."
        )
    error.redact(secrets)
    return {
        "type": "error",
        "title": strip_control_sequences(error.message),
        "hint": strip_control_sequences(error.hint or error.service_message or ""),
        "request": request,
    }


class Problem(TypedDict):
    """Why a reply is incomplete, and what can be done about it."""

    kind: Literal["stopped", "error"]
    title: str
    said: str
    hint: str
    actions: list[str]
    """``retry``: safe to ask again; ``again``: may be charged twice; ``fetch``."""


class Branches(TypedDict):
    """The questions asked at the same position; ``at`` is the index of the one that is shown."""

    at: int
    keys: list[str]


class TurnView(TypedDict):
    """One turn as a page shows it."""

    key: str
    label: str
    question: str
    images: list[str]
    blocks: list[Markup]
    """The reply as safe HTML."""
    status: str
    """That of the reply; ``processing`` or ``fetching`` while it is read. Until a fetched reply
    comes, ``blocks`` has the part that is known."""
    note: str
    problem: Problem | None
    speaker: str
    token: str | None
    seconds: float
    asked: float
    stale: bool
    replayed: bool
    cell: bool
    branches: bool
    """Whether it can be asked again as another branch."""
    siblings: Branches
    apart: bool
    """Whether what follows does not continue from it, as its reply was stopped or has failed."""


class NextPlace(TypedDict):
    """Where the next question goes; ``key`` is that of the turn before it, if that is hidden."""

    text: str
    key: str


class ConversationSummary(TypedDict):
    """A conversation in the list."""

    name: str
    turns: int


class Introduction(TypedDict):
    html: Markup
    buttons: list[str]


class ResumeOffer(TypedDict):
    """A stored conversation that can be resumed; or only read, if its sandbox has ended."""

    name: str
    turns: int
    ended: bool


class PanelOverview(TypedDict):
    """The connection and the conversations."""

    model_id: str
    kernel: str
    """Unique for the controller: a question that waits on a page is sent only to the same one."""
    connected: bool
    label: str
    speaker: str
    title: str
    welcome: str
    suggestions: list[str]
    introduction: Introduction | None
    resume: ResumeOffer | None
    conversation: str
    conversation_id: int
    """Another one of the same name has another id."""
    conversations: list[ConversationSummary]
    next: NextPlace | None
    """None if the next question continues after the last turn that is shown."""
