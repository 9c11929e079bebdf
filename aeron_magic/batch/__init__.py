"""Many prompts at once: each row is an independent question, sent from here or from a cluster.

::

    items ─ interpolate ─→ Task ─→ TaskQueue ─→ workers (one connection each) ─→ RowResult ─→ Row
                                       │ take, report_token, report_result, acquire
                                       └─ remote workers on a cluster

Workers take one row at a time from the :class:`~aeron_magic.batch.task_queue.TaskQueue`, so a slow
row delays no other. The rows of a lost worker are requeued, with their tokens if those are known.
"""

from __future__ import annotations

from aeron_magic.batch.api import ask_many
from aeron_magic.batch.items import Row

__all__ = ["Row", "ask_many"]
