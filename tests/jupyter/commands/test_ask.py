"""One question from a cell, without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aeron_magic.errors import Interrupted, UsageError
from aeron_magic.jupyter.app import App, Preferences
from aeron_magic.jupyter.command_line.parser import parse_options
from aeron_magic.jupyter.commands.ask import ask
from aeron_magic.jupyter.display import follow
from aeron_magic.sandbox import Sandbox


@pytest.fixture
def app(sandbox: Sandbox) -> Iterator[App]:
    """The application object in a terminal."""
    app = App(SimpleNamespace(user_ns={}), Preferences(30.0, 120.0, 1.0, None, "off", ""))
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
