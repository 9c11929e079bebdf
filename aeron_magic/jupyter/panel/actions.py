"""What a reader does in the panel, done in the session: each wish is one function.

They run where the page's message is handled, beside a cell that computes, and end at once: a reply
comes in on the background loop.
"""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.errors import UsageError
from aeron_magic.conversations.export import exported
from aeron_magic.jupyter.panel.turn_views import leaf_below
from aeron_magic.jupyter.panel.messages import Wish, Word
from aeron_magic.jupyter.panel.controller import Room
from aeron_magic.conversations.tree import Place, Tree, Turn

__all__ = ["WISHES"]


def _hello(room: Room, wish: Wish) -> None:
    room.soon(lambda: room.tell(room.state()))


def _ask(room: Room, wish: Wish) -> None:
    room.draft = ""
    _ask_at(room, wish, wish.text, room.session.place())


def _ask_at(room: Room, wish: Wish, text: str, place: Place, images: tuple[str, ...] = ()) -> None:
    if room.live is not None:
        raise UsageError(
            "A reply is still coming in.", hint="Ask when it has ended, or stop it first."
        )
    text = text.strip("\n")
    if not text.strip():
        raise UsageError("There is no question.", hint="Write it into the box below.")
    room.session.ask(text, place, images=images, origin=wish.id)


def _stop(room: Room, wish: Wish) -> None:
    room.soon(lambda: room.stop(wish.request))


def _regenerate(room: Room, wish: Wish) -> None:
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, turn.question, tree.again(turn)._replace(again=None), turn.images)


def _edit(room: Room, wish: Wish) -> None:
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, wish.text, tree.again(turn)._replace(again=None), turn.images)


def _retry(room: Room, wish: Wish) -> None:
    dropped = room.dropped(wish.key)
    if dropped is not None:
        turn = dropped.attempt.turn
        _ask_at(room, wish, turn.question, dropped.attempt.place, turn.images)
        return
    tree, turn = _found(room, wish.key)
    _ask_at(room, wish, turn.question, tree.again(turn), turn.images)


def _fetch(room: Room, wish: Wish) -> None:
    tree, turn = _found(room, wish.key)
    room.session.fetch(tree, turn, origin=wish.id)


def _choose(room: Room, wish: Wish) -> None:
    tree, turn = _found(room, wish.key)
    leaf = leaf_below(tree, turn)
    room.session.choose(tree, leaf)
    room.soon(lambda: room.show(tree, leaf))


def _new(room: Room, wish: Wish) -> None:
    room.session.new()


def _use(room: Room, wish: Wish) -> None:
    room.session.use(wish.name)


def _older(room: Room, wish: Wish) -> None:
    room.soon(lambda: room.tell(room.older(wish.end)))


def _source(room: Room, wish: Wish) -> None:
    _, turn = _found(room, wish.key)
    text = turn.reply.text if turn.reply is not None else ""
    _say(room, {"type": "source", "key": wish.key, "text": text})


FILES = {
    "md": "text/markdown",
    "json": "application/json",
    "ipynb": "application/x-ipynb+json",
}
"""The kinds of files that a page can save, and what they are to a browser."""


def _export(room: Room, wish: Wish) -> None:
    connection, tree = room.session.connection, room.tree
    sandbox = connection is not None and connection.sandbox
    text = exported(tree, f".{wish.kind}", sandbox=sandbox)
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in tree.name)
    word: Word = {"type": "file", "name": f"{name}.{wish.kind}", "mime": FILES[wish.kind]}
    _say(room, {**word, "text": text, "request": wish.id})


def _draft(room: Room, wish: Wish) -> None:
    room.draft = wish.text


def _connect(room: Room, wish: Wish) -> None:
    room.session.connect("aeronpay", sandbox=True)


def _say(room: Room, word: Word) -> None:
    room.soon(lambda: room.tell(word))


def _found(room: Room, key: str) -> tuple[Tree, Turn]:
    found = room.find(key)
    if found is None:
        raise UsageError("This turn is no longer there.", hint="Reload the page.")
    return found


WISHES: dict[str, Callable[[Room, Wish], None]] = {
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
