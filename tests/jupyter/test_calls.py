"""How far a question travels inside the package; ``tests/benchmarks/count_calls.py`` defines it."""

from __future__ import annotations

import pytest
from count_calls import CLICK_LIMITS, QUESTION_LIMITS, Count, count_click, count_question


@pytest.mark.jupyter
def test_a_question_reaches_the_wire_in_few_calls() -> None:
    _check(count_question(), *QUESTION_LIMITS)


@pytest.mark.jupyter
def test_a_click_in_the_panel_takes_few_calls() -> None:
    """From the page's message until its end was sent."""
    _check(count_click(), *CLICK_LIMITS)


def _check(count: Count, calls: int, modules: int) -> None:
    assert len(count.calls) <= calls, count.calls
    assert len(count.modules) <= modules, count.modules
