"""What the front end of the running cell can do, derived from the message that it sent."""

from __future__ import annotations

import os
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from aeron_magic.errors import UsageError

if TYPE_CHECKING:
    from aeron_magic.session.session import Session

VARIABLE = "AERON_LIVE"


def has_kernel(shell: Any) -> bool:
    """Whether the front end can show displays; IPython in a terminal cannot."""
    return getattr(shell, "kernel", None) is not None


def _message(shell: Any) -> dict[str, Any]:
    """The front end's request to run this cell."""
    if not has_kernel(shell):
        return {}
    parent: dict[str, Any] = shell.get_parent()
    return parent


def cell_id(shell: Any) -> str | None:
    """The id of the running cell; None if the front end sends none.

    JupyterLab and Notebook send the id stored in the file, VS Code a URI that is valid only while
    the notebook is open; nbclient, papermill, nbval and a terminal send none.
    """
    found = _message(shell).get("metadata", {}).get("cellId")
    return str(found) if found else None


def notebook_path(shell: Any) -> str:
    """The path of the notebook; empty if unknown, as under a runner or in a terminal.

    A Jupyter server sets ``JPY_SESSION_NAME``; VS Code puts ``__vsc_ipynb_file__`` into the
    namespace.
    """
    path = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return os.path.abspath(path) if isinstance(path, str) and path else ""  # noqa: PTH100


def is_cell_magic(shell: Any) -> bool:
    """Whether the running cell is a ``%%aeron`` cell, so that it has no outputs but the reply."""
    code = str(_message(shell).get("content", {}).get("code", ""))
    return code.lstrip().startswith("%%aeron")


def lines_before(shell: Any, line: str) -> int:
    """How many lines of the running cell are before this line of ``%aeron``; 0 if unknown."""
    code = str(_message(shell).get("content", {}).get("code", ""))
    for number, one in enumerate(code.split("\n")):
        if (found := one.strip()).startswith("%aeron") and found.endswith(line.strip()):
            return number
    return 0


def is_live(shell: Any, configured: bool | None) -> bool:
    """Whether to update the output in place.

    Never where outputs are captured: an ``Output`` widget ignores updates, ``%%capture`` keeps each
    one. Otherwise, in order of precedence: the environment variable ``AERON_LIVE`` (1 or 0), the
    traitlet, whether the front end sends cell ids. A runner without them saves every update, or
    only the first. In a terminal, outputs are never updated.

    Raises UsageError: the environment variable decides, and has another value.
    """
    if not has_kernel(shell) or _is_captured(shell):
        return False
    if (value := os.environ.get(VARIABLE)) is not None:
        if value not in ("0", "1"):
            raise UsageError(
                f"{VARIABLE} must be 0 or 1.",
                hint=f"Set {VARIABLE}=1 or {VARIABLE}=0, or unset it.",
            )
        return value == "1"
    return cell_id(shell) is not None if configured is None else configured


def visible_names(shell: Any) -> dict[str, Any]:
    """The variables where the magic is run: those of a function hide those of the notebook.

    Also those of the functions around it, as far as they are running: Python gives an inner
    function or comprehension only the names that its own code mentions.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and _package(frame) in ("aeron_magic", "IPython"):
        frame = frame.f_back
    names: dict[str, Any] = shell.user_ns
    if frame is None or frame.f_locals is names:
        return names
    found = dict(frame.f_locals)
    code, outer = frame.f_code, frame.f_back
    while outer is not None and outer.f_locals is not names:
        if code in outer.f_code.co_consts:
            code = outer.f_code
            found = {**outer.f_locals, **found}
        outer = outer.f_back
    return {**names, **found}


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


class RunOrder:
    """Sees whether the notebook is being run from its beginning.

    That is so from the cell that loaded the extension on, as long as each cell is run once, within
    ``MAX_PAUSE`` after the one before, and none fails.

    * ``first``: the id of the cell that loaded the extension; None if unknown.

    Attributes:
    * ``session``: the kernel's session, which is told; None until there is one.
    """

    MAX_PAUSE = 1.0
    """Seconds: who clicks on another cell far below takes longer."""

    def __init__(self, shell: Any, first: str | None) -> None:
        self.session: Session | None = None
        self._shell = shell
        self._first = first
        self._run = 0
        """How often it was run from its beginning; 0 while it is not."""
        self._runs = 0
        self._followed = 0
        self._cells: set[str] = set()
        """Those of the run so far."""
        self._deleted: set[str] = set()
        self._ended = 0.0

    def before_cell(self, info: Any) -> None:
        """A cell begins to run."""
        cell = getattr(info, "cell_id", None)
        if self._first is not None and cell == self._first:
            self._runs += 1
            self._run = self._runs
            self._cells.clear()
        elif cell in self._cells or time.monotonic() > self._ended + self.MAX_PAUSE:
            self._run = 0
        if cell is not None:  # a front end may run code of its own between cells
            self._cells.add(cell)
        self.follow(asks=False)

    def after_cell(self, result: Any) -> None:
        """A cell has ended. If it failed, the front end runs no other of those that wait."""
        self._ended = time.monotonic()
        stops = _message(self._shell).get("content", {}).get("stop_on_error", True)
        if stops and not getattr(result, "success", True):
            self._run = 0
        self.follow(asks=False)

    def follow(self, *, asks: bool = True) -> None:
        """Tell the session if such a run has begun or ended, and which cells were deleted.

        A run begins with its first question; ``asks`` is whether the cell asks one now.

        Only JupyterLab names the deleted cells: in the next request, or in each request of those
        that are sent at once, such as for all cells; one of them may be there again by then.
        """
        if (session := self.session) is None:
            return
        deleted = _message(self._shell).get("metadata", {}).get("deletedCells")
        named = deleted if isinstance(deleted, list) else []
        before, self._deleted = self._deleted, {one for one in named if isinstance(one, str)}
        if self._deleted:
            session.mark_deleted(self._deleted - before)
        if self._followed != self._run and (asks or not self._run):
            self._followed = self._run
            session.rebuild() if self._run else session.rebuilt()


def _is_captured(shell: Any) -> bool:
    """Whether something else than the cell collects its outputs now."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    publisher = getattr(shell, "display_pub", None)
    if isinstance(publisher, CapturingDisplayPublisher) or getattr(publisher, "_hooks", None):
        return True
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    outputs = sys.modules.get("ipywidgets.widgets.widget_output")
    if widgets is None or outputs is None:
        return False
    # An Output widget takes the outputs of the request whose id it has.
    request = _message(shell).get("header", {}).get("msg_id")
    return any(
        isinstance(widget, outputs.Output) and request and widget.msg_id == request
        for widget in list(widgets._instances.values())
    )


class CellKeys:
    """Keys of questions: the n-th question of a cell has the same key in each run of the cell.

    A cell can ask several questions, with ``%aeron ask`` on several lines or in a loop.
    """

    def __init__(self) -> None:
        self._run: tuple[str, str] | None = None
        self._count = 0

    def next(self, shell: Any) -> str | None:
        """The key of the next question; None if the front end sends no cell ids."""
        cell = cell_id(shell)
        if cell is None:
            return None
        run = (cell, str(_message(shell).get("header", {}).get("msg_id", "")))
        self._count = self._count + 1 if run == self._run else 0
        self._run = run
        return f"{cell}#{self._count}" if self._count else cell
