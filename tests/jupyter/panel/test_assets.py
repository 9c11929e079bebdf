"""Script and style: joined from plain modules, nothing from elsewhere, and in the package."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

from aeron_magic.jupyter.panel.assets import PARTS, script, style


def test_all_parts_are_joined_once() -> None:
    """Every module of the folder is in, and nothing is imported or exported but the widget."""
    there = {path.name for path in files("aeron_magic.jupyter.panel").joinpath("static").iterdir()}
    assert there == {*PARTS, "panel.css"}
    assert not re.findall(r"^import ", script(), re.MULTILINE)
    assert re.findall(r"^export .*$", script(), re.MULTILINE) == ["export default () => {"]


def test_names_are_unique() -> None:
    """Modules share one scope once they are joined."""
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script(), re.MULTILINE)
    assert len(names) == len(set(names))


def test_nothing_is_fetched() -> None:
    """No address of anybody is in the script or the style sheet, but that of SVG's namespace."""
    addresses = re.findall(r"https?://[^\"'\s)]*", script() + style())
    assert addresses == ["http://www.w3.org/2000/svg"]
    assert "@import" not in style()
    assert "url(" not in style()


def test_html_comes_from_the_kernel_only() -> None:
    """One place sets HTML, to what was made safe in the kernel."""
    assert script().count("innerHTML =") == 1
    assert not re.findall(r"insertAdjacentHTML|document\.write|outerHTML|\beval\b", script())


def test_it_is_a_module() -> None:
    """Node reads it as an ES module; skipped where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH")
    command = [node, "--check", "--input-type=module"]
    checked = subprocess.run(command, input=script(), text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
