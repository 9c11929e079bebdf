"""Exports: every module says what it offers, and the package offers what was promised."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import aeron_magic
from aeron_magic import errors

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "aeron_magic").rglob("*.py"))
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PATHS
    if path.name != "__main__.py" and path.read_text(encoding="utf-8").count("\n") > 1
]

PROMISED = {
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Conversation",
    "Message",
    "Reply",
    "Stream",
    "__version__",
    "load_ipython_extension",
    "unload_ipython_extension",
    *errors.__all__,
}


def test_there_are_modules() -> None:
    """A list that is empty would pass every test below."""
    assert {"aeron_magic", "aeron_magic.client.client", "aeron_magic.services.aeronpay"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_offers(name: str) -> None:
    """Sorted, without repeats, and each name is there."""
    module = importlib.import_module(name)
    offered = module.__all__
    assert len(set(offered)) == len(offered)
    assert not [one for one in offered if not hasattr(module, one)]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for(name: str) -> None:
    """In its docstring."""
    assert (importlib.import_module(name).__doc__ or "").strip()


def test_the_package_offers_what_was_promised() -> None:
    """All that was, and nothing that nobody decided on."""
    assert set(aeron_magic.__all__) >= PROMISED
    assert set(aeron_magic.__all__) - PROMISED <= {"ChatPanel", "ask_many"}


def test_a_name_is_the_same_wherever_it_is_taken_from() -> None:
    """Catching the package's AeronError catches the module's."""
    for name in errors.__all__:
        assert getattr(aeron_magic, name) is getattr(errors, name)


def test_the_names_can_be_listed() -> None:
    """Completion asks for them before any was used."""
    assert set(aeron_magic.__all__) <= set(dir(aeron_magic))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = aeron_magic.NoSuchName


def test_the_version_is_the_projects() -> None:
    """It stands in two places, for importing the metadata would cost more than the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert aeron_magic.__version__ == project["version"]


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_documented_parameter_is_a_parameter(path: Path) -> None:
    """The names in a docstring's *Parameters* section are those of the signature."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert documented(node) <= parameters(node), node.name


def documented(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """The names in the *Parameters* section of a docstring."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?:\n\n\w+\n-+|\Z)",
        ast.get_docstring(node) or "",
        re.DOTALL | re.MULTILINE,
    )
    lines = re.findall(r"^(\w.*)$", section[1], re.MULTILINE) if section else []
    return {name.strip() for line in lines for name in line.split(",")}


def parameters(node: ast.AST) -> set[str]:
    """The parameters of a function, or of a class: of its ``__init__``, else its fields."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        return {one.arg for one in given if one is not None}
    assert isinstance(node, ast.ClassDef)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return parameters(part)
    if node.name in ("Client", "AsyncClient"):  # they have the parameters of their base
        return set(inspect.signature(getattr(aeron_magic, node.name)).parameters)
    return {
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
