"""Exports: every module says what it offers, and the package offers what was promised."""

from __future__ import annotations

import importlib
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
