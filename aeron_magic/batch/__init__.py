"""Many prompts: each row a question of its own, many at once, here or on a cluster.

::

    items ─ insert ─→ Task ─→ Board ─→ lanes (one connection each) ─→ Outcome ─→ Row, DataFrame
                                │ take, known, done, turn
                                └─ workers on a cluster, each with lanes of its own

The :class:`~aeron_magic.batch.task_queue.TaskQueue` alone knows what is to be done; lanes take from it one
row at a time, wherever they run. So nothing is planned ahead, a slow row holds nobody up, and what
a lost worker had taken goes back to the board, with its token if that was known.
"""

from __future__ import annotations

from aeron_magic.batch.api import ask_many
from aeron_magic.batch.items import Row

__all__ = ["Row", "ask_many"]
