"""Which versions the tests can be run with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from versions import lowest_versions, other_pythons

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_the_lowest_version_of_each_package_of_a_user_is_a_constraint() -> None:
    text = PYPROJECT.read_text(encoding="utf-8")
    found = lowest_versions(text)
    for table in ("dependencies", "lab"):
        listed = re.search(rf"^{table} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
        assert listed
        for entry in re.findall(r'"([^"]+)"', listed[1]):
            assert entry.replace(">=", "==") in found
    assert not any(one.startswith("pytest") for one in found)


def test_other_pythons_run_and_are_other_ones() -> None:
    assert f"3.{sys.version_info.minor}" not in other_pythons()
