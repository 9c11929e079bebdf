"""Keeps what a kernel asks in the local history; a question never fails for that."""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.tree import ConversationTree, PendingTurn, Turn
from aeron_magic.errors import HistoryError

__all__ = ["HistoryWriter"]


class HistoryWriter:
    """Keeps the questions of one kernel, and never lets a question fail for that.

    Parameters
    ----------
    history
        Where; None keeps nothing.
    """

    def __init__(self, history: HistoryStore | None) -> None:
        self.history = history
        self.error: HistoryError | None = None
        """Why something was not kept: the first failure."""
        self._warned = False
        self._waiting: set[Turn] = set()

    def save_pending(self, pending: PendingTurn, owner: HistoryScope) -> None:
        """See :meth:`HistoryStore.save_pending`."""
        self._waiting.add(pending.turn)
        self._write(pending, lambda history: history.save_pending(pending, owner))

    def save_token(self, pending: PendingTurn, token: str) -> None:
        """See :meth:`HistoryStore.save_token`."""
        self._write(pending, lambda history: history.save_token(pending, token))

    def save_turn(self, pending: PendingTurn, turn: Turn, owner: HistoryScope) -> None:
        """See :meth:`HistoryStore.save_turn`."""
        self._waiting.discard(pending.turn)
        self._write(pending, lambda history: history.save_turn(pending, turn, owner))

    def mark_lost(self, pending: PendingTurn, turn: Turn) -> None:
        """See :meth:`HistoryStore.mark_lost`."""
        self._write(pending, lambda history: history.mark_lost(pending, turn))

    def delete_pending(self, pending: PendingTurn) -> None:
        """See :meth:`HistoryStore.delete_pending`."""
        self._waiting.discard(pending.turn)
        self._write(pending, lambda history: history.delete_pending(pending))

    def unfinished(self, tree: ConversationTree) -> list[tuple[PendingTurn, str | None]]:
        """See :meth:`HistoryStore.unfinished`; without those that this kernel is waiting for."""
        if self.history is None or tree.history_id is None:
            return []
        waiting = {turn.number for turn in self._waiting}
        found = self.history.unfinished(tree)
        return [one for one in found if one[0].turn.number not in waiting]

    def _write(self, pending: PendingTurn, what: Callable[[HistoryStore], None]) -> None:
        if self.history is None:
            return
        try:
            what(self.history)
        except HistoryError as error:
            self.error = self.error or error
            self.history.mark_dirty(pending.position.tree)
            self.history.shorten_busy_timeout()

    def warning(self) -> str:
        """What is wrong, in a sentence or two: once; then, and without a problem, nothing."""
        if self.error is None or self._warned:
            return ""
        self._warned = True
        return f"{self.error} What is asked works, but is not kept. {self.error.hint}"
