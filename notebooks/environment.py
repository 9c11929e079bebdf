"""Set up a virtual environment with the project, for the README's two commands.

Only the standard library is imported: nothing else is installed yet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "apt_install", "prepare", "run", "say"]

ROOT = Path(__file__).resolve().parent.parent
_OLDEST = (3, 11)
_EVERY = 25
"""After so many fetched packages, a line says that it goes on."""


def say(text: str = "") -> None:
    """Print a line and flush it, so that it precedes the output of the next process."""
    print(text, flush=True)  # noqa: T201 - output of a script


def run(*command: str | Path, quiet: bool = False) -> int:
    """Run a command in the project's folder and return its exit code.

    Parameters
    ----------
    command
        The program and its arguments, passed without a shell.
    quiet
        Show its output only if it fails.

    Raises
    ------
    KeyboardInterrupt
        Once the program has ended after a Ctrl-C.
    """
    program = subprocess.Popen(  # noqa: S603 - only these scripts call it
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL if quiet else None,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    interrupted = False
    while True:
        try:
            output, _ = program.communicate()
            break
        except KeyboardInterrupt:
            # The program gets the Ctrl-C too and may take time to end: JupyterLab asks whether
            # to stop its kernels.
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if output and program.returncode:
        say(output.decode(errors="replace"))
    return program.returncode


def apt_install(*packages: str) -> bool:
    """Install Debian packages if that needs no password; return whether they are installed."""
    apt = shutil.which("apt-get")
    if apt is None:
        return False
    command = ["env", "DEBIAN_FRONTEND=noninteractive", apt]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or run("sudo", "-n", "true", quiet=True):
            return False
        command = ["sudo", "-n", *command]
    say(f"Installing {', '.join(packages)} with apt-get …")
    if run(*command, "update", "--quiet", quiet=True):
        return False
    return not run(*command, "install", "--yes", "--no-install-recommends", *packages, quiet=True)


def prepare(folder: Path, groups: Sequence[str] = (), constraints: Sequence[str] = ()) -> Path:
    """Create a virtual environment with the project and its extra ``lab`` installed.

    A second call with the same ``pyproject.toml`` does nothing.

    Parameters
    ----------
    folder
        The environment's folder, which may not exist yet.
    groups
        Dependency groups of ``pyproject.toml`` to install, too. Their packages are passed to pip
        one by one, because ``pip install --group`` needs pip 25.1, and Python 3.11 brings an older
        one.
    constraints
        Versions that pip must use, such as ``httpx==0.28``, if it installs these packages.

    Returns
    -------
    Path
        The environment's Python.

    Raises
    ------
    SystemExit
        With a message: Python is too old, or a step failed.
    """
    if sys.version_info < _OLDEST:  # this Python may be older
        raise SystemExit(
            f"aeron-magic needs Python {_OLDEST[0]}.{_OLDEST[1]} or newer; this is "
            f"{sys.version.split()[0]}. Run the same command with a newer one."
        )
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    pyproject = (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(pyproject).hexdigest()
    stamp = folder / f"installed-{'-'.join(groups) or 'lab'}"
    if python.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return python
    if not python.exists():
        _make(folder)
    import tomllib  # a Python that is too old for it was refused above

    known = tomllib.loads(pyproject.decode())["dependency-groups"]
    say(f"Installing aeron-magic[lab] into {folder} (one to three minutes the first time):")
    file = folder / "constraints.txt"
    file.write_text("\n".join(constraints), encoding="utf-8")
    packages = [package for group in groups for package in known[group]]
    if _pip_install(python, "--editable", ".[lab]", *packages, "--constraint", str(file)):
        raise SystemExit("The installation failed; pip's messages are above.")
    stamp.write_text(wanted, encoding="ascii")
    return python


def _pip_install(python: Path, *what: str) -> int:
    """Run ``pip install`` and print how many packages it has fetched; its exit code."""
    options = ("--disable-pip-version-check", "--no-input", "install", "--progress-bar=off")
    command = [str(python), "-m", "pip", *options, "--root-user-action=ignore", *what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as pip:  # noqa: S603
        fetched = 0
        for line in pip.stdout or ():
            begin, _, rest = line.strip().partition(" ")
            if begin in ("Downloading", "Using") and ".metadata" not in rest:
                fetched += 1
                if not fetched % _EVERY:
                    say(f"  {fetched} packages fetched …")
            elif line.startswith("Installing collected packages"):
                say(f"  unpacking {rest.count(',') + 1} packages …")
    return pip.returncode


def _make(folder: Path) -> None:
    """Make an empty environment; Debian's Python may lack the package that does it."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") is None and not apt_install(package):
        raise SystemExit(
            f"This Python cannot make virtual environments. Install the package {package} "
            "(or python3-venv) and run the same command again."
        )
    if run(sys.executable, "-m", "venv", folder):
        raise SystemExit(f"No virtual environment could be made in {folder}.")
