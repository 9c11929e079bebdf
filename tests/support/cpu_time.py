"""The CPU time of a piece of work, such that two of them can be compared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

__all__ = ["least_cpu"]


def least_cpu(work: Callable[[], object], times: int = 3) -> float:
    """Return the least CPU time, in seconds, of doing ``work`` some times over in this thread.

    The garbage collector rests meanwhile: after thousands of tests one of its rounds takes
    longer than anything that is measured here.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        return min(_cpu(work) for _ in range(times))
    finally:
        if was_on:
            gc.enable()


def _cpu(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
