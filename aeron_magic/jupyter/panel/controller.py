"""The state behind all panels of a kernel: the visible conversation and the reply being read.

The controller observes the session and sends messages to the panels. All its state belongs to the
background loop: other threads hand their work over with ``run_on_loop``, so there are no locks.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from aeron_magic.client.io_loop import IOLoop, ReplyTask
from aeron_magic.client.logs import log_failure
from aeron_magic.conversations.registry import continues_text
from aeron_magic.jupyter.panel.messages import (
    Introduction,
    NextPlace,
    PanelMessage,
    PanelOverview,
    Problem,
    ResumeOffer,
    TurnView,
    error_message,
)
from aeron_magic.jupyter.panel.overview import next_place, overview
from aeron_magic.jupyter.panel.turn_views import (
    MAX_STEP,
    HtmlStream,
    TreeIndex,
    is_dead_end,
    make_read_only,
    problem_of,
    reply_html,
    turn_id,
    turn_views,
)
from aeron_magic.services.catalog import service_info

if TYPE_CHECKING:
    from aeron_magic.client.stream import AsyncStream
    from aeron_magic.conversations.tree import ConversationTree, Turn
    from aeron_magic.jupyter.app import Resuming
    from aeron_magic.protocol.events import Introduced
    from aeron_magic.replies.reply import Reply
    from aeron_magic.session.session import PendingQuestion, Session

PAGE_SIZE = 20
"""Turns that a page gets at once; it requests older ones when the reader scrolls up to them."""

DELTA_INTERVAL = 0.08
"""Seconds between two messages about one reply; each costs kernel and page a millisecond."""

STATUS_INTERVAL = 0.25
"""Seconds between two looks at the reply's status text, which changes without a chunk."""

DEBOUNCE = 0.7
"""Seconds without a change after which the saved transcript is updated."""


class Panel(Protocol):
    """What the controller calls of a panel, on the loop."""

    def post(self, message: PanelMessage) -> None:
        """Send a message to the pages."""

    def turns_changed(self) -> None:
        """The visible turns have changed; debounced."""

    def cell_ended(self) -> None:
        """The question of a cell has ended; the cell is still running."""


class _Live:
    """A reply that is being read, and the part of it that the pages have."""

    def __init__(self, asked: PendingQuestion, key: str) -> None:
        self.asked = asked
        self.key = key
        self.stream = HtmlStream()
        self.timer: asyncio.TimerHandle | None = None
        self.last_sent = 0.0


def _guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Show an error of ``method`` in the panels: the event loop would only log it."""

    @wraps(method)
    def call(self: PanelController, *args: Any) -> None:
        try:
            method(self, *args)
        except Exception as error:  # noqa: BLE001 - see above
            self.broadcast(error_message(error, self.session.secrets))

    return call


def _in_order(method: Callable[..., None]) -> Callable[..., None]:
    """Call ``method`` after the end that is being rendered in a thread, if there is one."""
    guarded = _guarded(method)

    @wraps(method)
    def call(self: PanelController, *args: Any) -> None:
        if self._postponed is None:
            guarded(self, *args)
        else:
            self._postponed.append(partial(copy_context().run, call, self, *args))

    return call


class PanelController:
    """Observes a session and keeps its panels up to date.

    * ``resuming``: how a stored conversation is resumed; None: that is not offered.
    """

    def __init__(self, session: Session, resuming: Resuming | None = None) -> None:
        self.session = session
        self.resuming = resuming
        self._offer: ResumeOffer | None = None
        self.draft = ""
        self._id = uuid4().hex
        self.docked: Any = None
        """The sidecar that shows a panel."""
        self.tree: ConversationTree = session.tree
        self._index = TreeIndex(self.tree)
        self._leaf: Turn | None = self.tree.head
        self._on_page: list[int] = []
        """The numbers of the turns that the pages show, from the first of the newest state on."""
        self._panels: list[Panel] = []
        self.live: _Live | None = None
        """The visible reply that is being read."""
        self.asking = threading.Lock()
        """Held while an action asks; actions are handled in several threads."""
        self.asked: PendingQuestion | None = None
        """The newest question of an action; ``live`` follows on the loop."""
        self.asked_actions: deque[str] = deque(maxlen=1_000)
        """The ids of the actions that have asked."""
        self._lives: dict[PendingQuestion, _Live] = {}
        self._problems: dict[str, Problem | None] = {}
        self._dropped: dict[str, PendingQuestion] = {}
        self._dropped_turn: Turn | None = None
        """The newest question that was not added to its conversation, until the next one."""
        self._cancelled_request = ""
        self._introductions: dict[ConversationTree, Introduction | None] = {}
        self._change_timer: asyncio.TimerHandle | None = None
        self._postponed: list[Callable[[], None]] | None = None
        """While an end is rendered in a thread: what the session has reported since."""
        session.observers.append(self)

    def run_on_loop(self, act: Callable[..., None], *args: Any) -> None:
        """Call ``act`` on the loop; an error is shown in the panels."""
        self.session.io_loop.call_soon(partial(self._run, act, *args))

    @_guarded
    def _run(self, act: Callable[..., None], *args: Any) -> None:
        act(*args)

    # Panels and their actions -------------------------------------------------------------------

    def find_offer(self) -> None:
        """Look for a stored conversation to offer; before a panel is open, as it can take long."""
        offered = self.resuming.offer() if self.resuming is not None else None
        if offered is not None:
            name, turns, ended = offered
            self._offer = ResumeOffer(name=name, turns=turns, ended=ended)
        else:
            self._offer = None

    def attach(self, panel: Panel) -> None:
        """Add a panel."""

        def add() -> None:
            self._panels.append(panel)
            self._introduce(self.tree)

        self.run_on_loop(add)

    def detach(self, panel: Panel) -> None:
        """Remove a panel."""
        self.run_on_loop(self._panels.remove, panel)

    def stop(self, request: str) -> None:
        """Stop the visible reply, or the question of the action ``request``; on the loop.

        Actions are handled in several threads: the question may arrive after its stop.
        """
        if self.live is not None and not self.live.asked.done.is_set():
            self.live.asked.stop()
        elif request:
            self._cancelled_request = request

    def is_busy(self, tree: ConversationTree) -> bool:
        """Whether the visible reply, or the newest question of an action in ``tree``, goes on."""
        asked = self.asked if self.asked is not None and self.asked.tree is tree else None
        live = self.live.asked if self.live is not None else None
        return any(one is not None and not one.done.is_set() for one in (live, asked))

    def find(self, key: str) -> tuple[ConversationTree, Turn] | None:
        """The turn with this key."""
        name, _, number = key.rpartition("#")
        tree = self.session.registry.conversations.get(name)
        if tree is None or not number.isdecimal():
            return None
        turn = tree.by_number(int(number))
        return (tree, turn) if turn is not None else None

    def dropped(self, key: str) -> PendingQuestion | None:
        """The question with this key, if it was not added to its conversation."""
        return self._dropped.get(key)

    def show(self, tree: ConversationTree, turn: Turn | None) -> None:
        """Show the path to this turn; on the loop."""
        if tree is not self.tree:
            self._index = TreeIndex(tree)
        self.tree, self._leaf = tree, turn
        self.live = self._visible_live()
        self.broadcast(self.state())
        self._schedule_turns_changed()

    def _visible_live(self) -> _Live | None:
        """The newest reply that is being read, of those whose turn is shown."""
        shown = {turn_id(self.tree, turn) for turn in self.visible_turns} if self._lives else ()
        lives = reversed(self._lives_here())
        return next((live for live in lives if live.key in shown), None)

    def _lives_here(self) -> list[_Live]:
        """What is read of the conversation shown; of each turn, only for its newest question."""
        found: dict[int, _Live] = {}
        for asked, live in self._lives.items():
            if asked.tree is not self.tree:
                continue
            turn, others = asked.pending.turn, []
            if turn.number in found:
                others.append(found[turn.number].asked.pending.turn)
            if asked.pending.is_fetch:
                others.append(self.tree.by_number(turn.number) or turn)
            if all(one.asked_at <= turn.asked_at for one in others):
                found[turn.number] = live
        return list(found.values())

    # Messages to the pages ----------------------------------------------------------------------

    def broadcast(self, message: PanelMessage) -> None:
        """Send a message to all panels; on the loop."""
        self._for_each_panel(lambda panel: panel.post(message))

    def _for_each_panel(self, act: Callable[[Panel], None]) -> None:
        """Call ``act`` with each panel; an exception, as of a closed channel, is logged."""
        for panel in tuple(self._panels):
            try:
                act(panel)
            except Exception as error:  # noqa: BLE001 - a panel must not stop the others
                log_failure("A panel could not be updated:", error)

    def state(self) -> PanelMessage:
        """All that a new page needs."""
        path = self.visible_turns
        first = max(0, len(path) - PAGE_SIZE)
        self._on_page = [turn.number for turn in path[first:]]
        live = self.live
        return {
            "type": "state",
            "about": self.overview(),
            "turns": self._turn_views(path[first:]),
            "first": first,
            "live": {"key": live.key, **live.stream.state} if live is not None else None,
            "draft": self.draft,
        }

    def older(self, end: int) -> PanelMessage:
        """A page of turns before index ``end`` of the path."""
        path = self.visible_turns
        end = max(0, min(end, len(path)))
        first = max(0, end - PAGE_SIZE)
        return {
            "type": "older",
            "conversation": self.tree.name,
            "first": first,
            "end": end,
            "turns": self._turn_views(path[first:end]),
        }

    def overview(self) -> PanelOverview:
        """The connection and the conversations."""
        introduction = self._introductions.get(self.tree)
        return overview(
            self.session, self.tree, introduction, self._offer, self._next_place(), self._id
        )

    def _next_place(self) -> NextPlace | None:
        if self._is_read_only:  # the last turn says it
            return None
        return next_place(self.session, self.tree, self.visible_turns)

    @property
    def visible_turns(self) -> list[Turn]:
        """The turns that are shown, oldest first."""
        is_start = self._leaf is None and self._is_read_only
        path = self._index.visible_path(self.tree.newest if is_start else self._leaf)
        dropped = self._dropped_turn
        return [*path, dropped] if dropped is not None and dropped.parent is self._leaf else path

    @property
    def _is_read_only(self) -> bool:
        """Whether the turns can only be read, because their service has ended."""
        ended = self.tree.ended
        if self._leaf is not None:
            return self._leaf in ended and self.tree.head is None
        return bool(ended) and len(ended) == len(self.tree.turns)

    def _turn_views(self, turns: list[Turn], streamed: Reply | None = None) -> list[TurnView]:
        here = [live.asked for live in self._lives_here()]
        pending = [asked.pending.turn for asked in here]
        fetched = {
            asked.turn.number: _known_text(asked) for asked in here if asked.pending.is_fetch
        }
        views = turn_views(self._index, turns, self._problems, pending, fetched, streamed)
        if ended := self.tree.ended:
            path = self.visible_turns if self._is_read_only else []
            last = next((turn for turn in reversed(path) if turn in ended), None)
            for turn, view in zip(turns, views, strict=True):
                if turn in ended:
                    make_read_only(view, is_last=turn is last)
        return views

    # Questions, as the session reports them on the loop ------------------------------------------

    @_in_order
    def question_started(self, asked: PendingQuestion) -> None:
        """Show a new question."""
        turn, tree = asked.pending.turn, asked.tree
        key = turn_id(tree, turn)
        live = self._lives[asked] = _Live(asked, key)
        self._problems.pop(key, None)
        self._dropped.pop(key, None)
        dropped, self._dropped_turn = self._dropped_turn, None
        shown = None
        if tree is self.tree and asked.pending.position.replaces is not None:
            same = (other for other in self.visible_turns if other.number == turn.number)
            shown = next(same, None)
        trees = {tree, self.session.tree} if asked.is_fetch else ()
        is_late = any(one.was_asked_since(turn) for one in trees)
        if asked.request_id and asked.request_id == self._cancelled_request:
            asked.stop()
        if is_late and (shown is None or self.live is not None):
            if asked.request_id:  # what is shown stays; the page must not wait
                self.broadcast({**self.state(), "request": asked.request_id})
            return
        self.live = live
        if tree is not self.tree or self._is_read_only:
            self.show(tree, turn)
        elif shown and (is_late or not is_dead_end(tree, shown)):
            self._send_begin(asked, shown)  # in its place
        elif turn.parent is self._leaf and shown is None and dropped is None:
            self._leaf = turn
            self._send_begin(asked, turn)  # at the end
        elif shown and turn.parent is self._leaf and dropped is None:
            before = [one.number for one in self.visible_turns]
            self._leaf = turn
            if [one.number for one in self.visible_turns] == before:
                self._send_begin(asked, turn)  # in the place of one without a complete reply
            else:
                self.show(tree, turn)
        else:
            self.show(tree, turn)
        self._poll_status(asked)

    def _send_begin(self, asked: PendingQuestion, shown: Turn) -> None:
        view = self._turn_views([shown])[0]
        if shown.number not in self._on_page:
            self._on_page.append(shown.number)
        self.broadcast({"type": "begin", "turn": view, "request": asked.request_id})

    def question_progressed(self, asked: PendingQuestion) -> None:
        """Schedule a message about the reply; called for every chunk, so it does little."""
        live = self._lives.get(asked)
        if live is not None and live.timer is None and not asked.done.is_set():
            loop = asyncio.get_running_loop()
            live.timer = loop.call_at(live.last_sent + DELTA_INTERVAL, self._on_timer, live)

    @_guarded
    def _on_timer(self, live: _Live) -> None:
        live.timer = None
        self._send_delta(live)

    def _poll_status(self, asked: PendingQuestion) -> None:
        """Check the status text at intervals, since it changes without a chunk."""
        if asked in self._lives:
            self.question_progressed(asked)
            asyncio.get_running_loop().call_later(STATUS_INTERVAL, self._poll_status, asked)

    def _send_delta(self, live: _Live) -> None:
        if self.live is live:
            message = live.stream.step(live.asked.accumulator)
            if message is None:  # the next chunk need not wait
                return
            self.broadcast({"type": "delta", "key": live.key, **message})
        live.last_sent = asyncio.get_running_loop().time()

    @_in_order
    def question_finished(self, asked: PendingQuestion) -> None:
        """Show how a question ended."""
        live, text = self._lives.get(asked), asked.reply.text
        if live is not None and live.timer is not None:
            live.timer.cancel()
        # A runner without cell ids accepts the transcript only while its cell waits.
        of_runner = asked.pending.turn.cell is None and not asked.request_id
        if of_runner or len(text) <= MAX_STEP:
            self._finish(asked)
            return
        self._postponed = []  # in a thread, because other replies are read on the loop
        rendered = asyncio.get_running_loop().run_in_executor(None, reply_html, text)
        rendered.add_done_callback(lambda _: self._on_rendered(asked))

    def _on_rendered(self, asked: PendingQuestion) -> None:
        postponed, self._postponed = self._postponed or [], None
        self._finish(asked)
        for call in postponed:
            call()

    @_guarded
    def _finish(self, asked: PendingQuestion) -> None:
        live = self._lives.pop(asked, None)
        if live is not None:
            ended = False
            try:
                self._send_end(live)
                ended = True
                if self.live is None and (other := self._visible_live()) is not None:
                    self.live = other  # such as a fetch that began meanwhile
                    self.broadcast(self.state())
            finally:
                if not ended:  # the pages must not wait for a reply that has ended
                    self.live = None if self.live is live else self.live
                    self.broadcast(self.state())
        if not asked.request_id:
            self._for_each_panel(lambda panel: panel.cell_ended())

    def _send_end(self, live: _Live) -> None:
        asked, key = live.asked, live.key
        reply, turn = asked.reply, asked.turn
        known = asked.tree.by_number(turn.number) if asked.is_fetch else None
        if known is not None:
            turn = known  # also if nothing was fetched
        if len(reply.text) <= MAX_STEP:
            self._send_delta(live)
        problem = problem_of(asked.error, reply, asked.tree.service)
        self._problems.pop(key, None)
        if problem is not None:
            self._problems[key] = problem
        if not any(one is turn for one in reversed(asked.tree.turns)):  # mostly the last
            self._dropped[key] = asked
            self._dropped_turn = turn
        if self.live is not live:
            if asked.is_fetch and self.live is None and turn is self.session.tree.head:
                self.show(asked.tree, turn)  # it moves the conversation, as nothing came since
                return
            is_shown = asked.tree is self.tree and turn.number in self._on_page
            about = {"type": "about", "about": self.overview()}
            self.broadcast(self.state() if is_shown else about)
            return
        self.live = None
        if self._leaf is asked.pending.turn:
            stays = turn.parent is not asked.pending.turn.parent  # it has an earlier reply there
            end = turn if turn.tokens or turn is asked.tree.head else turn.parent
            self._leaf = asked.tree.head if stays else end
        elif asked.is_fetch and turn is asked.tree.head:
            self._leaf = turn  # nothing came of what was asked since
        view = self._turn_views([turn], streamed=reply)[0]
        is_next = turn.reply is reply and turn.tokens and turn is asked.tree.head
        patch = None
        if turn.reply is reply:
            patch = {"seq": live.stream.sequence, **live.stream.end(reply)}
        if notes := asked.notes:
            # The view has this one, if it belongs there.
            parent = continues_text(turn.parent) if turn.parent is not None else ""
            view["note"] = " ".join(
                [view["note"], *(one for one in notes if one != parent)]
            ).strip()
        self.broadcast(
            {
                "type": "end",
                "turn": view,
                "patch": patch,
                "count": len(asked.tree.turns),
                "next": None if is_next else self._next_place(),
            }
        )
        is_at_service = turn.parent or turn.tokens or turn.opened
        cut = is_at_service and any(not one.tokens for one in self.visible_turns if one is not turn)
        shown = [one.number for one in self.visible_turns]
        is_on_page = shown[-len(self._on_page) :] == self._on_page
        if not is_on_page or shown[-1] != turn.number:
            self.broadcast(self.state())  # it has moved, or those after it are stale now
        elif cut and not service_info(asked.tree.service).branches:
            self.broadcast(self.state())  # those that failed before it cannot be asked again now
        elif self._index.is_new_branch(turn.parent):
            self.broadcast(self.state())  # it has arrows now
        elif key in self._dropped:  # perhaps its conversation, too
            self.broadcast({"type": "about", "about": self.overview()})
        self._schedule_turns_changed()

    def _schedule_turns_changed(self) -> None:
        if self._change_timer is not None:
            self._change_timer.cancel()
        self._change_timer = asyncio.get_running_loop().call_later(
            DEBOUNCE, self._notify_turns_changed
        )

    @_guarded
    def _notify_turns_changed(self) -> None:
        self._for_each_panel(lambda panel: panel.turns_changed())

    # Other conversations --------------------------------------------------------------------------

    @_in_order
    def conversation_changed(self) -> None:
        """Show the conversation that is current now."""
        tree = self.session.tree
        self._introduce(tree)
        if tree is not self.tree or not self._lives:
            # A pending question is not in the tree yet, but is shown.
            pending = [asked.pending.turn for asked in self._lives if asked.tree is tree]
            self.show(tree, pending[-1] if pending else tree.head)
        else:
            self.broadcast({"type": "about", "about": self.overview()})

    def _introduce(self, tree: ConversationTree) -> None:
        """Request the introductory message of an agent, for a conversation without turns."""
        connection = self.session.connection
        if connection is None or not self._panels:
            return
        if not service_info(connection.settings.service).has_introduction:
            return
        if tree.turns or tree in self._introductions:
            return
        self._introductions[tree] = None
        stream = connection.client.stream_introduction()
        _Introduction(self.session.io_loop, stream, partial(self._show_introduction, tree))

    @_guarded
    def _show_introduction(self, tree: ConversationTree, introduction: Introduced) -> None:
        html = reply_html(introduction.text)
        self._introductions[tree] = {"html": html, "buttons": list(introduction.buttons)}
        self.broadcast({"type": "about", "about": self.overview()})


def _known_text(fetch: PendingQuestion) -> str:
    """The part of a reply that is known while it is fetched."""
    turn = fetch.pending.position.replaces
    return turn.reply.text if turn is not None and turn.reply is not None else ""


class _Introduction(ReplyTask):
    """An introductory message; ``show`` is called with it on the loop."""

    def __init__(
        self, loop: IOLoop, stream: AsyncStream, show: Callable[[Introduced], None]
    ) -> None:
        self._show = show
        super().__init__(loop, stream)

    def on_end(self) -> None:
        if self.accumulator.introduction is not None:
            self._show(self.accumulator.introduction)
