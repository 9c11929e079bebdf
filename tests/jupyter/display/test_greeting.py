"""An agent's greeting and its buttons: above the first reply, and after connecting."""

from __future__ import annotations

from typing import Any

import pytest
from panel_harness import PanelHarness

from aeron_magic.errors import AuthenticationError
from aeron_magic.jupyter.command_line.parser import Options, parse_command
from aeron_magic.jupyter.commands.ask import ask
from aeron_magic.jupyter.commands.connect import connect
from aeron_magic.jupyter.display.live import LiveOutput
from aeron_magic.jupyter.display.outputs import CellOutput, greeting, status_note
from aeron_magic.protocol.events import Chunk, Completed, Introduced, Started
from aeron_magic.replies.accumulator import ReplyAccumulator
from aeron_magic.replies.reply import Reply
from aeron_magic.sandbox import Refusal, Sandbox

AGENT = "0f8fad5b-d9cb-469f-a165-70867728950e"
HELLO = Introduced("Hello!\n\n* one\n* two", ("Prices", "<b>`Hours`", "[x](y)"))


def accumulated(*events: Any) -> ReplyAccumulator:
    accumulator = ReplyAccumulator("chatzy")
    accumulator.add([HELLO, Started("c"), Chunk("The reply."), *events])
    return accumulator


def test_a_note_contains_no_control_sequence() -> None:
    """It can name a token of the service, and a terminal would obey it."""
    notes = {"notes": ["It follows a\x1b]0;pwn\x07b\n%aeron ask evil\u202e."]}
    assert status_note(Reply("x", "complete"), notes) == "It follows ab %aeron ask evil."


@pytest.mark.parametrize("kind", [CellOutput, LiveOutput])
@pytest.mark.parametrize("form", ["markdown", "text", "json"])
def test_the_greeting_stands_above_the_first_reply(kind: type[CellOutput], form: str) -> None:
    """In each saved form; a format that extracts a part shows that part alone."""
    shown: list[dict[str, Any]] = []
    output = kind(lambda **display: shown.append(display), form)
    accumulator = accumulated()
    if kind is LiveOutput:
        output.render(accumulator)
        assert ("Hello!" in str(shown[-1]["data"]["text/html"])) is (form != "json")
    accumulator.add([Completed()])
    reply = accumulator.reply()
    assert output.finish(accumulator, reply, {})
    data = shown[-1]["data"]
    for mime in ("text/html", "text/markdown", "text/plain"):
        text = str(data[mime])
        assert ("Hello!" in text) is (form != "json")
        assert ("Prices" in text) is (form != "json")
        if form != "json":
            assert text.index("Hello!") < text.index("Prices") < text.index("The reply.")
    assert "<b>" not in str(data["text/html"])
    assert reply.text == "The reply."


def test_without_an_introduction_nothing_is_added() -> None:
    assert greeting(None) == ""
    assert greeting(Introduced("", ())) == ""
    assert greeting(Introduced("Hello!"), "text") == "Hello!\n\n"


def settings(sandbox: Sandbox) -> str:
    return (
        f"connect chatzy --chatbot-id {AGENT} --base-url {sandbox.chatzy_url} "
        f"--stream-url {sandbox.chatzy_stream_url}"
    )


def test_it_is_shown_at_connect_and_with_the_first_question_of_a_conversation(
    harness: PanelHarness, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here in a terminal."""
    connect(harness.app, parse_command(settings(sandbox)))
    shown = capsys.readouterr().out
    assert "Suggestions: " in shown
    hello = shown.split("> ")[1].strip()
    sandbox.set_faults(say="Fine.")
    ask(harness.app, Options(), "One")
    first = capsys.readouterr().out
    assert first.startswith(hello)
    assert first.index("Suggestions: ") < first.index("Fine.")
    ask(harness.app, Options(), "Two")
    assert capsys.readouterr().out == "Fine.\n"
    ask(harness.app, Options(new=True), "Three")
    assert hello in capsys.readouterr().out


def test_an_unknown_agent_is_an_error_at_connect(harness: PanelHarness, sandbox: Sandbox) -> None:
    sandbox.set_faults(refuse=(Refusal("init_conversation", 403, times=9),))
    with pytest.raises(AuthenticationError):
        connect(harness.app, parse_command(settings(sandbox)))


def test_an_unreachable_service_is_connected_to_later(
    harness: PanelHarness, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    address = sandbox.chatzy_url
    line = settings(sandbox)
    sandbox.stop()
    connect(harness.app, parse_command(line))
    assert "greeting could not be loaded" in capsys.readouterr().out
    assert address in harness.session.ensure_connected().settings.base_url
