"""Requests and answers, and the framings that a stream may have.

The framing of AeronPay's stream is not documented, so the sandbox can use every plausible one.
Chatzy's stream is server-sent events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .faults import Faults

_LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_BOM = b"\xef\xbb\xbf"


class Refused(Exception):
    """A request is refused, with an HTTP status and the service's message."""

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
    """A JSON answer that is sent whole, after `wait` seconds."""

    status: int
    value: Any
    wait: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return json.dumps(self.value, ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer: bytes to send, and numbers, which are seconds to wait."""

    content_type: str
    parts: Iterator[bytes | float]


def split_text(text: str, faults: Faults) -> list[str]:
    """The chunks of a text: the configured chunks, so many characters each, or words."""
    if faults.chunks:
        return list(faults.chunks)
    if faults.chunk_size:
        return [text[i : i + faults.chunk_size] for i in range(0, len(text), faults.chunk_size)]
    return re.findall(r"\s*\S+|\s+$", text)


def sse(faults: Faults, *, data: str, event: str | None = None, id_: str | None = None) -> bytes:
    """One server-sent event, with one ``data`` field for each line of `data`."""
    lines = [f"id: {id_}"] if id_ is not None else []
    lines += [f"event: {event}"] if event is not None else []
    lines += [f"data: {line}" for line in data.split("\n")]
    end = _LINE_ENDS[faults.line_end]
    return (end.join(lines) + end + end).encode("utf-8", "replace")


def frame(faults: Faults, event: Mapping[str, Any]) -> bytes:
    """One AeronPay event in the configured framing."""
    pretty = faults.framing in {"pretty", "sse-multiline"}
    text = json.dumps(event, ensure_ascii=False, indent=2 if pretty else None)
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
    """The content type of the configured framing."""
    if faults.framing.startswith("sse"):
        return "text/event-stream"
    return "application/x-ndjson" if faults.framing == "ndjson" else "application/json"


def keep_alive(faults: Faults, kind: str) -> bytes:
    """What a stalled stream may send: a comment, or an empty line if it is not event-stream."""
    end = _LINE_ENDS[faults.line_end]
    return f": keep-alive{end}{end}".encode() if "event-stream" in kind else end.encode()


def split_writes(faults: Faults, parts: Iterable[bytes | float]) -> Iterator[bytes | float]:
    """The parts as they are written: after a byte-order mark, and in writes of `write_size`."""
    prefix = _BOM if faults.bom else b""
    for part in parts:
        if not isinstance(part, bytes):
            yield part
            continue
        data, prefix = prefix + part, b""
        size = faults.write_size or len(data) or 1
        for start in range(0, len(data), size):
            yield data[start : start + size]
