"""Install aeron-magic and run the quickstart notebook in this terminal, or open it.

    python3 notebooks/quickstart.py          install, then run the notebook's cells here
    python3 notebooks/quickstart.py --lab    install, then open the notebook in JupyterLab

It needs Python 3.11 or newer and nothing else: the first run creates a virtual environment in
``.venv``. The cells run in a real IPython and ask the sandbox: no account is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from environment import ROOT, prepare, run, say

NOTEBOOK = ROOT / "notebooks" / "01-quickstart.ipynb"
_BOLD, _GREEN, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[0m"


def main() -> int:
    """Read the options, install, and run or open the notebook."""
    parser = argparse.ArgumentParser(
        description="Run the quickstart in this terminal, on the sandbox; no account is needed."
    )
    parser.add_argument("--lab", action="store_true", help="open the notebook in JupyterLab")
    parser.add_argument(
        "--venv",
        type=Path,
        default=ROOT / ".venv",
        metavar="FOLDER",
        help="the virtual environment to make or use (.venv)",
    )
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.play:
        return play(NOTEBOOK)
    folder = options.venv.resolve()
    python = prepare(folder)
    try:
        if options.lab:
            return open_lab(python)
        # IPython is installed only in the environment.
        failed = run(python, Path(__file__).resolve(), "--play")
    except KeyboardInterrupt:
        return 130
    if not failed:
        say("\nThat was notebooks/01-quickstart.ipynb. To have it in JupyterLab:\n")
        say("    python3 notebooks/quickstart.py --lab\n")
    return failed


def open_lab(python: Path) -> int:
    """Start JupyterLab with the notebook; it prints the address if it finds no browser."""
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    # With the file alone, the address that JupyterLab prints would open without the notebook.
    address = f"--LabApp.default_url=/lab/tree/{NOTEBOOK.name}"
    options = [NOTEBOOK, address, *(["--allow-root"] if as_root else [])]
    return run(python, "-m", "jupyterlab", *options)


def play(notebook: Path) -> int:
    """Run a notebook's cells in a terminal IPython, as if they were typed.

    Stop at a cell that fails, unless it has the tag ``raises-exception``.
    """
    from IPython.terminal.interactiveshell import TerminalInteractiveShell
    from traitlets.config import Config

    coloured = sys.stdout.isatty()
    with tempfile.TemporaryDirectory() as profile:
        # The user's own profile may have start-up files, and gets no history from here.
        os.environ["IPYTHONDIR"] = profile
        os.environ["AERON_HISTORY"] = "off"
        config = Config()
        config.HistoryManager.enabled = False
        config.TerminalInteractiveShell.colors = "linux" if coloured else "nocolor"
        shell = TerminalInteractiveShell.instance(config=config)
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                say("\n" + _in(_BOLD, source, coloured))
            elif source.strip():
                say("\n" + _prompted(source, shell.execution_count, coloured))
                result = shell.run_cell(source, store_history=True)
                if not (result.success or _may_fail(cell)):
                    return 1
    return 0


def _prompted(source: str, count: int, coloured: bool) -> str:
    """Return a cell as IPython shows it while it is typed."""
    prompt = f"In [{count}]: "
    more = "...: ".rjust(len(prompt))
    first, *rest = source.splitlines()
    lines = [_in(_GREEN, prompt, coloured) + first]
    return "\n".join(lines + [_in(_GREEN, more, coloured) + line for line in rest])


def _in(colour: str, text: str, coloured: bool) -> str:
    return f"{colour}{text}{_PLAIN}" if coloured else text


def _may_fail(cell: dict[str, Any]) -> bool:
    return "raises-exception" in cell["metadata"].get("tags", ())


if __name__ == "__main__":
    sys.exit(main())
