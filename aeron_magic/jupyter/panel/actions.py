"""What a reader does in the panel, done in the session: each wish is one function.

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

__all__ = ["HANDLERS"]


def _hello(room: PanelController, wish: Action) -> None:
    room.run_on_loop(lambda: room.broadcast(room.state()))


def _ask(room: PanelController, wish: Action) -> None:
    room.draft = ""
    _ask_at(room, wish, wish.text, room.session.position_for())


def _ask_at(
    room: PanelController, wish: Action, text: str, place: Position, images: tuple[str, ...] = ()
) -> None:
    if room.live is not None:
        raise UsageError(
            "A reply is still coming in.", hint="Ask when it has ended, or stop it first."
        )
    text = text.strip("\n")
    if not text.strip():
        raise UsageError("There is no question.", hint="Write it into the box below.")
    room.session.ask(text, place, images=images, request_id=wish.id)


def _stop(room: PanelController, wish: Action) -> None:
    room.run_on_loop(lambda: room.stop(wish.request))


def _regenerate(room: PanelController, wish: Action) -> None:
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, turn.question, tree.rerun(turn)._replace(replaces=None), turn.images)


def _edit(room: PanelController, wish: Action) -> None:
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, wish.text, tree.rerun(turn)._replace(replaces=None), turn.images)


def _retry(room: PanelController, wish: Action) -> None:
    dropped = room.dropped(wish.key)
    if dropped is not None:
        turn = dropped.pending.turn
        _ask_at(room, wish, turn.question, dropped.pending.position, turn.images)
        return
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, turn.question, tree.rerun(turn), turn.images)


def _fetch(room: PanelController, wish: Action) -> None:
    tree, turn = _found(room, wish.key)
    room.session.fetch(tree, turn, request_id=wish.id)


def _choose(room: PanelController, wish: Action) -> None:
    tree, turn = _found(room, wish.key)
    leaf = newest_leaf(tree, turn)
    room.session.select_branch(tree, leaf)
    room.run_on_loop(lambda: room.show(tree, leaf))


def _new(room: PanelController, wish: Action) -> None:
    room.session.new()


def _use(room: PanelController, wish: Action) -> None:
    room.session.use(wish.name)


def _older(room: PanelController, wish: Action) -> None:
    room.run_on_loop(lambda: room.broadcast(room.older(wish.end)))


def _source(room: PanelController, wish: Action) -> None:
    _, turn = _found(room, wish.key)
    text = turn.reply.text if turn.reply is not None else ""
    _say(room, {"type": "source", "key": wish.key, "text": text})


FILES = {
    "md": "text/markdown",
    "json": "application/json",
    "ipynb": "application/x-ipynb+json",
}
"""The kinds of files that a page can save, and what they are to a browser."""


def _export(room: PanelController, wish: Action) -> None:
    connection, tree = room.session.connection, room.tree
    sandbox = connection is not None and connection.sandbox
    text = export_text(tree, f".{wish.kind}", sandbox=sandbox)
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in tree.name)
    word: PanelMessage = {"type": "file", "name": f"{name}.{wish.kind}", "mime": FILES[wish.kind]}
    _say(room, {**word, "text": text, "request": wish.id})


def _draft(room: PanelController, wish: Action) -> None:
    room.draft = wish.text


def _connect(room: PanelController, wish: Action) -> None:
    room.session.connect("aeronpay", sandbox=True)


def _say(room: PanelController, word: PanelMessage) -> None:
    room.run_on_loop(lambda: room.broadcast(word))


def _found(room: PanelController, key: str) -> tuple[ConversationTree, Turn]:
    found = room.find(key)
    if found is None:
        raise UsageError("This turn is no longer there.", hint="Reload the page.")
    return found


HANDLERS: dict[str, Callable[[PanelController, Action], None]] = {
    "hello": _hello,
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
"""By the name of the wish."""
