"""The network as a flow sees it, played by hand: no server, no waiting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from aeron_magic.errors import AeronError
from aeron_magic.protocol.events import Event
from aeron_magic.protocol.flow import (
    Close,
    ConnectionLost,
    Flow,
    OpenStream,
    ReadChunk,
    Send,
    Sleep,
    StepResult,
)
from aeron_magic.replies.accumulator import ReplyAccumulator

__all__ = ["FlowServer"]


@dataclass(kw_only=True)
class FlowServer(ABC):
    """Does the steps of a flow and keeps what it wanted; a service's tests answer its requests.

    Attributes
    ----------
    stream
        What reading gives, used up from the front; after that comes the end.
    events, pauses, closed
        What the flow has said, waited for (in seconds) and closed (as finished or not).
    draft, value
        What the events come to, and what the flow returned.
    """

    stream: list[bytes | ConnectionLost] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    draft: ReplyAccumulator = field(default_factory=ReplyAccumulator)
    value: Any = None

    @abstractmethod
    def answer(self, step: Send | OpenStream) -> StepResult:
        """What comes of a request."""

    @staticmethod
    def next_of(answers: list[Any]) -> Any:
        """The next one of a list that is used up from the front, and whose last item stays."""
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def run(self, flow: Flow[Any]) -> ReplyAccumulator:
        """Drive ``flow`` to its end; an error of its carries the draft's text as ``partial``."""
        self.draft = accumulator = ReplyAccumulator()
        result: StepResult = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as stop:
                self.value = stop.value
                return accumulator
            except AeronError as error:
                error.partial = accumulator.text
                raise
            result = None
            match step:
                case list():
                    accumulator.add(step)
                    self.events += step
                case ReadChunk():
                    result = self.stream.pop(0) if self.stream else b""
                case Sleep(seconds):
                    self.pauses.append(seconds)
                case Close(finished):
                    self.closed.append(finished)
                case Send() | OpenStream():
                    result = self.answer(step)
