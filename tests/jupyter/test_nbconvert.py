"""The magics in a notebook that is run without a front end: nbclient, nbconvert, exports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from credentials import credentials
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from private_home import private_environment

from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.sandbox import Refusal, Sandbox

pytestmark = pytest.mark.jupyter

REPLY = (
    "# Title\n\nSome **bold** text.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```\n"
)
HOSTILE = (
    "<script>stolen()</script><img src=x onerror=stolen()>\n\n"
    "![pixel](http://127.0.0.1:9/leak.png)\n\n[click](javascript:stolen())\n"
)
CELLS = (
    "%load_ext aeron_magic",
    "%%aeron -o first\nHello",
    "%%aeron -o second\nAnd now?",
    "assert second.parent_context_token == first.context_token\ncontext_token == "
    "second.context_token",
)


@pytest.fixture
def environment(tmp_path: Path, sandbox: Sandbox) -> dict[str, str]:
    """Variables that send a kernel's questions to the sandbox."""
    return {
        **private_environment(tmp_path),
        **credentials(sandbox.aeronpay_url),
    }


def executed(environment: dict[str, str], *sources: str) -> NotebookNode:
    """Run these cells with nbclient and return the notebook."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=60).execute(env=environment)
    nbformat.validate(notebook)
    return notebook


def test_each_question_has_one_output_with_three_formats(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    """HTML, Markdown and plain text; the conversation continues from cell to cell."""
    sandbox.set_faults(say=REPLY, pause=0.005)
    notebook = executed(environment, *CELLS)
    for cell in notebook.cells[1:3]:
        (output,) = cell.outputs
        assert output.output_type == "display_data"
        assert output.data["text/markdown"] == REPLY
        assert "<strong>bold</strong>" in output.data["text/html"]
        assert "Some" in output.data["text/plain"]
    assert notebook.cells[3].outputs[0].data["text/plain"] == "True"
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert "<strong>bold</strong>" in html
    assert re.search(r"<td[^>]*>\s*1\s*</td>", html)
    markdown, _ = MarkdownExporter().from_notebook_node(notebook)
    assert "bold" in markdown


def test_a_failed_question_stops_the_run(environment: dict[str, str], sandbox: Sandbox) -> None:
    """The error is named and contains no secret."""
    sandbox.set_faults(refuse=(Refusal("create-response", 401),))
    with pytest.raises(CellExecutionError, match="AuthenticationError") as caught:
        executed(environment, "%load_ext aeron_magic", "%%aeron\nHello", "print('never')")
    assert "hush" not in str(caught.value)


def test_the_command_line_runs_the_same_cells(
    environment: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    """``jupyter nbconvert --execute`` writes the notebook with its replies."""
    sandbox.set_faults(say=REPLY)
    nbformat.write(
        new_notebook(cells=[new_code_cell(source) for source in CELLS]), tmp_path / "in.ipynb"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "notebook"),
            *("--output", "out.ipynb", "in.ipynb"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert notebook.cells[2].outputs[0].data["text/markdown"] == REPLY


PRICES = r"""\(\frac{a}{b}\), the $n$th, \[x_1\].

A plan is $5 and the other 7$ a month. US Dollar ($), Canadian Dollar (C$).

| Plan | Price | |
|---|---|---|
| Basic | $5 | one |
| Pro | ₹83/$ | x |

これは**「重要」**です, see https://docs.example.com/page.

```
first line

![x](https://evil.example/p.png?q=s)

# Not a heading
```

1. In an item:
   ```sh
   echo one |
     tr n m
   ```
2. ```
   as the
     item
   ```

| code |
|---|
| `a|b_c` |

\input{/etc/passwd} $\input{/etc/passwd}$ $^^5cinput{x}$
"""


def displaying(form: str) -> NotebookNode:
    """A notebook with the reply `PRICES` as its output."""
    data = {kind: str(text) for kind, text in mimebundle(PRICES, format=form).items()}
    cell = new_code_cell("%%aeron", outputs=[new_output("display_data", data)])
    return new_notebook(cells=[cell])


@pytest.mark.skipif(shutil.which("pandoc") is None, reason="needs pandoc")
def test_latex_has_the_same_formulas_and_prices() -> None:
    latex, _ = LatexExporter().from_notebook_node(displaying("markdown"))
    assert r"\(\frac{a}{b}\), the \(n\)th, \[x_1\]" in latex
    assert r"A plan is \$5 and the other 7\$ a month. US Dollar (\$)" in latex
    assert r"Basic & \$5 & one" in latex
    assert r"Pro & ₹83/\$ & x" in latex
    assert r"\textbf{「重要」}です" in latex
    assert r"\url{https://docs.example.com/page}" in latex
    assert r"\textbackslash input" in latex
    assert "\nas the\n  item\n" in latex
    assert "tr n m" in re.sub(r"\\\w+\{([^}]*)\}", r"\1", latex)
    assert r"a\textbar b\_c" in latex.replace("{}", "").replace(r"\texttt", "")
    body = latex.partition(r"\begin{document}")[2]
    assert not re.search(r"\\(input|includegraphics)\b|\^\^", body)


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_code_stays_code_in_exported_markdown(form: str) -> None:
    markdown, _ = MarkdownExporter().from_notebook_node(displaying(form))
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    assert not re.search("<(img|h1)", page)
    assert "# Not a heading" in page.partition("first line")[2].partition("</pre>")[0]


def test_exports_of_a_hostile_reply_contain_no_script_and_load_nothing(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    """A reply cannot change the page."""
    sandbox.set_faults(say=HOSTILE)
    notebook = executed(environment, "%load_ext aeron_magic", "%%aeron\nDo your worst")
    html, _ = HTMLExporter().from_notebook_node(notebook)
    _, _, body = html.partition("<body")
    for trap in ("<script>stolen", "<img", 'href="javascript:'):
        assert trap not in body
    assert "leak.png" in body
