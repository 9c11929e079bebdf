"""Objects that begin again in a forked process, which has their connections but not their threads.

A connection that both processes used would mix their replies.
"""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

_objects: WeakSet[Any] = WeakSet()


def restart_after_fork(one: Any) -> None:
    """Call the object's ``after_fork`` in every forked process, as long as the object exists.

    It leaves connections, threads and locks as they are, and makes others when needed.
    """
    _objects.add(one)


def _forked() -> None:
    for one in list(_objects):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)
