"""A conversation as a file: a Markdown document, an HTML page, JSON, or a notebook.

The JSON is an object:

==================  ==========================================================================
``format``          ``"aeron-magic conversation"``
``version``         ``1``; readers reject a higher one, and ignore unknown keys
``conversation``    the name
``service``         ``"aeronpay"`` or ``"chatzy"``
``newest``          the number of the turn that a new question follows, or null
``turns``           a list of turns, in the order of their numbers
``seal``            the digest of the file, by which a later export sees that it is unchanged
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

The notebook asks every question with a complete reply, and those before it, again, in the order of
the numbers and at the same positions. It connects to the conversation's service, or to the sandbox.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aeron_magic.conversations.tree import ConversationTree, Turn, beginning
from aeron_magic.errors import UsageError
from aeron_magic.markdown_text import escape_cell, one_line
from aeron_magic.plaintext import is_name
from aeron_magic.rendering.mimebundle import mimebundle, to_markdown
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import DEFAULT_SERVICE, SERVICES

FORMAT = "aeron-magic conversation"
VERSION = 1

SEAL = "aeron-magic export, sha256 "
UNSEALED = "0" * 64
"""Every export ends with ``SEAL`` and the digest of its content with ``UNSEALED`` there."""

MAX_SIZE = 256 << 20
"""Bytes of an earlier export that is read, to see whether it is unchanged."""

PLAIN_WORD = re.compile(r"\w[\w.:/-]*")
ADDRESS_SIGNS = "!#$%&()*+,-./:;=?@[]_~"
"""Signs of an address beside letters and digits that need no quotes in a magic line."""

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def write(tree: ConversationTree, path: Path, *, sandbox: bool = False) -> None:
    """Write ``tree`` to ``path``, in the format that its extension names.

    * ``sandbox``: whether the conversation is one with the sandbox, to which the notebook then
      connects.

    Raises UsageError: unknown extension; the file cannot be written; or there is another file,
    which is not an export of this user that is unchanged since.
    """
    save(export_text(tree, path.suffix.lower(), sandbox=sandbox), path)


def refuse_empty(tree: ConversationTree) -> None:
    """Raise UsageError if there are no turns: the file would replace an earlier export."""
    if not tree.turns:
        raise UsageError(
            f"There is nothing to export: the conversation {tree.name!r} has no turns.",
            hint="`%aeron use NAME` switches to another one; `%aeron use` lists them.",
        )


def save(text: str, path: Path) -> None:
    """Write an export to ``path``; for what it raises see :func:`write`."""
    try:
        _write_file(path, text.encode(errors="replace"))
    except (OSError, ValueError) as error:  # a name with a null character
        raise UsageError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.",
            hint="Name a file in a folder that exists.",
        ) from error


def export_text(tree: ConversationTree, extension: str, *, sandbox: bool = False) -> str:
    """The content of a file with this extension; see :func:`write`."""
    match extension:
        case ".md":
            return sealed_markdown(as_markdown(tree))
        case ".html":
            from aeron_magic.conversations.export_page import as_page

            return _sealed(f"{as_page(tree)}<!-- {SEAL}{UNSEALED} -->\n")
        case ".json":
            data = {**as_json(tree), "seal": SEAL + UNSEALED}
        case ".ipynb":
            data = as_notebook(tree, sandbox=sandbox)
            data["metadata"]["aeron_magic"]["seal"] = SEAL + UNSEALED
        case _:
            raise UsageError(
                f"Unknown file extension {extension[:60]!r}."
                if extension
                else "The name of the file has no extension.",
                hint="The extension chooses the format: .md, .html, .json, .ipynb or .chat.md.",
            )
    return _sealed(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def sealed_markdown(text: str) -> str:
    """``text`` with its digest in a link definition, which no renderer shows."""
    return _sealed(f"{text}\n[//]: # ({SEAL}{UNSEALED})\n")


def _sealed(text: str) -> str:
    """``text`` with its digest behind its last ``SEAL``: a later export may overwrite it."""
    begin = text.rindex(SEAL) + len(SEAL)
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    return text[:begin] + digest + text[begin + len(digest) :]


def _is_unchanged_export(data: bytes) -> bool:
    begin = data.rfind(SEAL.encode()) + len(SEAL)
    end = begin + len(UNSEALED)
    digest = hashlib.sha256(data[:begin] + UNSEALED.encode() + data[end:]).hexdigest()
    return begin >= len(SEAL) and data[begin:end] == digest.encode()


def _write_file(path: Path, data: bytes) -> None:
    """Write the file atomically: an export that fails leaves the one before.

    No link is followed; a new file has the mode of the umask. It is not there until it is whole.
    """
    mode = _mode_of_earlier_export(path)
    part = path.with_name(f".aeron-{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if mode is not None:
            part.chmod(mode)
            part.replace(path)
            return
        try:
            os.link(part, path)  # unlike a replacement, it fails if another file came meanwhile
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _mode_of_earlier_export(path: Path) -> int | None:
    """The mode of the file that may be overwritten; None if the file is missing.

    Raises UsageError: there is one, and it must not be overwritten.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | NO_FOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(
                f"{path.name} is a link, which an export does not follow.",
                hint="Name the file that it leads to.",
            ) from None
        raise
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        own = stat.S_ISREG(status.st_mode) and status.st_uid == getattr(os, "geteuid", int)()
        if own and status.st_size <= MAX_SIZE and _is_unchanged_export(file.read()):
            return stat.S_IMODE(status.st_mode)
    raise UsageError(
        f"{path.name} is not an earlier export, or it was changed since: it is not overwritten.",
        hint="Export to another name, or delete that file first.",
    )


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
    from aeron_magic.rendering.safe_markdown import quoted_markdown

    stale = tree.stale()
    parts = [f"# {escape_cell(tree.title)}"]
    before: Turn | None = None
    for turn in tree.in_order():
        suffix, parent = "", tree.shown_parent(turn)
        if parent is not before:
            suffix = f", after {_title(parent)}" if parent else f", {beginning(turn)}"
        remark = ", stale" if turn in stale else ""
        parts.append(f"## {_title(turn)}{suffix}{remark}")
        parts.append(quoted_markdown(turn.question))
        parts += [f"Image: {to_markdown(f'<{one_line(address)}>')}" for address in turn.images]
        if turn.reply is not None and turn.reply.text:
            parts.append(to_markdown(turn.reply.text))
        if turn.status != "complete":
            parts.append(f"*({turn.status})*")
        before = turn
    return "\n\n".join(parts) + "\n"


def _title(turn: Turn) -> str:
    return f"Turn {turn.number}" + (f" ({escape_cell(turn.name)})" if turn.name else "")


def as_notebook(tree: ConversationTree, *, sandbox: bool = False) -> dict[str, Any]:
    """A notebook (nbformat 4.5) that asks the questions again, with the replies as outputs."""
    service = tree.service or DEFAULT_SERVICE
    if service not in SERVICES:
        raise UsageError(
            "The conversation is one with an unknown service.",
            hint="Export to another format.",
        )
    connect = f"connect {service}"
    if sandbox:
        connect = "connect sandbox" + f" --service {service}" * (service != DEFAULT_SERVICE)
    cells = [
        _cell("markdown", "title", f"# {escape_cell(tree.title)}"),
        _code("load", "%load_ext aeron_magic"),
        _code("connect", f"%aeron {connect}"),
    ]
    needed: set[Turn] = set()
    for turn in tree:
        at = turn if turn.revision else None
        while at is not None and at not in needed:
            needed.add(at)
            at = at.parent
    asked = [turn for turn in _in_order(tree) if turn in needed]
    followed = {id(turn.parent) for turn in asked}
    handles = _handles(tree)
    before: Turn | None = None
    done: set[int] = set()
    while len(done) < len(asked):
        # A turn that was asked again at another position may follow one with a higher number.
        for turn in asked:
            parent = turn.parent
            if turn.number in done or (parent and parent.number not in done):
                continue
            line = _magic_line(turn, before, handles, named=id(turn) in followed)
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
            "aeron_magic": {"format": FORMAT, "version": VERSION},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _magic_line(turn: Turn, before: Turn | None, handles: dict[int, str], *, named: bool) -> str:
    """The magic line that asks ``turn`` at its position, if ``before`` was asked last."""
    words = ["%%aeron"]
    if turn.parent is None:
        words += ["-n"] if before is not None else []
    elif turn.parent is not before:
        words += ["--after", handles[turn.parent.number]]
    if named or turn.name:
        words += ["--as", handles[turn.number]]
    for address in turn.images:
        words += ["--image", _image(address)]
    if "{{" in turn.question:
        words.append("--raw")
    return " ".join(words)


def _handles(tree: ConversationTree) -> dict[int, str]:
    """The quoted name of each turn by its number; its own name, where a magic line can hold it."""
    taken = {turn.name for turn in tree}
    handles = {}
    for turn in tree:
        quoted = quoted_word(turn.name) if turn.name else None
        if quoted is None:
            name = f"turn-{turn.number}"
            while name in taken:
                name += "-"
            taken.add(name)
            quoted = name
        handles[turn.number] = quoted
    return handles


def quoted_word(text: str) -> str | None:
    """``text`` as one word of a magic line; None if no quotes can hold it."""
    if PLAIN_WORD.fullmatch(text):
        return text
    if not is_name(text) or ('"' in text and "'" in text):
        return None
    return f"'{text}'" if '"' in text else f'"{text}"'


def _image(address: str) -> str:
    """An image's address as one word, with what an address never needs to contain encoded."""
    if not address.lower().startswith(("http://", "https://")):
        raise UsageError(
            "An image of the conversation has no http(s) address.",
            hint="Export to another format.",
        )
    return quote(address, safe=ADDRESS_SIGNS)


def _cell(kind: str, name: str, source: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": name, "metadata": {}, "source": _lines(source)}


def _code(name: str, source: str, reply: Reply | None = None) -> dict[str, Any]:
    outputs = []
    ended = reply.status if reply is not None and reply.status != "complete" else ""
    if reply is not None and (reply.text or ended):
        data = mimebundle(reply.text, note=ended)
        bundle = {kind: _lines(str(text)) for kind, text in data.items()}
        outputs = [{"output_type": "display_data", "data": bundle, "metadata": {}}]
    return {**_cell("code", name, source), "execution_count": None, "outputs": outputs}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
