"""What a reader does in the panel, done in the session: each action is one function.

They run where the page's message is handled, beside a cell that computes, and end at once: a reply
comes in on the background loop.
"""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.conversations.export import export_text
from aeron_magic.conversations.tree import ConversationTree, Position, Turn
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.panel.controller import PanelController
from aeron_magic.jupyter.panel.messages import Action, PanelMessage
from aeron_magic.jupyter.panel.turn_views import newest_leaf
from aeron_magic.services.catalog import DEFAULT_SERVICE

__all__ = ["HANDLERS"]


def _sync(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(lambda: controller.broadcast(controller.state()))


def _ask(controller: PanelController, action: Action) -> None:
    controller.draft = ""
    _ask_at(controller, action, action.text, controller.session.position_for())


def _ask_at(
    controller: PanelController,
    action: Action,
    text: str,
    position: Position,
    images: tuple[str, ...] = (),
) -> None:
    if controller.live is not None:
        raise UsageError(
            "A reply is still coming in.", hint="Ask when it has ended, or stop it first."
        )
    text = text.strip("\n")
    if not text.strip():
        raise UsageError("There is no question.", hint="Write it into the box below.")
    controller.session.ask(text, position, images=images, request_id=action.id)


def _stop(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(lambda: controller.stop(action.request))


def _regenerate(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    _ask_at(
        controller, action, turn.question, tree.rerun(turn)._replace(replaces=None), turn.images
    )


def _edit(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    _ask_at(controller, action, action.text, tree.rerun(turn)._replace(replaces=None), turn.images)


def _retry(controller: PanelController, action: Action) -> None:
    dropped = controller.dropped(action.key)
    if dropped is not None:
        turn = dropped.pending.turn
        _ask_at(controller, action, turn.question, dropped.pending.position, turn.images)
        return
    tree, turn = _found(controller, action.key)
    _ask_at(controller, action, turn.question, tree.rerun(turn), turn.images)


def _fetch(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    controller.session.fetch(tree, turn, request_id=action.id)


def _choose(controller: PanelController, action: Action) -> None:
    tree, turn = _found(controller, action.key)
    leaf = newest_leaf(tree, turn)
    controller.session.select_branch(tree, leaf)
    controller.run_on_loop(lambda: controller.show(tree, leaf))


def _new(controller: PanelController, action: Action) -> None:
    controller.session.new()


def _use(controller: PanelController, action: Action) -> None:
    controller.session.use(action.name)


def _older(controller: PanelController, action: Action) -> None:
    controller.run_on_loop(lambda: controller.broadcast(controller.older(action.end)))


def _source(controller: PanelController, action: Action) -> None:
    _, turn = _found(controller, action.key)
    text = turn.reply.text if turn.reply is not None else ""
    _say(controller, {"type": "source", "key": action.key, "text": text})


FILES = {
    "md": "text/markdown",
    "json": "application/json",
    "ipynb": "application/x-ipynb+json",
}
"""The kinds of files that a page can save, and what they are to a browser."""


def _export(controller: PanelController, action: Action) -> None:
    connection, tree = controller.session.connection, controller.tree
    sandbox = connection is not None and connection.sandbox
    text = export_text(tree, f".{action.kind}", sandbox=sandbox)
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in tree.name)
    message: PanelMessage = {
        "type": "file",
        "name": f"{name}.{action.kind}",
        "mime": FILES[action.kind],
    }
    _say(controller, {**message, "text": text, "request": action.id})


def _draft(controller: PanelController, action: Action) -> None:
    controller.draft = action.text


def _connect(controller: PanelController, action: Action) -> None:
    controller.session.connect(DEFAULT_SERVICE, sandbox=True)


def _say(controller: PanelController, message: PanelMessage) -> None:
    controller.run_on_loop(lambda: controller.broadcast(message))


def _found(controller: PanelController, key: str) -> tuple[ConversationTree, Turn]:
    found = controller.find(key)
    if found is None:
        raise UsageError("This turn is no longer there.", hint="Reload the page.")
    return found


HANDLERS: dict[str, Callable[[PanelController, Action], None]] = {
    "sync": _sync,
    "ask": _ask,
    "stop": _stop,
    "regenerate": _regenerate,
    "edit": _edit,
    "retry": _retry,
    "fetch": _fetch,
    "choose": _choose,
    "new": _new,
    "use": _use,
    "older": _older,
    "source": _source,
    "export": _export,
    "draft": _draft,
    "connect": _connect,
}
"""The function of each action."""
