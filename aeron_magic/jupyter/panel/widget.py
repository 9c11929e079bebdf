"""The chat panel: a widget that shows the kernel's conversation and asks in it.

The widget is only the edge: what pages send is read here and handed to the controller, and what
that says is sent to the pages. An error on the way is shown in the panel: widget callbacks swallow
exceptions. Its state is small and does not grow: turns travel as messages, when a page needs them.
"""

from __future__ import annotations

import os
from contextvars import Context, copy_context
from typing import Any, ClassVar

from anywidget import AnyWidget
from IPython import get_ipython

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.display.publish import publish
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.jupyter.panel.actions import HANDLERS
from aeron_magic.jupyter.panel.assets import script, style
from aeron_magic.jupyter.panel.controller import PanelController
from aeron_magic.jupyter.panel.messages import Action, PanelMessage, error_message
from aeron_magic.jupyter.panel.transcript import PANEL, Transcript
from aeron_magic.jupyter.panel.turn_views import visible_path
from aeron_magic.session.session import Session

__all__ = ["ChatPanel"]

VOILA = "VOILA_REQUEST_URL"
"""Is set in the kernels that Voilà starts."""


class ChatPanel(AnyWidget):
    """A chat on the notebook's conversation, which cells share.

    Show it as the last value of a cell. What goes wrong with a question is said in the panel and
    raised nowhere.

    Parameters
    ----------
    session
        The kernel's session; by default that of the loaded extension, which is loaded if it is not.

    Raises
    ------
    UsageError
        There is no notebook: this Python is not run by IPython.
    """

    _esm: ClassVar[str] = script()
    _css: ClassVar[str] = style()

    _controller: PanelController | None = None

    def __init__(self, session: Session | None = None) -> None:
        self._controller = controller = controller_for(session or _session())
        super().__init__()
        self.on_msg(self._on_message)
        controller.attach(self._post, self._turns_changed)
        controller.cell_ended.append(self._cell_ended)
        self._transcripts: list[tuple[Context, Transcript]] = []

    def open(self) -> None:
        """Open the channel to the pages."""
        super().open()
        # ipykernel 7.4 sends a page's message to the shell that published last, and that is the
        # one of a running cell: Stop would wait for it. Without this, the subshell handles it.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None

    def close(self) -> None:
        """Close the panel; the conversation goes on."""
        if self._controller is not None:
            self._controller.detach(self._post, self._turns_changed)
            self._controller.cell_ended.remove(self._cell_ended)
            self._controller = None
        super().close()

    def _post(self, message: PanelMessage) -> None:
        if "about" in message:
            message = {**message, "about": {**message["about"], "model_id": self.model_id}}
        self.send(message)

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        controller, action = self._controller, Action("")
        if controller is None:
            return
        try:
            action = Action.read(content)
            HANDLERS[action.do](controller, action)
            if action.id:
                self.send({"type": "ack", "request": action.id})
        except Exception as error:  # noqa: BLE001 - a widget's errors vanish where nobody looks
            self.send(error_message(error, controller.session.secrets, action.id))

    # What is saved ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_kwargs: object) -> tuple[dict[str, Any], dict[str, Any]]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**PANEL, "application/vnd.jupyter.widget-view+json": view}, {}

    def _ipython_display_(self) -> None:
        data, metadata = self._repr_mimebundle_()
        publish(data=data, metadata=metadata)
        if VOILA in os.environ:
            return  # a page of its own, which nobody saves
        # A later change of these outputs must find the cell that they stand in.
        transcript = Transcript(publish, f"{self.model_id}-{len(self._transcripts)}")
        self._transcripts.append((copy_context(), transcript))
        if self._controller is not None:
            transcript.show(self._controller.tree, self._controller.visible_turns)

    def _cell_ended(self) -> None:
        """A runner that does not tell its cells apart hears a cell only while that runs."""
        shell: Any = get_ipython()
        if self._controller is None or not self._transcripts or cell_id(shell) is not None:
            return
        tree = self._controller.session.tree
        for _, transcript in self._transcripts:
            transcript.show(tree, visible_path(tree, tree.head))

    def _turns_changed(self) -> None:
        for context, transcript in self._transcripts:
            if self._controller is not None:
                context.run(transcript.show, self._controller.tree, self._controller.visible_turns)


def controller_for(session: Session) -> PanelController:
    """The controller of a session; created with its first panel."""
    for observer in session.observers:
        if isinstance(observer, PanelController):
            return observer
    return PanelController(session)


def _session() -> Session:
    """The session of the loaded extension."""
    from aeron_magic.jupyter.app import current_app

    shell: Any = get_ipython()
    if shell is None:
        raise UsageError(
            "There is no notebook to show the panel in.",
            hint="Use it in JupyterLab, Notebook or Voilà; in a script, use aeron_magic.Client.",
        )
    return current_app(shell).session
