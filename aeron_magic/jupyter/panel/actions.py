"""The actions of a reader in the panel: one function for each, called with the page's message.

They run in the thread that handles the message, beside a running cell, and return at once: replies
are read on the background loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aeron_magic.client.client import make_question
from aeron_magic.conversations.export import export_text, refuse_empty
from aeron_magic.conversations.tree import ConversationTree, Position, Turn
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.controller import PanelController
from aeron_magic.jupyter.panel.messages import PanelMessage, error_message
from aeron_magic.jupyter.panel.turn_views import newest_leaf
from aeron_magic.prompts.interpolation import placeholders_in
from aeron_magic.services.catalog import DEFAULT_SERVICE, service_info


class Action(NamedTuple):
    """An action of a reader; the answer carries its ``id``."""

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

        Raises UsageError: it is not an action of this version of the panel.
        """
        if isinstance(content, Mapping):
            _, fields = ACTIONS.get(str(content.get("do")), (None, None))
            if fields is not None and all(
                isinstance(content.get(name), kind) for name, kind in fields.items()
            ):
                values = {name: content[name] for name in fields}
                return cls(do=content["do"], id=str(content.get("id", "")), **values)
        raise UsageError(
            "The page and the kernel have different versions of the panel.",
            hint="Reload the page, and run the panel's cell again.",
        )


def run_action(controller: PanelController, content: object) -> PanelMessage | None:
    """Run the action in a page's message; return the answer to the page."""
    action = Action("")
    try:
        action = Action.read(content)
        run, _ = ACTIONS[action.do]
        run(controller, action)
    except Exception as error:  # noqa: BLE001 - a widget's callback would swallow it
        return error_message(error, controller.session.secrets, action.id)
    return {"type": "ack", "request": action.id} if action.id else None


def _sync(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(lambda: controller.broadcast(controller.state()))


def _ask(controller: PanelController, action: Action) -> None:
    controller.draft = ""
    position = controller.session.position_for(in_run=False)
    _ask_at(controller, action, action.text, position)


def _ask_at(
    controller: PanelController,
    action: Action,
    text: str,
    position: Position,
    images: tuple[str, ...] = (),
) -> None:
    question = make_question(text.strip("\n"), position.token, images)
    has_placeholders = "{{" in text and placeholders_in(text)
    with controller.asking:
        if action.id and action.id in controller.asked_actions:
            return  # the message came twice
        if controller.is_busy(position.tree):
            raise UsageError(
                "A reply is still being received.", hint="Ask when it has ended, or stop it first."
            )
        asked = controller.asked = controller.session.ask(question, position, request_id=action.id)
        if has_placeholders:
            asked.notes.append("Sent as typed: the panel inserts no values for {{…}}; a cell does.")
        controller.asked_actions.append(action.id)


def _stop(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(controller.stop, action.request)


def _regenerate(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    _ask_at(controller, action, turn.question, _beside(tree, turn), turn.images)


def _edit(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    _ask_at(controller, action, action.text, _beside(tree, turn), turn.images)


def _retry(controller: PanelController, action: Action) -> None:
    dropped = controller.dropped(action.key)
    if dropped is not None:
        turn = dropped.pending.turn
        # A retry in the panel does not run the cell that asked.
        position = dropped.pending.position._replace(cell=None, name=None, created_by=None)
    else:
        tree, turn = _found(controller, action.key)
        if not tree.can_rerun(turn):  # the page has not seen that yet
            raise UsageError(
                "The conversation has gone on since, and its service cannot branch.",
                hint="Ask below the newest turn, or start a new chat.",
            )
        position = tree.rerun(turn)
    _ask_at(controller, action, turn.question, position, turn.images)


def _fetch(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    controller.session.fetch(tree, turn, request_id=action.id)


def _choose(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    leaf = newest_leaf(tree, turn)
    controller.session.select_branch(tree, leaf)
    controller.run_on_loop(controller.show, tree, leaf)


def _show(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    controller.run_on_loop(controller.show, tree, turn)


def _new(controller: PanelController, action: Action) -> None:
    controller.session.new()


def _use(controller: PanelController, action: Action) -> None:
    controller.session.use(action.name)


def _resume(controller: PanelController, action: Action) -> None:
    if controller.resuming is not None:
        controller.resuming.resume(action.name)


def _older(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(lambda: controller.broadcast(controller.older(action.end)))


def _source(controller: PanelController, action: Action) -> None:
    _, turn = _found(controller, action.key)
    text = turn.reply.text if turn.reply is not None else ""
    controller.run_on_loop(
        controller.broadcast, {"type": "source", "key": action.key, "text": text}
    )


MIME_TYPES = {
    "html": "text/html",
    "md": "text/markdown",
    "ipynb": "application/x-ipynb+json",
    "json": "application/json",
    "chat.md": "text/markdown",
}
"""The types of the files that a page can save, by extension."""


def _export(controller: PanelController, action: Action) -> None:
    connection, tree = controller.session.connection, controller.tree
    refuse_empty(tree)
    if action.kind == "chat.md":
        from aeron_magic.checks.chat_file import chat_text, turns_to_check

        text = chat_text(tree.name, turns_to_check(tree))
    else:
        sandbox = connection is not None and connection.sandbox
        text = export_text(tree, f".{action.kind}", sandbox=sandbox)
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in tree.name)
    message: PanelMessage = {
        "type": "file",
        "name": f"{name}.{action.kind}",
        "mime": MIME_TYPES[action.kind],
        "text": text,
        "request": action.id,
    }
    controller.run_on_loop(controller.broadcast, message)


def _draft(controller: PanelController, action: Action) -> None:
    controller.draft = action.text


def _connect(controller: PanelController, action: Action) -> None:
    controller.session.connect(DEFAULT_SERVICE, sandbox=True)


def _beside(tree: ConversationTree, turn: Turn) -> Position:
    """Where ``turn`` was asked, without replacing it.

    Raises UsageError: the service cannot branch.
    """
    if not service_info(tree.service).branches:
        raise UsageError(
            "The service cannot branch: nothing was sent.", hint="Ask below the newest turn."
        )
    return tree.rerun(turn)._replace(replaces=None, placed=True)


def _found(controller: PanelController, key: str) -> tuple[ConversationTree, Turn]:
    found = controller.find(key)
    if found is None:
        raise UsageError("This turn does not exist any more.", hint="Reload the page.")
    return found


Handler = Callable[[PanelController, Action], None]

ACTIONS: dict[str, tuple[Handler, dict[str, type]]] = {
    "sync": (_sync, {}),
    "ask": (_ask, {"text": str}),
    "stop": (_stop, {"request": str}),
    "regenerate": (_regenerate, {"key": str}),
    "edit": (_edit, {"key": str, "text": str}),
    "retry": (_retry, {"key": str}),
    "fetch": (_fetch, {"key": str}),
    "choose": (_choose, {"key": str}),
    "show": (_show, {"key": str}),
    "new": (_new, {}),
    "use": (_use, {"name": str}),
    "resume": (_resume, {"name": str}),
    "older": (_older, {"end": int}),
    "source": (_source, {"key": str}),
    "export": (_export, {"kind": str}),
    "draft": (_draft, {"text": str}),
    "connect": (_connect, {}),
}
"""The function of each action, and the fields of its message."""
