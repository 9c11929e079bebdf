"""``Reply`` and ``Message``: what a service returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aeron_magic.errors import ReplyFormatError
from aeron_magic.markdown_text import one_line, plural, truncate

Status = Literal["complete", "recovered", "interrupted", "incomplete", "failed", "processing"]


_WHY = {
    "failed": "the question failed",
    "interrupted": "the question was interrupted",
    "incomplete": "it was cut off",
    "processing": "the service is still working on it",
}
"""Why a reply is not complete."""

REPR_LENGTH = 60
"""Characters of a reply's text in its ``repr``."""


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """The reply of a service, complete or not.

    Attributes
    ----------
    text
        The reply's text; what was received so far, unless ``status`` is complete or recovered.
    status
        ``complete``; ``recovered`` (complete, fetched after its stream was lost); ``interrupted``
        (by the user); ``incomplete`` (cut off); ``failed`` (reported by the service);
        ``processing`` (not ready yet).
    context_token
        Continues the conversation after this reply.
    parent_context_token
        The token that the reply continues from, according to the service.
    msg_id
        The service's id of the message.
    service
        ``aeronpay`` or ``chatzy``.
    seconds
        Seconds from the question to the end of the reply.
    first_chunk_seconds
        Seconds from the question to the first text; None if there was none.
    replayed
        Whether it was replayed from a recording.
    """

    text: str
    status: Status = "complete"
    context_token: str | None = None
    parent_context_token: str | None = None
    msg_id: str = ""
    service: str = ""
    seconds: float = 0.0
    first_chunk_seconds: float | None = None
    replayed: bool = False

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        start = truncate(one_line(self.text[: 10 * REPR_LENGTH]), REPR_LENGTH)
        return f"<Reply {self.status}, {plural(len(self.text), 'character')}: {start!r}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The rendered reply, for a notebook that shows it as the value of a cell."""
        from aeron_magic.rendering.mimebundle import mimebundle

        note = ""
        if not self.is_complete:
            kind = "Not the whole reply" if self.text.strip() else "No reply"
            note = f"{kind}: {_WHY[self.status]}."
        # Plain strings: marimo sends a subclass as an object.
        return {kind: str(shown) for kind, shown in mimebundle(self.text, note=note).items()}

    @property
    def is_complete(self) -> bool:
        """Whether the service confirmed the end of the text."""
        return self.status in ("complete", "recovered")

    def json(self) -> Any:
        """The JSON in the text: in a fenced block, bare, or in prose; JSON Lines as a list.

        Raises
        ------
        ReplyFormatError
            There is none, or it is broken; the message says where.
        """
        from aeron_magic.replies.extract import extract_json

        with self._annotating_errors():
            return extract_json(self.text)

    def table(self, number: int = 1) -> Any:
        """A Markdown table in the text.

        Numbers, ISO dates and truth values are converted; a number with a unit or a percent sign
        stays text.

        Parameters
        ----------
        number
            Which of the tables, from 1 (default).

        Returns
        -------
        pandas.DataFrame or list of dict
            The table; without pandas, its rows.

        Raises
        ------
        ReplyFormatError
            The reply has no such table.
        """
        from aeron_magic.replies.tables import table_to_dataframe

        with self._annotating_errors():
            return table_to_dataframe(self.text, number)

    def code(self, language: str | None = None, number: int = 1) -> str:
        """The code in a fenced block of the text.

        Parameters
        ----------
        language
            Only count blocks in this language, by any of its usual names; None counts all.
        number
            Which of the blocks, from 1 (default).

        Raises
        ------
        ReplyFormatError
            The reply has no such block.
        """
        from aeron_magic.replies.extract import extract_code

        with self._annotating_errors():
            return extract_code(self.text, language, number)

    @contextmanager
    def _annotating_errors(self) -> Iterator[None]:
        """Add the reply's token to an error, and a hint if the reply is not complete."""
        try:
            yield
        except ReplyFormatError as error:
            error.context_token = self.context_token
            if not self.is_complete:
                error.hint = f"The reply is {self.status}: the missing part may contain it."
            raise


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation as stored by the service (AeronPay's *List Input*).

    Attributes
    ----------
    role
        ``user`` or ``assistant``.
    text
        The text.
    msg_id
        The service's id of the message.
    status
        The service's status, such as ``completed``; empty if there is none.
    """

    role: Literal["user", "assistant"]
    text: str
    msg_id: str = ""
    status: str = ""
