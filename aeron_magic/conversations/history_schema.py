"""What a row of the local history may hold. The file may come from another person: msgspec
validates each row when it is read.

The functions raise ValueError with a reason that never repeats the content.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import astuple

from aeron_magic.conversations.registry import MAX_NAME_LENGTH
from aeron_magic.conversations.tree import MAX_MOMENT, Turn
from aeron_magic.plaintext import is_name
from aeron_magic.protocol.json_values import checked, decode_as
from aeron_magic.replies.reply import Reply
from aeron_magic.services.catalog import SERVICES

MAX_NUMBER = 1_000_000
MAX_WORD = 10_000
MAX_LIST = 10_000

Number = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Time = Annotated[float, Meta(ge=0, le=MAX_MOMENT)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Word = Annotated[str, Meta(max_length=MAX_WORD)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Words = Annotated[tuple[Word, ...], Meta(max_length=MAX_LIST)]


class _Reply(Struct, forbid_unknown_fields=True):
    """The fields of `Reply`, in the same order."""

    text: str
    status: Literal["complete", "recovered", "interrupted", "incomplete", "failed", "processing"]
    context_token: Word | None
    parent_context_token: Word | None
    msg_id: Word
    service: Word
    seconds: Seconds
    first_chunk_seconds: Seconds | None
    replayed: bool


class _Turn(Struct, forbid_unknown_fields=True):
    number: Number
    question: str
    images: Words
    parent: Number | None
    parent_revision: Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
    parent_token: Word | None
    tokens: Annotated[list[Word | None], Meta(max_length=MAX_LIST)]
    reply: _Reply | None
    cell: Word | None
    name: Name | None
    asked_at: Time


class _Conversation(Struct, array_like=True):
    id: Annotated[int, Meta(ge=1)]
    name: Name
    service: str
    address: Annotated[str, Meta(max_length=2_000)]
    sandbox: Annotated[int, Meta(ge=0, le=1)]
    used: Time
    created_by: Word | None
    turns: Annotated[int, Meta(ge=0)]
    notebook: Word
    question: str | None
    answered: int | None


def check_conversation(row: tuple[Any, ...]) -> None:
    """Validate the values of a :class:`~aeron_magic.conversations.history.StoredConversation`."""
    found = checked(row, _Conversation)
    if found.service not in SERVICES:
        raise ValueError("the service is unknown")
    if not is_name(found.name):
        raise ValueError("the name is not printable")
    if not _is_address(found.address):
        raise ValueError("the address is invalid")


def _is_address(address: str) -> bool:
    """Whether it is an http(s) address, with an agent's UUID as fragment or none."""
    base, _, agent = address.partition("#")
    try:
        parts = urlsplit(base)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = base.isascii() and base.isprintable() and not set(base) & set(" ?@\"'`<>{}\\")
    return good and plain and all(sign in "0123456789abcdef-" for sign in agent)


def decode_turn(document: str, number: int) -> tuple[Turn, int | None]:
    """A turn without its parent, and the parent's number."""
    read = decode_as(document, _Turn)
    if read.number != number:
        raise ValueError("the number is that of another turn")
    if read.name is not None and not is_name(read.name):
        raise ValueError("the name is not printable")
    for image in read.images:
        if not image.lower().startswith(("http://", "https://")) or not _is_one_word(image):
            raise ValueError("an image is not an http(s) address")
    turn = Turn(
        number=number,
        question=read.question,
        images=read.images,
        parent_revision=read.parent_revision,
        parent_token=read.parent_token,
        tokens=read.tokens,
        reply=_reply(read.reply) if read.reply is not None else None,
        cell=read.cell,
        name=read.name,
        asked_at=read.asked_at,
    )
    return turn, read.parent


def decode_reply(document: str) -> Reply:
    """The reply of a row of a batch."""
    return _reply(decode_as(document, _Reply))


def _reply(read: _Reply) -> Reply:
    if read.service and read.service not in SERVICES:
        raise ValueError("the service of the reply is unknown")
    return Reply(*astuple(read))


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(map(str.isspace, text))


def in_circles(parents: dict[int, int | None]) -> set[int]:
    """The numbers of turns that come before themselves."""
    state: dict[int, int] = {}
    circles: set[int] = set()
    for walk, start in enumerate(parents, 1):
        path: list[int] = []
        at: int | None = start
        while at is not None and at in parents and at not in state:
            state[at] = walk
            path.append(at)
            at = parents[at]
        if at is not None and state.get(at) == walk:
            circles.update(path[path.index(at) :])
    return circles
