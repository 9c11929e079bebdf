"""Writes turns to the local history; a failed write never fails the question."""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Turn
from aeron_magic.errors import HistoryError

__all__ = ["HistoryWriter"]


class HistoryWriter:
    """Calls the methods of ``history`` that have the same names, and keeps their first error.

    Without ``history``, nothing is written.
    """

    def __init__(self, history: HistoryStore | None) -> None:
        self.history = history
        self.error: HistoryError | None = None
        self._warned = False
        self._in_flight: set[PendingTurn] = set()

    def save_pending(self, pending: PendingTurn, scope: HistoryScope) -> None:
        self._in_flight.add(pending)
        self._write(pending, lambda history: history.save_pending(pending, scope))

    def save_token(self, pending: PendingTurn, token: str) -> None:
        self._write(pending, lambda history: history.save_token(pending, token))

    def save_turn(self, pending: PendingTurn, turn: Turn, scope: HistoryScope | None) -> None:
        self._in_flight.discard(pending)
        self._write(pending, lambda history: history.save_turn(pending, turn, scope))

    def delete_pending(self, pending: PendingTurn) -> None:
        self._in_flight.discard(pending)
        self._write(pending, lambda history: history.delete_pending(pending))

    def unfinished(self, tree: ConversationTree) -> list[tuple[PendingTurn, str | None]]:
        """As :meth:`HistoryStore.unfinished`, without the questions that this kernel waits for."""
        if self.history is None or tree.history_id is None:
            return []
        own = {one.turn.number for one in self._in_flight if one.position.tree is tree}
        return [one for one in self.history.unfinished(tree) if one[0].turn.number not in own]

    def _write(self, pending: PendingTurn, write: Callable[[HistoryStore], None]) -> None:
        if self.history is None:
            return
        try:
            write(self.history)
        except HistoryError as error:
            self.error = self.error or error
            self.history.mark_dirty(pending.position.tree)

    def warning(self) -> str:
        """A warning with a remedy after the first failed write; after that, an empty text."""
        if self.error is None or self._warned:
            return ""
        self._warned = True
        return f"{self.error} Questions work, but are not stored. {self.error.hint}"
