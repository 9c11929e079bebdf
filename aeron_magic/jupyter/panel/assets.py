"""The panel's script and style sheet, as the two texts that a widget sends to its pages.

The script is written as ES modules that import each other, and a widget has one module. So they
are joined here, in the order of their imports, without the ``import`` and ``export`` keywords. This
needs no build step, and each file stays a module that a browser or Node can load.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

PARTS = (
    "dom.js",
    "notebook.js",
    "blocks.js",
    "turn.js",
    "store.js",
    "composer.js",
    "header.js",
    "resize.js",
    "view.js",
    "panel.js",
)
"""A file comes after those that it imports."""

_IMPORT = re.compile(r'^import \{[^{}]*+\} from "\./(?P<part>[a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def _text(name: str) -> str:
    return (files("aeron_magic.jupyter.panel") / "static" / name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """The whole script, as one ES module.

    Raises ImportError: a file imports one that comes after it.
    """
    joined: list[str] = []
    for position, name in enumerate(PARTS):
        text = _text(name)
        for needed in _IMPORT.finditer(text):
            if needed["part"] not in PARTS[:position]:
                raise ImportError(f"{name} imports {needed['part']}, which comes after it")
        joined.append(_EXPORT.sub("", _IMPORT.sub("", text)))
    return "\n".join(joined)


@cache
def style() -> str:
    """The style sheet."""
    return _text("panel.css")
