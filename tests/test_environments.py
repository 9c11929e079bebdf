"""A part of the campaign of bad environments; each case is a process of its own."""

from __future__ import annotations

from pathlib import Path

import environments
import pytest

pytestmark = pytest.mark.jupyter

CASES = dict(environments.cases(quick=True))


@pytest.mark.parametrize(
    "name",
    [
        "disk full after 40 KiB: history",
        "no home, unknown user",
        "history: a FIFO",
        "recording (record): a link to itself",
        "terminal: ascii in C",
        "24 files",
        "suspended 3 s",
        "network away 3 s",
        "forked kernel",
    ],
)
def test_a_bad_environment(name: str, tmp_path: Path) -> None:
    """The replies are right, come in bounded time, and are charged once."""
    reasons = environments.possible()
    for begin, reason in reasons.items():
        if name.startswith(begin):
            pytest.skip(reason)
    assert CASES[name](environments.Bench(tmp_path)) == []
