"""The widget: what a front end gets of it, and how it answers invalid messages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from credentials import SECRET
from fresh_process import printed
from live_kernel import Kernel
from nbformat import NotebookNode
from panel_harness import PanelHarness
from private_home import private_environment

import aeron_magic
from aeron_magic import AsyncClient, Client
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.app import Preferences
from aeron_magic.jupyter.magics import AeronMagics
from aeron_magic.jupyter.panel.widget import ChatPanel
from aeron_magic.sandbox import Sandbox


def test_the_package_offers_it() -> None:
    """``from aeron_magic import ChatPanel`` works."""
    assert aeron_magic.ChatPanel is ChatPanel


IN_PLAIN_PYTHON = """
import sys, threading
import comm
from comm.base_comm import BaseComm
from aeron_magic import ChatPanel, Client
ended = threading.Event()
told = []
class Comm(BaseComm):
    def publish_msg(self, msg_type, data=None, **_):
        told.append((data or {}).get("content", {}))
        if told[-1].get("type") == "end":
            ended.set()
comm.create_comm = Comm
client = Client()
for arguments in ((), (client,)):
    panel = ChatPanel(*arguments)
    assert "IPython.core.interactiveshell" not in sys.modules or not sys.modules[
        "IPython.core.interactiveshell"].InteractiveShell.initialized()
    panel._handle_custom_msg({"do": "ask", "id": "a", "text": "Well?"}, [])
    assert ended.wait(10), told
    print(next(one for one in told if one.get("type") == "end")["turn"]["status"])
    panel.close()
    ended.clear()
    told.clear()
"""


def test_it_works_in_plain_python(sandbox: Sandbox, tmp_path: Path) -> None:
    """As in marimo: connected by the environment, or as a client is."""
    sandbox.set_faults(say="Yes.")
    environment = {
        **private_environment(tmp_path),
        "AERON_BASE_URL": sandbox.aeronpay_url,
        "AERON_CLIENT_ID": "me",
        "AERON_CLIENT_SECRET": "in-the-environment",
    }
    assert printed(IN_PLAIN_PYTHON, env=environment).split() == ["complete"] * 2


def test_a_panel_of_a_client_has_its_own_conversation(
    harness: PanelHarness, sandbox: Sandbox
) -> None:
    client = Client(base_url=sandbox.aeronpay_url, client_id="me", client_secret="a-secret")
    own = ChatPanel(client)
    own._handle_custom_msg({"do": "ask", "id": "a", "text": "Well?"}, [])
    with contextlib.closing(own):
        assert sandbox.log.wait(lambda log: bool(log))
        assert not harness.messages("begin")
    assert harness.ask("And here?")["turn"]["label"] == "1"


def test_it_takes_no_asynchronous_client() -> None:
    client = AsyncClient(client_id="me", client_secret="a-secret")
    with pytest.raises(UsageError, match="needs a Client, not an AsyncClient"):
        ChatPanel(client)  # type: ignore[arg-type]


def test_the_defaults_are_those_of_the_magics() -> None:
    traits = AeronMagics.class_traits()
    for name, value in Preferences()._asdict().items():
        assert traits[name].default() == value


def test_the_state_does_not_hold_the_turns(harness: PanelHarness) -> None:
    """Widget state is script, style and layout: it has the same size after any conversation."""
    before = len(str(harness.panel.get_state()))
    harness.ask("How do I continue a conversation?")
    assert len(str(harness.panel.get_state())) == before
    assert not [data for _, data in harness.sent if data.get("method") == "update"]


def test_its_bundle_is_constant(harness: PanelHarness) -> None:
    """The text in place of the panel has no address or time in it."""
    data, _ = harness.panel._repr_mimebundle_()
    view = data.pop("application/vnd.jupyter.widget-view+json")
    assert view["model_id"] == harness.panel.model_id
    assert all(
        "object at" not in text and harness.panel.model_id not in text for text in data.values()
    )


@pytest.mark.parametrize(
    "content", [None, "ask", {}, {"do": "format"}, {"do": "ask"}, {"do": "older", "end": "1"}]
)
def test_nonsense_is_answered_in_the_panel(harness: PanelHarness, content: object) -> None:
    """An invalid message shows an error; the next action works."""
    harness.panel._handle_custom_msg(content, [])
    assert "different versions" in harness.wait("error")["title"]
    assert harness.ask("Hello")["turn"]["status"] == "complete"


def test_an_error_in_a_handler_is_shown(harness: PanelHarness) -> None:
    """An internal error, too: the widget's callback would swallow it."""
    harness.session.registry.conversations = None  # type: ignore[assignment]
    harness.send("regenerate", key="main#1")
    assert "Internal error" in harness.wait("error")["title"]


def test_no_secret_is_shown(harness: PanelHarness, sandbox: Sandbox) -> None:
    """What the service says back may hold the secret; the panel's page does not get it."""
    from aeron_magic.sandbox import Refusal

    sandbox.set_faults(refuse=(Refusal("create-response", 400, message=f"no: {SECRET}"),))
    harness.ask("Hello")
    assert SECRET not in str(harness.sent)
    assert "[secret]" in harness.wait("end")["turn"]["problem"]["said"]


@pytest.mark.jupyter
def test_messages_are_not_sent_to_the_shell_of_a_running_cell(kernel: Kernel) -> None:
    """ipykernel's rule for whom a message is handled by is switched off for the panel's channel."""
    kernel.execute("from aeron_magic import ChatPanel\npanel = ChatPanel()")
    # Where this fails, read what ipykernel does now: Stop must not wait for a running cell.
    assert kernel.value("getattr(panel.comm, '_reply_subshell_for', None)") is None
    assert kernel.value("type(panel.comm)._reply_subshell_for is not None")


@pytest.mark.jupyter
def test_a_panel_leaves_its_transcript_in_the_cell(kernel: Kernel) -> None:
    """The conversation is below the panel, and is updated after a pause."""
    kernel.execute("%aeron connect sandbox")
    shown = kernel.start("%aeron panel", "panel")
    kernel.finish(shown)
    view, transcript = shown.outputs
    assert "application/vnd.jupyter.widget-view+json" in view["data"]
    assert "no turns yet" in transcript["data"]["text/plain"]
    kernel.execute("%%aeron\nHow do I continue a conversation?", "asking")
    kernel.wait(shown, lambda run: "How do I" in run.outputs[1]["data"]["text/plain"])
    data = shown.outputs[1]["data"]
    assert data["text/html"].startswith("<details><summary>Transcript: turn 1</summary>")
    assert "context_token" in data["text/markdown"]


@pytest.mark.jupyter
def test_loading_the_extension_does_not_load_widgets(new_kernel: Kernel) -> None:
    """The panel's packages are imported when a panel is first made."""
    code = "[n for n in __import__('sys').modules if n.startswith(('anywidget', 'ipywidgets'))]"
    assert new_kernel.value(code) == []


@pytest.mark.jupyter
def test_a_runner_keeps_the_transcript(executed: Callable[..., NotebookNode]) -> None:
    """Under nbclient the panel's cell holds what later cells asked; the widget is not needed."""
    notebook = executed(
        "%load_ext aeron_magic\n%aeron connect sandbox",
        "%aeron panel",
        "%%aeron\nHow do I continue a conversation?",
    )
    transcript = notebook.cells[1].outputs[1].data
    assert "How do I continue a conversation?" in transcript["text/plain"]
    assert "<details>" in transcript["text/html"]
