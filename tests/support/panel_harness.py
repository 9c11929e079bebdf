"""A panel without a browser: what it sends is kept, and what a page would say can be said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from comm.base_comm import BaseComm
from credentials import SECRET

from aeron_magic.jupyter.panel.widget import ChatPanel
from aeron_magic.sandbox import Sandbox
from aeron_magic.session.session import Session

__all__ = ["Ground", "panel_ground", "rebuilt"]

Word = dict[str, Any]


class Ground:
    """A session, a panel on it, and all that the panel has sent.

    Parameters
    ----------
    session
        The panel's session.
    panel
        The panel.
    wire
        What panels sent, as (widget model id, data) pairs; grows.
    changed
        Is told when it has grown.
    """

    def __init__(
        self,
        session: Session,
        panel: ChatPanel,
        wire: list[tuple[str, dict[str, Any]]],
        changed: threading.Condition,
    ) -> None:
        self.session = session
        self.panel = panel
        self.wire = wire
        self._changed = changed
        self._count = 0

    def words(self, *types: str, panel: ChatPanel | None = None) -> list[Word]:
        """The custom messages of one panel, or those of some types."""
        of = (panel or self.panel).model_id
        found = [
            data["content"]
            for model, data in list(self.wire)
            if model == of and data.get("method") == "custom"
        ]
        return [word for word in found if not types or word["type"] in types]

    def wait(self, *types: str, count: int = 1, timeout: float = 10) -> Word:
        """Wait until so many words of these types were sent; the last of them."""
        with self._changed:
            come = self._changed.wait_for(lambda: len(self.words(*types)) >= count, timeout)
        assert come, f"no {types} ({count}); so far: {[word['type'] for word in self.words()]}"
        return self.words(*types)[count - 1]

    def say(self, do: str, **more: Any) -> str:
        """Say what a page says; the id of it."""
        self._count += 1
        wish = f"wish-{self._count}"
        self.panel._handle_custom_msg({"do": do, "id": wish, **more}, [])
        return wish

    def ask(self, text: str) -> Word:
        """Ask, and wait for the end; the word that says so."""
        before = len(self.words("end"))
        self.say("ask", text=text)
        return self.wait("end", count=before + 1)

    def forget(self) -> None:
        """Forget what was sent."""
        self.wire.clear()


def rebuilt(words: list[Word]) -> list[str]:
    """The blocks of the newest reply, as a page builds them from the words about it."""
    blocks: list[str] = []
    tail = ""
    sequence = 0
    for word in words:
        if word["type"] == "begin":
            blocks, tail, sequence = [], "", 0
        elif word["type"] == "state" and word["live"]:
            live = word["live"]
            blocks, tail, sequence = list(live["blocks"]), live["tail"], live["seq"]
        elif word["type"] == "delta":
            assert word["seq"] == sequence + 1
            sequence += 1
            grown = tail[: word["at"]] + word["add"] + tail[word["at"] + word["drop"] :]
            begin = 0
            for cut in word["cuts"]:
                blocks.append(grown[begin:cut])
                begin = cut
            tail = grown[begin:]
        elif word["type"] == "end":
            patch = word["patch"]
            if patch is None:
                return list(word["turn"]["blocks"])
            shown = [*blocks, tail] if tail else blocks
            kept, last = shown[: patch["keep"]], shown[len(shown) - patch["keep_last"] :]
            return [*kept, *([patch["html"]] if patch["html"] else []), *last]
    return [*blocks, tail]


@contextmanager
def panel_ground(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A panel on a session that is connected to the sandbox.

    Parameters
    ----------
    sandbox
        Plays the service.
    patch
        Puts a comm that keeps what it is given in the place of the kernel's.
    """
    wire: list[tuple[str, dict[str, Any]]] = []
    changed = threading.Condition()

    class Comm(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
            with changed:
                wire.append((self.comm_id, json.loads(json.dumps(data or {}))))
                changed.notify_all()

    patch.setattr("comm.create_comm", Comm)
    session = Session({})
    session.connect(
        "aeronpay",
        base_url=sandbox.aeronpay_url,
        client_id="tester",
        client_secret=SECRET,
    )
    panel = ChatPanel(session)
    try:
        yield Ground(session, panel, wire, changed)
    finally:
        panel.close()
        session.close()
