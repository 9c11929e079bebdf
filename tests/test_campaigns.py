"""Each campaign can be started as a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGNS = sorted((Path(__file__).parent / "campaigns").glob("*.py"))


@pytest.mark.campaign
@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_a_campaign_starts_as_a_command(path: Path) -> None:
    command = [sys.executable, path, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
