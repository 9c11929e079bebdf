"""Programs that run or convert notebooks and have no other test: jupyter console, papermill,
jupytext, LaTeX."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pexpect
import pytest
from credentials import credentials
from nbconvert import LatexExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from private_home import private_environment
from terminal_ipython import plain

from aeron_magic import Reply
from aeron_magic.sandbox import Sandbox

REPLY = "Some **bold** text: 5 € & 50 %, $x^2$, `a_b`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"

METADATA = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@pytest.mark.jupyter
def test_jupyter_console(sandbox: Sandbox, tmp_path: Path) -> None:
    """A cell of several lines is asked, and the reply's plain text is shown once."""
    sandbox.set_faults(say="Some **bold** text.")
    process = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter", "console", "--ZMQTerminalInteractiveShell.banner="],
        env={
            **private_environment(tmp_path),
            **credentials(sandbox.aeronpay_url),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        },
        cwd=str(tmp_path),
        encoding="utf-8",
        dimensions=(50, 120),
        echo=False,
        timeout=60,
    )
    colour = r"(?:\x1b\[[\d;]*m)*"
    cells = ["%load_ext aeron_magic", "%%aeron -o answer\nIn two\nlines", "print(answer.status)"]
    shown = []
    try:
        for number, source in enumerate([*cells, ""], 1):
            process.expect(rf"In \[{colour}{number}{colour}\]")
            shown.append(plain(process.before or ""))
            process.send(f"\x1b[200~{source}\x1b[201~\x1b\r")  # a paste, Escape, Enter
        assert shown[2].count("bold") == 1
        assert "complete" in shown[3]
        assert sandbox.log[-1].body["user"]["text"] == "In two\nlines"
    finally:
        process.close(force=True)


@pytest.mark.jupyter
def test_papermill(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter is a value of the question."""
    import papermill

    for name, value in {
        **private_environment(tmp_path),
        **credentials(sandbox.aeronpay_url),
    }.items():
        monkeypatch.setenv(name, value)
    sandbox.set_faults(say=REPLY)
    cells = [
        new_code_cell("city = 'Pune'", metadata={"tags": ["parameters"]}),
        new_code_cell("%load_ext aeron_magic"),
        new_code_cell("%%aeron\nWhere is {{city}}?"),
    ]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), tmp_path / "in.ipynb")
    done = papermill.execute_notebook(
        tmp_path / "in.ipynb",
        tmp_path / "out.ipynb",
        parameters={"city": "Surat"},
        kernel_name="python3",
        progress_bar=False,
    )
    assert sandbox.log[-1].body["user"]["text"] == "Where is Surat?"
    (output,) = done.cells[-1].outputs
    assert output.data["text/markdown"] == REPLY


@pytest.mark.jupyter
def test_jupytext_makes_a_valid_script_and_the_same_notebook_again(tmp_path: Path) -> None:
    """With the setting that the README names; without it a question would be Python code."""
    sources = [
        "%load_ext aeron_magic\n%aeron connect sandbox",
        '%%aeron -o answer --as first\nWhat\'s {{x}}?\n\nTell "me" # now',
        "%aeron ask How?",
        "print(answer)",
    ]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    (tmp_path / "jupytext.toml").write_text('custom_cell_magics = "aeron"\n')
    for target in (("py:percent", "a.ipynb", "a.py"), ("ipynb", "a.py", "b.ipynb")):
        subprocess.run(
            [sys.executable, "-m", "jupytext", "-q", "--to", *target[:2], "-o", target[2]],
            cwd=tmp_path,
            check=True,
        )
    compile((tmp_path / "a.py").read_text(), "a.py", "exec")
    again = nbformat.read(tmp_path / "b.ipynb", as_version=4)
    assert [cell.source for cell in again.cells] == sources


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="nbconvert needs pandoc for LaTeX")
def test_latex_shows_the_reply() -> None:
    """From its Markdown; the signs of LaTeX are text."""
    data = Reply(REPLY)._repr_mimebundle_()
    cell = new_code_cell("%%aeron\nHello", outputs=[new_output("display_data", data)])
    latex, _ = LatexExporter().from_notebook_node(new_notebook(cells=[cell]))
    _, _, body = latex.partition("\\begin{document}")
    assert "\\textbf{bold}" in body
    assert "\\& 50 \\%" in body
    assert "\\(x^2\\)" in body or "$x^2$" in body
    assert "<strong>" not in body
