"""How far a batch is: a bar of tqdm, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


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
