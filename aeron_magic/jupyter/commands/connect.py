"""The commands about the connection: ``status``, ``connect``, ``login`` and ``logout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.markdown_text import code_span, escape_markdown, one_line, plural
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES
from aeron_magic.session import credentials

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

READY = (
    f"credentials were found, so the first question connects to {SERVICES[DEFAULT_SERVICE].title}; "
    "`%aeron connect` connects to another service."
)
NO_CELL_IDS = (
    "this front end sends no cell ids, so each run of a cell is a new turn; with `--as NAME` a "
    "question replaces its earlier reply"
)


def status(app: App, command: Command) -> None:
    """Show service, address, conversation, token and recording."""
    session = app.session
    connection, tree, recorder = session.connection, session.tree, session.connections.recorder
    if connection is None:
        ready = credentials.find(DEFAULT_SERVICE) is not None
        items = [
            "not connected",
            f"next: {READY if ready else SERVICES[DEFAULT_SERVICE].how_to_connect}",
        ]
    else:
        items = [
            f"service: {code_span(connection.label)}",
            f"address: {code_span(connection.settings.base_url)}",
        ]
    newest = f", the newest is {tree.head.label}" if tree.head else ""
    assigned = " (set by hand)" if session.token.assigned_by_user else ""
    items += [
        "conversation: " + code_span(f"{tree.name}, {plural(len(tree.turns), 'turn')}{newest}"),
        f"context_token: {code_span(f'{session.token.read()}{assigned}')}",
    ]
    if recorder is not None:
        from aeron_magic.session.recordings import describe

        items.append(f"recording: {code_span(describe(recorder).removeprefix('Recording: '))}")
    elif command.name == "status":
        items.append("recording: `off`")
    if (error := session.history_writer.error) is not None:
        items.append(escape_markdown(one_line(f"history: not stored. {error} {error.hint}")))
    if command.name == "status" and not app.cell_id_notice_shown and cell_id(app.shell) is None:
        app.cell_id_notice_shown = True
        items.append(f"cells: {NO_CELL_IDS}")
    show(app.shell, "\n".join(f"- {item}" for item in items))


def connect(app: App, command: Command) -> None:
    """Connect, and show the status."""
    session, target = app.session, command["target"]
    if target == "sandbox":
        session.connect(command["service"] or DEFAULT_SERVICE, sandbox=True)
    else:
        options = {
            name: command[name]
            for name in ("base_url", "stream_url", "chatbot_id")
            if command[name] is not None
        }
        found = credentials.find(target)
        if found is None and any(
            credential.field not in options for credential in SERVICES[target].credentials
        ):
            found = credentials.ask(target)
        session.connect(target, **{**(found or {}), **options})
    status(app, command)


def login(app: App, command: Command) -> None:
    """Read credentials from a hidden prompt and store them in the system keyring."""
    service = command["service"] or DEFAULT_SERVICE
    credentials.check_keyring()
    credentials.store(service, credentials.ask(service))
    show(app.shell, f"Stored in the system keyring. `%aeron connect {service}` uses it.")


def logout(app: App, command: Command) -> None:
    """Delete the credentials from the system keyring."""
    found = credentials.forget(command["service"] or DEFAULT_SERVICE)
    show(app.shell, "Deleted from the system keyring." if found else "Nothing was stored.")
