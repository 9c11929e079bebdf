"""The pytest plug-in: collects ``*.chat.md``, one test for each turn and repeat.

pytest imports this module at every start, so it imports little: the rest is imported when such a
file is found. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from aeron_magic.checks.pytest_items import ChatFile

_shared = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("aeron", "checks of conversations (*.chat.md)")
    group.addoption(
        "--aeron",
        metavar="SERVICE",
        help="the service that is asked, or sandbox; without it or --aeron-replay, no check runs",
    )
    group.addoption(
        "--aeron-replay",
        metavar="FILE",
        help="take the answers from a recording, without a network",
    )
    group.addoption(
        "--aeron-answers",
        metavar="FILE",
        help="a file of questions and answers that the sandbox answers from",
    )
    group.addoption(
        "--aeron-repeat",
        metavar="N",
        type=int,
        default=1,
        help="how often each conversation is held (1)",
    )


class Hooks:
    """What a conftest.py can define."""

    def pytest_aeron_values(self) -> dict[str, Any]:  # type: ignore[empty-body]
        """Return values for ``{{name}}`` and functions for ``python: NAME``, by name."""


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--aeron-answers") and config.getoption("--aeron") != "sandbox":
        raise pytest.UsageError("--aeron-answers needs --aeron sandbox")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ChatFile | None:
    if not file_path.name.endswith(".chat.md"):
        return None
    from aeron_magic.checks.pytest_items import ChatFile

    return ChatFile.from_parent(parent, path=file_path)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the processes of pytest-xdist a folder for the answers that they share."""
    config = node.config
    if config.getoption("--aeron"):
        if _shared not in config.stash:
            config.stash[_shared] = folder = tempfile.mkdtemp(prefix="aeron-")
            config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        node.workerinput["aeron_answers"] = config.stash[_shared]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say why checks were skipped for want of a service: pytest says it only with ``-rs``."""
    if any(map(config.getoption, ("--aeron", "--aeron-replay"))):
        return
    skipped = terminalreporter.stats.get("skipped", ())
    checks = [one.longrepr[2] for one in skipped if ".chat.md::" in one.nodeid]
    if checks and not terminalreporter.hasopt("skipped"):
        count = f"{len(checks)} check{'s' * (len(checks) != 1)}"
        reason = checks[0].removeprefix("Skipped: ")
        terminalreporter.write_line(f"aeron-magic: {count} skipped, {reason}")
