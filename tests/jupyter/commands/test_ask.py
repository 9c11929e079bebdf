"""One question from a cell, without a kernel."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from credentials import SECRET
from panel_harness import PanelHarness

from aeron_magic.errors import (
    AeronError,
    IncompleteReply,
    Interrupted,
    ServiceError,
    UsageError,
    ValueRefused,
)
from aeron_magic.jupyter.app import App, Preferences
from aeron_magic.jupyter.command_line.parser import Options, parse_command, parse_options
from aeron_magic.jupyter.commands.ask import ask
from aeron_magic.jupyter.commands.replies import fetch
from aeron_magic.jupyter.display import follow
from aeron_magic.sandbox import Refusal, Sandbox
from aeron_magic.session.session import PendingQuestion


@pytest.fixture
def app(sandbox: Sandbox) -> Iterator[App]:
    """The application object in a terminal."""
    app = App(SimpleNamespace(user_ns={}), Preferences(history="off"))
    app.session.connect(
        "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine"
    )
    yield app
    app.close()


def test_an_interrupt_before_the_reply_is_shown_stops_the_question(
    app: App, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the modules that show it are imported."""
    sandbox.set_faults(say="one two three four", stall_after=900)
    choose, interrupted = follow.choose_output, []

    def interrupt_once(*arguments: Any) -> Any:
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return choose(*arguments)

    monkeypatch.setattr(follow, "choose_output", interrupt_once)
    with pytest.raises(Interrupted):
        ask(app, parse_options(""), "Count")
    assert [turn.status for turn in app.session.tree] == ["interrupted"]


def test_a_value_that_is_not_sent_whole_is_named_below_the_reply(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_faults(say="Yes.")
    app.shell.user_ns["fee"] = None
    ask(app, parse_options(""), "Is it {{fee}}?")
    note = "{{fee}} has no value: the question has the text “None”."
    assert f"[{note}]" in capsys.readouterr().out
    ask(app, parse_options("--dry-run"), "Is it {{fee}}?")
    assert f"Nothing was sent. {note} The question:" in capsys.readouterr().out


def test_a_conversation_that_is_begun_under_a_similar_name_says_so(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be misspelt; with ``-n`` a new one is meant."""
    sandbox.set_faults(say="Yes.")
    note = "This starts the conversation {}; there is also {}."
    for options, expected in [
        ("", ""),
        ("-c maim", note.format("maim", "main")),
        ("-c maim", ""),
        ("-c fees", ""),
        ("-c fees2 -n", ""),
    ]:
        ask(app, parse_options(options), "Yes?")
        said = capsys.readouterr().out
        assert expected in said
        assert ("there is also" in said) is bool(expected), options


def test_a_first_question_to_chatzy_that_is_cut_says_that_its_conversation_is_the_current_one_now(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it was asked again while another one was the current one."""
    app.session.connect(
        "chatzy",
        base_url=sandbox.chatzy_url,
        stream_url=sandbox.chatzy_stream_url,
        chatbot_id="00000000-0000-4000-8000-000000000000",
    )
    sandbox.set_faults(say="one two three four", cut_after=150, cut_times=99)
    said = []
    for cell, line in [("a", ""), ("b", "-c other"), ("a", "")]:
        monkeypatch.setattr(app.cell_keys, "next", lambda _, cell=cell: cell)
        with pytest.raises(IncompleteReply):
            ask(app, parse_options(line), "Count")
        said.append("Asked in main, where this cell belongs" in capsys.readouterr().out)
    assert said == [False, False, True]
    assert app.session.tree.name == "main"


@pytest.mark.parametrize(
    ("service", "remedy"),
    [("aeronpay", "`%aeron fetch apay_"), ("chatzy", "Ask the agent to repeat its answer")],
)
def test_an_interrupt_says_how_to_get_the_whole_reply(
    app: App, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, service: str, remedy: str
) -> None:
    if service == "chatzy":
        app.session.connect(
            "chatzy",
            base_url=sandbox.chatzy_url,
            stream_url=sandbox.chatzy_stream_url,
            chatbot_id="00000000-0000-4000-8000-000000000000",
        )
    sandbox.set_faults(say="one two three four", stall_after=900 if service == "aeronpay" else 150)

    def interrupt_when_begun(asked: PendingQuestion, *rest: object) -> bool:
        while not asked.accumulator.text:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "follow_to_end", interrupt_when_begun)
    with pytest.raises(Interrupted) as caught:
        ask(app, parse_options(""), "Count")
    assert caught.value.hint.startswith(remedy)


@pytest.mark.parametrize("line", ["", "--dry-run", "--each [SECRET,'fine']"])
@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_a_secret_in_the_environment_is_not_sent_to_another_service(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    service: str,
) -> None:
    """From a cell."""
    monkeypatch.setenv("AERON_CLIENT_SECRET", SECRET)
    app.session.connect(service, sandbox=True)
    text = f"{{{{row}}}} {SECRET}" if "--each" in line else f"my {SECRET}"
    app.shell.builtin_trap = nullcontext()
    app.shell.user_global_ns = app.shell.user_ns
    app.shell.user_ns["SECRET"] = SECRET
    with pytest.raises(ValueRefused):
        ask(app, parse_options(line), text)
    assert not app.session.tree.turns
    if "--each" in line:
        ask(app, parse_options(f"{line} -o rows"), "{{row}}")
        assert list(app.shell.user_ns["rows"].status) == ["failed", "complete"]
    assert SECRET not in capsys.readouterr().out


@pytest.mark.parametrize("by_panel", [False, True])
@pytest.mark.parametrize("line", ["fetch", "fetch TOKEN"])
def test_fetch_completes_the_variable_of_an_unfinished_reply(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], line: str, by_panel: bool
) -> None:
    """As the error has promised; but not a variable that was assigned anew."""
    app.session.connections.configure(fetch_timeout=0.2)
    sandbox.set_faults(say="one two three four", cut_after=900, processing_fetches=10**6)
    with pytest.raises(IncompleteReply):
        ask(app, parse_options("-o r"), "Count")
    names, turn = app.shell.user_ns, app.session.tree.turns[0]
    cut = names["r"]
    app.shell.user_ns["other"] = cut
    assert not cut.is_complete
    app.session.connections.configure(fetch_timeout=30)
    sandbox.set_faults(refuse=(Refusal("fetch-response", 400),))
    with pytest.raises(ServiceError):
        fetch(app, parse_command(line.replace("TOKEN", cut.context_token)))
    assert names["r"] is cut
    assert app.session.tree.turns[0].reply.text == cut.text
    assert "It is now in" not in capsys.readouterr().out
    sandbox.set_faults(refuse=(), processing_fetches=0)
    if by_panel:
        assert app.session.fetch(app.session.tree, turn).done.wait(10)
    fetch(app, parse_command(line.replace("TOKEN", cut.context_token)))
    assert names["r"].text.startswith(cut.text)
    assert names["r"].is_complete
    assert names["other"] is cut
    assert "It is now in r." in capsys.readouterr().out
    names["r"] = "mine"
    fetch(app, parse_command(line.replace("TOKEN", cut.context_token)))
    assert names["r"] == "mine"


@pytest.mark.parametrize("is_newest", [True, False])
def test_fetch_says_that_the_turn_is_in_another_conversation(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], is_newest: bool
) -> None:
    """Which is the current one now, if nothing was asked since."""
    app.session.connections.configure(fetch_timeout=0.2)
    sandbox.set_faults(say="one two three four", cut_after=900, processing_fetches=10**6)
    with pytest.raises(IncompleteReply):
        ask(app, parse_options("-o r"), "Count")
    sandbox.set_faults(cut_after=None, processing_fetches=0)
    if is_newest:
        app.session.new("other")
    else:
        ask(app, parse_options("-c other"), "Count")
    capsys.readouterr()
    fetch(app, parse_command(f"fetch {app.shell.user_ns['r'].context_token}"))
    said = capsys.readouterr().out
    if is_newest:
        assert "The turn is in main; the next question continues there. %aeron use other" in said
    else:
        assert "The turn is in main; %aeron use main continues it." in said
    assert app.session.tree.name == ("main" if is_newest else "other")


def test_fetch_takes_a_turn_and_names_an_unfinished_one(
    app: App, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number or by name; what can be neither that nor a token is not sent."""
    app.session.connections.configure(fetch_timeout=0.2)
    sandbox.set_faults(
        say="one two three four", cut_after=900, cut_times=9, processing_fetches=10**6
    )
    for line in ("", "--as named"):
        with pytest.raises(IncompleteReply):
            ask(app, parse_options(line), "Count")
    sandbox.set_faults(cut_after=None, cut_times=0, processing_fetches=0)
    ask(app, parse_options(""), "Count")
    capsys.readouterr()
    fetch(app, parse_command("fetch"))
    said = " ".join(capsys.readouterr().out.split())
    assert "Turn 3 was complete already." in said
    assert "The reply of turn 2 is incomplete: `%aeron fetch 2`." in said
    fetch(app, parse_command("fetch named"))
    fetch(app, parse_command("fetch 1"))
    assert [turn.status for turn in app.session.tree] == ["complete"] * 3
    before = len(sandbox.log.of("fetch-response"))
    for label in ("4", "nmaed"):
        with pytest.raises(UsageError, match="has no turn"):
            fetch(app, parse_command(f"fetch {label}"))
    assert len(sandbox.log.of("fetch-response")) == before


def test_fetch_of_a_turn_never_takes_the_reply_of_a_later_one(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all replies of a conversation have one token, the service returns the newest."""
    with Sandbox(token_rule="same") as sandbox:
        app.session.connect(
            "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret="mine"
        )
        app.session.connections.configure(fetch_timeout=0.2)
        ask(app, parse_options(""), "Begin")
        sandbox.set_faults(say="one two", cut_after=900, cut_times=9, processing_fetches=10**6)
        with pytest.raises(IncompleteReply):
            ask(app, parse_options(""), "Count")
        sandbox.set_faults(cut_after=None, cut_times=0, processing_fetches=0, say="five")
        ask(app, parse_options(""), "Go on")
        for label in ("", "3", app.session.tree.turns[1].reply.context_token):
            capsys.readouterr()
            fetch(app, parse_command(f"fetch {label}"))
            said = capsys.readouterr().out
            assert "Turn 3 was complete already." in said
            assert "fetch 2" not in said
        with pytest.raises(UsageError, match="has the token of turn 3"):
            fetch(app, parse_command("fetch 2"))
        assert [turn.status for turn in app.session.tree] == ["complete", "incomplete", "complete"]


def test_aeron_live_is_read_only_where_an_output_can_be_live(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid value fails no question in a terminal, and none with -q."""
    monkeypatch.setenv("AERON_LIVE", "yes")
    ask(app, parse_options(""), "In a terminal?")
    app.shell.kernel, app.shell.get_parent = object(), dict
    ask(app, parse_options("-q"), "Quiet?")
    assert [turn.status for turn in app.session.tree] == ["complete"] * 2
    with pytest.raises(UsageError, match="AERON_LIVE must be 0 or 1"):
        ask(app, parse_options(""), "Shown?")
    assert len(app.session.tree.turns) == 2


class Broken(io.StringIO):
    """A standard output whose reader has gone after some characters."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, text: str) -> int:
        self.room -= len(text)
        if self.room < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("room", [0, 8, 60])
def test_a_reply_that_cannot_be_painted_is_bound_and_continued(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """At its beginning, in its middle or at its end: it is charged, so it must not be lost."""
    sandbox.set_faults(chunks=tuple(f"word{n} " for n in range(12)), pause=0.02)
    monkeypatch.setattr(sys, "stdout", Broken(room))
    with pytest.raises(AeronError, match="cannot be shown here: BrokenPipeError") as caught:
        ask(harness.app, Options(out="answer"), "Count")
    answer = harness.app.shell.user_ns["answer"]
    assert answer.text.split() == [f"word{n}" for n in range(12)]
    assert answer.status == "complete"
    assert harness.app.shell.user_ns["context_token"] == answer.context_token
    assert harness.session.last is answer
    assert "%aeron last" in caught.value.hint
    assert len(sandbox.log.of("create-response")) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_that_lacks_the_characters(
    harness: PanelHarness, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """They are replaced."""
    sandbox.set_faults(say="नमस्ते ☺ end")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, write_through=True))
    ask(harness.app, Options(out="answer"), "Greet")
    assert harness.app.shell.user_ns["answer"].text == "नमस्ते ☺ end"
    shown = raw.getvalue().decode(encoding)
    assert shown == ("नमस्ते ☺ end\n" if encoding == "utf-8" else "?????? ? end\n")
