"""The commands about the connection: the status, ``connect``, ``login`` and ``logout``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aeron_magic.conversations.registry import stale_text
from aeron_magic.conversations.tree import is_shown
from aeron_magic.errors import TOKEN_SHOWN, AeronError, CredentialsError, ServiceError
from aeron_magic.jupyter.command_line.parser import Command
from aeron_magic.jupyter.display.publish import show
from aeron_magic.jupyter.frontend import cell_id
from aeron_magic.markdown_text import code_span, escape_markdown, one_line, plural, truncate
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES, service_info
from aeron_magic.services.settings import partly_missing, resolve_settings
from aeron_magic.session import credentials

if TYPE_CHECKING:
    from aeron_magic.jupyter.app import App

GREETING_TIMEOUT = 10.0
"""Seconds that `connect` waits for an agent's introductory message."""

READY = (
    f"credentials were found, so the first question connects to {SERVICES[DEFAULT_SERVICE].title}; "
    "`%aeron connect` connects to another service."
)
NO_CELL_IDS = (
    "this front end sends no cell ids, so each run of a cell is a new turn; with `--as NAME` a "
    "question replaces its earlier reply"
)


def status(app: App, command: Command, source: str = "") -> None:
    """Show service, address, conversation, token, turns and recording.

    ``source`` is where the credentials come from.
    """
    session = app.session
    connection, tree, recorder = session.connection, session.tree, session.connections.recorder
    if connection is None:
        if session.connections.replayed is not None:
            next_step = "the first question is answered from the recording; no account is needed."
        elif credentials.find(DEFAULT_SERVICE) is not None:
            next_step = READY
        elif partial := partly_missing(DEFAULT_SERVICE):
            next_step = f"{partial} {partial.hint}"
        else:
            next_step = SERVICES[DEFAULT_SERVICE].how_to_connect
        items = ["not connected", f"next: {next_step}"]
    else:
        items = [
            f"service: {code_span(connection.label)}",
            f"address: {code_span(connection.settings.base_url)}",
        ]
        items += [f"credentials: from {escape_markdown(source)}"] if source else []
        if connection.sandbox and session.connections.answers:
            items.append(f"answers from: {code_span(session.connections.answers)}")
    newest = f", the newest is {tree.head.label}" if tree.head else ""
    is_newest = tree.head is tree.newest
    if tree.head and (not is_newest or any(map(is_shown, tree.followers.get(tree.head, ())))):
        newest = f"; the next question continues after turn {tree.head.label}"
    if tree.turns and tree.newest is None:
        newest = ", none has a complete reply"
    if tree.has_ended:
        newest = "; their sandbox has ended, so the next question starts anew"
    stale = [turn for turn in tree.stale() if not turn.deleted]
    assigned = " (set by hand)" if session.token.assigned_by_user else ""
    token = truncate(str(session.token.read()), TOKEN_SHOWN)
    elsewhere = ""
    if not tree.turns and session.has_turns_elsewhere:
        elsewhere = "; those of another address are separate, and continue when you connect there"
    named = code_span(f"{tree.name}, {plural(len(tree.turns), 'turn')}{newest}")
    items += [
        f"conversation: {named}{elsewhere}",
        f"context_token: {code_span(f'{token}{assigned}')}",
    ]
    if stale:
        items.append(
            escape_markdown(
                f"{stale_text(stale)}; run {'their cells' if stale[1:] else 'its cell'} again"
            )
        )
    if (problem := session.connections.recording_error) is not None:
        items.append(escape_markdown(one_line(f"recording: {problem} {problem.hint}")))
    elif recorder is not None:
        from aeron_magic.session.recordings import describe

        line = describe(recorder)
        items.append(escape_markdown(line[0].lower() + line[1:]))  # as the other items
    elif not command.name:
        items.append("recording: `off`")
    if (error := session.history_writer.error) is not None:
        items.append(escape_markdown(one_line(f"history: not stored. {error} {error.hint}")))
    if not command.name and not app.cell_id_notice_shown and cell_id(app.shell) is None:
        app.cell_id_notice_shown = True
        items.append(f"cells: {NO_CELL_IDS}")
    show(app.shell, "\n".join(f"- {item}" for item in items))


def connect(app: App, command: Command) -> None:
    """Connect, and show the status."""
    session, target, source = app.session, command["target"], ""
    if target == "sandbox":
        service = command["service"] or DEFAULT_SERVICE
        session.connect(service, sandbox=True, answers=command["answers"])
    else:
        options = {
            name: command[name]
            for name in SERVICES[target].fields
            if command.values.get(name) is not None
        }
        if not session.connections.sends_nothing:
            secret = [one for one in SERVICES[target].credentials if not one.is_agent_id]
            found = credentials.find(target)
            if found is not None and secret:
                source = credentials.source(target)
            elif secret:
                if session.connections.recording_error is not None:  # perhaps of a replay
                    raise session.connections.recording_error
                found = credentials.ask(target)
                if not found:
                    raise CredentialsError(
                        "No credentials were entered.", hint="Run the line again to enter them."
                    )
                source = "the prompt, for this connection only"
            options = {**(found or {}), **options}
        session.connect(target, **options)
    status(app, command, source)
    _greet(app)


def _greet(app: App) -> None:
    """Show the introductory message of an agent. It costs nothing."""
    connection = app.session.connection
    if connection is None or app.session.connections.sends_nothing:
        return
    if not service_info(connection.settings.service).has_introduction:
        return
    from aeron_magic.client.io_loop import ReplyTask
    from aeron_magic.jupyter.display.outputs import greeting

    task = ReplyTask(app.session.io_loop, connection.client.stream_introduction())
    try:
        if not task.done.wait(GREETING_TIMEOUT):
            task.stop()
    except KeyboardInterrupt:
        task.cancel()
        raise
    if isinstance(task.error, ServiceError):
        raise task.error
    if task.error is not None:
        show(app.shell, escape_markdown(f"Its greeting could not be loaded. {task.error}"))
    if text := greeting(task.accumulator.introduction):
        show(app.shell, text)


def login(app: App, command: Command) -> None:
    """Read credentials from a hidden prompt and store them in the system keyring."""
    service = command["service"] or DEFAULT_SERVICE
    if problem := credentials.keyring_problem():
        show(
            app.shell,
            f"The system keyring cannot be used here ({problem}). What you enter now is kept only "
            f"until this kernel ends; leave it empty to stop. Permanent: set "
            f"{credentials.variables_of(service)} in the environment.",
        )
    use = f"`%aeron connect {service}` uses it."
    if len(credentials.of_environment(service)) == len(SERVICES[service].credentials):
        names = [one.variable for one in SERVICES[service].credentials]
        unset = " = ".join(f'os.environ["{name}"]' for name in names)
        use = (
            f"It is not used while {' and '.join(names)} are set in the environment. To unset them "
            f'in this kernel: `import os; {unset} = ""`.'
        )
        show(app.shell, use)
    entered: dict[str, Any] = credentials.ask(service)
    if not entered:
        show(app.shell, "Nothing was stored.")
        return
    resolve_settings(service, environ={}, **entered)  # `connect` would refuse invalid ones
    if problem:
        credentials.keep(service, entered)
        show(app.shell, f"Kept until this kernel ends. {use}")
    else:
        credentials.store(service, entered)
        place = f"the system keyring ({escape_markdown(credentials.keyring_name())})"
        show(app.shell, f"Stored in {place}. {use}")


def logout(app: App, command: Command) -> None:
    """Delete the credentials of this kernel and from the system keyring, and stop their use."""
    service = command["service"] or DEFAULT_SERVICE
    notes = []
    if app.session.disconnect(service):
        notes.append(
            f"The connection to {SERVICES[service].title} has ended; "
            f"`%aeron connect {service}` makes a new one."
        )
    if variables := credentials.variables_set(service):
        notes.append(f"Still set in the environment: {variables}.")
    try:
        done = credentials.forget(service)
    except AeronError:
        if notes:
            show(app.shell, *notes)
        raise
    label = service_info(service).title
    show(app.shell, f"{label}'s credentials are {done}." if done else "Nothing was stored.", *notes)
