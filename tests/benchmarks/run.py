"""Measure how fast it is, print a table, and write the numbers to a file.

    python tests/benchmarks/run.py                       everything: about twenty minutes
    python tests/benchmarks/run.py --quick               the same with less of it, to try it out
    python tests/benchmarks/run.py --only reading        one group (may be repeated)
    python tests/benchmarks/run.py --json numbers.json   where to write (benchmarks.json)

Each ``bench_*.py`` beside this file is a group of rows; `measure.py` says what is asked of one.
The peers are a dependency group: ``pip install -e ".[lab]" --group bench`` (pip 25.1 or newer);
without them their rows say so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from measure import Measure, table  # noqa: E402 - its folder had to be named first

PACKAGES = (
    *("httpx", "httpx-sse", "h11", "msgspec", "openai", "anthropic", "ipykernel", "ipython"),
    *("jupyterlab", "ipywidgets", "playwright", "markdown-it-py", "nh3", "Pygments"),
)


def main() -> int:
    """Run the groups, print their tables, write the file; 0 unless a group failed."""
    groups = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description="Measure how fast it is.")
    parser.add_argument(
        "--only", action="append", choices=groups, metavar="GROUP", help=f"of: {', '.join(groups)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), metavar="FILE")
    options = parser.parse_args()

    found: dict[str, Any] = {"machine": machine(), "quick": options.quick, "groups": {}}
    print("; ".join(f"{name} {value}" for name, value in found["machine"].items()))
    failed = False
    for group in options.only or groups:
        module = importlib.import_module(f"bench_{group}")
        began = time.monotonic()
        print(f"\n## {module.TITLE}\n", flush=True)
        try:
            measures: list[Measure] = module.run(options.quick)
        except Exception as error:  # noqa: BLE001 - the other groups are still worth measuring
            failed = True
            print(f"failed: {type(error).__name__}: {error}")
            found["groups"][group] = {"error": f"{type(error).__name__}: {error}"}
            continue
        print(table(measures))
        print(f"\n({time.monotonic() - began:.0f} s)", flush=True)
        found["groups"][group] = {
            "title": module.TITLE,
            "measures": [one.as_json() for one in measures],
        }
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(failed)


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        **versions,
    }


if __name__ == "__main__":
    sys.exit(main())
