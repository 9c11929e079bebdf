"""How the sandbox is told to behave: its pace, its framing, what it says and what goes wrong.

A ``Faults`` is a value. The running server holds one, replaces it when a test (or the control
address) asks, and counts its ``…_times`` fields down as they are used up. It goes through JSON
unchanged, so that another process can set it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["Faults", "Refusal"]

_CUTTABLE = ("create-response", "get-response")

Framing = Literal["sse", "sse-event", "sse-multiline", "ndjson", "json", "pretty", "object"]
LineEnd = Literal["lf", "crlf", "cr"]
CutHow = Literal["reset", "close", "end"]
StallHow = Literal["silent", "comments"]
Order = Literal["kept", "swapped", "repeated", "gap"]
EmptySystem = Literal["list", "object", "null", "absent"]
Generation = Literal["ok", "fails", "fails-with-event"]
Spelling = Literal["json", "bare"]
Ids = Literal["each", "first", "none"]
Reopen = Literal["nothing", "repeat", "continue"]
Where = Literal["data", "top"]
When = Literal["start", "middle", "end"]
Page = Literal["json", "html", "empty", "redirect", "drop"]


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(value: Any) -> None:
    """Hold the fields of a dataclass to their annotations, naming the field that is wrong.

    Raises
    ------
    TypeError, ValueError
        A field has the wrong type, or is none of the allowed words.
    """
    kind: Any = type(value)
    hints = _hints(kind)
    for field in fields(value):
        given, hint = getattr(value, field.name), hints[field.name]
        if get_origin(hint) is Literal:
            if given not in get_args(hint):
                raise ValueError(f"{field.name} must be one of {get_args(hint)}, not {given!r}")
            continue
        kinds = tuple(get_origin(one) or one for one in (get_args(hint) or (hint,)))
        if get_origin(hint) is tuple:
            kinds = (tuple,)
            wrong = [one for one in given if not isinstance(one, get_args(hint)[0])]
            if wrong:
                raise TypeError(f"{field.name} must be {hint}, not with {wrong[0]!r}")
        if float in kinds:
            kinds = (*kinds, int)
        if not isinstance(given, kinds) or (isinstance(given, bool) and bool not in kinds):
            raise TypeError(f"{field.name} must be {hint}, not {given!r}")
        if isinstance(given, int | float) and given < 0:
            raise ValueError(f"{field.name} must not be negative: {given!r}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an endpoint answers to its next requests instead of doing its work.

    Parameters
    ----------
    endpoint
        ``create-response``, ``get_inference``, … or ``*`` for any.
    status
        The HTTP status; 200 with ``page="json"`` is a body that says FAILED under HTTP 200.
    times
        For how many requests.
    retry_after
        The ``Retry-After`` header as it shall stand: seconds or an HTTP date.
    page
        ``json`` (the service's error object), ``html``, ``empty``, ``redirect`` (to ``location``)
        or ``drop``: the request is read and the connection closed without a byte.
    accepted
        Do the work before refusing, so that the question was in truth taken.
    location
        Where a redirect points; by default to an address of the sandbox that would be logged.
    message
        The service's own words in the error object.
    """

    endpoint: str = "*"
    status: int = 500
    times: int = 1
    retry_after: str | None = None
    page: Page = "json"
    accepted: bool = False
    location: str = "/elsewhere"
    message: str = "The sandbox was told to refuse this request."

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class Faults:
    """The sandbox's behaviour; the defaults are a service at its best, without any pause.

    Parameters
    ----------
    latency, first_chunk, pause
        Seconds before the headers, before the first chunk, and between chunks.
    chunk_size
        Characters in a chunk; 0 streams word by word.
    events_per_write, write_size
        Events that leave together; or bytes of each piece, whatever the events (0: one event
        at a time).
    say, chunks
        Answer this text, or exactly these chunks, to every question.
    framing, line_end, bom, content_type, ascii
        How a stream is written down. ``object`` ignores ``stream: true``. ``ascii`` escapes all
        but ASCII in JSON.
    cut_after, cut_times, cut_how
        Break the next replies of create-response or get-response after so many bytes of the
        body: by a connection reset, by closing in the middle, or by a proper end of the body.
    stall_after, stall_times, stall_how, stall_seconds, comment_every
        Fall silent after so many bytes (or send only comments) for so many seconds; ``None``
        means until the client leaves.
    refuse
        Requests to be refused, see `Refusal`.
    generation, generation_time, processing_fetches
        Whether the reply comes about; how long fetch-response says ``processing`` (by default
        as long as the stream takes); or for how many fetches it does.
    completed, completed_text
        Whether the stream's last event is sent; another text for it.
    order
        Chunks as they are, with neighbours swapped, each sent twice, or with every third missing.
    tokens, extra, system_empty, number_codes
        Whether tokens are returned; unknown events and fields; how an empty ``system`` looks;
        ``status_code`` as a number.
    expired
        Tokens that have expired, whatever the clock says.
    signal, signal_when, spelling, ids, streaming, status_where, reopen
        Chatzy: an error or restriction signal (such as ``no_message_found`` or
        ``__ERROR__: out of order``) and its place; signals as JSON or bare; ``id:`` lines;
        chunks or one payload; where get_stream_status puts its fields; what a stream that is
        opened a second time gives.
    """

    latency: float = 0.0
    first_chunk: float = 0.0
    pause: float = 0.0
    chunk_size: int = 0
    events_per_write: int = 1
    write_size: int = 0
    say: str | None = None
    chunks: tuple[str, ...] = ()
    framing: Framing = "sse"
    line_end: LineEnd = "lf"
    bom: bool = False
    content_type: str | None = None
    ascii: bool = False
    cut_after: int | None = None
    cut_times: int = 1
    cut_how: CutHow = "reset"
    stall_after: int | None = None
    stall_times: int = 1
    stall_how: StallHow = "silent"
    stall_seconds: float | None = None
    comment_every: float = 0.05
    refuse: tuple[Refusal, ...] = ()
    generation: Generation = "ok"
    generation_time: float | None = None
    processing_fetches: int = 0
    completed: bool = True
    completed_text: str | None = None
    order: Order = "kept"
    tokens: bool = True
    extra: bool = False
    system_empty: EmptySystem = "list"
    number_codes: bool = False
    expired: tuple[str, ...] = ()
    signal: str | None = None
    signal_when: When = "end"
    spelling: Spelling = "json"
    ids: Ids = "each"
    streaming: bool = True
    status_where: Where = "data"
    reopen: Reopen = "nothing"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def said(self) -> str | None:
        """The text with which every question is answered; None: each gets an answer of its own."""
        return "".join(self.chunks) if self.chunks else self.say

    def for_request(self, endpoint: str) -> tuple[Faults, Faults, Refusal | None]:
        """The faults for one request of `endpoint`, those for the ones after it, and its refusal.

        What holds for so many requests is counted down here and nowhere else.
        """
        for index, refusal in enumerate(self.refuse):
            if refusal.endpoint in ("*", endpoint) and refusal.times > 0:
                rest = list(self.refuse)
                rest[index] = replace(refusal, times=refusal.times - 1)
                now = replace(self, cut_after=None, stall_after=None)
                return now, replace(self, refuse=tuple(rest)), refusal
        if self.cut_after is None and self.stall_after is None:
            return self, self, None
        breaks = endpoint in _CUTTABLE
        cut = breaks and self.cut_after is not None and self.cut_times > 0
        stall = breaks and self.stall_after is not None and self.stall_times > 0
        now = replace(
            self,
            cut_after=self.cut_after if cut else None,
            stall_after=self.stall_after if stall else None,
        )
        later = replace(self, cut_times=self.cut_times - cut, stall_times=self.stall_times - stall)
        return now, later, None

    def as_json(self) -> dict[str, Any]:
        """The faults as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], base: Faults | None = None) -> Faults:
        """Faults from JSON's values; fields that are not named come from `base`.

        Raises
        ------
        TypeError, ValueError
            An unknown field, or a value that does not fit.
        """
        merged = {f.name: getattr(base or cls(), f.name) for f in fields(cls)}
        unknown = sorted(set(values) - set(merged))
        if unknown:
            raise ValueError(f"unknown fault {unknown[0]!r}; known are: {', '.join(merged)}")
        merged.update(values)
        for name in ("chunks", "expired", "refuse"):
            if isinstance(merged[name], list):
                merged[name] = tuple(merged[name])
        merged["refuse"] = tuple(
            Refusal(**one) if isinstance(one, dict) else one for one in merged["refuse"]
        )
        return cls(**merged)
