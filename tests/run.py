"""Run every check of the project on a machine that has Python 3.11 or newer and nothing else.

    python3 tests/run.py                  set up what is missing, run everything: about 8 minutes
    python3 tests/run.py --quick          without kernels, browsers, campaigns: about 1 minute
    python3 tests/run.py --only mypy      one step (may be repeated)
    python3 tests/run.py --lowest         the quick tests with the oldest versions of all packages
    python3 tests/run.py --pythons        the quick tests with each other Python that is installed
    python3 tests/run.py --here           use this Python as it is, install nothing
    python3 tests/run.py --only pytest -- tests/replies/test_reply.py -k token

The times are those of two quiet cores. The first run needs 2 to 5 minutes more: it makes a virtual
environment in ``.venv`` and installs Chromium with apt-get if it is allowed to. Without a browser
the browser tests are skipped and listed at the end; under CI (``CI`` set in the environment) they
fail instead.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "notebooks"))
sys.path.insert(1, str(Path(__file__).resolve().parent / "support"))

from environment import ROOT, apt_install, prepare, run, say
from find_browser import find_browser
from versions import lowest_versions, other_pythons

STEPS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check"),
    "ruff format": ("-m", "ruff", "format", "--check"),
    "imports": ("-c", "import sys; from importlinter import cli; sys.exit(cli.lint_imports())"),
    "mypy": ("-m", "mypy"),
    # The plugin nbval takes two seconds to import; test_record.py runs it in other processes.
    "pytest": ("-m", "pytest", "-p", "no:nbval", "-ra", "--durations=10"),
}
SLOW = ("jupyter", "browser", "platform", "campaign")
"""The marks of what ``--quick`` leaves out."""

Result = tuple[str, int, float]
"""A step's name, its exit code and its seconds."""


def main() -> int:
    """Set up, run the steps, print a summary; 0 if every step passed."""
    parser = argparse.ArgumentParser(
        description="Set up what is missing and run every check: about 8 minutes on two cores, "
        "and 2 to 5 more the first time."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out tests that need a kernel or a browser, and campaigns: about 1 minute",
    )
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
    parser.add_argument(
        "--lowest",
        action="store_true",
        help="the quick tests with the oldest versions that pyproject.toml allows (.venv-lowest)",
    )
    parser.add_argument(
        "--pythons",
        action="store_true",
        help="the quick tests with each other Python that is installed (.venv-3.12 …)",
    )
    parser.add_argument("more", nargs="*", help="after --: arguments for pytest, in one process")
    options = parser.parse_args()
    if options.pythons:
        return _run_with_others()
    if options.lowest:
        options.quick, options.only, options.venv = True, ["pytest"], ROOT / ".venv-lowest"
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versions = lowest_versions(pyproject) if options.lowest else ()
    groups = ("test",) if options.lowest else ("test", "hosts")

    python = (
        Path(sys.executable) if options.here else prepare(options.venv.resolve(), groups, versions)
    )
    steps = {name: STEPS[name] for name in options.only or STEPS}
    if "pytest" in steps:
        if options.quick:
            # Tests without kernels often wait for a socket: four processes pay on two cores, too.
            in_parallel = ("-n4", "--dist=worksteal")
        else:
            # Browsers and kernels are waited for, too. One test at a time, in order: those of the
            # browser have to be each process' last.
            processes = max(3, min(4, os.cpu_count() or 3))
            in_parallel = (f"-n{processes}", "--dist=load", "--maxschedchunk=1")
        steps["pytest"] += (*(_quick() if options.quick else ()), *(options.more or in_parallel))
    # Debian's Chromium does not depend on any font.
    no_browser = (
        "pytest" in steps
        and not options.quick
        and find_browser() is None
        and (options.here or not apt_install("chromium", "fonts-dejavu-core"))
    )

    os.environ["AERON_HISTORY"] = "off"  # the notebooks that run here are not the user's history
    # Containers set this; each process would compile all tests again, which takes 6 s.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results: list[Result] = []
    with ThreadPoolExecutor() as beside:
        for name, command in steps.items():
            say(f"\n── {name} " + "─" * (76 - len(name)))
            if name == "mypy" and "pytest" in steps:
                say("runs while pytest does; what it finds is shown between the tests")
                mypy = beside.submit(_run_step, python, name, command, quiet=True)
            else:
                results.append(_run_step(python, name, command))
    if len(results) < len(steps):
        results.append(mypy.result())

    say("\n" + "─" * 80)
    for name, code, seconds in results:
        say(f"{'passed' if code == 0 else 'FAILED'}  {name:<12} {seconds:6.1f} s")
    if no_browser:
        say(
            "\nNo Chromium is on PATH. Unless Playwright has installed one "
            f"({python} -m playwright install chromium), the browser tests were skipped."
        )
    return int(any(code for _, code, _ in results))


def _quick() -> tuple[str, ...]:
    """Leave out slow tests; modules in which all are slow are not even imported."""
    slow = re.compile(rf"^pytestmark = \[?\s*pytest\.mark\.({'|'.join(SLOW)})\b", re.MULTILINE)
    modules = sorted((ROOT / "tests").rglob("test_*.py"))
    ignored = (f"--ignore={path}" for path in modules if slow.search(path.read_text("utf-8")))
    return ("-m", " and ".join(f"not {mark}" for mark in SLOW), *ignored)


def _run_with_others() -> int:
    """Run this command with the other Pythons, each in an environment of its own."""
    codes = {}
    for version, python in other_pythons().items():
        say(f"\n══ Python {version} " + "═" * 64)
        venv = ROOT / f".venv-{version}"
        codes[version] = run(python, __file__, "--quick", "--only", "pytest", "--venv", venv)
    say(
        "\n".join(
            f"Python {version}: {'FAILED' if codes[version] else 'passed'}" for version in codes
        )
    )
    return int(any(codes.values()) or not codes)


def _run_step(python: Path, name: str, command: tuple[str, ...], *, quiet: bool = False) -> Result:
    began = time.monotonic()
    code = run(python, *command, quiet=quiet)
    return name, code, time.monotonic() - began


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
