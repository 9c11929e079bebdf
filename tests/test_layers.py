"""Layers: a module imports only what stands above it, and heavy packages only where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "aeron_magic"

# From the bottom up, left to right; each may import those before it. A trailing dot stands for all
# the modules of a package that are not named by themselves; among each other those are free.
TABLE = """
scrub decoding errors events extract vendors
flow reply framing settings surroundings
retry refusal record recording cassette
services services.
wire streams client
turns compare book history_file history keeper conversation
tex highlight segments safe_html render export pieces insert batch. batch
jupyter.table jupyter.manual jupyter.line
jupyter jupyter.
"""
ORDER = TABLE.split()

# Who may import what is heavy; the words after the slash: only inside a function.
HEAVY = {
    "httpx": "wire /",
    "httpx_sse": "/ framing",
    "orjson": "decoding /",
    "IPython": "jupyter. / jupyter.",
    "traitlets": "jupyter. /",
    "ipywidgets": "jupyter. / jupyter.",
    "anywidget": "jupyter. / jupyter.",
    "keyring": "/ jupyter.credentials",
    "pandas": "/ extract batch. jupyter.",
    "aiohttp": "batch.wire /",
    "narwhals": "/ batch.",
    "tqdm": "/ batch.",
    "distributed": "/",
    "nh3": "safe_html /",
    "markdown_it": "tex highlight safe_html /",
    "pygments": "/ highlight",
    "platformdirs": "/ history_file history jupyter.",
}


class Import(NamedTuple):
    """One import statement's target, and where it stands."""

    importer: str
    target: str
    lazy: bool


def name_of(path: Path) -> str:
    """``aeron_magic/jupyter/line.py`` is ``jupyter.line``, the package itself the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
CLIENT_SIDE = [name for name in MODULES if name and name.partition(".")[0] != "sandbox"]


def imports(name: str) -> Iterator[Import]:
    """The imports of a module as absolute names; those for the type checker alone are left out."""
    path = MODULES[name]
    package = ["aeron_magic", *(name.split(".") if name else [])]
    if path.name != "__init__.py":
        package.pop()

    def walk(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from (Import(name, alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                source = ".".join([*base, *filter(None, [child.module])])
                for alias in child.names:
                    whole = f"{source}.{alias.name}"
                    known = whole.removeprefix("aeron_magic.") in MODULES
                    yield Import(name, whole if known else source, lazy)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from walk(child, lazy=lazy or inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), lazy=False)


def place(name: str) -> int | None:
    """Where a module stands in the table; None where it does not."""
    if name in ORDER:
        return ORDER.index(name)
    family = f"{name.rpartition('.')[0]}."
    return ORDER.index(family) if family in ORDER else None


def fits(name: str, patterns: list[str]) -> bool:
    return any(name == one or (one.endswith(".") and name.startswith(one)) for one in patterns)


def ours(target: str) -> str | None:
    """The module of this package that ``target`` is, or None."""
    if target == "aeron_magic":
        return ""
    return target.removeprefix("aeron_magic.") if target.startswith("aeron_magic.") else None


def test_the_reader_of_imports_reads() -> None:
    """Absolute and relative ones, at the top and in functions; else nothing below means much."""
    assert Import("wire", "httpx", lazy=False) in imports("wire")
    assert Import("framing", "httpx_sse._decoders", lazy=True) in imports("framing")
    assert Import("sandbox.server", "aeron_magic.sandbox.faults", lazy=False) in imports(
        "sandbox.server"
    )
    assert Import("", "aeron_magic.jupyter.extension", lazy=True) in imports("")
    assert not [one for one in imports("framing") if one.target == "httpx_sse"]


@pytest.mark.parametrize("name", CLIENT_SIDE)
def test_every_module_stands_in_the_table(name: str) -> None:
    """A new module is given its place."""
    assert place(name) is not None, f"{name} is not in the table of {Path(__file__).name}"


@pytest.mark.parametrize("name", CLIENT_SIDE)
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    """Nothing lower calls anything higher."""
    for one in imports(name):
        target = ours(one.target)
        if target is None or target.partition(".")[0] == "sandbox":
            continue
        here, there = place(name), place(target)
        assert target, f"{name} imports the package itself"
        assert here is not None
        assert there is not None, f"{name} imports {target}, which is not there"
        free = here == there and ORDER[here].endswith(".")
        assert there < here or free, f"{name} imports {target}, which stands after it"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("sandbox")])
def test_the_sandbox_imports_nothing_of_the_rest(name: str) -> None:
    """Two independent readings of the protocol."""
    for one in imports(name):
        target = ours(one.target)
        assert target is None or target.partition(".")[0] == "sandbox", one


@pytest.mark.parametrize("name", ["", *CLIENT_SIDE])
def test_only_the_notebook_side_starts_the_sandbox_and_only_when_asked(name: str) -> None:
    """Inside a function of ``jupyter``."""
    for one in imports(name):
        if (ours(one.target) or "").partition(".")[0] == "sandbox":
            assert one.lazy, one
            assert name.startswith("jupyter."), one


@pytest.mark.parametrize("name", list(MODULES))
def test_heavy_packages_are_imported_only_where_they_belong(name: str) -> None:
    """And where it says so, only on use."""
    for one in imports(name):
        if allowed := HEAVY.get(one.target.partition(".")[0]):
            top, _, inside = allowed.partition("/")
            patterns = [*top.split(), *(inside.split() if one.lazy else ())]
            assert fits(name, patterns), one


def test_only_one_module_knows_the_http_library() -> None:
    """The seam by which a successor could be put in."""
    users = {name for name in MODULES for one in imports(name) if one.target == "httpx"}
    assert users == {"wire"}


def test_the_package_itself_imports_nothing_at_once() -> None:
    """Its names come on use."""
    assert not [one for one in imports("") if ours(one.target) is not None and not one.lazy]
