"""The fast part of the campaign on checks."""

from __future__ import annotations

from pathlib import Path

import checks
import pytest

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]


def test_rules_find_all_regressions_and_nothing_else(tmp_path: Path) -> None:
    found, false, changed = checks.regressions(1, 7, tmp_path)
    assert (found.counted, false.counted, changed.counted) == ("20", "0", "20")
    assert found.violations + false.violations + changed.violations == []


def test_a_killed_check_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    tally = checks.kills(1, 7, tmp_path, apart=(50, 70))
    assert tally.trials >= 2
    assert tally.violations == []
