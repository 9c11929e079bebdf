"""Bytes in, frames out: what a service sent, cut into events.

The services' pages do not say how a stream is framed, so this room takes what is plausible: a
server-sent event stream, newline-delimited JSON, JSON objects back to back or pretty-printed, an
array of them, and one plain object. What the body looks like decides; the content type is asked
only where the bytes leave it open. No socket, clock or thread: a reader feeds what it got, however
it was cut, and the frames are the same.

Server-sent events follow https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing.
Lines are cut here, on bytes: a line feed ends every unfinished UTF-8 sequence, so whole lines
decode alike wherever the reads were cut. httpx-sse decodes the fields of a line. What it gets
wrong by the standard:

* it reads text, so the reader's charset rules where UTF-8 must, and a byte-order mark hides the
  first field: both are settled here, before there are lines;
* it holds a line back that ends in CR until the next byte has come: here it ends at once, and a
  line feed at the head of the next read belongs to it;
* a blank line gives an event without any ``data`` as soon as an ``event``, a ``retry`` or, ever
  since the first, an ``id`` came, so that each keep-alive is an empty event: mended in ``_lines``;
* ``retry: -5`` (also ``+5``, ``1_0`` and non-ASCII digits) is taken for a number: nothing here
  reconnects by it, so a frame does not carry it, and it makes no event.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

__all__ = ["FRAME_LIMIT", "UNPARSED_LIMIT", "Frame", "FrameDecoder", "Kind"]

Kind = Literal["", "sse", "json", "other"]
"""How a body is framed; empty until it is known."""

FRAME_LIMIT = 32 * 2**20
"""Bytes without a single frame after which a body is given up: no reply is that long."""

UNPARSED_LIMIT = 2_000
"""Characters of what could not be read that are kept."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIELDS = ("", "data", "event", "id", "retry")
_NAMES = tuple(name.encode() for name in _FIELDS)
_NAME = re.compile(rb"[a-z]+")
_UNPARSED_BYTES = 4 * UNPARSED_LIMIT

# JSON between its braces, and a whole object in which objects nest once, as the services' do.
# Possessive throughout, so that a match never turns back.
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PLAIN = re.compile(rb'[^{}"]*+(?:"' + _STRING.pattern + rb'"[^{}"]*+)*+', re.DOTALL)
_SHALLOW = re.compile(
    rb"\{%b(?:\{%b\}%b)*+\}" % ((_PLAIN.pattern,) * 3),
    re.DOTALL,
)
_BETWEEN = re.compile(rb"[ \t\r\n,\[\]]*+")
_OPEN, _CLOSE, _QUOTE = b'{}"'
_CR = ord("\r")


class Frame(NamedTuple):
    """One event of a stream, or one JSON object.

    A tuple and not a dataclass: one is made for each event, at a half the cost.

    Parameters
    ----------
    data
        The event's data, its lines joined by line feeds; or the text of one JSON object, which is
        balanced, but not checked further.
    id
        The last event id of the stream so far, empty if there was none. Empty for JSON.
    event
        The event's type; empty for the default one, which the standard calls ``message``, and for
        JSON.
    """

    data: str
    id: str = ""
    event: str = ""


class FrameDecoder:
    """Cuts one body into frames, whatever the reads were.

    Parameters
    ----------
    content_type
        The answer's ``Content-Type``. Asked only where the body begins with neither a JSON object,
        nor markup, nor a field of an event stream.
    limit
        Bytes without a single frame after which the body is given up (default ``FRAME_LIMIT``),
        so that a server that never ends a line or an object cannot fill the memory.
    """

    __slots__ = ("_framed", "_held", "_labelled", "_limit", "_read", "_reader", "_unframed", "kind")

    kind: Kind
    """How the body is framed. A body that proves unreadable before its first frame is ``other``;
    one that breaks after a good frame keeps its kind."""

    def __init__(self, content_type: str = "", *, limit: int = FRAME_LIMIT) -> None:
        self.kind = ""
        self._labelled = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._limit = limit
        self._unframed = 0
        self._framed = False
        self._held = b""
        self._reader: _SSEReader | _JSONReader | None = None
        self._read: Callable[[bytes], list[Frame]] = self._sniff

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that ``chunk`` completes, oldest first."""
        frames = self._read(chunk)
        if frames:
            self._unframed = 0
            self._framed = True
        else:
            self._unframed += len(chunk)
            if self._unframed > self._limit and self._reader is not None:
                self._give_up(self._reader.left())
        return frames

    def close(self) -> list[Frame]:
        """The frames that the end of the body completes.

        There are none: by the standard an event without its blank line is discarded, and an
        object without its last brace is no object. What was discarded is in `unparsed`.
        """
        if not self.kind and self._held.strip(_SPACE):
            self._give_up(self._held.removeprefix(_BOM))
        return []

    @property
    def unparsed(self) -> str:
        """The beginning of what could not be read: at most ``UNPARSED_LIMIT`` characters.

        A web page or other garbage, lines that are no field of an event stream, an unfinished
        line or object, without leading space. Empty if all was read.
        """
        left = self._held if self._reader is None else self._reader.left()
        return left.lstrip(_SPACE)[:_UNPARSED_BYTES].decode("utf-8", "replace")[:UNPARSED_LIMIT]

    def _sniff(self, chunk: bytes) -> list[Frame]:
        """Find out what the body is, then read all that has come of it."""
        self._held += chunk
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return []
        body = self._held.removeprefix(_BOM)
        head = body.lstrip(_SPACE)[:_UNPARSED_BYTES]
        kind = _kind(head, self._labelled)
        if kind == "other" or (not kind and len(head) == _UNPARSED_BYTES):
            self._give_up(body)
            return []
        if not kind:
            # Blank lines before the first field mean nothing; a space in its line does.
            if body and not head:
                self._held = body[-1:]
            return []
        self.kind = kind
        self._held = b""
        if kind == "sse":
            self._reader = _SSEReader()
            self._read = self._reader.feed
        else:
            self._reader = _JSONReader()
            self._read = self._objects
        return self._read(body)

    def _objects(self, chunk: bytes) -> list[Frame]:
        assert isinstance(self._reader, _JSONReader)
        frames = self._reader.feed(chunk)
        if self._reader.broken:
            self._framed = self._framed or bool(frames)
            self._give_up(self._reader.left())
        return frames

    def _give_up(self, left: bytes) -> None:
        """Read no further; keep the beginning of what is left."""
        if not self._framed:
            self.kind = "other"
        self._reader = None
        self._read = self._collect_unparsed
        self._held = b""
        self._collect_unparsed(left)

    def _collect_unparsed(self, chunk: bytes) -> list[Frame]:
        if len(self._held) < _UNPARSED_BYTES:
            self._held = (self._held + chunk)[:_UNPARSED_BYTES]
        return []


def _kind(head: bytes, labelled: bool) -> Kind:
    """What a body that begins with ``head`` is; empty if more of it must be seen.

    ``labelled`` says that the content type is that of an event stream.
    """
    match head[:1]:
        case b"":
            return ""
        case b"{":
            return "json"
        case b"<":
            return "other"
        case b"[":
            inner = head[1:].lstrip(_SPACE)
            if inner[:1] in (b"{", b"]"):
                return "json"
            if not inner:
                return ""
        case b":":
            return "sse"
    if labelled:
        return "sse"
    name = _NAME.match(head)
    if name is None:
        return "other"
    if name.end() == len(head):
        return "" if any(known.startswith(head) for known in _NAMES) else "other"
    return "sse" if name[0] in _NAMES and head[name.end()] in b":\r\n" else "other"


class _SSEReader:
    """Reads server-sent events."""

    __slots__ = ("_after_cr", "_decode", "_has_data", "_id", "_open", "_pieces", "_unknown_fields")

    def __init__(self) -> None:
        self._decode: Callable[[str], ServerSentEvent | None] | None = None
        self._pieces: list[bytes] = []
        self._after_cr = False
        self._open = False
        self._has_data = False
        self._id = ""
        self._unknown_fields = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if _CR in chunk:  # a number is found in bytes four times as fast as bytes are
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif (
            # One event in one read, which is one line of data: what most services write.
            chunk.startswith(b"data: ")
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk.endswith(b"\n\n")
            and not self._open
            and not self._pieces
        ):
            return [Frame(chunk[6:-2].decode("utf-8", "replace"), self._id)]
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._pieces.append(chunk)
            return []
        lines = chunk[:cut]
        if self._pieces:
            lines = b"".join(self._pieces) + lines
            self._pieces.clear()
        if cut < len(chunk):
            self._pieces.append(chunk[cut:])
        *blocks, rest = lines.decode("utf-8", "replace").split("\n\n")
        frames: list[Frame] = []
        for block in blocks:
            first, _, last = block.rpartition("\n")
            event = self._before_data(first) if first else ""
            if event is not None and last[:5] == "data:" and not self._open:
                frames.append(Frame(last[5:].removeprefix(" "), self._id, event))
            else:
                self._lines(f"{block}\n\n", frames)
        if rest:
            self._lines(rest, frames)
        return frames

    def _before_data(self, line: str) -> str | None:
        """The type of an event that may be taken as it stands, as nearly all may.

        Then nothing is before its one line of data but its type, or the id that is the last one
        anyway. None says that the block needs the decoder.
        """
        if "\n" in line:
            return None
        if line[:6] == "event:":
            return _type(line[6:].removeprefix(" "))
        return "" if line[:3] == "id:" and line[3:].removeprefix(" ") == self._id else None

    def _lines(self, lines: str, frames: list[Frame]) -> None:
        if self._decode is None:
            self._decode = _decoder()
        for line in lines.split("\n")[:-1]:
            if line:
                self._open = True
                if line.startswith("data:") or line == "data":
                    self._has_data = True
                elif (
                    line.partition(":")[0] not in _FIELDS
                    and len(self._unknown_fields) < _UNPARSED_BYTES
                ):
                    self._unknown_fields += f"{line}\n".encode()
                self._decode(line)
            elif self._open:
                event = self._decode("")
                # The decoder says nothing only where all is empty, the last id included.
                self._id = event.id if event is not None else ""
                if event is not None and self._has_data:
                    frames.append(Frame(event.data, event.id, _type(event.event)))
                self._open = self._has_data = False

    def left(self) -> bytes:
        return self._unknown_fields + b"".join(self._pieces)


def _type(named: str) -> str:
    return "" if named == "message" else named


def _decoder() -> Callable[[str], ServerSentEvent | None]:
    # The decoder itself is pure, but its package imports httpx. So it is imported by the first
    # event that needs it and not with this module, which thereby stays free of HTTP libraries;
    # where a client is reading, httpx has long been there.
    from httpx_sse._decoders import SSEDecoder

    return SSEDecoder().decode


class _JSONReader:
    """Reads JSON objects, however they follow each other.

    Only braces are counted, outside of strings; what stands between two objects (space, commas
    and the brackets of an array around them) is passed over. A byte is never looked at again
    once its read is over, so an object costs the same in one piece or in ten thousand.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_pieces", "broken")

    def __init__(self) -> None:
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
                whole = _SHALLOW.match(chunk, at)
                if whole is not None:
                    at = start = whole.end()
                    frames.append(Frame(whole[0].decode("utf-8", "replace")))
                    continue
                self._depth = 1
            elif self._escaped:
                self._escaped = False
            else:
                at = _after(_STRING if self._in_string else _PLAIN, chunk, at)
                if at == len(chunk):
                    break
                self._turn(chunk[at])
            at += 1
            if not self._depth:
                self._pieces.append(chunk[start:at])
                frames.append(Frame(b"".join(self._pieces).decode("utf-8", "replace")))
                self._pieces.clear()
                start = at
        if start < len(chunk):
            self._pieces.append(chunk[start:])
        return frames

    def _turn(self, byte: int) -> None:
        """Take note of the byte that ended a run: a quote, a brace or a last backslash."""
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
    """Where the run that begins at ``at`` ends."""
    found = run.match(chunk, at)
    return at if found is None else found.end()
