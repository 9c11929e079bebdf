"""The garbage collector while requests come and go in waves.

It makes a round whenever some hundreds of objects more have come than gone. Where hundreds of
requests are answered at the same moment, each wave looks to it like a leak: with 512 at once its
rounds took a fifth of all CPU time and found nothing, for what a request leaves is freed without
it. So it waits for as many objects as the requests under way may hold.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["OBJECTS", "raised_gc_threshold"]

OBJECTS = 64
"""Objects for each request: about as many as come and go with a wave."""

_lock = threading.Lock()
_found: list[tuple[int, int, int]] = []
"""The thresholds that each of those who are in step now has found."""


@contextmanager
def raised_gc_threshold(requests: int) -> Iterator[None]:
    """Let the collector's rounds keep step with so many requests at once.

    Its thresholds belong to the whole process. They are only ever raised (one of 0 switches it off,
    and stays), and are as they were once the last who is in step, in whatever thread, has ended.
    """
    with _lock:
        _found.append(gc.get_threshold())
        first, *others = _found[-1]
        if first:
            gc.set_threshold(max(first, OBJECTS * requests), *others)
    try:
        yield
    finally:
        with _lock:
            last = _found.pop()  # the first one's is the lowest, and stays to the end
            if not _found:
                gc.set_threshold(*last)
