"""A Jupyter server with JupyterLab and Notebook 7, in a separate process on a free port."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from private_home import private_environment

__all__ = ["Site", "running_site"]


@dataclass(frozen=True)
class Site:
    """The server's address and the folder that it serves."""

    url: str
    token: str
    folder: Path

    def write(self, name: str, notebook: NotebookNode) -> None:
        """Write a notebook into the served folder."""
        nbformat.write(notebook, self.folder / name)

    def read(self, name: str) -> NotebookNode:
        """Read a notebook from the served folder."""
        return nbformat.read(self.folder / name, as_version=4)

    def ask(self, path: str, method: str = "GET") -> Any:
        """Call the server's REST API (``api/sessions``, …) and return its JSON, or None."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def close_sessions(self) -> None:
        """Shut down all kernels: they do not end with their page."""
        for session in self.ask("api/sessions"):
            self.ask(f"api/sessions/{session['id']}", "DELETE")


@contextmanager
def running_site(home: Path) -> Iterator[Site]:
    """Start a server that keeps its files in `home`; wait until it answers; stop it at the end."""
    environment = private_environment(home)
    folder = home / "notebooks"
    folder.mkdir()
    # A notification about news or updates would cover a corner of the screenshots.
    quiet = Path(environment["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}', encoding="utf-8"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Site(f"http://127.0.0.1:{port}", secrets.token_hex(16), folder)
    log = home / "server.log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"),
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={site.token}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not _answers(site):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield site
        site.close_sessions()
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(site: Site) -> bool:
    try:
        site.ask("api/status")
    except (urllib.error.URLError, ConnectionError):
        return False
    return True
