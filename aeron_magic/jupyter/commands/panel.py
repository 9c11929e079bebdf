"""``%aeron panel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App


def panel(app: App, command: Command) -> None:
    """Show the chat panel on the kernel's session.

    Raises
    ------
    UsageError
        The shell is a terminal, which cannot show widgets.
    """
    from IPython.display import display

    from aeron_magic.jupyter.panel.widget import ChatPanel

    if not app.has_kernel:
        raise UsageError(
            "A terminal cannot show the chat panel.", hint="Ask with %%aeron, or use JupyterLab."
        )
    display(ChatPanel(app=app))  # type: ignore[no-untyped-call]
