"""A driver of flows that answers requests from lists: no network, no waiting."""

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
    """Performs the steps of a flow and records them; a service's tests answer its requests.

    Attributes
    ----------
    stream
        The results of reading, used from the front; then the end of the stream.
    events, pauses, closed
        The flow's events, sleeps (in seconds) and closes (whether finished).
    accumulator, value
        The accumulator of the events, and the flow's return value.
    """

    stream: list[bytes | ConnectionLost] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    accumulator: ReplyAccumulator = field(default_factory=ReplyAccumulator)
    value: Any = None

    @abstractmethod
    def answer(self, step: Send | OpenStream) -> StepResult:
        """The result of a request."""

    @staticmethod
    def next_of(answers: list[Any]) -> Any:
        """Take the first item; the last one stays."""
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def run(self, flow: Flow[Any]) -> ReplyAccumulator:
        """Drive ``flow`` to its end; its error gets the text so far as ``partial``."""
        self.accumulator = accumulator = ReplyAccumulator()
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
