"""The fast part of the campaigns on money and on the wire."""

from __future__ import annotations

import money
import pytest
import wire

pytestmark = pytest.mark.campaign


def test_no_question_comes_twice() -> None:
    tallies = money.campaign(7, quick=True)
    assert [violation for one in tallies for violation in one.violations] == []
    assert {one.most for one in tallies} == {1}


@pytest.mark.parametrize("kind", wire.DRIVERS)
def test_damaged_responses_give_the_text_or_a_named_error(kind: str) -> None:
    tally = wire.run("damaged", kind, wire.damaged(7, 40), any_text=True)
    assert tally.violations == []


def test_parsers_read_damaged_samples_in_linear_time() -> None:
    for tally in (wire.fuzz_parsers(7, 200), wire.time_parsers(7, 5)):
        assert tally.violations == []
