"""Run code in a new Python process: what it prints, and which modules it imports."""

from __future__ import annotations

import json
import subprocess
import sys

__all__ = ["modules_after", "printed"]

_NEW_MODULES = """
import json, sys
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def printed(code: str, env: dict[str, str] | None = None) -> str:
    """Return what ``code`` prints; it must not fail."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=env
    )
    return done.stdout


def modules_after(code: str) -> set[str]:
    """Return the names of the modules that ``code`` imports."""
    return set(json.loads(printed(_NEW_MODULES.format(code=code)).splitlines()[-1]))
