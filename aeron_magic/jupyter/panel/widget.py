"""The chat panel: a widget that shows the kernel's conversation and asks in it.

The widget passes messages between the pages and the controller. Its state is small and constant:
turns travel as messages, when a page needs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import Context, copy_context
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

from anywidget import AnyWidget
from IPython import get_ipython
from traitlets import Unicode

from aeron_magic.client.client import Client
from aeron_magic.errors import UsageError
from aeron_magic.jupyter.app import App, Preferences, current_app
from aeron_magic.jupyter.display.publish import publish
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.jupyter.panel.actions import run_action
from aeron_magic.jupyter.panel.assets import script, style
from aeron_magic.jupyter.panel.controller import PanelController
from aeron_magic.jupyter.panel.messages import PanelMessage
from aeron_magic.jupyter.panel.transcript import PANEL, Transcript

VIEW: Literal["application/vnd.jupyter.widget-view+json"] = (
    "application/vnd.jupyter.widget-view+json"
)

VOILA = "VOILA_REQUEST_URL"
"""Set in the kernels that Voilà starts."""


class ChatPanel(AnyWidget):
    """A chat in the notebook's conversation, which cells share.

    Show it as the last value of a cell. Errors of a question are shown in the panel; none is
    raised. Outside IPython, as in marimo, all panels of the process share a conversation; the
    first question connects as ``%%aeron`` does.

    Parameters
    ----------
    client
        Ask with its settings and recording, in a conversation of this panel alone. By default in
        the notebook's conversation, with its connection.
    app
        The application object; by default that of the loaded extension, which is loaded if
        necessary, or without IPython that of the process.

    Raises
    ------
    UsageError
        ``client`` is not a :class:`aeron_magic.Client`.
    """

    _esm: ClassVar[str] = script()
    _css: ClassVar[str] = style()

    sidecar = Unicode().tag(sync=True)
    """The model id of the sidecar that shows the panel."""

    _controller: PanelController | None = None
    _own_app: App | None = None

    def __init__(self, client: Client | None = None, *, app: App | None = None) -> None:
        self._own_app = _app_of(client) if client is not None else None
        app = app or self._own_app or current_app(get_ipython())
        if app.panel_controller is None:
            app.panel_controller = PanelController(app.session, app.resuming)
        self._controller = app.panel_controller
        self._controller.find_offer()
        self._transcripts: list[tuple[Context, Transcript]] = []
        super().__init__()
        self.on_msg(self._on_message)
        app.panel_controller.attach(self)

    def open(self) -> None:
        """Open the channel to the pages."""
        super().open()
        # ipykernel 7.4 sends a page's message to the shell that published last, which is the one
        # of a running cell: Stop would wait for it. Without this, the subshell handles it.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None

    def close(self) -> None:
        """Close the panel; the conversation remains."""
        if self._controller is not None:
            self._controller.detach(self)
            self._controller = None
        super().close()
        if self._own_app is not None:
            self._own_app.close()
            self._own_app = None

    def post(self, message: PanelMessage) -> None:
        """Send a message to the pages."""
        if "about" in message:
            message = {**message, "about": {**message["about"], "model_id": self.model_id}}
        self.send(message)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send plain strings: marimo would send a subclass, as HTML is here, as an object.

        They are well-formed: a message with half a surrogate pair, as of a draft, is not sent.
        """
        super().send(_plain(content), buffers)

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        if self._controller is not None and (answer := run_action(self._controller, content)):
            self.send(answer)

    # What is saved ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_kwargs: object) -> tuple[dict[str, Any], dict[str, Any]]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**PANEL, VIEW: view}, {}

    def dock(self, place: Callable[..., Any]) -> None:
        """Show the panel in a ``Sidecar`` beside the notebook, in place of an earlier one.

        The cell shows the transcript. ``place`` makes the sidecar: its outputs are set, because
        it ignores updates of what is displayed in it.
        """
        assert self._controller is not None
        if (before := self._controller.docked) is not None:
            before.close()
        view, metadata = self._repr_mimebundle_()
        output = {"output_type": "display_data", "data": view, "metadata": metadata}
        notebook = PurePath(self._controller.session.notebook).name
        title = f"Chat: {notebook}" if notebook else "Chat"
        docked = place(title=title, anchor="split-right", outputs=(output,))
        self._controller.docked, self.sidecar = docked, docked.model_id
        self._show_transcript()

    def _ipython_display_(self) -> None:
        view, metadata = self._repr_mimebundle_()
        publish(data={**PANEL, VIEW: view[VIEW]}, metadata=metadata)
        self._show_transcript()

    def _show_transcript(self) -> None:
        if VOILA in os.environ:
            return  # its pages are not saved
        # A later update of these outputs must be published in the context of their cell.
        transcript = Transcript(publish, f"{self.model_id}-{len(self._transcripts)}")
        self._transcripts.append((copy_context(), transcript))
        self._update(transcript)

    def _update(self, transcript: Transcript) -> None:
        if self._controller is not None:
            transcript.show(self._controller.tree, self._controller.visible_turns)

    def turns_changed(self) -> None:
        """Update the transcripts, each in the context of its cell."""
        for context, transcript in self._transcripts:
            context.run(self._update, transcript)

    def cell_ended(self) -> None:
        """Update the transcripts within the cell that asked, for a runner without cell ids.

        Such a runner accepts the messages of a cell only while the cell runs.
        """
        if cell_id(get_ipython()) is None:
            for _, transcript in self._transcripts:
                self._update(transcript)


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _plain(one) for name, one in content.items()}
    if isinstance(content, list):
        return [_plain(one) for one in content]
    if isinstance(content, str):
        return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return content


def _app_of(client: Client) -> App:
    """An application object of its own, connected as ``client`` is."""
    if not isinstance(client, Client):
        kind = type(client).__name__
        raise UsageError(
            f"A panel needs a Client, not {'an' if kind[0] in 'AEIOU' else 'a'} {kind}.",
            hint="ChatPanel(Client(...)), or ChatPanel() for the notebook's connection.",
        )
    app = App(SimpleNamespace(user_ns={}), Preferences())
    app.session.connect_as(client.settings, client.recorder)
    return app
