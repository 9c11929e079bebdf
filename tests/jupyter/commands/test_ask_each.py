"""``%%aeron --each`` in a real kernel, and in a runner."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import polars
import pytest
from credentials import SECRET
from live_kernel import Kernel, Run

from aeron_magic.batch.result import Row
from aeron_magic.errors import (
    AeronError,
    IncompleteReply,
    Interrupted,
    ServiceError,
    TokenError,
    UsageError,
    ValueRefused,
)
from aeron_magic.jupyter.command_line.parser import parse_options
from aeron_magic.jupyter.commands.expression import evaluate
from aeron_magic.jupyter.display.batch import preview, summary
from aeron_magic.prompts.items import items_of
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Faults, LoggedRequest, Refusal, Sandbox

pytestmark = pytest.mark.jupyter

REVIEWS = """
import pandas
reviews = pandas.DataFrame(
    {"text": ["A joy.", "It broke.", "Fine | good."], "stars": [5, 1, 3]}, index=list("abc"))
"""
RUN_AGAIN = "Run the cell again to get 1 missing row."
AGAIN_ONLY = (
    "1 row may have been charged: not asked again without -n. "
    "-n asks all rows of --each again, also the answered ones: give it only the rows to ask again "
    "(`%aeron help columns`)."
)
ASK = "%%aeron --each reviews -o labels\nClassify the sentiment: {{row.text}}"


def expired() -> TokenError:
    """The error of a reply that cannot be fetched any more."""
    error = TokenError("expired", context_token="t")
    error.was_accepted = True
    return error


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """The kernel, with a DataFrame of reviews."""
    assert kernel.execute(REVIEWS).status == "ok"
    return kernel


def asked(sandbox: Sandbox) -> list[str]:
    """The questions that were asked, in order of arrival."""
    return [seen.body["user"]["text"] for seen in sandbox.log.of("create-response")]


def test_each_row_is_asked_and_the_result_is_assigned(kernel: Kernel, sandbox: Sandbox) -> None:
    """The DataFrame has the columns and the index of the rows; the token does not change."""
    kernel.execute("%%aeron\nHello?", "before")
    token = kernel.value("context_token")
    run = kernel.execute(ASK, "each-1")
    assert run.status == "ok"
    columns = ["text", "stars", "reply", "status", "error", "seconds", "context_token"]
    assert kernel.value("list(labels.columns)") == columns
    assert kernel.value("list(labels.index)") == ["a", "b", "c"]
    assert kernel.value("labels.reply.value_counts().to_dict()") == {"positive": 2, "negative": 1}
    assert kernel.value("list(labels.stars)") == [5, 1, 3]
    assert kernel.value("context_token") == token
    assert all("context_token" not in seen.body for seen in sandbox.log.of("create-response")[1:])
    assert "Classify the sentiment: Fine | good." in asked(sandbox)


@pytest.mark.parametrize(
    ("error", "service", "asked", "advice"),
    [
        (ServiceError("no", status_code=500), "aeronpay", True, AGAIN_ONLY),
        (ServiceError("no", status_code=400), "aeronpay", True, RUN_AGAIN),
        (IncompleteReply("cut"), "aeronpay", False, AGAIN_ONLY),
        (IncompleteReply("cut", context_token="t"), "aeronpay", True, RUN_AGAIN),
        (IncompleteReply("cut", context_token="t"), "chatzy", True, AGAIN_ONLY),
        (Interrupted("stopped"), "aeronpay", True, AGAIN_ONLY),
        (Interrupted("stopped"), "aeronpay", False, RUN_AGAIN),
        (ValueRefused("missing"), "aeronpay", False, ""),
        (expired(), "aeronpay", True, AGAIN_ONLY),
        (expired(), "aeronpay", False, AGAIN_ONLY),
    ],
)
def test_the_summary_says_what_the_next_run_does(
    error: AeronError, service: str, asked: bool, advice: str
) -> None:
    """A row that may have been charged is not asked again, however it has failed."""
    row = Row("x", Reply("", "failed", service=service), "failed", error, asked=asked)
    found = [one for one in (RUN_AGAIN, AGAIN_ONLY) if one in summary([row], 1, None)]
    assert found == ([advice] if advice else [])
    said = summary([row], 1, None, ask_again=True)
    assert RUN_AGAIN not in said
    assert ("-n asks all rows of --each again" in said) is bool(advice)
    assert ("Missing: 1 row; without -n" in said) is (advice is RUN_AGAIN)
    said = summary([row], 1, None, ask_again=True, recorded=True)
    assert (RUN_AGAIN in said) is (advice is RUN_AGAIN), "what is recorded is not asked again"
    assert "-n asks all rows" not in said


def test_the_summary_says_why_the_result_is_a_list() -> None:
    rows = [Row("x")]
    assert "in `r`, a list because pandas is not installed." in summary(rows, 0, "r", rows)


def test_the_cell_ends_as_one_output(kernel: Kernel) -> None:
    """No progress bar remains, and the summary names the variable."""
    run = kernel.execute(ASK, "each-2")
    (output,) = run.outputs
    assert "3 rows: 0 kept, 3 asked now. The result is in labels." in output["data"]["text/plain"]
    assert "<table" in output["data"]["text/html"]
    plain = output["data"]["text/plain"].splitlines()
    assert any(line.split() == ["text", "stars", "reply", "status"] for line in plain)
    assert not any(line.startswith("|") or "\\" in line for line in plain)


COLUMNS = '%%aeron --each reviews -o labels --columns "sentiment: positive|negative|neutral"\n'


def test_requested_columns_are_beside_those_of_the_items(kernel: Kernel, sandbox: Sandbox) -> None:
    """A specification, or a model of the notebook; no row is shown as JSON."""
    cell = COLUMNS + "With {{row.stars}} stars: classify the sentiment of {{row.text}}"
    run = kernel.execute(cell, "each-11")
    assert run.status == "ok", run.text
    plain = run.outputs[0]["data"]["text/plain"]
    lines = [line.split() for line in plain.split("\n")]
    head = lines.index(["text", "stars", "sentiment", "status"])
    assert [line[0] for line in lines[head + 2 : head + 5]] == ["a", "b", "c"]  # as `.loc` takes it
    assert "{" not in plain
    assert "Answer with one JSON object" in asked(sandbox)[0]
    dry = kernel.execute(cell.replace("--each", "--dry-run --each"), "each-12")
    assert "Answer with one JSON object" in dry.text
    model = "import pydantic\nclass M(pydantic.BaseModel):\n    sentiment: str"
    kernel.execute(model, None)
    ask = "%%aeron --each reviews -o labels --columns M\nClassify the sentiment of {{row.text}}"
    assert kernel.execute(ask, "each-13").status == "ok"
    assert "sentiment" in kernel.value("list(labels.columns)")


def test_unfit_replies_are_shown_first_by_cause(kernel: Kernel, sandbox: Sandbox) -> None:
    """They are kept: nothing is charged again unless requested."""
    sandbox.faults = Faults(say='{"sentiment": "fine"}')
    run = kernel.execute(COLUMNS + "Classify the sentiment of {{row.text}}", "each-14")
    assert run.status == "error"
    assert "In all 3 rows: " in run.of("error")[0].content["evalue"]
    sandbox.faults = Faults(say='{"sentiment": "fine"}', refuse=(Refusal("*", 400, times=1),))
    kernel.execute("reviews.loc['d'] = [None, 4]; reviews.loc['e'] = ['A joy.', 4]", None)
    one_by_one = COLUMNS.replace("-o", "--concurrency 1 -o")
    run = kernel.execute(one_by_one + "Is this positive? {{row.text}}", "each-14")
    assert kernel.value("list(labels.status)") == ["failed", "unfit", "unfit", "failed", "failed"]
    plain = run.outputs[0]["data"]["text/plain"]
    assert "5 rows: 0 kept, 4 asked now in 3 questions" in plain
    assert plain.index("sentiment: Input should be 'positive'") < plain.index(
        "the value is missing"
    )
    sandbox.log.clear()
    kernel.execute(COLUMNS + "Is this positive? {{row.text}}", "each-14")
    assert len(asked(sandbox)) == 1


def test_rows_of_one_cause_with_different_values_are_one_group() -> None:
    """And what cannot be sent has not failed."""
    reason = "mood: Input should be 'a' (got 'b'); n: a number (got 'c.')"
    reasons = [reason, reason.replace("'b'", "'it is (so)'"), "other"]
    rows = [
        Row(n, Reply("x"), "unfit", AeronError(one), asked=True) for n, one in enumerate(reasons)
    ]
    rows.append(Row(3, None, "failed", UsageError("missing")))
    assert summary(rows, 3, "r") == (
        "4 rows: 0 kept, 3 asked now, **1 cannot be sent**; **3 unfit**. The result is in `r`. "
        "An unfit reply is kept; if you change the question, it is asked again. "
        "-n asks all rows of --each again, also the answered ones: give it only the rows to ask "
        "again (`%aeron help columns`)."
    )
    groups, *_ = preview(rows, items_of(list(range(4))), [], None, ())
    assert isinstance(groups, str)
    assert groups.splitlines()[0] == "- 2 rows (0, 1): mood: Input should be 'a'; n: a number"


def test_no_more_questions_than_allowed_are_asked(kernel: Kernel, sandbox: Sandbox) -> None:
    run = kernel.execute(ASK.replace("-o", "--at-most 2 -o"), "each-15")
    assert run.status == "error"
    said = " ".join("".join(run.of("error")[0].content["traceback"]).split())
    assert "3 rows, 3 different questions (0 already answered, 3 to ask)" in said
    assert asked(sandbox) == []
    assert kernel.execute(ASK.replace("-o", "--at-most 3 -o"), "each-15").status == "ok"


def test_running_again_asks_nothing_and_new_asks_all(kernel: Kernel, sandbox: Sandbox) -> None:
    """The rows of a cell are kept; ``-n`` drops them."""
    kernel.execute(ASK, "each-3")
    assert "3 rows: 3 kept, 0 asked now." in kernel.execute(ASK, "each-3").text
    assert len(asked(sandbox)) == 3
    assert sandbox.log.of("fetch-response") == []
    kernel.execute(ASK.replace("-o", "-n -o"), "each-3")
    assert len(asked(sandbox)) == 6


def test_rows_with_the_same_question_are_asked_once(kernel: Kernel, sandbox: Sandbox) -> None:
    items = '"[*reviews.text, reviews.text.iloc[0]]"'
    run = kernel.execute(ASK.replace("reviews", items).replace(".text}", "}"), "each-16")
    shared = "Rows with the same question share one reply."
    assert f"4 rows: 0 kept, 4 asked now in 3 questions. {shared}" in run.text
    assert len(asked(sandbox)) == 3


def test_kept_rows_can_be_deleted(kernel: Kernel, sandbox: Sandbox) -> None:
    """Rows of all cells, but no conversation."""
    kernel.execute("%%aeron\nHello?", "before")
    kernel.execute(ASK, "each-3")
    run = kernel.execute("%aeron forget main --rows", "f")
    assert "belong to no conversation" in str(run.of("error"))
    assert "Deleted 3 answered rows" in kernel.execute("%aeron forget --rows", "f").text
    assert "Deleted 0 answered rows" in kernel.execute("%aeron forget --rows", "f").text
    kernel.execute(ASK, "each-3")
    assert len(asked(sandbox)) == 1 + 3 + 3
    assert "Hello?" in kernel.execute("%aeron history", "h").text


def test_a_failed_row_fails_alone_and_is_asked_again(kernel: Kernel, sandbox: Sandbox) -> None:
    """The cell says which row failed and why; run again, it asks for that row only."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", 400, message="too rude"),))
    run = kernel.execute(ASK, "each-4")
    assert run.status == "ok"
    assert "3 rows: 0 kept, 3 asked now; 1 failed. " in run.text
    assert "HTTP status 400. The service says: too rude" in run.text
    assert re.search(r"1 row \([abc]\): ", run.text)  # its label, as `.loc` takes it
    assert kernel.value("sorted(labels.status)") == ["complete", "complete", "failed"]
    assert kernel.value("labels.error.notna().sum().item()") == 1
    sandbox.log.clear()
    run = kernel.execute(ASK, "each-4")
    assert "3 rows: 2 kept, 1 asked now." in run.text
    assert len(asked(sandbox)) == 1
    assert kernel.value("list(labels.status)") == ["complete"] * 3


def test_the_cell_fails_if_no_row_was_answered(kernel: Kernel, sandbox: Sandbox) -> None:
    """Run All stops if the service refuses all rows, which are assigned nevertheless."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", 403, times=3),))
    run = kernel.execute(ASK, "each-5")
    assert run.status == "error"
    assert run.of("error")[0].content["ename"] == "AuthenticationError"
    assert "In all 3 rows: " in run.of("error")[0].content["evalue"]
    assert kernel.value("list(labels.status)") == ["failed"] * 3


def test_rows_that_wait_when_all_others_are_refused_are_not_asked(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """They were not interrupted by the user, and the error does not count them."""
    sandbox.faults = Faults(refuse=(Refusal("create-response", 403, times=99),))
    run = kernel.execute(
        "%%aeron --each range(60) --concurrency 50 --rate 200 -o out\nIs {{row}} odd?", "each-30"
    )
    assert re.match(r"In \d\d rows: ", run.of("error")[0].content["evalue"])
    assert kernel.value("set(out.status) == {'failed', 'not asked'}")


def test_an_interrupt_keeps_the_finished_rows(kernel: Kernel, sandbox: Sandbox) -> None:
    """The cell fails with those rows assigned; run again, it asks only the others."""
    text = "one two three four"

    def stalled(seen: list[LoggedRequest]) -> bool:
        return [one.bytes_sent for one in seen if not one.done] == [300, 300]

    cell = '%%aeron --each "range(30)" -o squares --concurrency 2\nWhat is {{row}} squared?'
    sandbox.faults = Faults(say=text, pause=0.005)
    run = kernel.start(cell, "each-6")
    # Ten rows are answered, then all stall.
    assert sandbox.log.wait(lambda seen: sum(one.done for one in seen) >= 10)
    sandbox.set_faults(stall_after=300, stall_times=99)
    assert sandbox.log.wait(stalled)
    kernel.interrupt()
    kernel.finish(run)
    assert run.status == "error"
    assert run.of("error")[0].content["ename"] == "Interrupted"
    done = kernel.value("int((squares.status == 'complete').sum())")
    assert 8 <= done < 30
    interrupted = kernel.value("int((squares.status == 'interrupted').sum())")
    not_asked = kernel.value("int((squares.status == 'not asked').sum())")
    assert kernel.value("len(squares)") == done + interrupted + not_asked
    assert f"{not_asked} not asked; {interrupted} interrupted. " in run.text
    assert f"Run the cell again to get {interrupted + not_asked} missing rows." in run.text
    # A row whose reply had not begun has no token.
    known = kernel.value(
        "int(squares.context_token[squares.status == 'interrupted'].notna().sum())"
    )
    before = asked(sandbox)
    sandbox.faults = Faults(say=text)
    assert kernel.execute(cell, "each-6").status == "ok"
    assert kernel.value("list(squares.status)") == ["complete"] * 30
    # A reply with a token was fetched instead of asked again.
    assert len(before) == done + 2
    assert len(set(asked(sandbox))) == 30
    assert len(asked(sandbox)) == 30 + 2 - known
    assert len(sandbox.log.of("fetch-response")) >= known


def test_after_a_turn_each_row_continues_from_it(kernel: Kernel, sandbox: Sandbox) -> None:
    """All rows are sent with the token of that turn."""
    kernel.execute("%%aeron -n --as start -o first\nWhat is a token?", "start")
    kernel.execute("%%aeron --each [1,2] --after start\nSay {{row}}.", "each-7")
    token = kernel.value("first.context_token")
    sent = [seen.body.get("context_token") for seen in sandbox.log.of("create-response")]
    assert sent == [None, token, token]


def test_mistakes_are_reported_before_anything_is_sent(kernel: Kernel, sandbox: Sandbox) -> None:
    """An expression that fails, a missing column, a secret in all rows."""
    wrong = {
        "%%aeron --each nothing_here\n{{row}}": "NameError",
        "%%aeron --each revews\n{{row}}": "Did you mean `reviews`?",
        "%%aeron --each reviews --columns feeling\n{{row.text}}": "Did you mean `Feeling`?",
        "%%aeron --each \"reviews['none']\"\n{{row}}": "in a cell of its own to see where it fails",
        "%%aeron --each reviews\n{{row.txet}}": "text",
        "%%aeron --each reviews\n{{text}}": "Did you mean `{{row.text}}`?",
        "%%aeron\n\nFirst\n{{unknown}}": "line 4, column 1",
        "%aeron ask Say {{unknown}}": "line 1, column 5",
        "x = 1\n\nfor _ in range(1):\n    %aeron ask Say {{unknown}}": "line 4, column 5",
        "x = 1\n%aeron ask --each [1,2] {{row.txet}}": "line 2, column 1",
        "%%aeron --each reviews\n{{row.txet}}.": "line 2, column 1",
        "%%aeron --each [1,2]\nThe same twice?": "does not mention {{row}}",
        "%%aeron --each [1,2]\n{{str(row)}}": "In all 2 rows: {{str(row)}} (line 2, column 1):",
        "%%aeron --each [1,2] --raw\nSay {{row}}.": "--raw does not replace {{row}}",
        "%%aeron --each 5\n{{row}}": "DataFrame, not int",
        f"%%aeron --each ['{SECRET}']\n{{{{row}}}}": "secret",
    }
    kernel.execute("import pydantic\nclass Feeling(pydantic.BaseModel):\n    mood: str", None)
    for cell, said in wrong.items():
        run = kernel.execute(cell, None)
        assert run.status == "error", cell
        assert said in "".join(run.of("error")[0].content["traceback"])
    assert asked(sandbox) == []


@pytest.mark.parametrize(
    "expression",
    [
        "reviews[few.status != 'complete']",
        "reviews.loc[list(few.status != 'complete')]",
        "reviews.text.to_numpy()[(few.status != 'complete').to_numpy()]",
        "polars.DataFrame(reviews).filter(polars.Series([True, False]))",
    ],
)
@pytest.mark.filterwarnings("ignore:Boolean Series key")
def test_a_mask_of_another_length_has_a_remedy(expression: str) -> None:
    """The remedy works where the table of the mask has a part of the rows."""
    names: dict[str, Any] = {"pandas": pandas, "polars": polars}
    exec(REVIEWS, names)
    names["few"] = names["reviews"][:2].assign(status=["complete", "failed"])
    shell = SimpleNamespace(builtin_trap=nullcontext(), user_global_ns=names)
    with pytest.raises(UsageError) as caught:
        evaluate(shell, expression, names)
    assert not str(caught.value).endswith("..")
    remedy = caught.value.hint.split("`")[1]
    assert remedy == 'reviews.loc[labels.index[labels["status"] != "complete"]]'
    assert list(evaluate(shell, remedy.replace("labels", "few"), names).index) == ["b"]


def test_a_row_with_a_secret_fails_and_does_not_show_it(kernel: Kernel, sandbox: Sandbox) -> None:
    run = kernel.execute(f"%%aeron --each ['{SECRET}','fine']\n{{{{row}}}}", "each-8")
    assert asked(sandbox) == ["fine"]
    assert SECRET not in str([message.content for message in run.of("display_data")])


def test_a_used_up_generator_keeps_the_earlier_rows(kernel: Kernel) -> None:
    """Run again, the cell fails with a hint, and the variable is unchanged."""
    kernel.execute("once = (number for number in range(2))", "each-9")
    cell = "%%aeron --each once -o rows\n{{row}}"
    assert kernel.execute(cell, "each-10").status == "ok"
    again = kernel.execute(cell, "each-10")
    assert "`once = list(…)`" in "".join(again.of("error")[0].content["traceback"])
    assert kernel.value("len(rows)") == 2


def test_ask_many_uses_the_connection_of_the_cells(kernel: Kernel, sandbox: Sandbox) -> None:
    """In a notebook, ask_many needs no client; it runs inside the kernel's event loop."""
    code = "from aeron_magic import ask_many\nsaid = ask_many(['One?', 'Two?'])"
    run: Run = kernel.execute(code, None)
    assert (run.status, run.outputs) == ("ok", [])
    assert sorted(asked(sandbox)) == ["One?", "Two?"]


def test_a_finished_progress_bar_is_saved_as_text(kernel: Kernel) -> None:
    """A saved widget would show the bar at its beginning."""
    code = "from aeron_magic import ask_many\nsaid = ask_many(['One?', 'Two?'], progress=True)"
    run: Run = kernel.execute(code, None)
    assert run.status == "ok"
    (output,) = run.outputs
    assert list(output["data"]) == ["text/plain"]
    assert output["data"]["text/plain"].endswith("2 to ask): 2 of 2 rows")


def test_a_dry_run_sends_nothing(kernel: Kernel, sandbox: Sandbox) -> None:
    """It shows the first question as it would be sent, and how many there are."""
    run = kernel.execute(ASK.replace("--each", "--dry-run --each"), None)
    assert "Classify the sentiment: A joy." in run.text
    assert "3 rows, 3 different questions (0 already answered, 3 to ask)" in run.text
    plain = run.outputs[0]["data"]["text/plain"]
    assert plain.index("A joy.\n") < plain.index("POST ")
    cell = "%%aeron --dry-run --each ['Good.',None,'Late.','Late.','']\nClassify: {{row}}"
    run = kernel.execute(cell, None)
    assert "5 rows (2 cannot be sent), 2 different questions (0 already" in run.text
    plain = run.outputs[0]["data"]["text/plain"]
    assert "1 row (1): {{row}} (line 2, column 11): the value is missing" in plain
    assert "1 row (4): {{row}} (line 2, column 11): the text is empty" in plain
    assert plain.index("the text is empty") < plain.index("The question:")
    assert "context_token" not in run.text
    assert "0 rows" in kernel.execute("%%aeron --dry-run --each []\n{{row}}", None).text
    said = kernel.execute(cell.replace("--each", "--at-most 1 --each"), None).text
    assert "Without --dry-run, --at-most 1 refuses this." in said
    assert asked(sandbox) == []


def test_a_runner_saves_only_the_summary(kernel: Kernel) -> None:
    """Without cell ids there is one display, without progress bar and times."""
    cell = "%%aeron --each ['Good.','Bad.'] -n -o r\nClassify the sentiment: {{row}}"
    first, second = (kernel.execute(cell, None).outputs for _ in range(2))
    assert [output["output_type"] for output in first] == ["display_data"]
    assert first[0]["data"] == second[0]["data"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--concurrency 4", "requires --each"),
        ("--rate 4", "requires --each"),
        ("--columns x:int", "--columns requires --each"),
        ("--at-most 4", "--at-most requires --each"),
        ("--each x --at-most 0", "a whole number of questions"),
        ("--each x -f json", "--each asks many"),
        ("--each x --as name", "--each asks many"),
        ("--each x --concurrency 0", "a whole number from 1"),
        ("--each x --rate 0", "requests per second above 0"),
    ],
)
def test_incompatible_options_are_rejected(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_options(line)


def test_rows_are_recorded_and_replayed(kernel: Kernel, sandbox: Sandbox, tmp_path: Path) -> None:
    """Another cell replays them without the service."""
    file = tmp_path / "rows.jsonl"
    kernel.execute(f"%aeron record {file}", None)
    first = kernel.execute(ASK, "each-8")
    assert len(asked(sandbox)) == len(file.read_text().splitlines()) == 3
    sandbox.faults = Faults(refuse=(Refusal("*", 500, times=99),))
    kernel.execute(f"%aeron replay {file}", None)
    again = kernel.execute(ASK, "each-9")
    other = kernel.execute("%%aeron --each ['Joy','New']\nClassify: {{row}}", "each-x")
    kernel.execute("%aeron record off", None)
    assert other.status == "error"
    assert "sends the question and records it" in other.text
    assert "Run the cell again" not in other.text
    assert again.status == "ok"
    shown, before = (run.outputs[0]["data"]["text/plain"] for run in (again, first))
    assert shown.replace("3 kept, 0 asked", "0 kept, 3 asked") == before
    assert len(asked(sandbox)) == 3


def test_a_replay_of_a_table_fails_if_a_row_is_not_recorded(
    kernel: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    """So that CI notices it; the result is assigned before. The same in Python."""
    file = tmp_path / "rows.jsonl"
    kernel.execute(f"%aeron record {file}", None)
    kernel.execute(ASK, "each-8")
    kernel.execute(f"%aeron replay {file}", None)
    kernel.execute("reviews.loc['b', 'text'] = 'It works.'", None)
    run = kernel.execute(ASK, "each-8")
    failure = str(run.of("error"))
    assert "does not contain the questions of 1 of 3 rows. The first: The nearest" in failure
    assert "It works." in failure
    assert kernel.value("list(labels.status)") == ["complete", "failed", "complete"]
    run = kernel.execute(
        "from aeron_magic import ask_many\n"
        "try: ask_many(reviews, 'Classify the sentiment: {{row.text}}')\n"
        "except Exception as error: print(error, list(error.result.status))"
    )
    assert "(2 already answered, 0 to ask, 1 without a recorded answer)" in run.text
    assert "of 1 of 3 rows. The first: The nearest" in run.text
    assert "['complete', 'failed', 'complete']" in run.text
    kernel.execute("reviews.loc['b', 'text'] = None", None)
    run = kernel.execute(ASK, "each-8")
    kernel.execute("%aeron record off", None)
    assert not run.of("error"), "a row that is never sent is no fault of the recording"
    assert len(asked(sandbox)) == 3


def test_a_table_says_that_recorded_rows_are_replayed_also_with_n(
    kernel: Kernel, sandbox: Sandbox, tmp_path: Path
) -> None:
    kernel.execute(f"%aeron record {tmp_path / 'rows.jsonl'}", None)
    assert "Replayed" not in kernel.execute(ASK.replace("labels", "labels -n"), "each-8").text
    run = kernel.execute(ASK.replace("labels", "labels -n"), "each-8")
    assert "Replayed from rows.jsonl, also with -n: 3 rows." in run.text
    assert "Replayed" not in kernel.execute(ASK, "each-8").text
    kernel.execute(f"%aeron replay {tmp_path / 'rows.jsonl'}", None)
    run = kernel.execute(ASK.replace("labels", "labels -n"), "each-8")
    assert "Replayed" not in run.text, "a replay is not meant to ask again"
    assert "Recording is off." in kernel.execute("%aeron replay 'off '", None).text
    kernel.execute(ASK.replace("labels", "labels -n"), "each-8")
    assert len(asked(sandbox)) == 6


BROKEN = """
import pandas
class Broken:
    def __init__(self, *_): pass
    def __str__(self): raise RuntimeError("mine")
    __repr__ = __ne__ = __str__
    __hash__ = object.__hash__
broken = pandas.DataFrame(
    {"text": ["A joy.", None], "more": [Broken(), [Broken()]]}, index=[Broken(), Broken()])
"""


def test_objects_whose_own_methods_fail_are_shown_by_their_kind(kernel: Kernel) -> None:
    """As cells and as labels of rows: the rows were charged."""
    assert kernel.execute(BROKEN).status == "ok"
    run = kernel.execute(ASK.replace("reviews", "broken"), "each-1")
    assert run.status == "ok"
    assert "1 row ((Broken)): " in run.text.replace("\\", "")
    assert "(list)" in run.text
    assert kernel.value("list(labels.status)") == ["complete", "failed"]


def test_rows_with_missing_values_are_counted_if_they_are_sent(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """``{{row}}`` is all of a row; a column of it is not sent without its value."""
    kernel.execute("reviews.loc['b', 'text'] = None; reviews.loc['c'] = [None, None]")
    note = "1 row with missing or empty values: {{row}} sends them as they are."
    plan = kernel.execute("%%aeron --each reviews --dry-run\nClassify: {{row}}")
    assert note in plan.text
    assert not asked(sandbox)
    run = kernel.execute("%%aeron --each reviews\nClassify: {{row}}")
    assert note in run.text
    assert "The replies are kept: with -o NAME, the cell assigns the table." in run.text
    assert len(asked(sandbox)) == 2
    for text in ("{{row.text}}", "{{row}}, {{row.text}}"):  # the row is not sent
        run = kernel.execute(f"%%aeron --each reviews -o labels\nClassify: {text}")
        assert "with missing or empty values" not in run.text
    assert "are kept: with" not in run.text


def test_the_table_is_not_replaced_by_its_result(kernel: Kernel, sandbox: Sandbox) -> None:
    """The cell could not be run again."""
    run = kernel.execute("%%aeron --each reviews -o reviews\nClassify: {{row.text}}")
    assert "would replace reviews" in str(run.of("error"))
    assert not asked(sandbox)
