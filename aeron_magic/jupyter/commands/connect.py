"""Commands about the connection: status, connect, login, logout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show_markdown
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.markdown_text import plural
from aeron_magic.session import credentials

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

__all__ = ["connect", "login", "logout", "status"]


READY = (
    "there are credentials, so the first question connects to AeronPay; "
    "`%aeron connect` names another service."
)
CELLS = (
    "cells: not told apart here, because the front end sends no cell ids, so each run of a cell "
    "is a new turn; --as NAME makes a question replace its earlier reply"
)


def status(app: App, command: Command) -> None:
    """One block: service, address, conversation, token, turns, recording."""
    session = app.session
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
        f"conversation: {tree.name}, {plural(len(tree.turns), 'turn')}"
        + (f", the newest is {tree.head.label}" if tree.head else ""),
        f"context_token: {session.token.read()}"
        + (" (set by hand)" * session.token.assigned_by_user),
    ]
    if session.connections.recorder is not None:
        from aeron_magic.session.recordings import describe

        lines.append(describe(session.connections.recorder).replace("Recording", "recording", 1))
    elif command.name == "status":
        lines.append("recording: off")
    if session.history_writer.error is not None:
        lines.append(
            f"history: not kept. {session.history_writer.error} {session.history_writer.error.hint}"
        )
    if command.name == "status" and not app.cell_id_notice_shown and cell_id(app.shell) is None:
        app.cell_id_notice_shown = True
        lines.append(CELLS)
    parts = [line.partition(": ") for line in lines]
    markdown = "\n".join(
        f"- {name}" + (f": {value if name == 'next' else f'`{value}`'}" if value else "")
        for name, _, value in parts
    )
    show_markdown(markdown, app.shell, "\n".join(lines))


def connect(app: App, command: Command) -> None:
    """Connect, and show where to."""
    session, target = app.session, command["target"]
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
    status(app, command)


def login(app: App, command: Command) -> None:
    """Ask with hidden input, and store in the system keyring."""
    service = command["service"] or "aeronpay"
    credentials.store(service, credentials.ask(service))
    show_markdown(
        f"Stored in the system keyring. `%aeron connect {service}` uses it.",
        app.shell,
        f"Stored in the system keyring. %aeron connect {service} uses it.",
    )


def logout(app: App, command: Command) -> None:
    """Forget what the system keyring holds."""
    service = command["service"] or "aeronpay"
    found = credentials.forget(service)
    show_markdown("Forgotten." if found else "There was nothing to forget.", app.shell)
