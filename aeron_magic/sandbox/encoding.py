"""Writing events down: the framings a stream may have, and plain answers.

Nobody documents how AeronPay's stream is framed, so the sandbox can write it in every way a
server plausibly would; Chatzy's is server-sent events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .faults import Faults

__all__ = [
    "Answer",
    "Refused",
    "Request",
    "Stream",
    "batched",
    "chunked",
    "content_type",
    "frame",
    "keep_alive",
    "pieces",
    "sse",
]

_LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_BOM = "\ufeff"


class Refused(Exception):
    """A request that is not served: the HTTP status and the service's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a service sees it."""

    endpoint: str
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is sent whole, after `wait` seconds."""

    status: int
    value: Any
    wait: float = 0.0
    ascii: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body's bytes."""
        text = json.dumps(self.value, ensure_ascii=self.ascii)
        return text.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that comes in pieces: bytes to be sent, and numbers, seconds to wait."""

    content_type: str
    parts: Iterator[bytes | float]
    status: int = 200


def pieces(text: str, faults: Faults) -> list[str]:
    """The chunks a text is streamed in: those scripted, so many characters each, or words."""
    if faults.chunks:
        return list(faults.chunks)
    if faults.chunk_size:
        return [text[i : i + faults.chunk_size] for i in range(0, len(text), faults.chunk_size)]
    return re.findall(r"\s*\S+|\s+$", text)


def sse(faults: Faults, *, data: str, event: str | None = None, id_: str | None = None) -> bytes:
    """One server-sent event; each line of `data` becomes a field of its own."""
    lines = [f"id: {id_}"] if id_ is not None else []
    lines += [f"event: {event}"] if event is not None else []
    lines += [f"data: {line}" for line in data.split("\n")]
    end = _LINE_ENDS[faults.line_end]
    return (end.join(lines) + end + end).encode("utf-8", "replace")


def frame(faults: Faults, event: Mapping[str, Any]) -> bytes:
    """One AeronPay event in the framing asked for."""
    pretty = faults.framing in {"pretty", "sse-multiline"}
    text = json.dumps(event, ensure_ascii=faults.ascii, indent=2 if pretty else None)
    end = _LINE_ENDS[faults.line_end]
    match faults.framing:
        case "sse" | "sse-multiline":
            return sse(faults, data=text)
        case "sse-event":
            return sse(faults, data=text, event=str(event["event"]))
        case "ndjson":
            text += end
        case "pretty":
            text = text.replace("\n", end) + end
        case "json" | "object":
            pass
    return text.encode("utf-8", "replace")


def content_type(faults: Faults) -> str:
    """The label that goes with the framing, unless another was asked for."""
    if faults.content_type is not None:
        return faults.content_type
    if faults.framing.startswith("sse"):
        return "text/event-stream"
    return "application/x-ndjson" if faults.framing == "ndjson" else "application/json"


def keep_alive(faults: Faults, kind: str) -> bytes:
    """What a silent server sends to show that it lives: a comment, or an empty line."""
    end = _LINE_ENDS[faults.line_end]
    return f": still there{end}{end}".encode() if "event-stream" in kind else end.encode()


def batched(faults: Faults, parts: Iterable[bytes | float]) -> Iterator[bytes | float]:
    """The parts as they leave: a byte-order mark first where asked for, events put together or
    cut into pieces of so many bytes, pauses where they were."""
    held, count = (_BOM.encode() if faults.bom else b""), 0
    for part in parts:
        if isinstance(part, bytes):
            held, count = held + part, count + 1
            if faults.write_size == 0 and count < faults.events_per_write:
                continue
        elif not part:
            continue
        yield from _pieces(held, faults.write_size)
        held, count = b"", 0
        if not isinstance(part, bytes):
            yield part
    yield from _pieces(held, faults.write_size)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    if not size:
        size = max(len(data), 1)
    for start in range(0, len(data), size):
        yield data[start : start + size]


def chunked(data: bytes) -> bytes:
    """One chunk of an HTTP/1.1 chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
