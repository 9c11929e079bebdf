"""Where a Chromium is; standard library only, so that `run.py` can ask before any set-up."""

from __future__ import annotations

import shutil

__all__ = ["FLAGS", "find_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""How it is started: without a screen's needs, and without requests of its own."""


def find_browser() -> str | None:
    """The path of a Chromium on PATH, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
