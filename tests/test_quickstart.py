"""The quickstart script with ``--lab``."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from private_home import private_environment

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


@pytest.mark.jupyter
def test_the_address_that_lab_prints_leads_to_the_notebook(tmp_path: Path) -> None:
    """Without a browser, the printed address is the only way to the notebook."""
    start = "import sys; from pathlib import Path; from quickstart import open_lab\n"
    environment = private_environment(tmp_path)
    environment["PYTHONPATH"] += f"{os.pathsep}{NOTEBOOKS}"
    server = subprocess.Popen(
        [sys.executable, "-c", f"{start}open_lab(Path(sys.executable))"],
        env={**environment, "BROWSER": "/nowhere"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        printed = next(line for line in server.stdout if "http://127.0.0.1:" in line)
        assert "/lab/tree/01-quickstart.ipynb?token=" in printed
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=30)


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for pip")
@pytest.mark.parametrize("status", [0, 3])
def test_the_installation_says_in_few_lines_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    """pip names each of 137 packages several times."""
    monkeypatch.syspath_prepend(str(NOTEBOOKS))
    environment = importlib.import_module("environment")
    pip = tmp_path / "python"
    lines = [line for n in range(60) for line in (f"Collecting p{n}", f"  Using cached p{n}.whl")]
    lines.append("Installing collected packages: " + ", ".join(f"p{n}" for n in range(60)))
    pip.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + f"\nEND\nexit {status}\n")
    pip.chmod(0o755)
    assert environment._pip_install(pip) == status
    assert capfd.readouterr().out.splitlines() == [
        "  25 packages fetched …",
        "  50 packages fetched …",
        "  unpacking 60 packages …",
    ]
