"""Connections: other settings while a reply is being read; what is secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_notebook import FakeNotebook

from aeron_magic.client.client import make_question
from aeron_magic.errors import RecordingError
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.sandbox import Sandbox
from aeron_magic.session.recordings import open_recorder
from aeron_magic.session.session import Session


@pytest.mark.parametrize(
    "change",
    [
        lambda session, _: session.connections.configure(timeout=60.0),
        lambda session, sandbox: session.connect(
            "aeronpay", base_url=sandbox.aeronpay_url, client_id="me", client_secret="another"
        ),
    ],
    ids=["timeout", "connect"],
)
def test_a_reply_is_read_to_its_end_over_the_connection_that_it_began_with(
    sandbox: Sandbox, change: Callable[[Session, Sandbox], None]
) -> None:
    """Even if it has to be fetched; then the connection is closed."""
    notebook = FakeNotebook(sandbox)
    session = notebook.session
    sandbox.set_faults(say="word " * 100, pause=0.002, cut_after=2_000)
    asked = session.ask(make_question("Count"), session.position_for())
    assert asked.changed.wait(5)
    client = asked.connection.client
    change(session, sandbox)
    assert session.connection is not None
    assert session.connection.client is not client
    assert asked.done.wait(10)
    assert (asked.error, asked.reply.status) == (None, "recovered")
    session.io_loop.run(client.close_when_idle())
    assert client._transport._http.is_closed
    notebook.close()


def test_the_sandbox_and_replays_have_no_secret(tmp_path: Path) -> None:
    """Their credential is a placeholder, which a question may contain."""
    session = Session({})
    connection = session.connect("aeronpay", sandbox=True)
    assert connection.settings.secrets == ()
    session.validate(make_question(f"What is {connection.settings.client_secret}?"))
    session.connections.set_recorder(Recorder(Cassette(tmp_path / "replies.jsonl"), "replay"))
    assert session.connect("aeronpay").settings.secrets == ()
    session.close()


@pytest.mark.parametrize(
    ("mode", "named", "file", "remedy"),
    [
        ("", "", "missing.jsonl", "`%aeron record missing.jsonl` (in Python"),
        ("", "", "my talk.jsonl", '`%aeron record "my talk.jsonl"` (in Python'),
        ("", "other.jsonl", "missing.jsonl", "`%aeron record missing.jsonl` (in Python"),
        (
            "replay",
            "",
            "missing.jsonl",
            "Unset AERON_RECORD_MODE; `%aeron record missing.jsonl` then",
        ),
        ("replay ", "missing.jsonl", None, "Unset AERON_RECORD_MODE and start again"),
        ("replay", "", None, "Name it by AERON_RECORD or `%aeron replay FILE`, or unset"),
        ("replay", "other.jsonl", "off", "Name it by `%aeron replay FILE`, or unset"),
    ],
)
def test_the_remedy_for_a_missing_recording_suits_what_named_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    named: str,
    file: str | None,
    remedy: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AERON_RECORD_MODE", mode)
    monkeypatch.setenv("AERON_RECORD", named)
    with pytest.raises(RecordingError) as caught:
        open_recorder(file, "replay")
    assert caught.value.hint.startswith(remedy)
