"""Keeps what a kernel asks in the local history; a question never fails for that."""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.errors import HistoryError
from aeron_magic.conversations.history import History, Owner
from aeron_magic.conversations.tree import Attempt, Tree, Turn

__all__ = ["Keeper"]


class Keeper:
    """Keeps the questions of one kernel, and never lets a question fail for that.

    Parameters
    ----------
    history
        Where; None keeps nothing.
    """

    def __init__(self, history: History | None) -> None:
        self.history = history
        self.problem: HistoryError | None = None
        """Why something was not kept: the first failure."""
        self._told = False
        self._under_way: set[Turn] = set()

    def asked(self, attempt: Attempt, owner: Owner) -> None:
        """See :meth:`History.asked`."""
        self._under_way.add(attempt.turn)
        self._keep(attempt, lambda history: history.asked(attempt, owner))

    def started(self, attempt: Attempt, token: str) -> None:
        """See :meth:`History.started`."""
        self._keep(attempt, lambda history: history.started(attempt, token))

    def ended(self, attempt: Attempt, turn: Turn, owner: Owner) -> None:
        """See :meth:`History.ended`."""
        self._under_way.discard(attempt.turn)
        self._keep(attempt, lambda history: history.ended(attempt, turn, owner))

    def lost(self, attempt: Attempt, turn: Turn) -> None:
        """See :meth:`History.lost`."""
        self._keep(attempt, lambda history: history.lost(attempt, turn))

    def dropped(self, attempt: Attempt) -> None:
        """See :meth:`History.dropped`."""
        self._under_way.discard(attempt.turn)
        self._keep(attempt, lambda history: history.dropped(attempt))

    def unfinished(self, tree: Tree) -> list[tuple[Attempt, str | None]]:
        """See :meth:`History.unfinished`; without those that this kernel is waiting for."""
        if self.history is None or tree.stored is None:
            return []
        waiting = {turn.number for turn in self._under_way}
        found = self.history.unfinished(tree)
        return [one for one in found if one[0].turn.number not in waiting]

    def _keep(self, attempt: Attempt, what: Callable[[History], None]) -> None:
        if self.history is None:
            return
        try:
            what(self.history)
        except HistoryError as error:
            self.problem = self.problem or error
            self.history.mark_behind(attempt.place.tree)
            self.history.impatient()

    def warning(self) -> str:
        """What is wrong, in a sentence or two: once; then, and without a problem, nothing."""
        if self.problem is None or self._told:
            return ""
        self._told = True
        return f"{self.problem} What is asked works, but is not kept. {self.problem.hint}"
