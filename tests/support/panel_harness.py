"""A panel without a browser: its messages are collected, and actions can be sent to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from comm.base_comm import BaseComm
from credentials import SECRET

from aeron_magic.client.client import make_question
from aeron_magic.jupyter.app import App, Preferences
from aeron_magic.jupyter.panel.widget import ChatPanel
from aeron_magic.sandbox import Sandbox
from aeron_magic.session.session import PendingQuestion

__all__ = ["PanelHarness", "panel_harness", "rebuilt"]

Message = dict[str, Any]


class PanelHarness:
    """A session, a panel on it, and all that the panel has sent.

    Parameters
    ----------
    app
        The application object of the panel, without a shell.
    panel
        The panel.
    sent
        What panels sent, as (widget model id, data) pairs; grows.
    changed
        Notified when ``sent`` has grown.
    """

    def __init__(
        self,
        app: App,
        panel: ChatPanel,
        sent: list[tuple[str, dict[str, Any]]],
        changed: threading.Condition,
    ) -> None:
        self.app = app
        self.session = app.session
        self.panel = panel
        self.sent = sent
        self._changed = changed
        self._count = 0

    def messages(self, *types: str, panel: ChatPanel | None = None) -> list[Message]:
        """The custom messages of one panel: all, or those of some types."""
        of = (panel or self.panel).model_id
        found = [
            data["content"]
            for model, data in list(self.sent)
            if model == of and data.get("method") == "custom"
        ]
        return [message for message in found if not types or message["type"] in types]

    def wait(
        self, *types: str, count: int = 1, timeout: float = 10, panel: ChatPanel | None = None
    ) -> Message:
        """Wait until a panel has sent ``count`` messages of these types; return the last."""

        def enough() -> bool:
            return len(self.messages(*types, panel=panel)) >= count

        with self._changed:
            found = self._changed.wait_for(enough, timeout)
        so_far = [message["type"] for message in self.messages(panel=panel)]
        assert found, f"no {types} ({count}); so far: {so_far}"
        return self.messages(*types, panel=panel)[count - 1]

    def send(self, do: str, **fields: Any) -> str:
        """Send an action as a page does; return its id."""
        self._count += 1
        action = f"action-{self._count}"
        self.panel._handle_custom_msg({"do": do, "id": action, **fields}, [])
        return action

    def connect_chatzy(self, sandbox: Sandbox) -> None:
        """Connect the session to the sandbox's agent."""
        self.session.connect(
            "chatzy",
            base_url=sandbox.chatzy_url,
            stream_url=sandbox.chatzy_stream_url,
            chatbot_id="00000000-0000-4000-8000-000000000000",
        )

    def ask(self, text: str) -> Message:
        """Ask in the panel, and wait for the message ``end``."""
        before = len(self.messages("end"))
        self.send("ask", text=text)
        return self.wait("end", count=before + 1)

    def ask_in_cell(self, text: str, cell: str | None) -> PendingQuestion:
        """Ask as a cell does, and wait until the panels were notified of the end."""
        position = self.session.position_for(cell=cell)
        asked = self.session.ask(make_question(text, position.token), position)
        assert asked.notified.wait(10)
        return asked

    def clear(self) -> None:
        """Forget the messages so far."""
        self.sent.clear()


def rebuilt(messages: list[Message]) -> list[str]:
    """The blocks of the newest reply, as a page builds them from its messages."""
    blocks: list[str] = []
    tail = ""
    sequence = 0
    for message in messages:
        if message["type"] == "begin":
            blocks, tail, sequence = [], "", 0
        elif message["type"] == "state" and message["live"]:
            live = message["live"]
            blocks, tail, sequence = list(live["blocks"]), live["tail"], live["seq"]
        elif message["type"] == "delta":
            assert message["seq"] == sequence + 1
            sequence += 1
            grown = tail[: message["at"]] + message["add"] + tail[message["at"] + message["drop"] :]
            begin = 0
            for cut in message["cuts"]:
                blocks.append(grown[begin:cut])
                begin = cut
            tail = grown[begin:]
        elif message["type"] == "end":
            patch = message["patch"]
            if patch is None:
                return list(message["turn"]["blocks"])
            shown = [*blocks, tail] if tail else blocks
            kept, last = shown[: patch["keep"]], shown[len(shown) - patch["keep_last"] :]
            return [*kept, *([patch["html"]] if patch["html"] else []), *last]
    return [*blocks, tail]


@contextmanager
def panel_harness(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> Iterator[PanelHarness]:
    """A panel on a session that is connected to the sandbox.

    Parameters
    ----------
    sandbox
        The service.
    patch
        Replaces the kernel's comm by one that collects messages.
    """
    transport: list[tuple[str, dict[str, Any]]] = []
    changed = threading.Condition()

    class Comm(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
            with changed:
                transport.append((self.comm_id, json.loads(json.dumps(data or {}))))
                changed.notify_all()

    patch.setattr("comm.create_comm", Comm)
    app = App(SimpleNamespace(user_ns={}), Preferences(30.0, 120.0, 1.0, 5, None, "off", ""))
    app.session.connect(
        "aeronpay",
        base_url=sandbox.aeronpay_url,
        client_id="tester",
        client_secret=SECRET,
    )
    panel = ChatPanel(app=app)
    try:
        yield PanelHarness(app, panel, transport, changed)
    finally:
        panel.close()
        app.close()
