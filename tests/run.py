"""Run every check of the project, on a machine that has Python 3.11 or newer and nothing else.

    python3 tests/run.py                  set up what is missing, then run everything
    python3 tests/run.py --only pytest    one step (may be repeated)
    python3 tests/run.py --here           use this Python as it is, install nothing
    python3 tests/run.py --only pytest -- tests/replies/test_reply.py -k token

The first run makes a virtual environment in ``.venv`` and, where it may, installs Chromium with
apt-get. Without a browser the browser tests are skipped and named at the end; under CI (``CI``
set in the environment) they fail instead.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "notebooks"))
sys.path.insert(1, str(Path(__file__).resolve().parent / "support"))

from environment import ROOT, apt_install, prepare, run, say
from find_browser import find_browser

STEPS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check"),
    "ruff format": ("-m", "ruff", "format", "--check"),
    "mypy": ("-m", "mypy"),
    "imports": ("-c", "import sys; from importlinter import cli; sys.exit(cli.lint_imports())"),
    "pytest": ("-m", "pytest", "-ra"),
    "nbval": ("-m", "pytest", "--nbval", "notebooks", "-ra"),
}


def main() -> int:
    """Set up, run the steps, sum up; 0 only if every step passed."""
    parser = argparse.ArgumentParser(description="Set up what is missing and run every check.")
    parser.add_argument(
        "--only", action="append", choices=STEPS, metavar="STEP", help=f"of: {', '.join(STEPS)}"
    )
    parser.add_argument("--here", action="store_true", help="use this Python, install nothing")
    parser.add_argument(
        "--venv",
        type=Path,
        default=ROOT / ".venv",
        metavar="FOLDER",
        help="the virtual environment to make or use (.venv)",
    )
    parser.add_argument("more", nargs="*", help="after --: arguments for pytest (not for nbval)")
    options = parser.parse_args()

    python = Path(sys.executable) if options.here else prepare("test", options.venv.resolve())
    steps = {name: STEPS[name] for name in options.only or STEPS}
    # Debian's Chromium has no fonts of its own.
    no_browser = (
        "pytest" in steps
        and find_browser() is None
        and (options.here or not apt_install("chromium", "fonts-dejavu-core"))
    )

    os.environ["AERON_HISTORY"] = "off"  # the notebooks are tests here, and nobody's history
    results = []
    for name, command in steps.items():
        say(f"\n── {name} " + "─" * (76 - len(name)))
        began = time.monotonic()
        code = run(python, *command, *(options.more if name == "pytest" else ()))
        results.append((name, code, time.monotonic() - began))

    say("\n" + "─" * 80)
    for name, code, seconds in results:
        say(f"{'passed' if code == 0 else 'FAILED'}  {name:<12} {seconds:6.1f} s")
    if no_browser:
        say(
            "\nNo Chromium is on PATH. Unless Playwright has one of its own "
            f"({python} -m playwright install chromium), the browser tests were skipped."
        )
    return int(any(code for _, code, _ in results))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
