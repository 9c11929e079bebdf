"""``%aeron check`` in a shell of this process: what is shown, bound and raised."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from aeron_magic import AeronError, CheckFailed, Interrupted, UsageError
from aeron_magic.jupyter.display import publish
from aeron_magic.sandbox import embedded_sandbox

FAQ = "question,answer\nHow long does a refund take?,{} days.\nWhich fee is due?,**2** percent.\n"
CHAT = """## Question

How long does a refund take?

## Reply

Five days.

## Question

Which fee is due?

```expect
contains: 2
```
"""


class Notebook:
    """A shell with the extension; runs lines, and keeps what was shown."""

    def __init__(self, shell: InteractiveShell, capture: Callable[[], str]) -> None:
        self.shell = shell
        self._capture = capture

    def run(self, line: str) -> str:
        """Run a line; what it printed."""
        self._capture()
        self.shell.run_line_magic("aeron", line)
        return self._capture()

    def fails(self, line: str, kind: type[AeronError]) -> tuple[AeronError, str]:
        """Run a line that has to fail; its error, and what it printed."""
        self._capture()
        with pytest.raises(kind) as caught:
            self.shell.run_line_magic("aeron", line)
        return caught.value, self._capture()

    def value(self, expression: str) -> Any:
        return self.shell.ev(expression)


@pytest.fixture
def notebook(
    plain_shell: InteractiveShell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faq.csv").write_text(FAQ.format("Five"), encoding="utf-8")
    (tmp_path / "refund.chat.md").write_text(CHAT, encoding="utf-8")
    plain_shell.run_line_magic("load_ext", "aeron_magic")
    notebook = Notebook(plain_shell, lambda: capsys.readouterr().out)
    notebook.run("connect sandbox --answers faq.csv")
    yield notebook
    plain_shell.run_line_magic("unload_ext", "aeron_magic")
    embedded_sandbox().answer_from(None)


def change_answers(text: str = "Seven") -> None:
    Path("faq.csv").write_text(FAQ.format(text), encoding="utf-8")


def test_a_passed_check_shows_rates_and_binds_the_report(notebook: Notebook) -> None:
    shown = notebook.run("check refund.chat.md --repeat 3 -o report")
    assert "6 of 6 answers passed. The report is in report." in shown
    assert "refund.chat.md  6 of 6 (100%)  61% to 100%" in shown
    assert notebook.value("list(report.result)") == ["passed"] * 6


def test_without_pandas_the_report_is_a_list_and_the_output_says_so(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    shown = notebook.run("check refund.chat.md -o report")
    assert "in report, a list of dictionaries because pandas is not installed." in shown
    assert [row["result"] for row in notebook.value("report")] == ["passed", "passed"]


def test_a_changed_answer_is_shown_beside_the_reference_and_fails_the_cell(
    notebook: Notebook,
) -> None:
    change_answers()
    error, shown = notebook.fails("check refund.chat.md --repeat 2 -o report", CheckFailed)
    assert str(error) == "2 of 4 answers did not pass."
    assert "above" not in error.hint  # `last` shows it without the table
    assert "The table of the check shows why." in error.hint
    assert "changed: refund.chat.md, turn 1, repeats 1, 2: How long does a refund take?" in shown
    assert "reference: [-Five-] days." in shown
    assert "answer:    {+Seven+} days." in shown
    assert notebook.value("list(report.result)") == ["changed", "passed"] * 2


def test_a_notebook_gets_safe_html_with_marked_differences(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(publish, "has_kernel", lambda shell: True)
    monkeypatch.setattr(publish, "publish", lambda data, metadata: shown.append(data))
    change_answers("<img src=x onerror=alert(1)>")
    notebook.fails("check refund.chat.md", CheckFailed)
    html = str(shown[-1]["text/html"])
    assert "<s>Five</s> days." in html
    assert "<strong>&lt;img src=x onerror=alert(1)&gt;</strong> days." in html
    assert "<img" not in html + shown[-1]["text/markdown"]
    assert html.index("changed") < html.index("interval of 95 %")
    assert "[-Five-] days." in shown[-1]["text/plain"]


def test_failures_come_first_and_flicker_is_named(notebook: Notebook) -> None:
    asked: Counter[str] = Counter()

    def flaky(question: str, turns: object = ()) -> str:
        asked[question] += 1
        return "Five days." if asked[question] != 2 else "Seven days."

    embedded_sandbox()._find_answer = flaky
    _, shown = notebook.fails("check refund.chat.md --repeat 3", CheckFailed)
    assert shown.index("failed: refund.chat.md, turn 2") < shown.index("changed: refund.chat.md")
    assert "Turns that flicker" in shown
    assert shown.index("Turns that flicker") < shown.index("2 of 3 (67%)")


def test_a_turn_without_an_answer_is_not_compared(notebook: Notebook) -> None:
    """Its reference would be marked as deleted."""
    notebook.run("record answers.jsonl")
    notebook.shell.run_cell_magic("aeron", "", "Which fee is due?")
    notebook.run("replay answers.jsonl")
    error, shown = notebook.fails("check refund.chat.md", CheckFailed)
    assert error.hint == "The table of the check shows why."
    assert "error: refund.chat.md, turn 1" in shown
    assert "not asked: refund.chat.md, turn 2" in shown
    assert "The answers were replayed from answers.jsonl: nothing was asked." in shown
    assert "[-" not in shown
    assert "reference:" not in shown
    notebook.run("record off")


def test_a_dry_run_counts_and_sends_nothing(notebook: Notebook) -> None:
    shown = notebook.run("check refund.chat.md --repeat 3 --dry-run")
    assert "3 conversations" in shown
    assert "6 questions to ask. The first is" in shown
    assert "How long does a refund take?" in shown
    error, _ = notebook.fails("check refund.chat.md --repeat 3 --at-most 5", UsageError)
    assert "would ask 6 questions; the limit is 5" in str(error)


def test_a_check_that_has_ended_asks_again(notebook: Notebook) -> None:
    notebook.run("check refund.chat.md")
    shown = notebook.run("check refund.chat.md --dry-run")
    assert "1 conversation: 2 questions to ask. The first is" in shown
    assert "kept" not in shown


def test_an_answer_that_equals_its_reference_is_shown_from_its_beginning(
    notebook: Notebook,
) -> None:
    """A rule does not hold for either: two equal ends would not say which."""
    words = " ".join(f"word{number}" for number in range(60))
    Path("faq.csv").write_text(f"question,answer\nWhy so?,{words}\n", encoding="utf-8")
    notebook.run("connect sandbox --answers faq.csv")
    text = f"## Question\n\nWhy so?\n\n## Reply\n\n{words}\n\n```expect\ncontains: nope\n```\n"
    Path("rule.chat.md").write_text(text, encoding="utf-8")
    _, shown = notebook.fails("check rule.chat.md", CheckFailed)
    assert "reference: the same as the answer" in shown
    assert "answer:    word0 word1" in shown
    assert shown.count("word59") <= 1


def test_a_check_for_each_row_takes_values_of_the_notebook(notebook: Notebook) -> None:
    text = "## Question\n\n{{row.q}}\n\n```expect\ncontains: {{row.a}}\npython: short\n```\n"
    Path("row.chat.md").write_text(text, encoding="utf-8")
    notebook.shell.run_cell(
        "import pandas as pd\n"
        "table = pd.DataFrame({'q': ['Which fee is due?', 'refund take?'], 'a': ['2', 'Five']})\n"
        "def short(reply): return len(reply.text) < 40"
    )
    shown = notebook.run("check row.chat.md --each table -o report")
    assert "2 of 2 answers passed" in shown
    assert notebook.value("list(report.columns)")[1] == "row"
    error, _ = notebook.fails("check row.chat.md --each nothing", UsageError)
    assert "NameError" in str(error)
    error, _ = notebook.fails("check row.chat.md", AeronError)
    assert "unknown variable row" in str(error)


@pytest.mark.parametrize("name", ["exit", "quit", "open", "get_ipython", "__import__", "x.f"])
def test_a_file_cannot_call_functions_that_the_notebook_did_not_define(
    notebook: Notebook, name: str
) -> None:
    text = f"## Question\n\nWhich fee is due?\n\n```expect\npython: {name}\n```\n"
    Path("foreign.chat.md").write_text(text, encoding="utf-8")
    notebook.shell.run_cell("class x: f = staticmethod(lambda reply: True)")
    error, _ = notebook.fails("check foreign.chat.md", AeronError)
    assert "there is no function" in str(error)


def test_an_interrupt_keeps_and_binds_what_is_done(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any, **options: Any) -> None:
        raise Interrupted("The check was stopped.", hint="Run it again.")

    monkeypatch.setattr("aeron_magic.jupyter.commands.check.run_check", stopped)
    error, shown = notebook.fails("check refund.chat.md -o report", Interrupted)
    assert "0 of 2 answers passed, 2 not asked" in shown
    assert list(error.result.result) == ["not asked", "not asked"]  # type: ignore[attr-defined]
    assert notebook.value("len(report)") == 2


def test_a_conversation_is_exported_checked_and_its_change_noticed(notebook: Notebook) -> None:
    for question in ("How long does a refund take?", "And which fee is due?"):
        notebook.shell.run_cell_magic("aeron", "", question)
    shown = notebook.run("export good.chat.md")
    assert "Wrote 2 turns to good.chat.md" in shown
    assert "2 of 2 answers passed" in notebook.run("check good.chat.md")
    change_answers()
    notebook.fails("check good.chat.md", CheckFailed)
    notebook.run("connect sandbox")  # the handbook does not know refunds
    error, _ = notebook.fails("check good.chat.md", CheckFailed)
    assert str(error) == "2 of 2 answers did not pass."


def test_a_check_says_that_it_does_not_record(notebook: Notebook) -> None:
    notebook.run("record answers.jsonl")
    shown = notebook.run("check refund.chat.md")
    assert "A check does not use the recording" in shown
    assert not Path("answers.jsonl").exists()
    notebook.run("record off")
    assert "recording" not in notebook.run("check refund.chat.md")


def test_a_recording_with_a_damaged_line_fails(notebook: Notebook) -> None:
    notebook.run("record answers.jsonl")
    notebook.shell.run_cell_magic("aeron", "", "Which fee is due?")
    notebook.run("record off")
    assert "1 of 1 answer passed" in notebook.run("check answers.jsonl")
    with Path("answers.jsonl").open("a", encoding="utf-8") as file:
        file.write("not a turn\n")
    error, shown = notebook.fails("check answers.jsonl", CheckFailed)
    assert "damaged" in str(error)
    assert "Delete the damaged lines" in error.hint
    assert "1 of 1 answer passed" in shown


def test_a_file_of_answers_that_cannot_be_used(notebook: Notebook) -> None:
    error, _ = notebook.fails("connect sandbox --answers none.csv", UsageError)
    assert "none.csv cannot be used: No such file" in str(error)
    Path("questions.csv").touch()
    error, _ = notebook.fails("connect sandbox --answers qestions.csv", UsageError)
    assert "Did you mean `questions.csv`?" in error.hint
    assert "2 of 2 answers passed" in notebook.run("check refund.chat.md")


@pytest.mark.parametrize("history", ["", "off"])
def test_a_check_keeps_nothing_if_the_history_is_configured_as_off(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: str
) -> None:
    """Not even until it has ended."""
    monkeypatch.delenv("AERON_HISTORY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    notebook.shell.run_line_magic("config", f"AeronMagics.history = {history!r}")
    notebook.run("check refund.chat.md")
    assert (tmp_path / "data" / "aeron-magic" / "checks").exists() is (history == "")
