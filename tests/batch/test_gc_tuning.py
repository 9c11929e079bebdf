"""The collector's thresholds: raised for a batch, and as they were after it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from aeron_magic.batch.gc_tuning import OBJECTS, raised_gc_threshold


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The thresholds as Python has them, and those of the test run after it."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_waits_for_as_many_objects_as_the_requests_hold() -> None:
    """With 512 requests at once, it would begin a round for the tenth part of them."""
    with raised_gc_threshold(512):
        assert gc.get_threshold() == (512 * OBJECTS, 10, 10)


def test_a_few_requests_change_nothing() -> None:
    """What they hold is less than what it waits for anyway."""
    with raised_gc_threshold(2):
        assert gc.get_threshold() == (700, 10, 10)


def test_afterwards_it_is_as_before() -> None:
    """Also where the batch has ended with an error."""
    with pytest.raises(KeyboardInterrupt), raised_gc_threshold(512):
        raise KeyboardInterrupt
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_batches_side_by_side_leave_it_as_before(first_out: int) -> None:
    """Whichever of them ends first."""
    batches = [ExitStack(), ExitStack()]
    for batch, requests in zip(batches, (100, 200), strict=True):
        batch.enter_context(raised_gc_threshold(requests))
    batches.pop(first_out).close()
    assert gc.get_threshold() == (200 * OBJECTS, 10, 10)
    batches.pop().close()
    assert gc.get_threshold() == (700, 10, 10)


def test_a_collector_that_is_switched_off_stays_so() -> None:
    """A threshold of 0 means never, and more than that would be more often."""
    gc.set_threshold(0, 10, 10)
    with raised_gc_threshold(512):
        assert gc.get_threshold() == (0, 10, 10)
    assert gc.get_threshold() == (0, 10, 10)
