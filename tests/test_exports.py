"""Exports: the names of the package, its exceptions, and the docstrings of its modules."""

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

PUBLIC = {
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
    """An empty list would pass the tests below."""
    assert {"aeron_magic", "aeron_magic.client.client", "aeron_magic.services.aeronpay"} <= set(
        MODULES
    )


def test_each_module_has_a_docstring_and_exports_existing_names() -> None:
    """Only packages and the module of the exceptions list their exports: without repeats."""
    for name in MODULES:
        module = importlib.import_module(name)
        assert (module.__doc__ or "").strip(), name
        exports = getattr(module, "__all__", [])
        assert len(set(exports)) == len(exports), name
        assert not [one for one in exports if not hasattr(module, one)], name


def test_the_package_exports_its_public_names() -> None:
    assert set(aeron_magic.__all__) >= PUBLIC
    assert set(aeron_magic.__all__) - PUBLIC <= {"ChatPanel", "ask_many", "check"}


def test_the_packages_exceptions_are_those_of_the_module() -> None:
    for name in errors.__all__:
        assert getattr(aeron_magic, name) is getattr(errors, name)


def test_the_names_can_be_listed() -> None:
    """For completion, before any was imported."""
    assert set(aeron_magic.__all__) <= set(dir(aeron_magic))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = aeron_magic.NoSuchName


def test_the_version_is_the_projects() -> None:
    """It is in the package, too, because importing the metadata takes longer than the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert aeron_magic.__version__ == project["version"]
    cited = (ROOT / ".github" / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in cited


def test_a_documented_parameter_is_a_parameter() -> None:
    """The names in a docstring's *Parameters* section, or its list, are those of the signature."""
    for path in PATHS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert documented(node) <= parameters(node), f"{path}: {node.name}"


def documented(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """The names in the *Parameters* section of a docstring, or in its list."""
    text = ast.get_docstring(node) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n\w+\n-+|\Z)", text, re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^(\w.*)$", section[1], re.MULTILINE) if section else []
    lines += re.findall(
        r"^\* (``\w+``(?:, ``\w+``)*): ", text.split("Attributes:")[0], re.MULTILINE
    )
    return {name.strip(" `") for line in lines for name in line.split(",")}


def parameters(node: ast.AST) -> set[str]:
    """The parameters of a function, or of a class's ``__init__``, or the fields of a class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        return {one.arg for one in given if one is not None}
    assert isinstance(node, ast.ClassDef)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return parameters(part)
    if node.name in ("Client", "AsyncClient"):  # their base has the parameters
        return set(inspect.signature(getattr(aeron_magic, node.name)).parameters)
    return {
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
