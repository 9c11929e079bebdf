"""``%aeron panel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError, missing_extra
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def panel(app: App, command: Command) -> None:
    """Show the chat panel on the kernel's session: below the cell, or beside the notebook.

    Raises UsageError: the shell is a terminal, which cannot show widgets; or the package
    ``sidecar`` is missing.
    """
    from IPython.display import display

    from aeron_magic.jupyter.panel.widget import ChatPanel

    if not app.has_kernel:
        raise UsageError(
            "A terminal cannot show the chat panel.", hint="Ask with %%aeron, or use JupyterLab."
        )
    if not command["side"]:
        display(ChatPanel(app=app))  # type: ignore[no-untyped-call]
        return
    try:
        from sidecar import Sidecar  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise missing_extra("The panel beside the notebook", "lab") from None
    show(app.shell, "The chat panel is beside the notebook. (Only JupyterLab can show it there.)")
    ChatPanel(app=app).dock(Sidecar)
