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

    Where tqdm is not installed or ``total`` is 0, nothing is shown. In a notebook, a line of text
    replaces the bar at the end: a saved widget would show the beginning.
    """
    if not (shown and total) or find_spec("tqdm") is None:
        yield lambda finished: None
        return
    from tqdm.auto import tqdm

    if not any(one.__module__ == "tqdm.notebook" for one in tqdm.__mro__):
        with tqdm(total=total, unit=unit, desc=text) as bar:
            yield lambda finished: bar.update(finished - bar.n)
        return
    from tqdm import notebook

    bar = tqdm(total=total, unit=unit, desc=text, display=False, leave=False)
    widget = getattr(bar, "container")  # noqa: B009 - unknown to the types of tqdm
    shown_bar = getattr(notebook, "display")(widget, display_id=True)  # noqa: B009 - as above
    try:
        yield lambda finished: bar.update(finished - bar.n)
    finally:
        bar.close()
        before = f"{text}: " if text else ""
        done = f"{before}{bar.n:,} of {total:,} {unit}s"
        shown_bar.update({"text/plain": done}, raw=True)
