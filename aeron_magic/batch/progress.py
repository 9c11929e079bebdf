"""The progress bar of a batch or a check (tqdm)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def progress_bar(
    total: int, shown: bool, text: str = "", unit: str = "row"
) -> Iterator[Callable[[int], object]]:
    """A function that sets how many of ``total`` are finished; ``text`` is before the bar.

    Where tqdm is not installed, nothing is shown.
    """
    if not shown or find_spec("tqdm") is None:
        yield lambda finished: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=unit, desc=text) as bar:
        yield lambda finished: bar.update(finished - bar.n)
