"""Where ``%aeron resume`` sends credentials: never to an address that only a history file names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from aeron_magic.conversations.history import HistoryScope, HistoryStore
from aeron_magic.conversations.registry import ConversationRegistry
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import parse_command
from aeron_magic.jupyter.commands.resume import _connect, find_unloaded, resume
from aeron_magic.jupyter.frontend import RunOrder
from aeron_magic.sandbox import Sandbox
from aeron_magic.services.catalog import SERVICES
from aeron_magic.session.session import Session

NOTEBOOK = "/home/me/work.ipynb"
VENDOR = SERVICES["aeronpay"].addresses[0].default
AGENT = "725e1f05-6142-467e-bdec-47862d50da79"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history file; the environment has credentials and no addresses."""
    for info in SERVICES.values():
        for address in info.addresses:
            monkeypatch.delenv(address.variable, raising=False)
    monkeypatch.setenv("AERON_CLIENT_ID", "me")
    monkeypatch.setenv("AERON_CLIENT_SECRET", "hush-4f1c-hush")
    monkeypatch.delenv("CHATZY_CHATBOT_ID", raising=False)
    return tmp_path / "history.sqlite3"


@pytest.fixture
def session(path: Path) -> Iterator[Session]:
    session = Session({}, history=path, notebook=NOTEBOOK)
    yield session
    session.close()


def store(path: Path, address: str, service: str = "aeronpay", *, sandbox: bool = False) -> None:
    """A conversation at ``address`` with a pending question whose token is known."""
    history, registry = HistoryStore(path), ConversationRegistry(service)
    pending = registry.start(registry.position_for(), "why?")
    history.save_pending(pending, HistoryScope(NOTEBOOK, address, sandbox))
    history.save_token(pending, "apay_1")
    history.close()


def run_resume(session: Session, name: str = "") -> None:
    app = SimpleNamespace(session=session, shell=None, run_order=RunOrder(None, None))
    resume(app, parse_command(f"resume {name}"))  # type: ignore[arg-type]


def test_a_foreign_address_gets_no_request(path: Path, session: Session, sandbox: Sandbox) -> None:
    """The hint shows the line with which the user connects there."""
    store(path, sandbox.aeronpay_url)
    with pytest.raises(UsageError, match="neither the service's address") as caught:
        run_resume(session)
    assert f"`%aeron connect aeronpay --base-url {sandbox.aeronpay_url}`" in caught.value.hint
    assert session.connection is None
    assert not sandbox.log.wait(len, 0.2)


@pytest.mark.parametrize("name", ["", "main", "main#1"])
@pytest.mark.parametrize("connected", [False, True])
def test_the_hint_repeats_the_line_with_its_name(
    path: Path, session: Session, sandbox: Sandbox, name: str, connected: bool
) -> None:
    store(path, "https://a.example/api")
    if connected:
        session.connect("aeronpay", base_url=sandbox.aeronpay_url)
    with pytest.raises(UsageError, match="belongs to") as caught:
        run_resume(session, name)
    assert f"`{f'%aeron resume {name}'.strip()}` again." in caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        VENDOR + "/",
        VENDOR.replace("https", "http"),
        VENDOR.upper(),
        VENDOR.replace(".in/", ".in.evil.example/"),
        VENDOR.replace(".in/", ".in:444/"),
        VENDOR + "#" + AGENT,
        VENDOR + "/../evil",
    ],
)
def test_what_is_not_exactly_the_address_is_foreign(
    path: Path, session: Session, address: str
) -> None:
    store(path, address)
    with pytest.raises(UsageError):
        run_resume(session)
    assert session.connection is None


def test_a_conversation_of_one_lost_question_has_ended_with_its_sandbox(
    path: Path, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """The question is added to it only as it is found to be lost."""
    store(path, "http://127.0.0.1:9", sandbox=True)
    run_resume(session)
    shown = capsys.readouterr().out
    assert "is lost: the sandbox that was asked has ended" in shown
    assert "The next question starts a new conversation" in shown
    assert session.tree.has_ended


def test_a_foreign_address_of_an_agent_is_refused(path: Path, session: Session) -> None:
    store(path, f"https://evil.example#{AGENT}", "chatzy")
    with pytest.raises(UsageError, match="neither") as caught:
        run_resume(session)
    target = f"chatzy --chatbot-id {AGENT} --base-url https://evil.example --stream-url URL"
    assert f"`%aeron connect {target}`" in caught.value.hint


def test_the_configured_address_is_used(
    path: Path, session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AERON_BASE_URL", sandbox.aeronpay_url)
    store(path, sandbox.aeronpay_url)
    stored = find_unloaded(session, None)
    assert stored is not None
    assert _connect(session, stored)
    assert session.connection is not None
    assert session.connection.address == sandbox.aeronpay_url


def test_the_service_address_is_used(path: Path, session: Session) -> None:
    """And the agent that the conversation is one with."""
    for service, address in (("aeronpay", VENDOR), ("chatzy", None)):
        chatzy = f"{SERVICES['chatzy'].addresses[0].default}#{AGENT}"
        store(path, address or chatzy, service)
        session.connections.connection = None
        stored = find_unloaded(session, None)
        assert stored is not None
        assert _connect(session, stored)
        assert session.connection is not None
        assert session.connection.address == (address or chatzy)


@pytest.mark.parametrize("address", ["https://a.example --insecure", "https://a.example\n%aeron"])
def test_an_address_that_is_none_is_not_shown_in_a_line_to_copy(
    path: Path, session: Session, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The conversation is left out, and said to be damaged."""
    store(path, VENDOR)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE conversation SET address = ?", (address,))
    connection.close()
    run_resume(session)
    shown = capsys.readouterr().out
    assert "a.example" not in shown
    assert "Nothing to load" in shown
    assert "Damaged and left out" in shown
