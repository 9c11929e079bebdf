"""Many prompts at once: each row is a question of its own, here or on a cluster.

::

    items ─ interpolate ─→ Task ─→ TaskQueue ─→ workers (one connection each) ─→ RowResult ─→ Row
                                       │ take, report_token, report_result, acquire
                                       └─ remote workers on a cluster

The :class:`~aeron_magic.batch.task_queue.TaskQueue` alone knows what is to be done; workers take
one row at a time, wherever they run. Nothing is planned ahead, so a slow row holds no other row
up, and the rows of a lost worker go back to the queue, with their tokens if those were known.
"""

from __future__ import annotations

from aeron_magic.batch.api import ask_many
from aeron_magic.batch.items import Row

__all__ = ["Row", "ask_many"]
