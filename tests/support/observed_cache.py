"""A batch's cache of rows that a test can wait for."""

from __future__ import annotations

import threading

from aeron_magic.batch.runner import Key, RowState

__all__ = ["ObservedCache"]


class ObservedCache(dict[Key, RowState]):
    """A cache for :class:`aeron_magic.batch.runner.BatchRun`."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __setitem__(self, key: Key, known: RowState) -> None:
        with self._changed:
            super().__setitem__(key, known)
            self._changed.notify_all()

    def wait(self, count: int, timeout: float = 20) -> bool:
        """Wait until ``count`` rows have a result or a token; return whether they do."""
        with self._changed:
            return self._changed.wait_for(
                lambda: sum(state != RowState() for state in self.values()) >= count, timeout
            )
