"""What all panels of a kernel show: the current conversation, and the reply that is coming in.

Cells and panels ask through the same session, which tells the controller of every question; the
controller tells the pages. It lives on the background loop: whatever happens elsewhere is handed
over to that loop, so nothing here needs a lock, and nothing here waits for a cell that computes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aeron_magic.jupyter.panel.html_stream import HtmlStream, utf16_safe
from aeron_magic.jupyter.panel.messages import (
    Introduction,
    PanelMessage,
    PanelOverview,
    Problem,
    TurnView,
    error_message,
)
from aeron_magic.jupyter.panel.turn_views import problem_of, turn_id, turn_views, visible_path
from aeron_magic.rendering.mimebundle import to_html
from aeron_magic.services.catalog import service_info
from aeron_magic.session.reply_task import ReplyTask

if TYPE_CHECKING:
    from aeron_magic.conversations.tree import ConversationTree, Turn
    from aeron_magic.session.session import PendingQuestion, Session

__all__ = ["DELTA_INTERVAL", "PAGE_SIZE", "PanelController"]

PAGE_SIZE = 20
"""Turns that a page gets at once; older ones come when the reader goes back to them."""

DELTA_INTERVAL = 0.08
"""Seconds between two messages about one reply; each costs kernel and page a millisecond."""

PATIENCE = 0.25
"""Seconds after which to look whether there is something else to say than text."""

DEBOUNCE = 0.7
"""Seconds of rest after a turn before the saved transcript is written anew."""

WELCOME = (
    "No service is connected. The sandbox is built in and needs no account; "
    "`%aeron connect aeronpay` or `%aeron connect chatzy` in a cell connects to a service."
)
SUGGESTIONS = (
    "How do I continue a conversation?",
    "How do I put a value into my question?",
    "What can you tell me about errors?",
)


class _Live:
    """A reply that is coming in, and what the pages have of it."""

    def __init__(self, asked: PendingQuestion, key: str) -> None:
        self.asked = asked
        self.key = key
        self.stream = HtmlStream()
        self.timer: asyncio.TimerHandle | None = None
        self.painted = 0.0
        self.ended = False


class PanelController:
    """Follows a session and tells the panels.

    Parameters
    ----------
    session
        What cells and panels ask through.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.draft = ""
        self.tree: ConversationTree = session.tree
        self._leaf: Turn | None = self.tree.head
        self._live: _Live | None = None
        """The reply that is coming in where the pages look."""
        self._senders: list[Callable[[PanelMessage], None]] = []
        self._turns_changed: list[Callable[[], None]] = []
        self.cell_ended: list[Callable[[], None]] = []
        """Called when a cell's question has ended, in that cell."""
        self._moving: asyncio.TimerHandle | None = None
        self._lives: dict[str, _Live] = {}
        self._problems: dict[str, Problem | None] = {}
        self._dropped: dict[str, PendingQuestion] = {}
        self._cancelled_request = ""
        self._dropped_turn: Turn | None = None
        """The newest question that was not taken into its conversation, until the next one."""
        self._introductions: dict[ConversationTree, Introduction | None] = {}
        session.observers.append(self)

    # The session tells, from any thread --------------------------------------------------------

    def question_started(self, asked: PendingQuestion) -> None:
        """A question is on its way."""
        self.run_on_loop(lambda: self._on_started(asked))

    def question_finished(self, asked: PendingQuestion) -> None:
        """A question has ended, and stands where it will stand."""
        self.run_on_loop(lambda: self._on_finished(asked))
        if not asked.request_id:
            for ended in self.cell_ended:
                ended()

    def conversation_changed(self) -> None:
        """The connection or the current conversation is another one, or has other turns."""
        self.run_on_loop(self._on_conversation_changed)

    def run_on_loop(self, act: Callable[[], object]) -> None:
        """Do something on the loop."""
        self.session.io_loop.call_soon(lambda: self._guard(act))

    def _guard(self, act: Callable[[], object]) -> None:
        """Do something; if it fails, the pages say so, since nobody else would."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - nobody else would say it
            self.broadcast(error_message(error, self.session.secrets))

    # Panels join, and say what their readers do -------------------------------------------------

    def attach(
        self, send: Callable[[PanelMessage], None], turns_changed: Callable[[], None]
    ) -> None:
        """Add a panel.

        ``send`` posts a message; ``turns_changed`` is called on the loop, debounced by 0.7 s.
        """

        def add() -> None:
            self._senders.append(send)
            self._turns_changed.append(turns_changed)
            self._introduce(self.tree)

        self.run_on_loop(add)

    def detach(
        self, send: Callable[[PanelMessage], None], turns_changed: Callable[[], None]
    ) -> None:
        """Take a panel out."""

        def remove() -> None:
            self._senders.remove(send)
            self._turns_changed.remove(turns_changed)

        self.run_on_loop(remove)

    @property
    def live(self) -> PendingQuestion | None:
        """The question whose reply is coming in where the panels look."""
        return self._live.asked if self._live is not None else None

    def stop(self, request: str) -> None:
        """Stop the reply that is coming in, or the question of the action ``request``.

        Wishes are handled in more than one thread: the question may come after its stop.
        """
        if self.live is not None:
            self.live.task.stop()
        elif request:
            self._cancelled_request = request

    def find(self, key: str) -> tuple[ConversationTree, Turn] | None:
        """The turn that pages call by this key."""
        name, _, number = key.rpartition("#")
        tree = self.session.registry.conversations.get(name)
        if tree is None or not number.isdecimal():
            return None
        turn = tree.by_number(int(number))
        return (tree, turn) if turn is not None else None

    def dropped(self, key: str) -> PendingQuestion | None:
        """The question of this key that was not taken into its conversation."""
        return self._dropped.get(key)

    def show(self, tree: ConversationTree, turn: Turn | None) -> None:
        """Show the line to this turn."""
        self.tree, self._leaf = tree, turn
        shown = {turn_id(tree, turn) for turn in self.visible_turns}
        self._live = next((live for key, live in self._lives.items() if key in shown), None)
        self.broadcast(self.state())
        self._schedule_turns_changed()

    # What pages get ---------------------------------------------------------------------------

    def broadcast(self, message: PanelMessage) -> None:
        """Send a message to all pages."""
        for send in self._senders:
            send(message)

    def state(self) -> PanelMessage:
        """Everything a page needs that has nothing."""
        line = self.visible_turns
        first = max(0, len(line) - PAGE_SIZE)
        live = self._live
        return {
            "type": "state",
            "about": self.overview(),
            "turns": self._turn_views(line[first:]),
            "first": first,
            "live": {"key": live.key, **live.stream.state} if live is not None else None,
            "draft": self.draft,
        }

    def older(self, end: int) -> PanelMessage:
        """The turns before the place ``end`` of the line."""
        line = self.visible_turns
        end = max(0, min(end, len(line)))
        first = max(0, end - PAGE_SIZE)
        return {
            "type": "older",
            "conversation": self.tree.name,
            "first": first,
            "end": end,
            "turns": self._turn_views(line[first:end]),
        }

    def overview(self) -> PanelOverview:
        """The connection and the conversations."""
        connection = self.session.connection
        service = connection.settings.service if connection is not None else ""
        sandbox = connection is not None and connection.sandbox
        speaker = service_info(service).title or "the service"
        told = "It is built in, knows the handbook of aeron-magic, and costs nothing."
        return PanelOverview(
            model_id="",
            connected=connection is not None,
            label=f"{speaker} (sandbox)" if sandbox else speaker if service else "Not connected",
            speaker=speaker,
            title=f"Ask {speaker}" + " in the sandbox" * sandbox if service else "Not connected",
            welcome=told if sandbox else "" if service else WELCOME,
            suggestions=list(SUGGESTIONS) if sandbox else [],
            introduction=self._introductions.get(self.tree),
            conversation=self.tree.name,
            conversations=[
                {"name": tree.name, "turns": len(tree.turns)} for tree in self.session.registry
            ],
        )

    @property
    def visible_turns(self) -> list[Turn]:
        """The turns that are shown, oldest first."""
        line = visible_path(self.tree, self._leaf)
        dropped = self._dropped_turn
        return [*line, dropped] if dropped is not None and dropped.parent is self._leaf else line

    def _turn_views(self, turns: list[Turn]) -> list[TurnView]:
        lives = [live.asked for live in self._lives.values() if live.asked.tree is self.tree]
        beside = [asked.pending.turn for asked in lives]
        return turn_views(
            self.tree, turns, problems=self._problems, running=self._lives, beside=beside
        )

    # What happens, on the loop ----------------------------------------------------------------

    def _on_started(self, asked: PendingQuestion) -> None:
        turn, tree = asked.pending.turn, asked.tree
        key = turn_id(tree, turn)
        self._live = live = self._lives[key] = _Live(asked, key)
        self._problems.pop(key, None)
        self._dropped.pop(key, None)
        ghost, self._dropped_turn = self._dropped_turn, None
        shown = next((other for other in self.visible_turns if other.number == turn.number), None)
        if tree is self.tree and shown is not None and shown.revision:
            self._tell_begin(asked, shown)  # in its place
        elif tree is self.tree and turn.parent is self._leaf and shown is None and ghost is None:
            self._leaf = turn
            self._tell_begin(asked, turn)  # at the end
        else:
            self.show(tree, turn)
        asked.task.add_listener(lambda: self._on_chunk(live))
        self._poll_status(live)
        if asked.request_id and asked.request_id == self._cancelled_request:
            asked.task.stop()

    def _tell_begin(self, asked: PendingQuestion, shown: Turn) -> None:
        view = self._turn_views([shown])[0]
        view["question"] = asked.pending.turn.question
        self.broadcast({"type": "begin", "turn": view, "request": asked.request_id})

    def _on_chunk(self, live: _Live) -> None:
        """More has come; called on the loop, for every chunk, so it does next to nothing."""
        if live.asked.task.done.is_set():
            self._end(live)
        elif live.timer is None:
            loop = asyncio.get_running_loop()
            live.timer = loop.call_at(
                live.painted + DELTA_INTERVAL, self._guard, lambda: self._paint(live)
            )

    def _paint(self, live: _Live) -> None:
        live.timer = None
        self._send_delta(live)

    def _poll_status(self, live: _Live, sequence: int = 0) -> None:
        """A notice comes without a chunk: look now and then whether there is one."""
        if live.asked.task.done.is_set():
            return
        if live.stream.sequence == sequence:
            self._on_chunk(live)
        asyncio.get_running_loop().call_later(
            PATIENCE, self._poll_status, live, live.stream.sequence
        )

    def _end(self, live: _Live) -> None:
        """The reply has ended: nothing is left to wait for."""
        first, live.ended = not live.ended, True
        if live.timer is not None:
            live.timer.cancel()
        self._guard(lambda: self._send_delta(live))
        if first and live.asked.request_id:  # a panel has asked, so no cell will finish it
            self._guard(lambda: self.session.finish(live.asked))

    def _send_delta(self, live: _Live) -> None:
        if self._live is live:
            message = live.stream.step(live.asked.task.accumulator)
            if message is None:  # so what comes next does not wait
                return
            self.broadcast({"type": "delta", "key": live.key, **message})
        live.painted = asyncio.get_running_loop().time()

    def _on_finished(self, asked: PendingQuestion) -> None:
        key = turn_id(asked.tree, asked.pending.turn)
        live = self._lives.get(key)
        if live is None or live.asked is not asked:
            return
        if live.timer is not None:
            live.timer.cancel()
        self._send_delta(live)
        shown = self._live is live
        del self._lives[key]
        reply, turn = asked.task.reply, asked.turn
        problem = problem_of(asked.task.error, reply, asked.tree.service)
        if problem is not None:
            self._problems[key] = problem
        if asked.tree.by_number(turn.number) is not turn:
            self._dropped[key] = asked
            self._dropped_turn = turn
        if not shown:
            return
        self._live = None
        if self._leaf is asked.pending.turn:
            self._leaf = turn if turn.revision else turn.parent
        view = self._turn_views([turn])[0]
        patch = None
        if turn.reply == reply:
            patch = {"seq": live.stream.sequence, **live.stream.end(reply)}
            view["blocks"] = []
        if asked.notes:
            view["note"] = " ".join([view["note"], *asked.notes]).strip()
        self.broadcast({"type": "end", "turn": view, "patch": patch})
        if self.visible_turns[-1].number != turn.number:
            self.broadcast(self.state())  # what follows it is stale now
        self.broadcast({"type": "about", "about": self.overview()})
        self._schedule_turns_changed()

    def _schedule_turns_changed(self) -> None:
        """Call ``turns_changed`` of the panels, debounced by 0.7 s."""
        if self._moving is not None:
            self._moving.cancel()
        self._moving = asyncio.get_running_loop().call_later(
            DEBOUNCE, self._guard, self._notify_turns_changed
        )

    def _notify_turns_changed(self) -> None:
        for notify in self._turns_changed:
            notify()

    def _on_conversation_changed(self) -> None:
        tree = self.session.tree
        self._introduce(tree)
        if tree is not self.tree or not self._lives:
            # A reply that is coming in is no turn yet, and is to be seen all the same.
            asked = [one.asked.pending for one in self._lives.values() if one.asked.tree is tree]
            self.show(tree, asked[-1].turn if asked else tree.head)
        else:
            self.broadcast({"type": "about", "about": self.overview()})

    def _introduce(self, tree: ConversationTree) -> None:
        """Ask an agent for what it says before the first question."""
        connection = self.session.connection
        if connection is None or not self._senders:
            return
        if not service_info(connection.settings.service).has_introduction:
            return
        if tree.turns or tree in self._introductions:
            return
        self._introductions[tree] = None
        task = ReplyTask(self.session.io_loop, connection.client.stream_introduction())

        def come() -> None:
            said = task.accumulator.introduction
            if task.done.is_set() and said is not None:
                html = utf16_safe(to_html(said.text))
                self._introductions[tree] = {"html": html, "buttons": list(said.buttons)}
                self.broadcast({"type": "about", "about": self.overview()})

        task.add_listener(come)
