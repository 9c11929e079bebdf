"""How far a batch is: a bar of tqdm, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar", "somebody_watches"]


def somebody_watches() -> bool:
    """Whether there is a terminal for a bar; notebooks decide for themselves."""
    return bool(sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A function that is told again and again how many rows are finished."""
    if not wanted:
        yield lambda finished: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit="row") as bar:

        def show(finished: int) -> None:
            bar.update(finished - bar.n)

        yield show
