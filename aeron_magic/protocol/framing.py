"""Framing: the bytes of a body, cut into server-sent events or JSON objects.

The services do not document how a stream is framed. Accepted are server-sent events,
newline-delimited JSON, JSON objects back to back or pretty-printed, an array of them, and one plain
object. The first bytes of the body decide; the content type is used only where they are ambiguous.
The frames do not depend on how the body was cut into reads. No I/O.

Server-sent events follow https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing.
The body is cut into lines before it is decoded: in UTF-8 a line feed is never part of another
character.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from aeron_magic.protocol.json_values import decode_text
from aeron_magic.protocol.limits import DEFAULT_LIMITS, Limits

Kind = Literal["", "sse", "json", "other"]
"""How a body is framed; empty until it is known."""

UNPARSED_LIMIT = 2_000
"""Characters of unreadable text that are kept."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIELDS = (b"", b"data", b"event", b"id", b"retry")
_FIELD = re.compile(rb"[a-z]+")
_ARRAY = re.compile(rb"\[[ \t\r\n]*+")
_JSON = re.compile(rb"\{|\[[ \t\r\n]*+[\]{]")
_UNPARSED_BYTES = 4 * UNPARSED_LIMIT

# JSON between its braces. Possessive throughout, so that a match never backtracks.
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PLAIN = re.compile(rb'[^{}"]*+(?:"' + _STRING.pattern + rb'"[^{}"]*+)*+', re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n,\[\]]*+")
_OPEN, _CLOSE, _QUOTE = b'{}"'
_CR = ord("\r")


class Frame(NamedTuple):
    """One event of a stream, or one JSON object.

    * ``data``: the event's data, its lines joined by line feeds; or the text of one JSON object, of
      which only the braces are checked.
    * ``id``: the last event id of the stream, empty if there was none. Empty for JSON.
    * ``event``: the event's type; empty for the default type ``message`` and for JSON.
    """

    data: str
    id: str = ""
    event: str = ""


class FrameDecoder:
    """Cuts one body into frames.

    * ``content_type``: the response's ``Content-Type``. Used only if the body begins with neither a
      JSON object, nor markup, nor a field of an event stream; and its charset for JSON that is not
      UTF-8.
    * ``limits``: the most to read of the body, of one frame (so that a line or an object that never
      ends cannot fill the memory), and the most frames.

    Attributes:
    * ``exceeded``: the name of the limit that the body exceeds, else empty. Nothing is read after
      that.
    """

    __slots__ = (
        "_content_type",
        "_count",
        "_held",
        "_labelled",
        "_limits",
        "_reader",
        "_size",
        "_stopped",
        "_unframed",
        "exceeded",
        "kind",
    )

    kind: Kind
    """How the body is framed. A body that proves unreadable before its first frame is ``other``;
    one that breaks after a frame keeps its kind."""

    def __init__(self, content_type: str = "", limits: Limits = DEFAULT_LIMITS) -> None:
        self.kind = ""
        self.exceeded = ""
        self._labelled = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._content_type = content_type
        self._limits = limits
        self._size = self._unframed = self._count = 0
        self._stopped = False
        self._held = b""
        self._reader: _SSEReader | _JSONReader | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that ``chunk`` completes, oldest first."""
        self._size += len(chunk)
        if self._size > self._limits.reply:
            self.exceeded = self.exceeded or "reply"
            return []
        if self._reader is None:
            if self._stopped:
                self._hold(chunk)
                return []
            chunk = self._detect(chunk)
            if self._reader is None:
                return []
        frames = self._reader.feed(chunk)
        self._unframed = 0 if frames else self._unframed + len(chunk)
        self._count += len(frames)
        if self._unframed > self._limits.frame:
            self.exceeded = "frame"
        elif self._count > self._limits.chunks:
            self.exceeded = "chunks"
        if self._reader.broken or self.exceeded:
            self._stop(self._reader.left())
        return frames

    def close(self) -> None:
        """End the body: its kind is known now.

        An event without its blank line and an object without its last brace are discarded, as the
        standards say; they are in `unparsed`.
        """
        if not self.kind and self._held.strip(_SPACE):
            self._stop(self._held.removeprefix(_BOM))

    @property
    def unparsed(self) -> str:
        """The beginning of what could not be read: at most ``UNPARSED_LIMIT`` characters.

        A web page or other text, lines that are not a field of an event stream, an unfinished line
        or object; without leading space. Empty if all was read.
        """
        left = self._held if self._reader is None else self._reader.left()
        left = left.lstrip(_SPACE)[:_UNPARSED_BYTES]
        return decode_text(left, self._content_type)[:UNPARSED_LIMIT]

    def _detect(self, chunk: bytes) -> bytes:
        """Choose the reader if the bytes so far suffice; what it has to read."""
        self._held += chunk
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return b""
        body = self._held.removeprefix(_BOM)
        head = body.lstrip(_SPACE)[:_UNPARSED_BYTES]
        kind = _kind(head, self._labelled)
        if kind == "other" or (not kind and len(head) == _UNPARSED_BYTES):
            self._stop(body)
        elif kind:
            self.kind = kind
            self._held = b""
            self._reader = _SSEReader() if kind == "sse" else _JSONReader(self._content_type)
        elif body and not head:
            # Blank lines before the first field mean nothing; a space in its line does.
            self._held = body[-1:]
        return body

    def _stop(self, left: bytes) -> None:
        """Read no further; keep the beginning of what is left."""
        if not self._count:
            self.kind = "other"
        self._reader = None
        self._stopped = True
        self._held = b""
        self._hold(left)

    def _hold(self, chunk: bytes) -> None:
        if len(self._held) < _UNPARSED_BYTES:
            self._held = (self._held + chunk)[:_UNPARSED_BYTES]


def _kind(head: bytes, labelled: bool) -> Kind:
    """The kind of a body that begins with ``head``; empty if more bytes are needed.

    ``labelled``: whether the content type is that of an event stream.
    """
    if not head or _ARRAY.fullmatch(head):
        return ""
    if head[0] in b"\0\xfe\xff":
        return "other"  # UTF-16 or UTF-32, which is never UTF-8
    if _JSON.match(head):
        return "json"
    if head.startswith(b"<"):
        return "other"
    if labelled or head.startswith(b":"):
        return "sse"
    name = _FIELD.match(head)
    if name is None:
        return "other"
    if name.end() == len(head):
        return "" if any(field.startswith(head) for field in _FIELDS) else "other"
    return "sse" if name[0] in _FIELDS and head[name.end()] in b":\r\n" else "other"


class _SSEReader:
    """Reads server-sent events."""

    __slots__ = ("_after_cr", "_data", "_event", "_id", "_pieces", "_unknown_fields")

    broken = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id = ""
        self._unknown_fields = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if _CR in chunk:  # bytes are searched for a number four times as fast as for bytes
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._pieces.append(chunk)
            return []
        if self._pieces:
            whole = b"".join(self._pieces) + whole
            self._pieces.clear()
        if rest:
            self._pieces.append(rest)
        frames: list[Frame] = []
        for line in whole.decode("utf-8", "replace").split("\n"):
            if line[:6] == "data: ":
                self._data.append(line[6:])
            elif line:
                self._read_field(line)
            else:
                if self._data:
                    frames.append(Frame("\n".join(self._data), self._id, self._event))
                    self._data.clear()
                self._event = ""
        return frames

    def _read_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = "" if value == "message" else value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name.encode() not in _FIELDS and len(self._unknown_fields) < _UNPARSED_BYTES:
            self._unknown_fields += f"{line}\n".encode()

    def left(self) -> bytes:
        data = "\n".join(self._data).encode()
        return self._unknown_fields + data + b"".join(self._pieces)


class _JSONReader:
    """Reads JSON objects.

    Only braces outside of strings are counted; space, commas and brackets between two objects are
    skipped. No byte is read twice, so an object costs the same in one piece or in ten thousand.
    """

    __slots__ = ("_content_type", "_depth", "_escaped", "_in_string", "_pieces", "broken")

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self.broken = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        at = start = 0
        while at < len(chunk):
            if not self._depth:
                at = start = _after(_BETWEEN, chunk, at)
                if at == len(chunk):
                    break
                if chunk[at] != _OPEN:
                    self.broken = True
                    break
                self._depth = 1
            elif self._escaped:
                self._escaped = False
            else:
                at = _after(_STRING if self._in_string else _PLAIN, chunk, at)
                if at == len(chunk):
                    break
                self._count(chunk[at])
            at += 1
            if not self._depth:
                self._pieces.append(chunk[start:at])
                frames.append(Frame(decode_text(b"".join(self._pieces), self._content_type)))
                self._pieces.clear()
                start = at
        if start < len(chunk):
            self._pieces.append(chunk[start:])
        return frames

    def _count(self, byte: int) -> None:
        """Count the byte that ended a run: a quote, a brace or a last backslash."""
        if byte == _QUOTE:
            self._in_string = not self._in_string
        elif byte == _OPEN:
            self._depth += 1
        elif byte == _CLOSE:
            self._depth -= 1
        else:
            self._escaped = True

    def left(self) -> bytes:
        return b"".join(self._pieces)


def _after(run: re.Pattern[bytes], chunk: bytes, at: int) -> int:
    """The end of the run that begins at ``at``."""
    found = run.match(chunk, at)
    return at if found is None else found.end()
