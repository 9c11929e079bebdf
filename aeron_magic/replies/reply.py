"""``Reply`` and ``Message``: the values that a service's answer becomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aeron_magic.errors import ReplyFormatError

__all__ = ["Message", "Reply", "Status"]

Status = Literal["complete", "recovered", "interrupted", "incomplete", "failed", "processing"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered, whole or not.

    Attributes
    ----------
    text
        The reply's text; what was received, where ``status`` says that it is not whole.
    status
        ``complete``; ``recovered`` (whole, fetched after its stream was lost); ``interrupted`` (by
        the user); ``incomplete`` (cut off); ``failed`` (the service says so); ``processing`` (not
        ready yet).
    context_token
        Continues the conversation after this reply.
    parent_context_token
        The token this reply says it continued from.
    msg_id
        The service's name for the message.
    service
        ``aeronpay``, ``chatzy`` or whatever service answered.
    seconds
        Seconds from the question to the end of the reply.
    first_chunk_seconds
        Seconds from the question to the first text; None where none came.
    replayed
        Whether it came from a recording.
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

    @property
    def is_complete(self) -> bool:
        """Whether the service said that the text is all there is."""
        return self.status in ("complete", "recovered")

    def json(self) -> Any:
        """The JSON in the text: in a fenced block, bare, or in the midst of prose.

        Raises
        ------
        ReplyFormatError
            There is none, or it is broken; the message says where.
        """
        from aeron_magic.replies.extract import extract_json  # only a whole reply is searched

        with self._annotating_errors():
            return extract_json(self.text)

    def table(self, number: int = 1) -> Any:
        """A Markdown table in the text.

        Numbers, ISO dates and truth values have their types; what has a unit or a percent sign
        stays text.

        Parameters
        ----------
        number
            Which of the tables, from 1 (default).

        Returns
        -------
        pandas.DataFrame or list of dict
            The table; where pandas is not installed, its rows.

        Raises
        ------
        ReplyFormatError
            There is no such table.
        """
        from aeron_magic.replies.tables import table_to_dataframe

        with self._annotating_errors():
            return table_to_dataframe(self.text, number)

    def code(self, language: str | None = None, number: int = 1) -> str:
        """The code in a fenced block of the text.

        Parameters
        ----------
        language
            Only blocks in this language count, by any of its usual names; None: all do.
        number
            Which of them, from 1 (default).

        Raises
        ------
        ReplyFormatError
            There is no such block.
        """
        from aeron_magic.replies.extract import extract_code

        with self._annotating_errors():
            return extract_code(self.text, language, number)

    @contextmanager
    def _annotating_errors(self) -> Iterator[None]:
        """Have an error say which reply it is about, and that it is not whole where it is not."""
        try:
            yield
        except ReplyFormatError as error:
            error.context_token = self.context_token
            if not self.is_complete:
                error.hint = f"The reply is {self.status}: what is missing may hold it."
            raise


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation as the service keeps it (AeronPay's *List Input*).

    Attributes
    ----------
    role
        Who says it: ``user`` or ``assistant``.
    text
        What is said.
    msg_id
        The service's name for the message.
    status
        What the service says of it, such as ``completed``; empty where it says nothing.
    """

    role: Literal["user", "assistant"]
    text: str
    msg_id: str = ""
    status: str = ""
