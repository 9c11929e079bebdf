"""A conversation as a file: a document, data, or a notebook.

The JSON, version 1, is an object:

==================  ==========================================================================
``format``          ``"aeron-magic conversation"``
``version``         ``1``; a reader refuses a higher one, and ignores keys it does not know
``conversation``    the name
``service``         ``"aeronpay"`` or ``"chatzy"``
``newest``          the number of the turn that a new question follows, or null
``turns``           a list of turns, in the order of their numbers
==================  ==========================================================================

A turn is an object:

==========================  ==================================================================
``number``                  from 1
``name``                    given by the user, or null
``parent``                  the number of the turn it follows, or null at a beginning
``question``, ``images``    what was asked; a list of addresses
``asked``                   when, in UTC: ``2026-11-22T01:50:00Z``
``started_from``            the token that was sent, or null
``stale``                   whether a turn before it has been answered anew since
``reply``                   null where nothing is known of it, else an object with ``text``,
                            ``status``, ``context_token``, ``parent_context_token``, ``msg_id``,
                            ``seconds``, ``first_chunk_seconds`` and ``replayed``
==========================  ==================================================================

The notebook asks the questions again that have a reply, in the order of their numbers, at their
places; it connects to the service of the conversation, so it runs on the sandbox where the
conversation was held there, or where the variables of the environment say so.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aeron_magic.conversations.tree import ConversationTree, Turn
from aeron_magic.errors import UsageError
from aeron_magic.markdown_text import escape_markdown
from aeron_magic.rendering.mimebundle import mimebundle, to_markdown
from aeron_magic.services.catalog import DEFAULT_SERVICE

__all__ = ["FORMAT", "VERSION", "as_json", "as_markdown", "as_notebook", "export_text", "write"]

FORMAT = "aeron-magic conversation"
VERSION = 1


def write(tree: ConversationTree, path: Path, *, sandbox: bool = False) -> None:
    """Write ``tree`` to ``path``, in the kind that its ending names.

    Parameters
    ----------
    sandbox
        Whether the conversation was held with the sandbox, to which the notebook then connects.

    Raises
    ------
    UsageError
        Another ending, or the file cannot be written, or it is a notebook that is no export.
    """
    text = export_text(tree, path.suffix.lower(), sandbox=sandbox)
    if path.suffix.lower() == ".ipynb" and _is_user_notebook(path):
        raise UsageError(
            f"{path.name} is a notebook already, and no export: it is not written over.",
            hint="Export to another name.",
        )
    try:
        _replace(path, text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that is there.",
        ) from error


def export_text(tree: ConversationTree, ending: str, *, sandbox: bool = False) -> str:
    """The text of a file with this ending; see :func:`write`."""
    match ending:
        case ".md":
            return as_markdown(tree)
        case ".json":
            return _dumped(as_json(tree))
        case ".ipynb":
            return _dumped(as_notebook(tree, sandbox=sandbox))
        case _:
            raise UsageError(
                f"{ending[:60]!r} is no ending that is known.",
                hint="The ending chooses the kind: .md, .json or .ipynb.",
            )


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _is_user_notebook(path: Path) -> bool:
    """Whether there is a notebook that somebody wrote."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    written = isinstance(found, dict) and bool(found.get("cells"))
    return written and "aeron" not in found.get("metadata", {})


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing: an export that fails leaves the one before."""
    path = path.resolve()  # a link stays one
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
    """All turns as plain values; the module's text says what they mean."""
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
    reply = turn.reply
    if reply is None:
        return None
    return {
        "text": reply.text,
        "status": reply.status,
        "context_token": reply.context_token,
        "parent_context_token": reply.parent_context_token,
        "msg_id": reply.msg_id,
        "seconds": reply.seconds,
        "first_chunk_seconds": reply.first_chunk_seconds,
        "replayed": reply.replayed,
    }


def _in_order(tree: ConversationTree) -> list[Turn]:
    return sorted(tree.turns, key=lambda turn: turn.number)


def as_markdown(tree: ConversationTree) -> str:
    """A document: each question, quoted, and its reply. What could be active in a reply is not."""
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
            parts.append(_closed(to_markdown(turn.reply.text)))
        if turn.status != "complete":
            parts.append(f"*({turn.status})*")
        before = turn
    return "\n\n".join(parts) + "\n"


def _title(turn: Turn) -> str:
    return f"Turn {turn.number}" + (f" ({escape_markdown(turn.name)})" if turn.name else "")


def _closed(markdown: str) -> str:
    """A reply that ends inside a code block must not take the rest of the document with it."""
    from aeron_magic.rendering.safe_html import close_fence

    return close_fence(markdown)


def as_notebook(tree: ConversationTree, *, sandbox: bool = False) -> dict[str, Any]:
    """A notebook (nbformat 4.5) that asks the questions again, with the replies as outputs."""
    service = tree.service or DEFAULT_SERVICE
    connect = f"connect {service}"
    if sandbox:
        connect = "connect sandbox" + f" --service {service}" * (service != DEFAULT_SERVICE)
    cells = [
        _cell("markdown", "title", f"# {escape_markdown(tree.name)}"),
        _code("load", "%load_ext aeron_magic", []),
        _code("connect", f"%aeron {connect}", []),
    ]
    asked = [turn for turn in _in_order(tree) if turn.revision]
    followed = {id(turn.parent) for turn in asked}
    before: Turn | None = None
    done: set[int] = set()
    while len(done) < len(asked):
        # A turn that was asked again elsewhere may follow one with a higher number.
        for turn in asked:
            parent = turn.parent
            if turn.number in done or (parent and parent.revision and parent.number not in done):
                continue
            line = _magic_line(turn, before, named=id(turn) in followed)
            cells.append(_code(f"turn-{turn.number}", f"{line}\n{turn.question}", _outputs(turn)))
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
    """The magic line that asks ``turn`` at its place, where ``before`` was asked last."""
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


def _outputs(turn: Turn) -> list[dict[str, Any]]:
    if turn.reply is None or not turn.reply.text:
        return []
    return [
        {
            "output_type": "display_data",
            "data": {kind: _lines(text) for kind, text in mimebundle(turn.reply.text).items()},
            "metadata": {},
        }
    ]


def _cell(kind: str, name: str, source: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": name, "metadata": {}, "source": _lines(source)}


def _code(name: str, source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_cell("code", name, source), "execution_count": None, "outputs": outputs}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
