"""The fast part of the campaigns on files: mutated ones are read, killed batches ask once."""

from __future__ import annotations

import random
import signal

import pytest
from batch_charges import run_case
from hostile_files import run_campaign

pytestmark = pytest.mark.campaign


def test_mutated_files_are_read_without_a_foreign_exception() -> None:
    cases, violations = run_campaign(count=60, seed=20261130)
    assert not violations
    assert cases["recording"] == cases["history"] == cases["rows"] == 60
    assert cases["large: sparse"] == 1


@pytest.mark.parametrize("keeper", ["checkpoint", "history"])
def test_a_killed_batch_asks_no_row_twice(keeper: str) -> None:
    """What may have been charged is reported."""
    outcome = run_case(keeper, signal.SIGKILL, 1, 24, random.Random(1))
    assert outcome.twice == outcome.missing == 0
    assert outcome.complete + outcome.reported == 24
