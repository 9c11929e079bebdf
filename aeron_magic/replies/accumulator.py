"""Builds a reply from events: order of chunks, repeats, and the completed text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import ceil
from typing import assert_never

from aeron_magic.markdown_text import one_line, truncate
from aeron_magic.plaintext import TextFilter
from aeron_magic.protocol.events import (
    Chunk,
    Completed,
    Event,
    Introduced,
    Recovering,
    Started,
    ToolCalled,
    Unknown,
    Waiting,
)
from aeron_magic.replies.reply import Reply, Status

MAX_HELD_CHUNKS = 64
"""Chunks held back for a missing number before the text goes on without it."""

MAX_REASON = 200
"""Characters of the reason why a stream was lost."""

SPACE = 2**20
"""Between the positions of two numbered chunks: room for chunks without a number."""

FIRST_NUMBER = 2
"""The number of the first chunk in the vendor's sample. The documentation does not promise it: a
stream that begins with a higher number waits for a second chunk, in case the first two arrived in
the wrong order."""


class ReplyAccumulator:
    """The state of a reply that is coming in.

    Chunks are sorted by their numbers and repeated numbers are dropped; a missing number delays
    the text for at most `MAX_HELD_CHUNKS`. At the end the chunks of one message are together. If
    the service repeats the whole text, that text is the reply. Here events become text: it is
    well-formed, and contains no secret.

    * ``secrets``: what is taken out of all texts; see `TextFilter`.

    Attributes:
    * ``context_token``: the token of the reply; None until the service has sent it.
    * ``displayed``: the parts of the text that were returned by `add`, in order; only ever appended
      to.
    """

    def __init__(
        self, service: str = "", request_token: str | None = None, secrets: Iterable[str] = ()
    ) -> None:
        self.service = service
        self.request_token = request_token
        self.context_token: str | None = None
        self.parent_context_token: str | None = None
        self.msg_id = ""
        self.status: Status = "processing"
        self.status_text = ""
        self.recorded: tuple[float, float | None] | None = None
        self.introduction: Introduced | None = None
        self.unknown: dict[str, int] = {}
        self.displayed: list[str] = []
        self._secrets = secrets
        self._final: str | None = None
        # Two dictionaries: thousands of tuples would trigger the garbage collector repeatedly.
        self._texts: dict[int, str] = {}
        self._messages: dict[int, str] = {}
        self._held: dict[int, Chunk] = {}
        self._next: int | None = None
        self._offset = 0
        self._late = False
        self._released: set[str] = set()

    @cached_property
    def _filter(self) -> TextFilter:
        return TextFilter(self._secrets)

    @property
    def text(self) -> str:
        """The text so far, in order."""
        if self._final is not None:
            return self._final
        if self._late or self._held:
            return self._clean(self._in_order())
        return "".join(self.displayed) + self._filter.rest

    def _clean(self, text: str) -> str:
        return self._filter.clean(text)

    def _in_order(self) -> str:
        """The text with its chunks sorted, and those of one message together."""
        last = ""
        messages: dict[str, list[str]] = {}
        for position in sorted(self._texts):
            last = self._messages[position] or last
            messages.setdefault(last, []).append(self._texts[position])
        unnamed = "".join(messages.pop("", ()))
        return unnamed + "\n\n".join(map("".join, messages.values()))

    def add(self, events: Iterable[Event]) -> str:
        """Apply ``events``; return the text that can be displayed now, which can be empty."""
        fresh: list[str] = []
        for event in events:
            if type(event) is Chunk:
                text, number, msg_id = event
                if number is None or number != self._next or self._held or msg_id != self.msg_id:
                    self._chunk(event, fresh)
                    continue
                # Fast path for nearly all chunks: the expected number of the same message.
                position = number * SPACE
                self._texts[position] = text
                self._messages[position] = self.msg_id
                self._next = number + 1
                self._offset = 0
                self.status_text = ""
                fresh.append(text)
            else:
                self._other(event, fresh)
        text = self._filter.feed("".join(fresh))
        if self._final is not None:
            shown = "".join(self.displayed) + text
            if self._final.startswith(shown):
                text += self._final[len(shown) :]
        if text:
            self.displayed.append(text)
        return text

    def _chunk(self, chunk: Chunk, fresh: list[str]) -> None:
        number = chunk.sequence
        if number is None:
            if self._next is None and self._held:
                self._next = min(self._held)  # it was the first
                self._release_held(fresh)
            # Without a number: its position is right after the last displayed chunk.
            self._offset += 1
            self._store(((self._next or 0) - 1) * SPACE + self._offset, chunk)
            self._release(chunk, fresh)
            return
        if number * SPACE in self._texts:
            return
        self._store(number * SPACE, chunk)
        if self._next is not None and number < self._next:
            self._late = True  # it belongs before text that is already displayed
            return
        self._held[number] = chunk
        is_first = self._next is None and (number <= FIRST_NUMBER or len(self._held) > 1)
        if is_first or len(self._held) > MAX_HELD_CHUNKS:
            self._next = min(self._held)
        self._release_held(fresh)

    def _release_held(self, fresh: list[str]) -> None:
        while self._next is not None and (ready := self._held.pop(self._next, None)) is not None:
            self._release(ready, fresh)
            self._next += 1
            self._offset = 0

    def _store(self, position: int, chunk: Chunk) -> None:
        self._texts[position] = chunk.text
        self._messages[position] = chunk.msg_id

    def _release(self, chunk: Chunk, fresh: list[str]) -> None:
        if chunk.msg_id != self.msg_id:
            # Part of an earlier message: shown as it comes, and moved there at the end.
            self._late = self._late or (bool(chunk.msg_id) and chunk.msg_id in self._released)
            self._released.add(chunk.msg_id)
            begins = self.msg_id and chunk.msg_id  # another message, as a new paragraph
            fresh.append(f"\n\n{chunk.text}" if begins else chunk.text)
            self.msg_id = chunk.msg_id or self.msg_id
        else:
            fresh.append(chunk.text)
        self.status_text = ""

    def _other(self, event: Event, fresh: list[str]) -> None:
        match event:
            case Started():
                self._set_tokens(event.context_token, event.parent_context_token)
                self.recorded = event.recorded or self.recorded
                self.status_text = ""
            case Introduced():
                clean = self._clean
                buttons = tuple(map(clean, event.buttons))
                self.introduction = Introduced(clean(event.text), buttons)
            case Waiting():
                self.status_text = f"waiting {ceil(event.seconds)} s …"
            case ToolCalled():
                self.status_text = "using a tool …"
            case Recovering():
                reason = truncate(one_line(self._clean(event.reason)), MAX_REASON)
                limit = f", at most {ceil(event.seconds)} s" if event.seconds else ""
                self.status_text = f"{reason}; waiting for the reply{limit} …"
            case Completed():
                self._complete(event)
            case Unknown():
                name = self._clean(event.name)
                self.unknown[name] = self.unknown.get(name, 0) + 1
            case Chunk():
                self._chunk(event, fresh)
            case _:
                assert_never(event)

    def _set_tokens(self, token: str | None, parent: str | None) -> None:
        clean = self._clean
        self.context_token = clean(token) if token else self.context_token
        self.parent_context_token = clean(parent) if parent else self.parent_context_token

    def _complete(self, event: Completed) -> None:
        self._set_tokens(event.context_token, event.parent_context_token)
        self.msg_id = event.msg_id or self.msg_id
        self._final = self._clean(event.text or self._in_order())
        self._held.clear()
        self.status = "recovered" if event.recovered else "complete"
        self.status_text = ""

    def reply(
        self,
        *,
        status: Status | None = None,
        seconds: float = 0.0,
        first_chunk_seconds: float | None = None,
    ) -> Reply:
        """The reply so far; ``status`` overrides the one that follows from the events."""
        status = status or self.status
        if self.recorded is not None:
            seconds, first_chunk_seconds = self.recorded
        token = self.context_token
        if token is None and status in ("complete", "recovered"):
            token = self.request_token  # still valid: the service returned no new one
        return Reply(
            text=self.text,
            status=status,
            context_token=token,
            parent_context_token=self.parent_context_token,
            msg_id=self._clean(self.msg_id),
            service=self.service,
            seconds=seconds,
            first_chunk_seconds=first_chunk_seconds,
            replayed=self.recorded is not None,
        )
