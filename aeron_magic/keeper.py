"""Keeps what a kernel asks in the local history; a question never fails for that."""

from __future__ import annotations

from collections.abc import Callable

from aeron_magic.errors import HistoryError
from aeron_magic.history import History, Owner
from aeron_magic.turns import Attempt, Turn

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

    def asked(self, attempt: Attempt, owner: Owner) -> None:
        """See :meth:`History.asked`."""
        self._keep(attempt, lambda history: history.asked(attempt, owner))

    def started(self, attempt: Attempt, token: str) -> None:
        """See :meth:`History.started`."""
        self._keep(attempt, lambda history: history.started(attempt, token))

    def ended(self, attempt: Attempt, turn: Turn, owner: Owner) -> None:
        """See :meth:`History.ended`."""
        self._keep(attempt, lambda history: history.ended(attempt, turn, owner))

    def dropped(self, attempt: Attempt) -> None:
        """See :meth:`History.dropped`."""
        self._keep(attempt, lambda history: history.dropped(attempt))

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
