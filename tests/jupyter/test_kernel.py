"""The magics in a real kernel: the messages to the front end during and after a reply."""

from __future__ import annotations

import re
import time

import pytest
from credentials import SECRET
from live_kernel import Kernel, Output, Run

from aeron_magic.sandbox import Faults, Refusal, Sandbox

pytestmark = pytest.mark.jupyter

# Two dozen paragraphs of different words, with a list, a table and code between them.
PARAGRAPHS = "\n\n".join(
    f"Paragraph {n} says word{n}a, word{n}b and word{n}c." + " It goes on a little." * 8
    for n in range(24)
)
LONG = f"""# A heading

{PARAGRAPHS}

1. first
2. second

```python
def f(x):
    return x + 1
```

| a | b |
|---|---|
| 1 | 2 |
"""


def words(outputs: list[Output]) -> str:
    """The visible text of outputs in HTML, without spaces, bars, backticks and hyphens.

    The beginning of a table or a fence is shown as text until it is recognized.
    """
    html = "".join(output["data"]["text/html"] for output in outputs)
    html = re.sub(r"<p><em>(waiting for .*?|receiving …)</em></p>", "", html)
    return "".join(re.sub(r"<[^>]+>|[|`-]", "", html).split())


def test_the_reply_grows_in_the_cell_and_ends_as_one_output(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """Each state is a longer prefix of the reply; one output remains."""
    sandbox.set_faults(say=LONG, pause=0.004)
    run = kernel.execute("%%aeron -o answer\nTell me a long story")
    assert run.status == "ok"
    (last,) = run.outputs
    assert last["data"]["text/markdown"] == LONG
    assert list(last["data"]) == ["text/html", "text/markdown", "text/plain"]
    whole = words([last])
    seen = [words(state) for state in run.states]
    assert len(set(seen)) > 10
    assert [len(one) for one in seen] == sorted(len(one) for one in seen)
    assert [one for one in seen if not whole.startswith(one)] == []
    assert "receiving …" in str(list(run.states)), "it may be saved in between"
    assert "receiving …" not in last["data"]["text/html"]
    assert kernel.value("answer.text") == LONG


def test_a_tool_of_a_chatzy_agent_is_shown_while_it_runs(kernel: Kernel) -> None:
    """For longer than a busy machine needs for a painting."""
    kernel.execute("%load_ext aeron_magic\n%aeron connect sandbox --service chatzy")
    kernel.execute("from aeron_magic.sandbox import chatzy; chatzy._TOOL_SECONDS = 3.0")
    run = kernel.execute("%%aeron\nLook up how I add an image.")
    assert run.status == "ok"
    assert "using a tool …" in str(list(run.states))
    assert "using a tool …" not in str(run.outputs)


def test_the_metadata_of_the_saved_output(kernel: Kernel, sandbox: Sandbox) -> None:
    """They contain service, turn and tokens, and no display id."""
    run = kernel.execute("%%aeron\nHello")
    (last,) = run.outputs
    about = last["metadata"]["aeron_magic"]
    assert set(about) == {
        "service",
        "conversation",
        "turn",
        "context_token",
        "parent_context_token",
        "status",
        "seconds",
        "replayed",
    }
    assert about["context_token"] == kernel.value("context_token")
    assert (about["service"], about["status"]) == ("aeronpay", "complete")
    assert "display_id" not in last


def test_the_number_of_messages_depends_on_time_and_not_on_chunks(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """Thousands of chunks become about twenty small messages a second, at any length."""
    sandbox.set_faults(say=LONG, chunk_size=1, pause=0.0005)
    run = kernel.execute("%%aeron\nTell me slowly")
    assert run.status == "ok"
    *growing, whole = run.of("display_data", "update_display_data")
    assert len(growing) < 25 * run.seconds + 20
    assert len(growing) < len(LONG) / 10
    assert max(message.size for message in growing) < 8_000
    assert whole.size < 4 * len(LONG)


def test_without_a_cell_id_there_is_one_display(kernel: Kernel, sandbox: Sandbox) -> None:
    """Runners such as nbclient keep every update, so nothing is updated for them."""
    sandbox.set_faults(say=LONG, pause=0.001)
    run = kernel.execute("%%aeron\nTell me", None)
    assert [message.kind for message in run.messages] == ["display_data"]
    assert run.outputs[0]["data"]["text/markdown"] == LONG


def test_the_configuration_overrides_the_front_end(kernel: Kernel, sandbox: Sandbox) -> None:
    """It takes precedence over the cell id."""
    sandbox.set_faults(say=LONG, pause=0.001)
    kernel.execute("%config AeronMagics.live = True", None)
    assert kernel.execute("%%aeron\nTell me", None).of("update_display_data")
    kernel.execute("%config AeronMagics.live = False", None)
    run = kernel.execute("%%aeron\nTell me")
    kernel.execute("%config AeronMagics.live = None", None)
    assert [message.kind for message in run.messages] == ["display_data"]


def test_the_format_can_be_configured(kernel: Kernel, sandbox: Sandbox) -> None:
    """An option overrides it."""
    sandbox.set_faults(say="**bold**")
    kernel.execute("%config AeronMagics.format = 'text'", None)
    assert "<strong>" not in kernel.execute("%%aeron\nTell me").outputs[-1]["data"]["text/html"]
    run = kernel.execute("%%aeron -f markdown\nTell me")
    kernel.execute("%config AeronMagics.format = 'markdown'", None)
    assert "<strong>" in run.outputs[-1]["data"]["text/html"]


def test_quiet_shows_nothing(kernel: Kernel) -> None:
    """With -q the reply is in the variable only."""
    run = kernel.execute("%%aeron -q -o silent\nHello")
    assert (run.status, run.messages) == ("ok", [])
    assert kernel.value("silent.text")


def test_other_outputs_of_a_cell_stay(kernel: Kernel, sandbox: Sandbox) -> None:
    """A question on one line does not clear the outputs of the other lines."""
    sandbox.set_faults(say=LONG, pause=0.001)
    run = kernel.execute("print('before')\n%aeron ask Tell me\nprint('after')")
    before, reply, after = run.outputs
    assert (before["text"], after["text"]) == ("before\n", "after\n")
    assert reply["data"]["text/markdown"] == LONG


def test_an_interrupt_keeps_the_received_text_and_closes_the_connection(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """The cell ends within a second, and the next question works."""
    sandbox.set_faults(chunks=tuple(f"drip{n} " for n in range(600)), pause=0.1)
    run = kernel.start("%%aeron -o partial\nDrip for a minute")
    kernel.wait(run, lambda now: any("drip19" in str(one) for one in now.outputs))
    stopped = time.monotonic()
    kernel.interrupt()
    kernel.finish(run)
    assert run.ended - stopped < 1.0
    assert run.reply is not None
    assert (run.status, run.reply["ename"]) == ("error", "Interrupted")
    assert sandbox.log.wait(lambda seen: seen[-1].closed_by_client and seen[-1].done, 1.0)

    shown, error = run.outputs
    assert "drip19" in shown["data"]["text/markdown"]
    assert "drip599" not in shown["data"]["text/markdown"]
    assert "Interrupted" in shown["data"]["text/html"]
    assert "drip" not in "".join(error["traceback"])
    assert kernel.value("partial.status") == "interrupted"
    assert kernel.value("partial.text").startswith("drip0 drip1 ")
    assert kernel.value("context_token") is None

    sandbox.faults = Faults(say="Still here.")
    assert kernel.execute("%%aeron\nAre you there?").outputs[0]["data"]["text/plain"].strip() == (
        "Still here."
    )


def test_a_service_that_is_silent_can_be_interrupted(kernel: Kernel, sandbox: Sandbox) -> None:
    """Also before the first byte; until then the output says what it waits for."""
    sandbox.set_faults(latency=60.0)
    run = kernel.start("%%aeron -o nothing\nAre you there?")
    kernel.wait(run, lambda now: any("waiting for AeronPay" in str(one) for one in now.outputs))
    stopped = time.monotonic()
    kernel.interrupt()
    kernel.finish(run)
    assert run.ended - stopped < 1.0
    assert [output["output_type"] for output in run.outputs] == ["error"]
    assert kernel.value("[nothing.status, nothing.text]") == ["interrupted", ""]


@pytest.mark.parametrize("live", [True, False], ids=["live", "not live"])
def test_a_refused_question_fails_the_cell(kernel: Kernel, sandbox: Sandbox, live: bool) -> None:
    """A short block with a hint, without traceback or secret; the token is unchanged."""
    sandbox.set_faults(refuse=(Refusal("create-response", 403, message=f"not for {SECRET}"),))
    run = kernel.execute("%%aeron -o refused\nHello", "cell-1" if live else None)
    assert run.status == "error"
    (error,) = run.outputs
    text = "\n".join(error["traceback"])
    assert error["ename"] == "AuthenticationError"
    assert "403" in text
    assert "→" in text
    assert "Traceback" not in text
    assert "File " not in text
    assert SECRET not in str(run.messages)
    assert kernel.value("[context_token, refused.status]") == [None, "failed"]
    assert SECRET not in str(kernel.execute("%aeron last").messages)


def test_a_cut_stream_is_completed_without_asking_again(kernel: Kernel, sandbox: Sandbox) -> None:
    """The stored reply replaces the received text."""
    sandbox.set_faults(say=LONG, cut_after=3000)
    run = kernel.execute("%%aeron -o mended\nTell me")
    (last,) = run.outputs
    assert last["data"]["text/markdown"].startswith(LONG)
    assert kernel.value("[mended.status, mended.text]") == ["recovered", LONG]
    assert len(sandbox.log.of("create-response")) == 1


def test_the_variable_continues_the_conversation(kernel: Kernel, sandbox: Sandbox) -> None:
    """Each question continues from the newest token; a token set by hand takes precedence."""
    first = "%%aeron -q -o first\nOne"
    kernel.execute(first, "a")
    kernel.execute("%%aeron -q -o second\nTwo", "b")
    assert kernel.value("second.parent_context_token == first.context_token")
    assert kernel.value("context_token == second.context_token")
    kernel.execute("context_token = first.context_token", "c")
    kernel.execute("%%aeron -q -o third\nThree", "d")
    assert kernel.value("third.parent_context_token == first.context_token")


def test_a_cell_that_runs_again_sends_the_same_token(kernel: Kernel, sandbox: Sandbox) -> None:
    """It sends the token of its first run."""
    kernel.execute("%%aeron -q\nOne", "again-a")
    kernel.execute("%%aeron -q\nTwo", "again-b")
    kernel.execute("%%aeron -q\nTwo, again", "again-b")
    sent = [seen.body.get("context_token") for seen in sandbox.log.of("create-response")]
    assert sent[0] is None
    assert sent[1] == sent[2] is not None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%%aeron --nonsense\nHello", "--nonsense"),
        ("%%aeron -o\nHello", "-o"),
        ("%%aeron\nHello {{missing_name}}", "missing_name"),
        ("%%aeron --image file:///etc/passwd\nHello", "http"),
        ("%%aeron --timeout never\nHello", "--timeout"),
        ("%%aeron\n   \n", "question"),
        ("%aeron nonsense", "nonsense"),
        ("%aeron connect nowhere", "sandbox"),
        ("context_token = 7\n%aeron ask Hello", "context_token"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_sent(
    kernel: Kernel, sandbox: Sandbox, source: str, message: str
) -> None:
    """The cell fails with a short block that names the cause and the remedy."""
    run = kernel.execute(source)
    text = "\n".join(run.outputs[-1]["traceback"])
    assert run.status == "error"
    assert message in text
    assert "→" in text or "needs" in text
    assert "File " not in text
    assert list(sandbox.log) == []


def test_commands_have_one_display(kernel: Kernel) -> None:
    """Status, both histories, last and help, which are also readable as plain text."""
    kernel.execute("%%aeron\nWhat is a token?")

    def plain(line: str) -> str:
        run: Run = kernel.execute(line)
        assert run.status == "ok", run.outputs
        (output,) = run.outputs
        return str(output["data"]["text/plain"])

    assert "AeronPay" in plain("%aeron")
    assert "recording: off" in plain("%aeron")
    assert SECRET not in plain("%aeron")
    assert "What is a token?" in plain("%aeron history")
    assert "The service has the same" in plain("%aeron history --remote")
    note = "\n\n[Turn 1 was complete already.]"
    assert plain("%aeron fetch") == plain("%aeron last") + note
    assert "--no-stream" in plain("%aeron help")


def test_a_question_on_one_line_can_end_with_a_question_mark(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """IPython would read it as a request for help."""
    kernel.execute("%aeron ask -q What is a token?")
    assert sandbox.log[-1].body["user"]["text"] == "What is a token?"


@pytest.mark.parametrize(
    "cell",
    [
        f"%%aeron\nMy key is {SECRET}, is that good?",
        f"%%aeron --raw\n{SECRET}",
        f"%%aeron --dry-run\n{SECRET}",
        f"%%aeron --each [1]\n{SECRET}",
        f"%aeron ask Is {SECRET} good?",
    ],
)
def test_a_secret_in_a_question_is_neither_sent_nor_repeated(
    kernel: Kernel, sandbox: Sandbox, cell: str
) -> None:
    run = kernel.execute(cell)
    assert run.of("error")[0].content["ename"] == "ValueRefused"
    assert SECRET not in str(run.outputs)
    assert not sandbox.log.of("create-response")


def test_a_stopped_reply_with_a_token_can_be_fetched(kernel: Kernel, sandbox: Sandbox) -> None:
    """The service completes it; the hint says how to fetch it."""
    sandbox.set_faults(chunks=tuple(f"drip{n} " for n in range(40)), pause=0.1)
    run = kernel.start("%%aeron -o partial\nDrip")
    kernel.wait(run, lambda now: "drip3" in str(now.outputs))
    kernel.interrupt()
    kernel.finish(run)
    token = kernel.value("partial.context_token")
    assert f"`%aeron fetch {token}`" in "\n".join(run.of("error")[0].content["traceback"])
    sandbox.set_faults(chunks=(), pause=0)
    fetched = kernel.execute("%aeron fetch")
    assert fetched.outputs[-1]["metadata"]["aeron_magic"]["turn"] == "1"
    assert kernel.value("context_token") == token
    assert "drip39" in kernel.execute("%aeron last").text


def test_fetch_after_a_failed_question_says_so_and_last_keeps_the_failure(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    kernel.execute("%%aeron\nWhat is a token?")
    sandbox.set_faults(cut_after=0, cut_times=9)
    assert kernel.execute("%%aeron\nIs it lost?").status == "error"
    before = kernel.execute("%aeron last").text
    fetched = kernel.execute("%aeron fetch")
    assert "there is no reply to fetch" in "\n".join(fetched.of("error")[0].content["traceback"])
    assert not sandbox.log.of("fetch-response")
    assert kernel.execute("%aeron last").text == before
    assert "may have been accepted" in before


def test_last_shows_the_reply_after_an_error_that_is_none_of_a_question(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """Also after a whole reply that lacks the format; a question that failed hides the reply."""
    kernel.execute("%%aeron\nWhat is a token?")
    before = kernel.execute("%aeron last").text
    for mistake in (
        "%aeron lsat",
        "%%aeron --nonsense\nHello",
        "%%aeron\nHello {{missing_name}}",
        "%%aeron --each missing_name\n{{row}}",
        "%aeron history nope",
        "%aeron replay missing.jsonl",
        "%aeron export nope.txt",
    ):
        assert kernel.execute(mistake).status == "error"
        assert kernel.execute("%aeron last").text == before, mistake
    sandbox.set_faults(say="No JSON here.")
    assert kernel.execute("%%aeron -f json\nList them").status == "error"
    assert kernel.execute("%aeron last").text == "No JSON here."
    for cell in ("%%aeron\nHello", "%%aeron --each [1]\nHello {{row}}"):
        sandbox.set_faults(refuse=(Refusal("create-response", 403, message="not you"),))
        assert kernel.execute(cell).status == "error"
        assert "not you" in kernel.execute("%aeron last").text
        assert kernel.execute("%aeron connect nowhere").status == "error"
        assert "not you" in kernel.execute("%aeron last").text


def test_every_output_has_the_same_metadata(kernel: Kernel) -> None:
    """Whether it was asked, fetched by its token or shown again."""
    fields = "service conversation turn context_token parent_context_token status seconds replayed"
    asked = kernel.execute("%%aeron -o r\nHello")
    fetched = kernel.execute("%aeron fetch " + kernel.value("r.context_token"))
    again = kernel.execute("%aeron last")
    for run in (asked, fetched, again):
        about = run.outputs[-1]["metadata"]
        assert list(about) == ["aeron_magic"]
        assert list(about["aeron_magic"]) == fields.split()
        assert about["aeron_magic"]["turn"] == "1"


def test_an_empty_reply_is_an_error(kernel: Kernel, sandbox: Sandbox) -> None:
    sandbox.set_faults(say="")
    run = kernel.execute("%%aeron\nSay nothing")
    assert run.status == "error"
    assert "its text is empty" in str(run.of("error"))


def test_a_question_in_the_wrong_place_is_not_asked_and_the_error_names_the_right_one(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """On the line of %%aeron, and without ``ask``; IPython's proposals would lead astray."""
    for cell in ("%%aeron what is this?", "%aeron what is this?", "%aeron why is it so?"):
        run = kernel.execute(cell)
        assert run.status == "error", cell
        assert "%aeron ask" in str(run.of("error")), cell
        assert "not found" not in run.text
    assert sandbox.log.of("create-response") == []


def test_lines_for_publishing_tools_are_not_part_of_the_question(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """At the beginning of the cell only."""
    kernel.execute("%%aeron\n#| echo: false\n#| label: one\n\nWhy?\n#| is text")
    assert sandbox.log.of("create-response")[0].body["user"]["text"] == "Why?\n#| is text"
    for blank in ("#| echo: false", "\u200b \u00a0"):
        run = kernel.execute(f"%%aeron\n{blank}")
        assert "The question is empty" in str(run.of("error"))
    assert len(sandbox.log.of("create-response")) == 1


def test_variables_of_a_function_hide_those_of_the_notebook(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    """On a line, in a cell magic that the function runs, and in --each; also one inside another."""
    kernel.execute(
        "topic, rows = 'GLOBAL', ['GLOBAL']\n"
        "def line(topic):\n    %aeron ask About {{topic}}\n"
        "def cell(topic):\n    get_ipython().run_cell_magic('aeron', '', 'About {{topic}}')\n"
        "def each(rows):\n    %aeron ask -q --each rows About {{row}}\n"
        "def inner(topic):\n    def ask():\n        %aeron ask About {{topic}}\n    ask()\n"
        "def loop(topic):\n"
        "    [get_ipython().run_line_magic('aeron', 'ask {{n}} {{topic}}') for n in [1]]\n"
        "def caller(topic):\n    plain()\n"
        "def plain():\n    %aeron ask About {{topic}}\n"
        "line('cats'); cell('dogs'); each(['cows']); inner('hens'); loop('owls'); caller('no')\n"
        "%aeron ask About {{topic}}"
    )
    asked = [seen.body["user"]["text"] for seen in sandbox.log.of("create-response")]
    assert asked == [
        *("About cats", "About dogs", "About cows", "About hens", "1 owls"),
        *("About GLOBAL", "About GLOBAL"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("history = 'of'", "neither `off` nor a file"),
        ("histroy = 'off'", "Did you mean `history`?"),
        ("timeout = -1", "above 0"),
        ("timeout = 'abc'", "expected a float"),
        ("format = 'html'", "'html'"),
        ("limits = {'nothing': 1}", "nothing"),
    ],
)
def test_a_refused_setting_fails_the_next_question_once(
    kernel: Kernel, sandbox: Sandbox, line: str, reason: str
) -> None:
    """IPython's `%config` writes a line and passes: nothing may be sent with other settings."""
    settings = kernel.value("get_ipython().magics_manager.registry['AeronMagics']._preferences()")
    assert reason in kernel.execute(f"%config AeronMagics.{line}").text
    before = len(sandbox.log)
    (error,) = kernel.execute("%%aeron\nTell me", "one").of("error")
    assert "Nothing was sent" in error.content["evalue"]
    assert reason in error.content["evalue"]
    assert len(sandbox.log) == before
    registry = "get_ipython().magics_manager.registry['AeronMagics']"
    assert kernel.value(f"{registry}._preferences()") == settings
    assert not kernel.execute("%config AeronMagics.notebook = ''").text
    assert not kernel.execute("%%aeron\nTell me", "one").of("error")


def test_a_corrected_setting_lets_the_next_question_be_sent(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    kernel.execute("%config AeronMagics.timeout = -1")
    assert not kernel.execute("%config AeronMagics.timeout = 30").text
    assert not kernel.execute("%%aeron\nTell me", "one").of("error")
    kernel.execute("%config AeronMagics.histroy = 'off'")
    assert not kernel.execute("%config AeronMagics.history = 'off'").text
    assert not kernel.execute("%%aeron\nTell me", "one").of("error")


def test_another_setting_corrects_no_refused_one(kernel: Kernel, sandbox: Sandbox) -> None:
    """As in a cell of several settings."""
    before = len(sandbox.log)
    kernel.execute("%config AeronMagics.histroy = 'off'\n%config AeronMagics.timeout = 30")
    (error,) = kernel.execute("%%aeron\nTell me", "one").of("error")
    assert "Did you mean `history`?" in error.content["evalue"]
    assert len(sandbox.log) == before
