"""The commands of ``%aeron``, one function each; the table of names is at the end."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from aeron_magic.errors import UsageError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.commands import conversations
from aeron_magic.jupyter.commands.ask import show_fetched
from aeron_magic.jupyter.display.live import status_note
from aeron_magic.jupyter.display.publish import fenced, publish, show_markdown
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.rendering.mimebundle import mimebundle
from aeron_magic.session import credentials

if TYPE_CHECKING:
    from aeron_magic.jupyter.magics import AeronMagics

__all__ = ["COMMANDS"]


READY = (
    "there are credentials, so the first question connects to AeronPay; "
    "`%aeron connect` names another service."
)
CELLS = (
    "cells: not told apart here, because the front end sends no cell ids, so each run of a cell "
    "is a new turn; --as NAME makes a question replace its earlier reply"
)


def status(magics: AeronMagics, command: Command) -> None:
    """One block: service, address, conversation, token, turns, recording."""
    session = magics.session
    connection = session.connection
    tree = session.tree
    if connection is None:
        ready = credentials.find("aeronpay") is not None
        lines = ["not connected", f"next: {READY if ready else credentials.HOW_TO_CONNECT}"]
    else:
        lines = [
            f"service: {connection.label}",
            f"address: {connection.settings.base_url}",
        ]
    lines += [
        f"conversation: {tree.name}, {len(tree.turns)} turn{'s' * (len(tree.turns) != 1)}"
        + (f", the newest is {tree.head.label}" if tree.head else ""),
        f"context_token: {session.token.read()}"
        + (" (set by hand)" * session.token.assigned_by_user),
    ]
    if session.connections.recorder is not None:
        from aeron_magic.jupyter.commands.record import describe

        lines.append(describe(session.connections.recorder).replace("Recording", "recording", 1))
    elif command.name == "status":
        lines.append("recording: off")
    if session.history_writer.error is not None:
        lines.append(
            f"history: not kept. {session.history_writer.error} {session.history_writer.error.hint}"
        )
    if (
        command.name == "status"
        and not magics.cell_id_notice_shown
        and cell_id(magics.shell) is None
    ):
        magics.cell_id_notice_shown = True
        lines.append(CELLS)
    parts = [line.partition(": ") for line in lines]
    markdown = "\n".join(
        f"- {name}" + (f": {value if name == 'next' else f'`{value}`'}" if value else "")
        for name, _, value in parts
    )
    show_markdown(markdown, magics.shell, "\n".join(lines))


def connect(magics: AeronMagics, command: Command) -> None:
    """Connect, and show where to."""
    session, target = magics.session, command["target"]
    if target == "sandbox":
        session.connect(command["service"] or "aeronpay", sandbox=True)
    else:
        options = {
            name: command[name]
            for name in ("base_url", "stream_url", "chatbot_id")
            if command[name] is not None
        }
        found = credentials.find(target)
        if found is None and not (target == "chatzy" and "chatbot_id" in options):
            found = credentials.ask(target)
        session.connect(target, **{**(found or {}), **options})
    status(magics, command)


def login(magics: AeronMagics, command: Command) -> None:
    """Ask with hidden input, and store in the system keyring."""
    service = command["service"] or "aeronpay"
    credentials.store(service, credentials.ask(service))
    show_markdown(
        f"Stored in the system keyring. `%aeron connect {service}` uses it.",
        magics.shell,
        f"Stored in the system keyring. %aeron connect {service} uses it.",
    )


def logout(magics: AeronMagics, command: Command) -> None:
    """Forget what the system keyring holds."""
    service = command["service"] or "aeronpay"
    found = credentials.forget(service)
    show_markdown("Forgotten." if found else "There was nothing to forget.", magics.shell)


def fetch(magics: AeronMagics, command: Command) -> None:
    """The stored reply of a token."""
    session = magics.session
    token = command["token"] or session.newest_token()
    running, output, interrupted = show_fetched(magics, token, "the stored reply")
    metadata = {"service": running.reply.service, "context_token": token}
    if running.reply.is_complete or running.reply.text:
        session.last, session.last_metadata = running.reply, metadata
    output.finish(running.accumulator, running.reply, metadata)
    if running.error or interrupted:
        raise running.error or UsageError("Stopped waiting.", hint=f"`%aeron fetch {token}` again.")


def last(magics: AeronMagics, command: Command) -> None:
    """The last reply again: a page that is loaded anew keeps what it had of a running cell."""
    session = magics.session
    if session.last is None:
        raise UsageError("There is no reply yet.", hint="Ask something with %%aeron first.")
    data = mimebundle(session.last.text, note=status_note(session.last))
    if magics.has_kernel:
        publish(data=data, metadata={"aeron": session.last_metadata})
    else:
        show_markdown(data["text/plain"], magics.shell)


def error(magics: AeronMagics, command: Command) -> None:
    """The last failure in full, without secrets."""
    failure = magics.session.last_error
    if failure is None:
        show_markdown("Nothing has failed.", magics.shell)
        return
    lines = failure.lines(partial_limit=None)
    if failure.__cause__ is not None:
        lines += ["", *"".join(traceback.format_exception(failure.__cause__)).splitlines()]
    text = "\n".join(lines)
    show_markdown(fenced(text, "text"), magics.shell, text)


def record(magics: AeronMagics, command: Command) -> None:
    """Recordings; the module is loaded when they are first used."""
    from aeron_magic.jupyter.commands import record as recordings

    recordings.record(magics, command)


def panel(magics: AeronMagics, command: Command) -> None:
    """The chat panel; the module is loaded when it is first shown."""
    from IPython.display import display

    from aeron_magic.jupyter.panel.widget import ChatPanel

    if not magics.has_kernel:
        raise UsageError(
            "A terminal cannot show the chat panel.", hint="Ask with %%aeron, or use JupyterLab."
        )
    display(ChatPanel(magics.session))  # type: ignore[no-untyped-call]


def manual(magics: AeronMagics, command: Command) -> None:
    """All options and commands."""
    from aeron_magic.jupyter.command_line.help import help_text

    show_markdown(fenced(help_text(), "text"), magics.shell, help_text())


COMMANDS: dict[str, Callable[[AeronMagics, Command], None]] = {
    "status": status,
    "connect": connect,
    "login": login,
    "logout": logout,
    **conversations.COMMANDS,
    "fetch": fetch,
    "last": last,
    "record": record,
    "panel": panel,
    "error": error,
    "help": manual,
}
