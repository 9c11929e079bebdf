"""The wheel and the source distribution, and the wheel in an environment with nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from credentials import credentials
from private_home import private_environment

from aeron_magic.sandbox import Sandbox

pytestmark = [pytest.mark.jupyter, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[1]

USE = """
import aeron_magic
from aeron_magic import AeronError, ChatPanel, Client, ask_many
from IPython.core.interactiveshell import InteractiveShell

assert "site-packages" in aeron_magic.__file__
with Client() as client:
    assert client.ask("Hello").text == "Fine."
    ChatPanel(client).close()
assert [row.reply.text for row in ask_many(["One", "Two"], progress=False)] == ["Fine.", "Fine."]

shell = InteractiveShell.instance()
shell.run_cell("%load_ext aeron_magic").raise_error()
for service in ("aeronpay", "chatzy"):
    shell.run_cell(f"%aeron connect sandbox --service {service}").raise_error()
    shell.run_cell("%%aeron -o answer\\nHow do I start?").raise_error()
    assert shell.user_ns["answer"].status == "complete"
shell.run_cell("%%aeron --each [1,2] -o rows\\nHow? {{row}}").raise_error()
assert [row.status for row in shell.user_ns["rows"]] == ["complete"] * 2
for cell in ("%aeron login", "%aeron logout"):
    error = shell.run_cell(cell).error_in_exec
    assert isinstance(error, AeronError), error
try:
    ask_many(range(2), progress=False)
except AeronError as error:
    print(error.hint)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The source distribution and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "hatchling", "build", "-d", folder)
    return sorted(folder.iterdir(), key=lambda path: path.suffix)


def run(*command: str | Path) -> str:
    """Run this Python with ``command`` in the project's folder; what it prints."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_index_would_accept_both(distributions: list[Path]) -> None:
    """The metadata is valid, and the description is shown."""
    run("-m", "twine", "check", "--strict", *distributions)


def test_both_contain_what_they_need(distributions: list[Path]) -> None:
    """The wheel: the package with its data, nothing else. The source: what the README needs."""
    source, wheel = distributions
    names = zipfile.ZipFile(wheel).namelist()
    assert {"aeron_magic/py.typed", "aeron_magic/sandbox/answers/handbook/asking.md"} <= {*names}
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"aeron_magic"}
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/run.py", "notebooks/quickstart.py", "LICENSE", ".github/SECURITY.md"} <= inside
    assert not [name for name in inside if ".venv" in name or "__pycache__" in name]


@pytest.fixture(scope="module")
def wheel_python(distributions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and pytest, and nothing else of their own."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    run("-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    pip = ("-m", "pip", "--python", python, "--disable-pip-version-check", "--no-input")
    done = subprocess.run(
        [sys.executable, *pip, "install", "--quiet", distributions[1], "pytest"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Temporary failure in name resolution" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return python


def test_the_wheel_works_without_any_extra(
    wheel_python: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Clients, magics, panel and the plug-in of pytest; what needs an extra says which one.

    One test: in two processes, the environment would be made twice, which takes 15 s.
    """
    sandbox.set_faults(say="Fine.")
    used = subprocess.run(
        [wheel_python, "-c", USE],
        cwd=tmp_path,
        env={**private_environment(tmp_path), **credentials(sandbox.aeronpay_url)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.returncode == 0, used.stdout + used.stderr
    named = re.findall(r'pip install "aeron-magic\[(\w+)\]"', used.stdout)
    assert named == ["keyring", "keyring", "tables"]
    _check_plug_in(wheel_python, tmp_path)


def _check_plug_in(wheel_python: Path, tmp_path: Path) -> None:
    """pytest finds it with the wheel alone; the JUnit file can be read."""
    (tmp_path / "faq.csv").write_text("question,answer\nFee?,2 percent.\n", encoding="utf-8")
    for name, rule in {"good": "contains: 2", "bad": "contains: 3"}.items():
        text = f"## Question\n\nFee?\n\n```expect\n{rule}\n```\n"
        (tmp_path / f"{name}.chat.md").write_text(text, encoding="utf-8")
    options = ("--aeron", "sandbox", "--aeron-answers", "faq.csv", "--junitxml", "junit.xml")
    done = subprocess.run(
        [wheel_python, "-m", "pytest", *options],
        cwd=tmp_path,
        env=private_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    cases = ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")
    assert [(case.get("classname"), len(case)) for case in cases] == [
        ("bad.chat.md", 1),
        ("good.chat.md", 0),
    ]
