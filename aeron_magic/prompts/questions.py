"""A valid question."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aeron_magic.errors import TOKEN_SHOWN, UsageError
from aeron_magic.markdown_text import truncate
from aeron_magic.plaintext import VISIBLE
from aeron_magic.protocol.flow import Question

IMAGE = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def make_question(
    text: str, context_token: str | None = None, images: Iterable[str] = (), stream: bool = True
) -> Question:
    """A valid question.

    Raises
    ------
    UsageError
        The text is empty, an image is not an http(s) address, or the token is not a string.
    """
    if not isinstance(text, str) or not VISIBLE.search(text):
        raise UsageError(
            "The question is empty.",
            hint="Give a text that is not blank: below %%aeron, after `%aeron ask`, or in Python "
            "as the first argument.",
        )
    addresses = (images,) if isinstance(images, str) else tuple(images)
    for address in addresses:
        if not (isinstance(address, str) and IMAGE.fullmatch(address)):
            raise UsageError(
                f"{str(address)[:100]!r} is not an image's address.",
                hint="Images are given by an http(s) address that the service can load.",
            )
    token = None if context_token in (None, "") else validate_token(context_token)
    return Question(text, addresses, token, stream)


def validate_token(token: object) -> str:
    """``token``, if it is a string that is not empty.

    Raises
    ------
    UsageError
        It is not.
    """
    if not isinstance(token, str) or not token.strip():
        raise UsageError(
            f"{truncate(repr(token), TOKEN_SHOWN)} is not a context token.",
            hint="It is the string in a reply's `context_token`.",
        )
    return token
