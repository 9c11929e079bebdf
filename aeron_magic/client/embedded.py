"""``Client("sandbox")``: the embedded service, started for one client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeron_magic.errors import AeronError, UsageError
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES
from aeron_magic.services.settings import Settings, any_credentials, resolve_settings

if TYPE_CHECKING:
    from aeron_magic.sandbox.server import Sandbox

SANDBOX = "sandbox"

Answers = str | os.PathLike[str] | Mapping[str, str]
"""A file of questions and answers, or the answers by question."""


def start_sandbox(answers: Answers | None = None) -> Sandbox:
    """Start a sandbox on a free port of this machine, which answers from ``answers``.

    Raises UsageError: see :func:`set_answers`. Raises AeronError: the system allows no local
    server.
    """
    from aeron_magic.sandbox.server import Sandbox

    sandbox = Sandbox()
    set_answers(sandbox, answers)
    try:
        return sandbox.start()
    except OSError as error:
        raise AeronError(
            f"The sandbox cannot be started: {error.strerror or 'no local port is free'}.",
            hint="It needs a port on 127.0.0.1.",
        ) from None


def set_answers(sandbox: Sandbox, answers: Answers | None) -> None:
    """Let ``sandbox`` answer from a file or a mapping from now on; None: from the handbook.

    Raises UsageError: the file cannot be read, or there are no questions and answers.
    """
    try:
        if not isinstance(answers, str | os.PathLike | Mapping | None):
            raise ValueError("it is neither a file nor a dictionary")
        if isinstance(answers, Mapping) and not all(
            isinstance(text, str) for pair in answers.items() for text in pair
        ):
            raise ValueError("a question or an answer in it is not a text")
        sandbox.answer_from(answers)
    except (OSError, ValueError, RuntimeError) as error:
        from aeron_magic.recording.near_file import suggest_file

        name, near = "The value of answers", ""
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        if isinstance(answers, str | os.PathLike):
            name = str(answers)
            near = suggest_file(Path(name)) if isinstance(error, FileNotFoundError) else ""
        raise UsageError(
            f"{name} cannot be used: {reason}.",
            hint=f"{near}Name a .csv or .jsonl file with question and answer, or a .md file whose "
            "headings are the questions; in Python also a dictionary of answers by question.",
        ) from None


def sandbox_settings(sandbox: Sandbox, service: str = DEFAULT_SERVICE, **options: Any) -> Settings:
    """Settings for ``service`` at ``sandbox``; ``options`` as for ``resolve_settings``.

    Raises UsageError: an option is invalid, or an address is given.
    """
    info = SERVICES[service]
    if any(options.pop(address.field, None) for address in info.addresses):
        raise UsageError(
            "The sandbox has its own address.", hint="Leave out base_url and stream_url."
        )
    options |= {one.field: getattr(sandbox, one.in_sandbox) for one in info.addresses}
    return resolve_settings(service, **options, **any_credentials(service))
