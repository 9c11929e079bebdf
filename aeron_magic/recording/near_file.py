"""The file that a misspelt name probably means."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path


def near_file(path: Path) -> str:
    """The name of a file in the same folder with the same suffixes and nearly this name, or "".

    Files that differ only in a number belong to a series.
    """
    try:
        folder = path.expanduser().parent
        files = [one for one in folder.iterdir() if one.suffixes == path.suffixes]
        names = {_stem(one): one.name for one in files if one.name.isprintable() and one.is_file()}
    except (OSError, RuntimeError, ValueError):  # no such folder, no home, or a NUL
        return ""
    stem = _stem(path)
    near = get_close_matches(stem, (one for one in names if _series(one) != _series(stem)), 1, 0.8)
    return names[near[0]] if near else ""


def suggest_file(path: Path) -> str:
    """The suggestion of a hint, with a blank at its end; empty without such a file."""
    near = near_file(path)
    return f"Did you mean `{near}`? " if near else ""


def _stem(path: Path) -> str:
    return path.name.removesuffix("".join(path.suffixes))


def _series(stem: str) -> str:
    return re.sub(r"\d+", "0", stem)
