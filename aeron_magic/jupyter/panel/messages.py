"""What the panel and the kernel say to each other, as types.

An *action* goes from a page to the kernel: what its reader did. A *message* goes from the kernel
to all pages that show the panel. Pages may come late, miss something, or get a thing twice: so a
``state`` says everything that a page needs, and a ``delta`` is numbered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypedDict

from aeron_magic.errors import AeronError, UsageError
from aeron_magic.plaintext import strip_control_sequences

__all__ = [
    "Action",
    "Branches",
    "ConversationSummary",
    "Introduction",
    "PanelMessage",
    "PanelOverview",
    "Problem",
    "TurnView",
    "error_message",
]

PanelMessage = dict[str, Any]
"""``type`` is one of

* ``state``: everything: ``about``, the newest ``turns``, the place of the ``first`` of them in the
  conversation, the ``live`` reply if one is coming in, and the ``draft``;
* ``about``: the connection and the list of conversations have changed;
* ``older``: the ``turns`` from ``first`` up to ``end``;
* ``begin``: a ``turn`` is asked; ``request`` is the id of the action, if a page asked;
* ``delta``: how the live reply has grown
  (:class:`~aeron_magic.jupyter.panel.html_stream.HtmlStream`);
* ``end``: the ``turn`` as it ended, with a ``patch`` to what has been shown of it, or whole;
* ``source``: the Markdown ``text`` of a reply; ``file``: an exported conversation;
* ``error``: something that concerns no turn is wrong; ``ack``: an action has arrived.
"""


def error_message(error: Exception, secrets: Iterable[str], request: str = "") -> PanelMessage:
    """An error message without a turn, ``secrets`` redacted.

    Handlers catch every exception: widget callbacks swallow them.
    """
    if not isinstance(error, AeronError):
        error = AeronError(
            f"This should not have happened: {type(error).__name__}: {error}",
            hint="Please report it.",
        )
    error.redact(secrets)
    title, hint = (
        strip_control_sequences(error.message),
        strip_control_sequences(error.hint or error.service_message or ""),
    )
    return {"type": "error", "title": title, "hint": hint, "request": request}


class Problem(TypedDict):
    """Why a reply is not whole, and what can be done about it."""

    kind: Literal["stopped", "error"]
    title: str
    said: str
    hint: str
    actions: list[str]
    """``retry`` where that is safe, ``again`` where the service may count it twice, ``fetch``."""


class Branches(TypedDict):
    """The questions that were asked at the same place; ``at`` is the one that is shown."""

    at: int
    keys: list[str]


class TurnView(TypedDict):
    """One turn as a page shows it."""

    key: str
    label: str
    question: str
    images: list[str]
    blocks: list[str]
    """The reply's HTML, which is safe."""
    status: str
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
    """Whether it can be asked again beside itself."""
    siblings: Branches


class ConversationSummary(TypedDict):
    """A conversation to choose."""

    name: str
    turns: int


class Introduction(TypedDict):
    """What an agent says before the first question."""

    html: str
    buttons: list[str]


class PanelOverview(TypedDict):
    """Everything but the turns."""

    model_id: str
    connected: bool
    label: str
    speaker: str
    title: str
    welcome: str
    suggestions: list[str]
    introduction: Introduction | None
    conversation: str
    conversations: list[ConversationSummary]


_ACTION_FIELDS: dict[str, dict[str, type]] = {
    "sync": {},
    "ask": {"text": str},
    "stop": {"request": str},
    "regenerate": {"key": str},
    "edit": {"key": str, "text": str},
    "retry": {"key": str},
    "fetch": {"key": str},
    "choose": {"key": str},
    "new": {},
    "use": {"name": str},
    "older": {"end": int},
    "source": {"key": str},
    "export": {"kind": str},
    "draft": {"text": str},
    "connect": {},
}
"""The actions of a page, and the fields of each."""


class Action(NamedTuple):
    """What a reader did; the answer carries its ``id``."""

    do: str
    id: str = ""
    key: str = ""
    text: str = ""
    name: str = ""
    kind: str = ""
    request: str = ""
    end: int = 0

    @classmethod
    def read(cls, content: object) -> Action:
        """The action in a message.

        Raises
        ------
        UsageError
            It is none: the page shows another version of the panel.
        """
        if isinstance(content, Mapping):
            wanted = _ACTION_FIELDS.get(str(content.get("do")))
            if wanted is not None and all(
                isinstance(content.get(name), kind) for name, kind in wanted.items()
            ):
                said = {name: content[name] for name in wanted}
                return cls(do=content["do"], id=str(content.get("id", "")), **said)
        raise UsageError(
            "The page asks for something that this version does not know.",
            hint="Reload the page, and run the panel's cell again.",
        )
