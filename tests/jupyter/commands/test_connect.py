"""``connect``, ``login`` and ``logout`` on machines with and without a keyring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import keyring
import pytest
from keyring.backends import fail, null
from keyring.backends.chainer import ChainerBackend
from panel_harness import PanelHarness
from records import make_record

from aeron_magic.client.client import make_question
from aeron_magic.errors import CredentialsError, RecordingError, UsageError
from aeron_magic.jupyter.command_line.parser import parse_command
from aeron_magic.jupyter.commands.connect import connect, login, logout, status
from aeron_magic.recording.cassette import Cassette
from aeron_magic.recording.recorder import Recorder
from aeron_magic.services.settings import ANY_CREDENTIAL
from aeron_magic.session import credentials
from aeron_magic.session.recordings import open_recorder
from aeron_magic.session.session import Session

NAMES = ("AERON_CLIENT_ID", "AERON_CLIENT_SECRET")
AGENT = "725e1f05-6142-467e-bdec-47862d50da79"


class Memory(keyring.backend.KeyringBackend):
    """A keyring that works."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, username: str, password: str) -> None:
        self.values[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        return self.values.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        if self.values.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[list[str]]:
    """What each hidden prompt found on the screen; every answer is ``typed-secret``."""
    for name in ("AERON_CLIENT_ID", "AERON_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    screen: list[str] = []

    def getpass(_prompt: str) -> str:
        screen.append(capsys.readouterr().out)
        return "typed-secret"

    monkeypatch.setattr("getpass.getpass", getpass)
    before = keyring.get_keyring()
    yield screen
    keyring.set_keyring(before)
    credentials._kept.clear()


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring])
def test_without_a_keyring_that_is_said_before_anything_is_typed(
    harness: PanelHarness, typed: list[str], backend: type[keyring.backend.KeyringBackend],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The credentials are kept for this kernel instead; logout forgets them, and says just that."""
    keyring.set_keyring(backend())
    login(harness.app, parse_command("login"))
    assert re.search(r"cannot be used here \((there is none|it stores nothing)\)", typed[0])
    assert "until this kernel ends" in typed[0]
    assert "AERON_CLIENT_ID and AERON_CLIENT_SECRET" in typed[0]
    assert "typed-secret" not in typed[0] + capsys.readouterr().out
    found = {"client_id": "typed-secret", "client_secret": "typed-secret"}
    assert credentials.find("aeronpay") == found
    logout(harness.app, parse_command("logout"))
    assert credentials.find("aeronpay") is None
    said = capsys.readouterr().out
    assert "AeronPay's credentials are forgotten in this kernel" in said
    assert ("; there is no system keyring." in said) is (backend is fail.Keyring)
    assert "deleted" not in said
    logout(harness.app, parse_command("logout"))
    assert capsys.readouterr().out == "Nothing was stored.\n"


class Chain(ChainerBackend):
    """Keyrings of which the first one is used."""

    backends: ClassVar = [Memory(), null.Keyring()]


@pytest.mark.parametrize("chain", [False, True])
def test_with_a_keyring_they_are_stored(
    harness: PanelHarness, typed: list[str], chain: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """``login`` names the keyring, and ``connect`` where the credentials come from."""
    memory = Chain.backends[0] if chain else Memory()
    keyring.set_keyring(Chain() if chain else memory)
    login(harness.app, parse_command("login"))
    assert typed == ["", ""]
    assert "Stored in the system keyring (test connect Memory)." in capsys.readouterr().out
    line = "connect aeronpay --base-url http://127.0.0.1:9"
    connect(harness.app, parse_command(line))
    assert "from the system keyring (test connect Memory)" in capsys.readouterr().out
    for name in NAMES:
        monkeypatch.setenv(name, "of-the-environment")
    connect(harness.app, parse_command(line))
    assert "credentials: from the environment" in capsys.readouterr().out
    for name in NAMES:
        monkeypatch.delenv(name)
    assert list(memory.values) == [("aeron-magic", "aeronpay")]
    assert credentials.find("aeronpay") is not None
    logout(harness.app, parse_command("logout"))
    assert not memory.values


@pytest.mark.parametrize(
    ("service", "entered", "problem"),
    [
        ("chatzy", "typed", "not a Chatzy chatbot_id"),
        ("aeronpay", "typed\N{RIGHT DOUBLE QUOTATION MARK}", "not allowed in an HTTP header"),
    ],
)
@pytest.mark.parametrize("backend", [fail.Keyring, Memory])
def test_what_connect_would_refuse_is_not_stored(
    harness: PanelHarness, typed: list[str], monkeypatch: pytest.MonkeyPatch,
    backend: type[keyring.backend.KeyringBackend], service: str, entered: str, problem: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("CHATZY_CHATBOT_ID", raising=False)
    keyring.set_keyring(backend())
    monkeypatch.setattr("getpass.getpass", lambda _: entered)
    with pytest.raises(UsageError, match=problem):
        login(harness.app, parse_command(f"login {service}"))
    assert credentials.find(service) is None


@pytest.mark.parametrize("backend", [fail.Keyring, Memory])
def test_nothing_typed_ends_the_login(
    harness: PanelHarness, typed: list[str], monkeypatch: pytest.MonkeyPatch,
    backend: type[keyring.backend.KeyringBackend], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """That is no failure, as the text before the prompt says; ``connect`` needs an answer."""
    keyring.set_keyring(backend())
    monkeypatch.setattr("getpass.getpass", lambda _: "")
    login(harness.app, parse_command("login"))
    assert "Nothing was stored." in capsys.readouterr().out
    assert credentials.find("aeronpay") is None
    with pytest.raises(CredentialsError, match="No credentials were entered") as caught:
        connect(harness.app, parse_command("connect aeronpay"))
    assert "Run the line again" in caught.value.hint


def test_login_says_that_the_credentials_of_the_environment_are_used(
    harness: PanelHarness, typed: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Before it asks, and after; what it says to do works."""
    keyring.set_keyring(fail.Keyring())
    for name in ("AERON_CLIENT_ID", "AERON_CLIENT_SECRET"):
        monkeypatch.setenv(name, "of the environment")
    login(harness.app, parse_command("login"))
    said = capsys.readouterr().out
    advice = re.findall(r"import os; .*= \"\"", typed[0] + said)
    assert len(advice) == 2
    assert "`%aeron connect aeronpay` uses it" not in said
    assert credentials.source("aeronpay") == "the environment"
    exec(advice[0])
    assert credentials.source("aeronpay") == "this kernel"


def test_connect_says_that_typed_credentials_are_not_kept(
    harness: PanelHarness, typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    keyring.set_keyring(fail.Keyring())
    connect(harness.app, parse_command("connect aeronpay"))
    assert "credentials: from the prompt, for this connection only" in capsys.readouterr().out
    assert len(typed) == 2


def test_the_status_names_the_file_that_the_sandbox_answers_from(
    harness: PanelHarness, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faq.csv").write_text("question,answer\nWhy?,Because.\n")
    for answers, said in ((f" --answers {tmp_path / 'faq.csv'}", True), ("", False)):
        connect(harness.app, parse_command(f"connect sandbox{answers}"))
        assert ("answers from: " in capsys.readouterr().out) is said
        status(harness.app, parse_command(""))
        assert ("answers from: " in capsys.readouterr().out) is said


def test_the_status_says_where_the_next_question_goes(
    harness: PanelHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the newest turn, or another one that was chosen."""
    harness.ask("One")
    harness.ask("Two")
    harness.send("edit", key="main#2", text="Otherwise")
    harness.wait("end", count=3)
    for key, said in (
        ("main#3", "3 turns, the newest is 3"),
        ("main#2", "3 turns; the next question continues after turn 2"),
    ):
        harness.clear()
        harness.send("choose", key=key)
        harness.wait("state")
        status(harness.app, parse_command(""))
        assert said in capsys.readouterr().out


@pytest.mark.parametrize("stored", [True, False])
def test_after_logout_nothing_is_sent_with_the_credentials(
    harness: PanelHarness, typed: list[str], stored: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether they came from the keyring or from the prompt of ``connect``."""
    keyring.set_keyring(Memory())
    harness.session.connections.close()
    if stored:
        login(harness.app, parse_command("login"))
    connect(harness.app, parse_command("connect aeronpay --base-url http://127.0.0.1:9"))
    logout(harness.app, parse_command("logout chatzy"))
    assert harness.session.connection is not None
    capsys.readouterr()
    logout(harness.app, parse_command("logout"))
    said = capsys.readouterr().out
    assert ("are deleted from the system keyring" if stored else "Nothing was stored.") in said
    assert "The connection to AeronPay has ended" in said
    assert "environment" not in said
    with pytest.raises(CredentialsError, match="Not connected"):
        harness.session.ensure_connected()


def test_logout_names_credentials_that_are_still_set(
    harness: PanelHarness, typed: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A connection made with them stays, with its address; the sandbox's stays in any case."""
    keyring.set_keyring(Memory())
    login(harness.app, parse_command("login"))
    for name in NAMES:
        monkeypatch.setenv(name, "of-the-environment")
    connect(harness.app, parse_command("connect aeronpay --base-url http://127.0.0.1:9"))
    before = harness.session.connection
    capsys.readouterr()
    logout(harness.app, parse_command("logout"))
    said = capsys.readouterr().out
    assert "AeronPay's credentials are deleted" in said
    assert "Still set in the environment: AERON_CLIENT_ID and AERON_CLIENT_SECRET." in said
    assert "has ended" not in said
    assert harness.session.connection is before
    for name in NAMES:
        monkeypatch.delenv(name)
    connect(harness.app, parse_command("connect sandbox"))
    logout(harness.app, parse_command("logout"))
    assert harness.session.connection is not None


def replaying(folder: Path, *services: str) -> Session:
    """A session that replays a recording of one question to each of these services."""
    cassette = Cassette(folder / "talk.jsonl")
    for service in services:
        cassette.save(make_record(service, "Hello", [0, "Good day"]))
    session = Session({})
    session.connections.set_recorder(Recorder(cassette, "replay", speed=0))
    return session


@pytest.mark.parametrize(
    ("line", "service"),
    [
        ("connect aeronpay", "aeronpay"),
        ("connect chatzy", f"chatzy/{AGENT}"),
        (f"connect chatzy --chatbot-id {AGENT}", f"chatzy/{AGENT}"),
        (None, "aeronpay"),
        (None, f"chatzy/{AGENT}"),
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_replay_needs_no_credentials_and_asks_for_none(
    harness: PanelHarness, typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    line: str | None, service: str, value: str | None,
) -> None:  # fmt: skip
    """Neither with ``connect`` nor at the first question; the recording names the agent.

    In CI, a secret that is not set can be an empty variable.
    """
    for name in (*NAMES, "CHATZY_CHATBOT_ID") if value is not None else ():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("keyring.get_password", lambda *_: pytest.fail("the keyring is read"))
    session = replaying(tmp_path, service)
    if line is not None:
        app = SimpleNamespace(
            session=session, shell=None, cell_id_notice_shown=True, has_kernel=False
        )
        connect(app, parse_command(line))  # type: ignore[arg-type]
    asked = session.ask(make_question("Hello"), session.position_for())
    assert asked.done.wait(5)
    assert (asked.error, asked.reply.text) == (None, "Good day")
    assert typed == []
    session.close()


def test_a_recording_that_cannot_be_used_is_the_error_not_the_credentials(
    harness: PanelHarness, typed: list[str]
) -> None:
    """The folder of the file that AERON_RECORD names is missing."""
    harness.session.connections.recording_error = RecordingError("missing")
    with pytest.raises(RecordingError, match="missing"):
        connect(harness.app, parse_command("connect aeronpay"))
    assert typed == []


def test_connect_before_the_recording_of_a_replay_is_named_needs_no_credentials(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI only AERON_RECORD_MODE is set, and the notebook says ``record FILE`` later."""
    monkeypatch.setenv("AERON_RECORD_MODE", "replay")
    session = Session({})
    with pytest.raises(RecordingError) as caught:
        open_recorder("")
    session.connections.recording_error = caught.value
    app = SimpleNamespace(session=session, shell=None, cell_id_notice_shown=True, has_kernel=False)
    connect(app, parse_command("connect aeronpay"))  # type: ignore[arg-type]
    with pytest.raises(RecordingError):
        session.ensure_connected()  # nothing is sent
    recorder = replaying(tmp_path, "aeronpay").connections.recorder
    session.connections.set_recorder(recorder)
    asked = session.ask(make_question("Hello"), session.position_for())
    assert asked.done.wait(5)
    assert (asked.error, asked.reply.text, typed) == (None, "Good day", [])
    session.connections.recording_error = caught.value
    session.connections.recorder = None
    session.connections.set_recorder(None)  # the placeholders end with it
    assert session.connections.connection is None
    session.close()


def test_the_status_says_that_each_address_has_its_own_conversations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where the turns of another one could be missed."""
    session = replaying(tmp_path, "aeronpay", f"chatzy/{AGENT}")
    app = SimpleNamespace(session=session, shell=None, cell_id_notice_shown=True, has_kernel=False)

    def said(line: str) -> str:
        connect(app, parse_command(f"connect {line}"))  # type: ignore[arg-type]
        return capsys.readouterr().out

    clause = "main, 0 turns; those of another address are separate, and continue when you connect"
    assert "main, 0 turns\n" in said("aeronpay")
    assert "main, 0 turns\n" in said("chatzy")
    said("aeronpay")
    asked = session.ask(make_question("Hello"), session.position_for())
    assert asked.done.wait(5)
    assert "separate" not in said("aeronpay")
    assert clause in said("chatzy")
    status(app, parse_command(""))  # type: ignore[arg-type]
    assert clause in capsys.readouterr().out
    assert "main, 1 turn, none has a complete reply\n" in said("aeronpay")
    session.close()


def test_a_replay_of_several_services_or_agents_asks_which(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    session = replaying(tmp_path, "aeronpay", f"chatzy/{AGENT}")
    with pytest.raises(RecordingError, match="several services: aeronpay, chatzy") as caught:
        session.ensure_connected()
    assert "%aeron connect aeronpay" in caught.value.hint
    session = replaying(tmp_path / "agents", f"chatzy/{AGENT}", f"chatzy/{ANY_CREDENTIAL}")
    with pytest.raises(RecordingError, match="several agents") as caught:
        session.ensure_connected()
    assert "--chatbot-id" in caught.value.hint


@pytest.mark.parametrize("service", ["aeronpay", "chatzy"])
def test_after_a_replay_nothing_is_sent_with_placeholders(
    tmp_path: Path, typed: list[str], service: str
) -> None:
    keyring.set_keyring(Memory())
    session = replaying(tmp_path, "aeronpay")
    session.connect(service)
    session.connections.set_recorder(None)
    with pytest.raises(CredentialsError, match="Not connected"):
        session.ensure_connected()


@pytest.mark.parametrize(("name", "missing"), [NAMES, NAMES[::-1]])
def test_one_credential_without_the_other_is_named(
    harness: PanelHarness, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], name: str, missing: str,
) -> None:  # fmt: skip
    """By the status, by a question, and where hidden input is not possible."""
    keyring.set_keyring(Memory())
    monkeypatch.delenv(missing, raising=False)
    monkeypatch.setenv(name, "typed-by-me")
    harness.session.connections.drop()
    status(harness.app, parse_command(""))
    assert f"{missing} is not set" in re.sub(r"\\", "", capsys.readouterr().out)
    with pytest.raises(CredentialsError, match=f"is missing: {missing} is not set"):
        harness.session.ensure_connected()

    def getpass(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", getpass)
    with pytest.raises(CredentialsError, match="is missing, and hidden input") as caught:
        connect(harness.app, parse_command("connect aeronpay"))
    assert caught.value.hint.startswith(f"Set {missing} in the environment")


def test_an_agents_id_is_no_secret_to_be_typed(
    harness: PanelHarness, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATZY_CHATBOT_ID", raising=False)
    with pytest.raises(CredentialsError, match="chatbot_id is missing") as caught:
        connect(harness.app, parse_command("connect chatzy"))
    assert "--chatbot-id UUID" in caught.value.hint
    assert "CHATZY_CHATBOT_ID" in caught.value.hint
    assert typed == []
