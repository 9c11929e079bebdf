"""A short part of the soak: what grows with every question shows after a few dozen."""

from __future__ import annotations

import soak


def test_nothing_grows_with_the_number_of_questions() -> None:
    """The CPU time is left to the campaign: it needs a machine without other work."""
    ran = soak.run(160)
    assert len(ran.samples) >= 5
    assert [one for one in soak.violations(ran) if not one.startswith("a question")] == []
