"""Which versions the tests can be run with."""

from __future__ import annotations

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

from versions import lowest_versions, other_pythons

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_the_lowest_version_of_each_package_of_a_user_is_a_constraint() -> None:
    text = PYPROJECT.read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    found = lowest_versions(text)
    for entry in [*project["dependencies"], *chain(*extras.values())]:
        assert entry.replace(">=", "==") in found or entry.startswith("aeron-magic[")
    assert {one.partition("==")[0] for one in found} >= {"polars", "pyarrow"}
    assert not any(one.startswith("pytest") for one in found)


def test_other_pythons_run_and_are_other_ones() -> None:
    assert f"3.{sys.version_info.minor}" not in other_pythons()


def test_the_workflow_runs_the_commands_of_the_readme() -> None:
    """And the Python versions that the metadata promises."""
    root = PYPROJECT.parent
    workflow = (root / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(python3 \S+) +#", readme, re.MULTILINE)
    assert commands == ["python3 notebooks/quickstart.py", "python3 tests/run.py"]
    assert all(f"run: {command}\n" in workflow for command in commands)
    classifiers = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["classifiers"]
    promised = re.findall(r"Python :: (3\.\d+)", " ".join(classifiers))
    assert promised == re.findall(r'"(3\.\d+)"', workflow)
