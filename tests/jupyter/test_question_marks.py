from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell

from aeron_magic.jupyter.question_marks import register, unregister


@pytest.fixture
def ip() -> Iterator[SimpleNamespace]:
    """The part of a shell that transforms input."""
    shell = SimpleNamespace(input_transformer_manager=TransformerManager())
    register(shell)  # type: ignore[arg-type]
    yield shell
    unregister(shell)  # type: ignore[arg-type]


QUESTIONS = {
    "%aeron ask what is it?": "run_line_magic('aeron', 'ask what is it?')",
    "%aeron ask why??": "run_line_magic('aeron', 'ask why??')",
    "%aeron  ask -q what is {{it}}?": "run_line_magic('aeron', ' ask -q what is {{it}}?')",
    "answer = %aeron ask why?": "answer = get_ipython().run_line_magic('aeron', 'ask why?')",
    "if x:\n    %aeron ask why?": "    get_ipython().run_line_magic('aeron', 'ask why?')",
    "x = 1\n%aeron ask one?\n%aeron ask two?": "run_line_magic('aeron', 'ask two?')",
    "%aeron ask What's up, Doc?": "run_line_magic('aeron', \"ask What's up, Doc?\")",
    "x.y = %aeron ask why?": "x.y = get_ipython().run_line_magic('aeron', 'ask why?')",
    "x[0] = %aeron ask why?": "x[0] = get_ipython().run_line_magic('aeron', 'ask why?')",
    "%time %aeron ask why?": "run_line_magic('time', '%aeron ask why?')",
    "x = %time %aeron ask why?": "x = get_ipython().run_line_magic('time', '%aeron ask why?')",
    "aeron ask why?": "aeron ask why?",  # automagic reads it afterwards
    "%aeron ask why? ": "run_line_magic('aeron', 'ask why?')",
    "%aeron ask what \\\n is it?": "run_line_magic('aeron', 'ask what   is it?')",
    "%aeron what is this?": "run_line_magic('aeron', 'what is this?')",
    "%%aeron what is this?": "run_cell_magic('aeron', 'what is this?', '\\n')",
    "%aeron ask (is it?": "run_line_magic('aeron', 'ask (is it?')",
}


def test_a_question_on_one_line_can_end_with_a_question_mark(ip: SimpleNamespace) -> None:
    for cell, end in QUESTIONS.items():
        code = ip.input_transformer_manager.transform_cell(cell)
        assert code.endswith(end + "\n"), cell
        assert "pinfo" not in code, cell


OTHER_CELLS = [
    "%aeron?",
    "%%aeron?",
    "%aeron ask?",
    "%aeron use plots?",
    "%%time what?",
    "ask?",
    "%time ask?",
    "x = 1",
    's = """\n%aeron ask why?\n"""',
    "%%aeron\n%aeron ask why?",
]


def test_other_cells_are_transformed_as_by_ipython(ip: SimpleNamespace) -> None:
    manager = ip.input_transformer_manager
    for cell in OTHER_CELLS:
        assert manager.transform_cell(cell) == TransformerManager().transform_cell(cell), cell


def test_registering_twice_is_undone_by_unregistering_once(ip: SimpleNamespace) -> None:
    register(ip)  # type: ignore[arg-type]
    unregister(ip)  # type: ignore[arg-type]
    unregister(ip)  # type: ignore[arg-type]
    expected = TransformerManager().token_transformers
    assert ip.input_transformer_manager.token_transformers == expected


def test_questions_in_the_cell_that_loads_the_extension_are_explained(
    plain_shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """IPython has read them as requests for help before there was a magic."""
    plain_shell.run_cell(
        "%load_ext aeron_magic\nx = 1\n%aeron ask what?\n%time %aeron ask why??\nx?",
        store_history=True,
    )
    said = capsys.readouterr().out
    assert "read `%aeron ask what?` as a request for help" in said
    assert "read `%time %aeron ask why??` as a request for help" in said
    assert said.count("request for help") == 2
    plain_shell.run_cell("%reload_ext aeron_magic", store_history=True)
    assert "request for help" not in capsys.readouterr().out
    plain_shell.run_cell("%unload_ext aeron_magic")


def test_questions_of_a_script_that_loads_the_extension_are_explained(
    plain_shell: InteractiveShell, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``ipython talk.ipy`` runs the file as one cell, which is not in the history."""
    script = tmp_path / "talk.ipy"
    script.write_text("%load_ext aeron_magic\n%aeron ask what?\n%unload_ext aeron_magic\n")
    plain_shell.user_ns["__file__"] = str(script)
    plain_shell.safe_execfile_ipy(str(script))
    assert "read `%aeron ask what?` as a request for help" in capsys.readouterr().out
