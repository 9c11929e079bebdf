"""A short part of the soak: what grows with every question shows after a few hundred."""

from __future__ import annotations

import sys

import pytest
from fresh_process import printed

pytestmark = pytest.mark.campaign

_RUN = """
import sys
sys.path[:0] = {path!r}
import soak
ran = soak.run(480)
assert len(ran.samples) >= 5
print([one for one in soak.violations(ran) if not one.startswith("a question")])
"""


def test_nothing_grows_with_the_number_of_questions() -> None:
    """In a process of its own, since other tests leave memory behind.

    The CPU time is left to the campaign: it needs a machine without other work.
    """
    assert printed(_RUN.format(path=sys.path)).splitlines()[-1] == "[]"
