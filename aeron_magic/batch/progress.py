"""The progress bar of a batch (tqdm)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aeron_magic.errors import missing_extra


@contextmanager
def progress_bar(total: int, shown: bool, text: str = "") -> Iterator[Callable[[int], object]]:
    """A function that sets how many of ``total`` rows are finished; ``text`` is before the bar."""
    if not shown:
        yield lambda finished: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise missing_extra("The progress bar of a batch", "tables") from None

    with tqdm(total=total, unit="row", desc=text) as bar:
        yield lambda finished: bar.update(finished - bar.n)
