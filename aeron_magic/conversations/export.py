"""A conversation as a file: a Markdown document, JSON, or a notebook.

The JSON is an object:

==================  ==========================================================================
``format``          ``"aeron-magic conversation"``
``version``         ``1``; readers reject a higher one, and ignore unknown keys
``conversation``    the name
``service``         ``"aeronpay"`` or ``"chatzy"``
``newest``          the number of the turn that a new question follows, or null
``turns``           a list of turns, in the order of their numbers
==================  ==========================================================================

A turn is an object:

==========================  ==================================================================
``number``                  from 1
``name``                    given by the user, or null
``parent``                  the number of the turn it follows, or null
``question``, ``images``    a text; a list of addresses
``asked``                   when, in UTC: ``2026-11-22T01:50:00Z``
``started_from``            the token that was sent, or null
``stale``                   whether a turn before it has a newer reply than it continues
``reply``                   null if it is lost, else an object with ``text``, ``status``,
                            ``context_token``, ``parent_context_token``, ``msg_id``,
                            ``seconds``, ``first_chunk_seconds`` and ``replayed``
==========================  ==================================================================

The notebook asks every question with a complete reply again, in the order of the numbers and at
the same positions. It connects to the conversation's service, or to the sandbox.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import UsageError
from aeron_magic.markdown_text import escape_markdown
from aeron_magic.rendering.mimebundle import mimebundle, to_markdown
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import DEFAULT_SERVICE

FORMAT = "aeron-magic conversation"
VERSION = 1


def write(tree: ConversationTree, path: Path, *, sandbox: bool = False) -> None:
    """Write ``tree`` to ``path``, in the format that its extension names.

    Parameters
    ----------
    sandbox
        Whether the conversation is one with the sandbox, to which the notebook then connects.

    Raises
    ------
    UsageError
        Unknown extension; the file cannot be written; or it is a notebook but not an export.
    """
    text = export_text(tree, path.suffix.lower(), sandbox=sandbox)
    if path.suffix.lower() == ".ipynb" and _is_user_notebook(path):
        raise UsageError(
            f"{path.name} is a notebook, not an earlier export: it is not overwritten.",
            hint="Export to another name.",
        )
    try:
        _replace(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that exists.",
        ) from error


def export_text(tree: ConversationTree, extension: str, *, sandbox: bool = False) -> str:
    """The content of a file with this extension; see :func:`write`."""
    match extension:
        case ".md":
            return as_markdown(tree)
        case ".json":
            data = as_json(tree)
        case ".ipynb":
            data = as_notebook(tree, sandbox=sandbox)
        case _:
            raise UsageError(
                f"Unknown file extension {extension[:60]!r}.",
                hint="The extension chooses the format: .md, .json or .ipynb.",
            )
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _is_user_notebook(path: Path) -> bool:
    """Whether there is a notebook that is not an export."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    has_cells = isinstance(found, dict) and bool(found.get("cells"))
    return has_cells and "aeron" not in found.get("metadata", {})


def _replace(path: Path, text: str) -> None:
    """Replace the file atomically: an export that fails leaves the one before."""
    path = path.resolve()  # replaces the target of a link, not the link
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def as_json(tree: ConversationTree) -> dict[str, Any]:
    """All turns as JSON values; see the module's docstring."""
    stale = tree.stale()
    return {
        "format": FORMAT,
        "version": VERSION,
        "conversation": tree.name,
        "service": tree.service,
        "newest": tree.head.number if tree.head else None,
        "turns": [
            {
                "number": turn.number,
                "name": turn.name,
                "parent": turn.parent.number if turn.parent else None,
                "question": turn.question,
                "images": list(turn.images),
                "asked": datetime.fromtimestamp(turn.asked_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "started_from": turn.parent_token,
                "stale": turn in stale,
                "reply": _reply(turn),
            }
            for turn in _in_order(tree)
        ],
    }


def _reply(turn: Turn) -> dict[str, Any] | None:
    if turn.reply is None:
        return None
    reply = asdict(turn.reply)
    del reply["service"]
    return reply


def _in_order(tree: ConversationTree) -> list[Turn]:
    return sorted(tree.turns, key=lambda turn: turn.number)


def as_markdown(tree: ConversationTree) -> str:
    """A document: each question as a quotation, and its reply, without active content."""
    from aeron_magic.rendering.safe_html import close_fence

    stale = tree.stale()
    parts = [f"# {escape_markdown(tree.name)}"]
    before: Turn | None = None
    for turn in _in_order(tree):
        suffix = ""
        if turn.parent is not before:
            suffix = f", after {_title(turn.parent)}" if turn.parent else ", a beginning"
        remark = ", stale" if turn in stale else ""
        parts.append(f"## {_title(turn)}{suffix}{remark}")
        parts.append(
            "\n".join(f"> {line}".rstrip() for line in to_markdown(turn.question).split("\n"))
        )
        parts += [f"Image: <{address}>" for address in turn.images]
        if turn.reply is not None and turn.reply.text:
            # An unclosed code block must not swallow the rest of the document.
            parts.append(close_fence(to_markdown(turn.reply.text)))
        if turn.status != "complete":
            parts.append(f"*({turn.status})*")
        before = turn
    return "\n\n".join(parts) + "\n"


def _title(turn: Turn) -> str:
    return f"Turn {turn.number}" + (f" ({escape_markdown(turn.name)})" if turn.name else "")


def as_notebook(tree: ConversationTree, *, sandbox: bool = False) -> dict[str, Any]:
    """A notebook (nbformat 4.5) that asks the questions again, with the replies as outputs."""
    service = tree.service or DEFAULT_SERVICE
    connect = f"connect {service}"
    if sandbox:
        connect = "connect sandbox" + f" --service {service}" * (service != DEFAULT_SERVICE)
    cells = [
        _cell("markdown", "title", f"# {escape_markdown(tree.name)}"),
        _code("load", "%load_ext aeron_magic"),
        _code("connect", f"%aeron {connect}"),
    ]
    asked = [turn for turn in _in_order(tree) if turn.revision]
    followed = {id(turn.parent) for turn in asked}
    before: Turn | None = None
    done: set[int] = set()
    while len(done) < len(asked):
        # A turn that was asked again at another position may follow one with a higher number.
        for turn in asked:
            parent = turn.parent
            if turn.number in done or (parent and parent.revision and parent.number not in done):
                continue
            line = _magic_line(turn, before, named=id(turn) in followed)
            cells.append(_code(f"turn-{turn.number}", f"{line}\n{turn.question}", turn.reply))
            done.add(turn.number)
            before = turn
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            "aeron": {"format": FORMAT, "version": VERSION},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _magic_line(turn: Turn, before: Turn | None, *, named: bool) -> str:
    """The magic line that asks ``turn`` at its position, if ``before`` was asked last."""
    words = ["%%aeron"]
    if turn.parent is None or not turn.parent.revision:
        words += ["-n"] if before is not None else []
    elif turn.parent is not before:
        words += ["--after", _quoted(_handle(turn.parent))]
    if named or turn.name:
        words += ["--as", _quoted(_handle(turn))]
    for address in turn.images:
        words += ["--image", _quoted(address)]
    if "{{" in turn.question:
        words.append("--raw")
    return " ".join(words)


def _handle(turn: Turn) -> str:
    return turn.name or f"turn-{turn.number}"


def _quoted(text: str) -> str:
    if text and not set(text) & set(" \t'\""):
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def _cell(kind: str, name: str, source: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": name, "metadata": {}, "source": _lines(source)}


def _code(name: str, source: str, reply: Reply | None = None) -> dict[str, Any]:
    outputs = []
    if reply is not None and reply.text:
        bundle = {kind: _lines(str(text)) for kind, text in mimebundle(reply.text).items()}
        outputs = [{"output_type": "display_data", "data": bundle, "metadata": {}}]
    return {**_cell("code", name, source), "execution_count": None, "outputs": outputs}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
