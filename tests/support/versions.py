"""Other versions to test with: of Python, and of the packages; standard library only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_BOUND = re.compile(r"([\w-]+)>=([\w.]+)")
_TABLES = ("polars", "pyarrow")
"""Packages that users have without an extra of ours.

The newest pyarrow needs a newer NumPy than the lowest pandas allows.
"""


def lowest_versions(pyproject: str) -> list[str]:
    """The lower bounds of the dependencies and of the extras, as constraints for pip.

    Test tools stay at their newest versions.
    """
    import tomllib  # the caller's Python may be too old for it, and is told so later

    parsed = tomllib.loads(pyproject)
    project = parsed["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    tables = [one for one in parsed["dependency-groups"]["test"] if one.startswith(_TABLES)]
    bounds = [_BOUND.fullmatch(one) for one in [*project["dependencies"], *extras, *tables]]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def other_pythons() -> dict[str, Path]:
    """The installed Pythons of other minor versions: on PATH, or below ``~/.pyenv``."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = ((version, _find(version)) for version in PYTHONS if version != running)
    return {version: python for version, python in found if python is not None}


def _find(version: str) -> Path | None:
    on_path = shutil.which(f"python{version}")
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    # pyenv's own commands on PATH fail where that version is not selected.
    candidates = [*([Path(on_path)] if on_path else []), *sorted(of_pyenv)]
    return next((python for python in candidates if _runs(python)), None)


def _runs(python: Path) -> bool:
    return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode
