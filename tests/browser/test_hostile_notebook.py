"""A notebook with hostile outputs in JupyterLab: the fast part of the campaign."""

from __future__ import annotations

import pytest
from hostile_text import VECTORS, open_in_lab, saved_notebook
from nbformat.v4 import new_output
from notebook_page import NotebookPage, notebook_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HARMFUL = """
<script>alert(1)</script><img src=https://evil.example/x.png><p style="position:fixed">x</p>
<a href="javascript:alert(1)">x</a>
"""


def test_saved_outputs_do_nothing_when_a_notebook_is_opened_and_trusted(lab: NotebookPage) -> None:
    """In cells, errors, transcripts, exported Markdown cells and the table of contents."""
    texts = VECTORS[::10]
    for opened in open_in_lab(lab, saved_notebook(texts)):
        assert opened[:4] == (0, 0, 0, 0)
        assert opened.rendered >= 6 * len(texts)
        assert opened.headings >= len(texts)


def test_active_content_in_a_notebook_is_noticed(lab: NotebookPage) -> None:
    """Without it, the test above would prove nothing."""
    notebook = notebook_of("")
    notebook.cells[0].outputs = [new_output("display_data", {"text/html": HARMFUL})]
    *_, trusted = open_in_lab(lab, notebook)
    assert all(trusted[:4])
