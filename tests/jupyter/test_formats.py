"""Replies shown as JSON, as a table and as code, in a real kernel."""

from __future__ import annotations

from typing import Any

import pytest
from live_kernel import Kernel, Run

from aeron_magic.sandbox import Faults, Sandbox

pytestmark = pytest.mark.jupyter


def shown(run: Run) -> dict[str, Any]:
    """The data of the one display."""
    (output,) = (one for one in run.outputs if one["output_type"] == "display_data")
    data: dict[str, Any] = output["data"]
    return data


def next_cells(run: Run) -> list[str]:
    """The code that the cell offers as the next cell."""
    assert run.reply is not None
    return [one["text"] for one in run.reply["payload"] if one["source"] == "set_next_input"]


def test_json_is_formatted(kernel: Kernel, sandbox: Sandbox) -> None:
    """Only the JSON is shown, highlighted."""
    sandbox.faults = Faults(say='Sure: {"a": [1]} it is.')
    run = kernel.execute("%%aeron -f json -o r\nGo.")
    assert run.status == "ok"
    assert shown(run)["text/plain"] == '{\n  "a": [\n    1\n  ]\n}'
    assert kernel.value("r.json()") == {"a": [1]}


def test_html_in_a_table_is_text(kernel: Kernel, sandbox: Sandbox) -> None:
    """Only the table is shown."""
    sandbox.faults = Faults(say="Here:\n\n| a | b |\n|---|---|\n| 1 | <script>x</script> |\n\nBye.")
    run = kernel.execute("%%aeron -f table -o r\nGo.")
    assert "<td" in shown(run)["text/html"]
    assert "<script" not in shown(run)["text/html"]
    assert "Bye" not in shown(run)["text/html"]
    assert kernel.value("r.table().a.tolist()") == [1]


def test_code_becomes_a_cell_only_on_request(kernel: Kernel, sandbox: Sandbox) -> None:
    """One block at a time; the line below the code says how."""
    sandbox.faults = Faults(say="So:\n\n```python\nx = 1\n```\n\nand\n\n```bash\nls\n```\n")
    run = kernel.execute("%%aeron -f code\nGo.", "asks")
    assert next_cells(run) == []
    assert shown(run)["text/plain"].startswith("x = 1")
    assert "%aeron code NUMBER" in shown(run)["text/plain"]
    assert "2 blocks" in shown(run)["text/html"]
    inserted = [next_cells(kernel.execute(f"%aeron code {number}")) for number in ("", 1, 2)]
    assert inserted == [["x = 1"], ["x = 1"], ["%%bash\nls"]]
    for wrong in ("3", "0", "x", "-1"):
        assert kernel.execute(f"%aeron code {wrong}").status == "error", wrong
    sandbox.faults = Faults(say="```\ny\n```")
    assert "%aeron code inserts it" in shown(kernel.execute("%%aeron -f code\nGo."))["text/plain"]


@pytest.mark.parametrize("form", ["json", "table", "code"])
def test_a_missing_format_fails_the_cell_and_keeps_the_reply(
    kernel: Kernel, sandbox: Sandbox, form: str
) -> None:
    """The reply is shown as Markdown and assigned; the error says what is missing."""
    sandbox.faults = Faults(say="Only *prose*.")
    run = kernel.execute(f"%%aeron -f {form} -o r{form}\nGo.")
    assert run.status == "error"
    assert "Only <em>prose</em>." in shown(run)["text/html"]
    (error,) = run.of("error")
    assert error.content["ename"] == "ReplyFormatError"
    assert "Only *prose*." in "".join(error.content["traceback"])
    assert kernel.value(f"r{form}.text") == "Only *prose*."
    assert next_cells(run) == []
