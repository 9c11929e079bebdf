"""IPython in a terminal, operated by key strokes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
from fresh_shell import reset_cell
from private_home import private_environment

__all__ = ["Terminal", "plain", "running_terminal"]

_PASTE_BEGINS, _PASTE_ENDS, _ESCAPE_ENTER = "\x1b[200~", "\x1b[201~", "\x1b\r"
_EDITOR_LEAVES = "\x1b[?2004l"


class Terminal:
    """One IPython session; `raw` holds the characters that the last finished cell wrote."""

    def __init__(self, process: pexpect.spawn[str], simple: bool) -> None:
        self.process = process
        self.simple = simple
        self.raw = ""
        self._count = 0
        self.finish()

    def start(self, source: str) -> None:
        """Type a cell and run it without waiting."""
        if not self.simple:
            # As a paste, or the editor would indent; Esc Enter runs wherever the cursor is.
            self.process.send(_PASTE_BEGINS + source + _PASTE_ENDS)
            self.process.send(_ESCAPE_ENTER)
            self.process.expect_exact(_EDITOR_LEAVES, timeout=10)
            return
        for line in source.splitlines():
            self.process.sendline(line)
        if source.startswith("%%"):
            self.process.sendline("")
        if "\n" in source:
            self.process.sendline("")

    def run(self, source: str, timeout: float = 20) -> str:
        """Type a cell, wait for the next prompt; return the text in between, without colours."""
        self.start(source)
        return self.finish(timeout)

    def reset(self, folder: Path, **environment: str) -> str:
        """Prepare the terminal for another test; see :func:`fresh_shell.reset_cell`."""
        return self.run(reset_cell(folder, **environment) + ";")

    def expect(self, text: str, timeout: float = 20) -> None:
        """Wait until the running cell shows a text."""
        self.process.expect_exact(text, timeout=timeout)

    def finish(self, timeout: float = 30) -> str:
        """Wait for the next prompt; return the text before it, without colours."""
        # By its number: the editor repaints the prompt of the previous cell.
        self.process.expect_exact(f"In [{self._count + 1}]:", timeout=timeout)
        self._count += 1
        self.raw = str(self.process.before)
        return plain(self.raw)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.sendintr()


def plain(text: str) -> str:
    """Text without control sequences, carriage returns and continuation prompts."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")
    return text.replace("   ...: ", "")


@contextmanager
def running_terminal(home: Path, *, simple: bool = True, **extra: str) -> Iterator[Terminal]:
    """IPython with a private history and settings, at its first prompt.

    Parameters
    ----------
    home
        A folder for its files; also the working directory.
    simple
        With ``--simple-prompt`` (plain input) or with the full editor.
    extra
        More environment variables.
    """
    flags = [
        "--no-banner",
        "--no-confirm-exit",
        "--no-term-title",
        "--InteractiveShell.colors=nocolor",
    ]
    if simple:
        flags.append("--simple-prompt")
    process = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", *flags],
        # pexpect does not answer the editor's request for the cursor position.
        env={
            **private_environment(home),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            **extra,
        },
        cwd=str(home),
        encoding="utf-8",
        dimensions=(50, 120),
        echo=False,
    )
    try:
        yield Terminal(process, simple)
    finally:
        process.close(force=True)
